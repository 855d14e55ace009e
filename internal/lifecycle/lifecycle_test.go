package lifecycle

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	states   = []State{Queued, Sending, Unknown, Sent, Delivered, Bounced, Dropped}
	triggers = []Trigger{Claim, Accept, Requeue, Doubt, Drop, Deliver, Bounce}
)

// Every pair of state and trigger; a dot means that the state stays and nothing moved.
func TestNext(t *testing.T) {
	t.Parallel()
	table := map[State]string{
		//         Claim    Accept  Requeue  Doubt    Drop     Deliver    Bounce
		Queued:    "sending sent    .        .        dropped  delivered  bounced",
		Sending:   ".       sent    queued   unknown  dropped  delivered  bounced",
		Unknown:   ".       sent    queued   unknown  dropped  delivered  bounced",
		Sent:      ".       .       queued   .        dropped  delivered  bounced",
		Delivered: ".       .       .        .        .        .          bounced",
		Bounced:   ".       .       .        .        .        .          .",
		Dropped:   ".       .       .        .        .        .          .",
	}
	for from, row := range table {
		for on, want := range strings.Fields(row) {
			to, moved := Next(from, Trigger(on))
			if want == "." && (moved || to != from) || want != "." && (!moved || to.String() != want) {
				t.Errorf("Next(%s, trigger %d) = %s, %t, want %s", from, on, to, moved, want)
			}
		}
	}
}

func TestNextOfTheUnknown(t *testing.T) {
	t.Parallel()
	if to, moved := Next(State(99), Accept); moved || to != State(99) {
		t.Errorf("Next(state 99) = %d, %t", to, moved)
	}
	if to, moved := Next(Queued, Trigger(99)); moved || to != Queued {
		t.Errorf("Next(trigger 99) = %s, %t", to, moved)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for state, want := range map[State]struct {
		name    string
		pending bool
	}{
		Queued: {"queued", true}, Sending: {"sending", true}, Unknown: {"unknown", true}, Sent: {"sent", false},
		Delivered: {"delivered", false}, Bounced: {"bounced", false}, Dropped: {"dropped", false}, State(7): {"invalid", false},
	} {
		if state.String() != want.name || state.Pending() != want.pending {
			t.Errorf("state %d is %q, pending %t, want %+v", state, state, state.Pending(), want)
		}
	}
}

// The states are stored as numbers.
func TestNumbersAreStored(t *testing.T) {
	t.Parallel()
	for want, state := range states {
		if int(state) != want {
			t.Errorf("%s is stored as %d, want %d", state, state, want)
		}
	}
}

// Whatever is reported, in whatever order: an end is an end.
func TestNoReportBringsAMessageBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := rapid.SampledFrom(states).Draw(t, "state")
		for _, on := range rapid.SliceOfN(rapid.SampledFrom(triggers), 1, 40).Draw(t, "triggers") {
			to, moved := Next(state, on)
			again, _ := Next(to, on)
			switch {
			case !moved && to != state:
				t.Fatalf("%s became %s, and that is no move", state, to)
			case state == Delivered && to != Delivered && to != Bounced:
				t.Fatalf("delivered became %s", to)
			case (state == Bounced || state == Dropped) && to != state:
				t.Fatalf("%s became %s", state, to)
			case state == Sent && to.Pending() && on != Requeue:
				t.Fatalf("trigger %d took a sent message back to %s", on, to)
			case to == Sending && moved && (state != Queued || on != Claim):
				t.Fatalf("trigger %d made %s sending: only a claim of a queued message does", on, state)
			case (on == Deliver || on == Bounce || on == Drop || on == Accept) && again != to:
				t.Fatalf("trigger %d twice took %s to %s and on to %s", on, state, to, again)
			}
			state = to
		}
	})
}

// From every pending state there is a way to every end.
func TestNothingIsStuck(t *testing.T) {
	t.Parallel()
	for _, from := range states[:4] {
		reached := []State{from}
		for i := 0; i < len(reached); i++ {
			for _, on := range triggers {
				if to, _ := Next(reached[i], on); !slices.Contains(reached, to) {
					reached = append(reached, to)
				}
			}
		}
		for _, end := range []State{Delivered, Bounced, Dropped} {
			if !slices.Contains(reached, end) {
				t.Errorf("no way from %s to %s", from, end)
			}
		}
	}
}

// The table in the package comment and the table of the code say the same.
func TestPackageCommentIsTrue(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "lifecycle.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	names := constants(file, "Trigger")
	if len(names) != len(triggers) {
		t.Fatalf("the triggers are %v; this test knows %d", names, len(triggers))
	}
	documented := documentedSteps(t, file.Doc.Text())
	actual := map[string]string{}
	for _, from := range states {
		for on, name := range names {
			if to, moved := Next(from, Trigger(on)); moved {
				actual[from.String()+" "+name] = to.String()
			}
		}
	}
	if diff := cmp.Diff(actual, documented); diff != "" {
		t.Errorf("the package comment (+) differs from the code (-):\n%s", diff)
	}
}

var columns = regexp.MustCompile(`\s{2,}`)

// documentedSteps reads "from, from  trigger  to  when" from the indented lines of a comment; a line without a trigger goes
// on in the next one. The result maps "from trigger" to the new state.
func documentedSteps(t *testing.T, doc string) map[string]string {
	t.Helper()
	steps, from, header := map[string]string{}, "", true
	for line := range strings.Lines(doc) {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		if header {
			header = false
			continue
		}
		cells := columns.Split(strings.TrimSpace(line), 4)
		from += cells[0]
		if len(cells) == 1 {
			continue
		}
		if len(cells) != 4 || cells[3] == "" {
			t.Errorf("row %q has %d columns", line, len(cells))
			continue
		}
		for state := range strings.SplitSeq(strings.TrimSuffix(from, ","), ",") {
			key := strings.TrimSpace(state) + " " + cells[1]
			if _, twice := steps[key]; twice {
				t.Errorf("%q stands in two rows", key)
			}
			steps[key] = cells[2]
		}
		from = ""
	}
	return steps
}

// constants returns the names of the constants of a type in the order of iota.
func constants(file *ast.File, typ string) (names []string) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		if first, ok := gen.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); !ok || first.Name != typ {
			continue
		}
		for _, spec := range gen.Specs {
			names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
		}
	}
	return names
}
