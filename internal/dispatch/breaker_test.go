package dispatch

import (
	"strings"
	"testing"
	"time"

	"postyard/internal/provider"
)

// classes spells calls in a line: A accepted, R rejected, I inactive, F transient, U ambiguous, T throttled, X account.
var classes = map[rune]provider.Class{'A': provider.Accepted, 'R': provider.Rejected, 'I': provider.Inactive,
	'F': provider.Transient, 'U': provider.Ambiguous, 'T': provider.Throttled, 'X': provider.Account}

func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, calls string
		opensAt     int // the call that opens it, from 1; 0 is none
		reason      string
	}{
		{"four in a row", "FFFF" + "A", 0, ""},
		{"five in a row", "AFFFFF", 6, "5 calls in a row failed, the last one with: words"},
		{"ambiguous ones count", "FUFUU", 5, "5 calls in a row failed"},
		{"refused messages are no failures", "RIRIRIRIRIRIRIRIRIRIRIRIRI", 0, ""},
		{"nor is throttling", strings.Repeat("T", 30), 0, ""},
		{"an answer begins anew", strings.Repeat("FFFFR", 3), 0, ""},
		{"the account, at once", "AAX", 3, "words"},
		{"half of twenty", strings.Repeat("FA", 30), 0, ""},
		{"more than half of twenty", "AAAAAAFFFFAFFFFAAFFF", 20, "more than half of the last 20 calls failed"},
		{"less than twenty", "FFFFAFFFFAFFFFAFFFF", 0, ""},
		{"only the last twenty", "FFFFAFFFFA" + strings.Repeat("A", 20) + "FFFFAFFFF", 0, ""},
		{"a window that moved on", strings.Repeat("A", 33) + "FFFFAFFFFAFFF", 46, "more than half"},
	} {
		var b breaker
		opened := 0
		for i, c := range test.calls {
			if b.ended(false, classes[c], "words", clock) != (b.open && opened == 0) {
				t.Errorf("%s: call %d does not tell the change", test.name, i+1)
			}
			if b.open && opened == 0 {
				opened = i + 1
			}
		}
		if opened != test.opensAt || !strings.HasPrefix(b.reason, test.reason) || b.open && !b.since.Equal(clock) {
			t.Errorf("%s: opened at %d since %s: %q, want %d: %q", test.name, opened, b.since, b.reason, test.opensAt, test.reason)
		}
		if want := 7; !b.open && b.permits(clock, want) != want {
			t.Errorf("%s: a closed breaker permits %d of %d", test.name, b.permits(clock, want), want)
		}
	}
}

func TestBreakerProbes(t *testing.T) {
	t.Parallel()
	var b breaker
	now := clock
	b.ended(false, provider.Account, "suspended", now)
	for i, wait := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		wait *= time.Second
		if early := b.permits(now.Add(wait-1), 50); early != 0 {
			t.Fatalf("probe %d: %d permits before %s", i, early, wait)
		}
		now = now.Add(wait)
		if got := b.permits(now, 50); got != 1 {
			t.Fatalf("probe %d: %d permits after %s, want 1", i, got, wait)
		}
		b.began()
		if got := b.permits(now.Add(time.Hour), 50); got != 0 {
			t.Fatalf("probe %d: %d permits while it is on the wire", i, got)
		}
		if b.ended(true, provider.Transient, "still down", now) {
			t.Fatalf("probe %d: a failed probe changed something", i)
		}
		if b.reason != "still down" || !b.since.Equal(clock) {
			t.Fatalf("probe %d: %q since %s", i, b.reason, b.since)
		}
	}
	now = now.Add(lastProbe)
	b.began()
	if !b.ended(true, provider.Accepted, "", now) || b.open || b.permits(now, 50) != 50 {
		t.Fatalf("a good probe did not close it: %+v", b)
	}
	for range failuresInARow - 1 {
		if b.ended(false, provider.Transient, "down again", now) {
			t.Fatal("what was before counts after it closed")
		}
	}
	if !b.ended(false, provider.Transient, "down again", now) || b.permits(now.Add(firstProbe), 50) != 1 {
		t.Fatalf("it did not open again with the first probe's wait: %+v", b)
	}
}

