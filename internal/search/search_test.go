package search

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 26, 11, 30, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	t.Parallel()
	one := func(word string, values ...string) Condition { return Condition{Word: word, Values: values} }
	day := now.Truncate(24 * time.Hour)
	for text, want := range map[string]Query{
		"":    {},
		" \t": {},
		"to:@gmail.com status:bounced provider:postmark since:2h group:welcome": {
			Conditions: []Condition{one(To, "@gmail.com"), one(Status, "bounced"), one(Provider, "postmark"), one(Group, "welcome")}, Since: now.Add(-2 * time.Hour)},
		"TO:Ana@Gmail.com":                        {Conditions: []Condition{one(To, "Ana@Gmail.com")}},
		"ana@gmail.com":                           {Conditions: []Condition{one(To, "ana@gmail.com")}},
		"0190AAAA-bbbb-7ccc-8ddd-eeeeffff0000":    {Conditions: []Condition{one(ID, "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000")}},
		"id:0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000": {Conditions: []Condition{one(ID, "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000")}},
		`subject:"a \"b\" \\ c"`:                  {Conditions: []Condition{one(Subject, `a "b" \ c`)}},
		`subject:(your invoice) x@y`:              {Conditions: []Condition{one(Subject, "your invoice"), one(To, "x@y")}},
		`subject:"a, b",c`:                        {Conditions: []Condition{one(Subject, "a, b", "c")}},
		`subject:a:b`:                             {Conditions: []Condition{one(Subject, "a:b")}},
		"status:Bounced,dropped,queued":           {Conditions: []Condition{one(Status, "bounced", "dropped", "waiting")}},
		"-status:delivered":                       {Conditions: []Condition{{Word: Status, Values: []string{"delivered"}, Not: true}}},
		"-to:a@b -x@y":                            {Conditions: []Condition{{Word: To, Values: []string{"a@b"}, Not: true}, {Word: To, Values: []string{"x@y"}, Not: true}}},
		"group:a group:b":                         {Conditions: []Condition{one(Group, "a"), one(Group, "b")}},
		"mailbox:GMAIL mark:resent":               {Conditions: []Condition{one(Mailbox, "gmail"), one(Mark, "resent")}},
		"since:today until:yesterday":             {Since: day, Until: day},
		"until:2026-11-20":                        {Until: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)},
		"since:2026-11-20":                        {Since: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)},
		"since:1w since:3d":                       {Since: now.Add(-3 * 24 * time.Hour)},
		"until:1h until:90m":                      {Until: now.Add(-90 * time.Minute)},
		"since:2026-11-20T10:00:00.5+02:00":       {Since: time.Date(2026, 11, 20, 8, 0, 0, 5e8, time.UTC)},
		"group:\u05e9\u05dc\u05d5\u05dd":          {Conditions: []Condition{one(Group, "\u05e9\u05dc\u05d5\u05dd")}},
	} {
		got, err := Parse(text, now)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// What is wrong is named as it was written, and unknown words tell the ones that there are.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"to:a@b colour:red status:sent":     {"colour:red", "there is no word colour:; a search is made of to: from: subject:"},
		"welcome":                           {"welcome", "there is no word before it; a search is made of to:"},
		"http://x":                          {"http://x", "there is no word http:"},
		"status:lost":                       {"status:lost", "a status is one of pending, waiting"},
		"status:":                           {"status:", "behind the colon stands pending, waiting"},
		"status:sent,":                      {"status:sent,", "behind the colon stands"},
		"mailbox:nowhere":                   {"mailbox:nowhere", "there is no such mailbox provider"},
		"mark:x":                            {"mark:x", "a mark is"},
		"id:7":                              {"id:7", "a message's id is a UUID"},
		"since:soon":                        {"since:soon", "a time is how long ago"},
		"since:99999999w":                   {"since:99999999w", "longer ago than 20 years"},
		"-since:2h":                         {"-since:2h", "no minus"},
		"since:1h,2h":                       {"since:1h,2h", "takes one value"},
		`subject:"x`:                        {`subject:"x`, "the quote is not closed"},
		`subject:(x`:                        {`subject:(x`, "the parenthesis is not closed"},
		`subject:"x"y z`:                    {`subject:"x"y`, "a space is missing"},
		"-":                                 {"-", "there is no word before it"},
		"group:" + strings.Repeat("x", 321): {"group:" + strings.Repeat("x", 321), "at most 320 bytes"},
		"group:" + strings.Repeat("x,", 20) + "y": {"group:" + strings.Repeat("x,", 20) + "y", "more than 20 values"},
		strings.Repeat("a@b ", 21):                {"", "at most 20 terms"},
		strings.Repeat("x", 1001):                 {"", "at most 1000 bytes"},
		"to:\xff":                                 {"", "UTF-8"},
		"to:\x00":                                 {"", "UTF-8"},
	} {
		_, err := Parse(text, now)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Term != want[0] || !strings.Contains(err.Error(), want[1]) {
			t.Errorf("%q: %v, want %q of %q", text, err, want[1], want[0])
		}
	}
}

