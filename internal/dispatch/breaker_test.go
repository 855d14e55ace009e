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
			if b.ended(&flight{}, classes[c], "words", clock) != (b.open && opened == 0) {
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
	b.ended(&flight{}, provider.Account, "suspended", now)
	for i, wait := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		wait *= time.Second
		if early := b.permits(now.Add(wait-1), 50); early != 0 {
			t.Fatalf("probe %d: %d permits before %s", i, early, wait)
		}
		now = now.Add(wait)
		if got := b.permits(now, 50); got != 1 {
			t.Fatalf("probe %d: %d permits after %s, want 1", i, got, wait)
		}
		probe := &flight{}
		b.began(probe)
		if got := b.permits(now.Add(time.Hour), 50); got != 0 {
			t.Fatalf("probe %d: %d permits while it is on the wire", i, got)
		}
		if b.ended(probe, provider.Transient, "still down", now) {
			t.Fatalf("probe %d: a failed probe changed something", i)
		}
		if b.reason != "still down" || !b.since.Equal(clock) {
			t.Fatalf("probe %d: %q since %s", i, b.reason, b.since)
		}
	}
	now = now.Add(lastProbe)
	probe := &flight{}
	b.began(probe)
	if !b.ended(probe, provider.Accepted, "", now) || b.open || b.permits(now, 50) != 50 {
		t.Fatalf("a good probe did not close it: %+v", b)
	}
	for range failuresInARow - 1 {
		if b.ended(&flight{}, provider.Transient, "down again", now) {
			t.Fatal("what was before counts after it closed")
		}
	}
	if !b.ended(&flight{}, provider.Transient, "down again", now) || b.permits(now.Add(firstProbe), 50) != 1 {
		t.Fatalf("it did not open again with the first probe's wait: %+v", b)
	}
}

// Calls that were on the wire when the breaker opened are no probes.
func TestBreakerKnowsItsProbe(t *testing.T) {
	t.Parallel()
	var b breaker
	before := make([]*flight, 4)
	for i := range before {
		before[i] = &flight{}
		b.began(before[i])
	}
	b.ended(before[0], provider.Account, "suspended", clock)
	b.ended(before[1], provider.Account, "suspended", clock)
	if b.permits(clock.Add(firstProbe), 1) != 1 {
		t.Error("a call from before put the first probe off")
	}
	b.began(&flight{})
	b.ended(before[2], provider.Account, "suspended", clock.Add(firstProbe))
	if b.permits(clock.Add(time.Minute), 1) != 0 {
		t.Error("a call from before makes way for a second probe")
	}
	b.ended(before[3], provider.Accepted, "", clock.Add(firstProbe))
	if !b.open {
		t.Error("a call from before closed it while its probe is on the wire")
	}
}

// quietly has n calls fall silent, one after the other, while others are heard.
func quietly(b *breaker, n int) (silent []*flight, changed bool) {
	for range n {
		f := &flight{}
		b.began(f)
		silent = append(silent, f)
		changed = b.quiet(f, false, defaultPatience, clock)
	}
	return silent, changed
}

// A silent call counts once: when it has been silent for too long, and not again when it ends.
func TestSilenceCountsOnce(t *testing.T) {
	t.Parallel()
	var b breaker
	silent, _ := quietly(&b, 4)
	for _, f := range silent {
		if b.ended(f, provider.Ambiguous, "time-out", clock) || b.open {
			t.Fatal("the end of a silent call counts again")
		}
	}
	if _, opened := quietly(&b, 1); !opened || b.reason != "5 calls in a row failed, the last one with: no answer for 8s" {
		t.Errorf("five silent calls in a row: %t, %q", opened, b.reason)
	}
}

// When nothing else is heard either, one silent call is enough.
func TestAHangingProvider(t *testing.T) {
	t.Parallel()
	var b breaker
	f := &flight{}
	b.began(f)
	if !b.quiet(f, true, defaultPatience, clock) || !b.open || b.reason != "the provider hangs: no answer for 8s" {
		t.Errorf("%+v", b)
	}
	if b.ended(f, provider.Ambiguous, "time-out", clock) || b.permits(clock.Add(firstProbe), 9) != 1 {
		t.Errorf("its end changes something: %+v", b)
	}
}

// An answer takes the suspicion back, however late; a refusal of the account confirms it.
func TestALateAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		silent int
		class  provider.Class
		open   bool
	}{
		"closes what silence opened":    {5, provider.Accepted, false},
		"a refusal is one":              {5, provider.Rejected, false},
		"a failure is none":             {5, provider.Transient, true},
		"counts as no failure any more": {4, provider.Accepted, false},
		"an account, at once":           {1, provider.Account, true},
	} {
		var b breaker
		silent, _ := quietly(&b, test.silent)
		b.ended(silent[0], test.class, "words", clock)
		if b.open != test.open {
			t.Errorf("%s: %+v", name, b)
		}
		if quietly(&b, 4); test.class == provider.Accepted && b.open {
			t.Errorf("%s: what was taken back still counts", name)
		}
	}
	var refused breaker
	silent, _ := quietly(&refused, 1)
	refused.ended(&flight{}, provider.Account, "suspended", clock)
	if refused.ended(silent[0], provider.Accepted, "", clock) || !refused.open {
		t.Error("a late answer opens an account that was refused")
	}
}

// A silent probe makes way for the next one, and closes the breaker when it is answered after all.
func TestASilentProbe(t *testing.T) {
	t.Parallel()
	var b breaker
	quietly(&b, 5)
	probe := &flight{}
	b.began(probe)
	b.quiet(probe, true, defaultPatience, clock.Add(firstProbe))
	if b.permits(clock.Add(3*firstProbe), 9) != 1 || b.permits(clock.Add(3*firstProbe-1), 9) != 0 {
		t.Errorf("after a silent probe: %+v", b)
	}
	second := &flight{}
	b.began(second)
	b.ended(probe, provider.Ambiguous, "time-out", clock.Add(time.Minute))
	if b.permits(clock.Add(time.Hour), 9) != 0 {
		t.Error("the end of the silent probe makes way for a third one")
	}
	if !b.ended(probe, provider.Accepted, "", clock) || b.open {
		t.Error("an answer to the silent probe does not close it")
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
	unsent := o{Class: provider.Transient, Text: "late", Unsent: true}
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
		{"not sent at all", []o{unsent, unsent}, ending{class: provider.Rejected, words: "late", unmade: true}},
		{"not sent in part", []o{unsent, throttled}, ending{class: provider.Throttled, words: "slow", retry: time.Minute}},
		{"not sent in part, else refused", []o{unsent, rejected}, ending{class: provider.Rejected, words: "late"}},
	} {
		if got := summarize(test.outcomes); got.class != test.want.class || got.words != test.want.words || got.retry != test.want.retry || got.unmade != test.want.unmade {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
