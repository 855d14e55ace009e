package dispatch

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"postyard/internal/provider"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(modelChecks)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// sender is an adapter that only sends. The embedded interface is nil: any other call would panic.
type sender struct {
	provider.Adapter
	send func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome
}

func (s sender) Send(ctx context.Context, _ provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	return s.send(ctx, batch)
}

// outgoing returns n messages whose ids end in 0, 1, 2, ...
func outgoing(n int) []provider.Outgoing {
	batch := make([]provider.Outgoing, n)
	for i := range batch {
		batch[i].ID = uuid.UUID{15: byte(i)}
	}
	return batch
}

func runnerAt(now func() time.Time) *runner {
	return newRunner(New(Config{Log: slog.New(slog.DiscardHandler), Now: now, CallTimeout: time.Minute, BatchSize: 100, Concurrency: 4}), 1)
}

// sendAll sends with plenty of time.
func sendAll(batch []provider.Outgoing, send func(context.Context, []provider.Outgoing) []provider.Outcome) []provider.Outcome {
	r := runnerAt(func() time.Time { return clock })
	return r.sendHalving(context.Background(), sender{send: send}, provider.Connection{}, batch, &flight{until: clock.Add(time.Hour), now: r.d.Now, line: &r.line})
}

// A batch that is refused as a whole is bisected: the bad messages are refused alone, all others are sent once, and the
// outcomes stand in the batch's order.
func TestABadMessageIsFoundByHalving(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "n")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(n, 4), rapid.ID).Draw(t, "bad")
		isBad := func(m provider.Outgoing) bool { return slices.Contains(bad, int(m.ID[15])) }
		calls, sent := 0, map[byte]int{}
		outcomes := sendAll(outgoing(n), func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
			calls++
			if slices.ContainsFunc(batch, isBad) {
				return same(len(batch), provider.Outcome{Class: provider.Rejected, WholeCall: true, Text: "bad batch"})
			}
			list := make([]provider.Outcome, len(batch))
			for i, m := range batch {
				sent[m.ID[15]]++
				list[i] = provider.Outcome{Class: provider.Accepted, ProviderMessageID: m.ID.String()}
			}
			return list
		})
		if len(outcomes) != n {
			t.Fatalf("%d outcomes for %d messages", len(outcomes), n)
		}
		for i, m := range outgoing(n) {
			want := provider.Outcome{Class: provider.Accepted, ProviderMessageID: m.ID.String()}
			if isBad(m) {
				want = provider.Outcome{Class: provider.Rejected, WholeCall: true, Text: "bad batch"}
			} else if sent[m.ID[15]] != 1 {
				t.Fatalf("message %d was sent %d times", i, sent[m.ID[15]])
			}
			if diff := cmp.Diff(want, outcomes[i]); diff != "" {
				t.Fatalf("message %d:\n%s", i, diff)
			}
		}
		if most := 1 + len(bad)*2*7; calls > most { // 7 halvings of 100
			t.Fatalf("%d calls for %d bad messages of %d, want at most %d", calls, len(bad), n, most)
		}
	})
}

// Only a refusal of the whole call is halved.
func TestOtherOutcomesAreNotHalved(t *testing.T) {
	t.Parallel()
	for name, outcomes := range map[string][]provider.Outcome{
		"each for its own sake": same(4, provider.Outcome{Class: provider.Rejected}),
		"the account":           same(4, provider.Outcome{Class: provider.Account, WholeCall: true}),
		"a time-out":            same(4, provider.Outcome{Class: provider.Ambiguous, WholeCall: true}),
	} {
		calls := 0
		got := sendAll(outgoing(4), func(context.Context, []provider.Outgoing) []provider.Outcome { calls++; return outcomes })
		if diff := cmp.Diff(outcomes, got); diff != "" || calls != 1 {
			t.Errorf("%s: %d calls\n%s", name, calls, diff)
		}
	}
}

// An adapter may need several calls for one batch; when one of them is refused, its messages are sent anew, the others not.
func TestAChunkThatIsRefused(t *testing.T) {
	t.Parallel()
	sent := map[byte]int{}
	got := sendAll(outgoing(8), func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
		outcomes := same(len(batch), provider.Outcome{Class: provider.Accepted})
		for i := range batch { // up to four messages a call; more than one of 6 and 7 is refused
			chunk := batch[i/4*4 : min(i/4*4+4, len(batch))]
			if len(chunk) > 1 && slices.ContainsFunc(chunk, func(m provider.Outgoing) bool { return m.ID[15] == 6 }) {
				outcomes[i] = provider.Outcome{Class: provider.Rejected, WholeCall: true}
				continue
			}
			sent[batch[i].ID[15]]++
		}
		return outcomes
	})
	for i := range got {
		if got[i].Class != provider.Accepted || sent[byte(i)] != 1 {
			t.Errorf("message %d: %+v, sent %d times", i, got[i], sent[byte(i)])
		}
	}
}

// However often a batch is halved, its calls end when the first one had to. What no time remains for is not sent, and nobody is
// blamed for that.
func TestCallsEndInTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes time.Duration // each call, all of which are refused
		left  time.Duration
		calls int
	}{
		"in time":             {time.Second, time.Minute, 7},
		"the halves too late": {25 * time.Second, time.Minute, 3}, // the third is cut
		"too late":            {time.Second, 2 * time.Second, 0},
		"far too late":        {time.Second, -time.Hour, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls, until := 0, time.Now().Add(test.left)
			r := runnerAt(time.Now)
			got := r.sendHalving(t.Context(), sender{send: func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
				calls++
				select {
				case <-time.After(test.takes):
					return same(len(batch), provider.Outcome{Class: provider.Rejected, WholeCall: len(batch) > 1})
				case <-ctx.Done():
					return same(len(batch), provider.Outcome{Class: provider.Ambiguous})
				}
			}}, provider.Connection{}, outgoing(4), &flight{until: until, now: time.Now, line: &r.line})
			if calls != test.calls || test.left > 0 && time.Now().After(until) || len(got) != 4 {
				t.Errorf("%s: %d calls, want %d; outcomes %+v", name, calls, test.calls, got)
			}
			unsent := slices.ContainsFunc(got, func(o provider.Outcome) bool { return o.Unsent && o.Class == provider.Transient })
			if unsent != (name != "in time") {
				t.Errorf("%s: outcomes %+v", name, got)
			}
		})
	}
}

// Whatever an adapter does, each message has an outcome, and one that may have been sent counts as ambiguous.
func TestSafely(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send func() []provider.Outcome
		want provider.Class
		text string
	}{
		"well":     {func() []provider.Outcome { return same(3, provider.Outcome{Text: "ok"}) }, provider.Accepted, "ok"},
		"panic":    {func() []provider.Outcome { panic("index out of range") }, provider.Ambiguous, "index out of range"},
		"none":     {func() []provider.Outcome { return nil }, provider.Ambiguous, "0 outcomes for 3 messages"},
		"too few":  {func() []provider.Outcome { return same(2, provider.Outcome{}) }, provider.Ambiguous, "2 outcomes for 3 messages"},
		"too many": {func() []provider.Outcome { return same(4, provider.Outcome{}) }, provider.Ambiguous, "4 outcomes for 3 messages"},
	} {
		got := safely(3, test.send)
		if len(got) != 3 {
			t.Errorf("%s: %d outcomes", name, len(got))
		}
		for _, o := range got {
			if o.Class != test.want || !strings.Contains(o.Text, test.text) {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}