// Whatever a query holds, it reads the same again from how it is written.
func TestStringReadsBack(t *testing.T) {
	t.Parallel()
	value := rapid.StringMatching(`[a-zA-Z0-9@.,:"'()\\ %_\-\x{5d0}-\x{5ea}]{0,20}[a-z0-9)"\\]`)
	condition := rapid.Custom(func(t *rapid.T) Condition {
		word := rapid.SampledFrom([]string{To, From, Subject, Group, Pool, SubAccount, Provider, Status, Mailbox, Mark, ID}).Draw(t, "word")
		of := value
		switch word {
		case Status:
			of = rapid.SampledFrom(Statuses())
		case Mailbox:
			of = rapid.SampledFrom([]string{"gmail", "yahoo", "default"})
		case Mark:
			of = rapid.SampledFrom([]string{"resent", "unconfirmed"})
		case ID:
			of = rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
		}
		c := Condition{Word: word, Not: rapid.Bool().Draw(t, "not")}
		for _, v := range rapid.SliceOfNDistinct(of, 1, 2, strings.TrimSpace).Draw(t, "values") {
			c.Values = append(c.Values, strings.TrimSpace(v))
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		q := Query{Conditions: rapid.SliceOfN(condition, 1, 4).Draw(t, "conditions")}
		if rapid.Bool().Draw(t, "bounded") {
			q.Since = now.Add(-time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "since")))
			q.Until = now.Add(-time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "until")))
		}
		got, err := Parse(q.String(), now)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if diff := cmp.Diff(q, got); diff != "" {
			t.Fatalf("%s: %s", q, diff)
		}
	})
}

// FuzzParse: any text is read or refused, and what is read means the same when it is written again.
func FuzzParse(f *testing.F) {
	for _, w := range words {
		f.Add(w.Example)
	}
	f.Add(`-to:"a b",(c d),e since:2026-01-01`)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text, now)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || wrong.Term != "" && !strings.Contains(text, wrong.Term) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		written := q.String()
		if len(written) > MaxBytes { // instants and quotes are longer than what they were read from
			return
		}
		again, err := Parse(written, now)
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Fatalf("%q, written %q: %v %s", text, written, err, diff)
		}
	})
}

// Every example of the grammar is one, and docs/search.md has its table.
func TestGrammarIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/search.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range Words() {
		q, err := Parse(w.Example, now)
		if err != nil || !w.Once && (len(q.Conditions) != 1 || q.Conditions[0].Word != w.Name) || w.Once && q.Since.IsZero() == q.Until.IsZero() {
			t.Errorf("%s: %v, %v", w.Example, q, err)
		}
		line := "| `" + w.Name + ":` | " + w.Value + " | " + w.Finds + " | `" + w.Example + "` |\n"
		if !strings.Contains(string(raw), line) {
			t.Errorf("docs/search.md lacks the line\n%s", line)
		}
	}
	if lines := strings.Count(string(raw), ":` | "); lines != len(words) {
		t.Errorf("docs/search.md has %d words, the grammar has %d", lines, len(words))
	}
}