// Calls that were on the wire when the breaker opened are no probes.
func TestBreakerKnowsItsProbe(t *testing.T) {
	t.Parallel()
	var b breaker
	for range 4 {
		b.began()
	}
	b.ended(false, provider.Account, "suspended", clock)
	b.ended(false, provider.Account, "suspended", clock)
	if b.permits(clock.Add(firstProbe), 1) != 1 {
		t.Error("a call from before put the first probe off")
	}
	b.began()
	b.ended(false, provider.Account, "suspended", clock.Add(firstProbe))
	if b.permits(clock.Add(time.Minute), 1) != 0 {
		t.Error("a call from before makes way for a second probe")
	}
	b.ended(false, provider.Accepted, "", clock.Add(firstProbe))
	if !b.open {
		t.Error("a call from before closed it while its probe is on the wire")
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace(100, 4)
	for i, test := range []struct {
		step         func(*pace)
		batch, calls int
	}{
		{(*pace).faster, 100, 4}, {(*pace).slower, 50, 2}, {(*pace).slower, 25, 1}, {(*pace).faster, 50, 2}, {(*pace).faster, 100, 3},
		{(*pace).faster, 100, 4}, {(*pace).restart, 1, 1}, {(*pace).slower, 1, 1}, {(*pace).faster, 2, 2}, {(*pace).faster, 4, 3},
		{(*pace).faster, 8, 4}, {(*pace).faster, 16, 4},
	} {
		if test.step(&p); p.batch != test.batch || p.calls != test.calls {
			t.Errorf("step %d: %d messages in %d calls, want %d in %d", i, p.batch, p.calls, test.batch, test.calls)
		}
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	type o = provider.Outcome
	accepted, inactive, rejected := o{Class: provider.Accepted}, o{Class: provider.Inactive, Text: "inactive"}, o{Class: provider.Rejected, Text: "bad"}
	throttled, transient := o{Class: provider.Throttled, Text: "slow", RetryAfter: time.Minute}, o{Class: provider.Transient, HTTPStatus: 503}
	ambiguous, account := o{Class: provider.Ambiguous, Text: "time-out"}, o{Class: provider.Account, Text: "bad token"}
	sender := o{Class: provider.Account, Text: "unknown sender", SenderOnly: true}
	for _, test := range []struct {
		name     string
		outcomes []o
		want     ending
	}{
		{"all well", []o{accepted, accepted}, ending{class: provider.Accepted, words: "no words"}},
		{"some refused for their own sake", []o{rejected, accepted, inactive}, ending{class: provider.Accepted, words: "no words"}},
		{"all refused for their own sake", []o{inactive, rejected}, ending{class: provider.Rejected, words: "inactive"}},
		{"a sender's fault", []o{sender}, ending{class: provider.Rejected, words: "unknown sender"}},
		{"a sender's fault among good ones", []o{sender, accepted}, ending{class: provider.Accepted, words: "no words"}},
		{"throttled", []o{accepted, throttled}, ending{class: provider.Throttled, words: "slow", retry: time.Minute}},
		{"throttled without a time", []o{{Class: provider.Throttled}}, ending{class: provider.Throttled, words: "no words", retry: throttleWait}},
		{"transient", []o{throttled, transient, accepted}, ending{class: provider.Transient, words: "HTTP 503"}},
		{"ambiguous", []o{transient, ambiguous, accepted}, ending{class: provider.Ambiguous, words: "time-out"}},
		{"the account", []o{ambiguous, account, sender}, ending{class: provider.Account, words: "bad token"}},
	} {
		if got := summarize(test.outcomes); got.class != test.want.class || got.words != test.want.words || got.retry != test.want.retry {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
