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
		if b.open && (!b.due(clock.Add(firstProbe)) || b.due(clock.Add(firstProbe-1))) {
			t.Errorf("%s: probes are due by %+v", test.name, b)
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
		if b.due(now.Add(wait - 1)) {
			t.Fatalf("probe %d: due before %s", i, wait)
		}
		if now = now.Add(wait); !b.due(now) {
			t.Fatalf("probe %d: not due after %s", i, wait)
		}
		b.probing = true
		if b.due(now.Add(time.Hour)) {
			t.Fatalf("probe %d: another one is due while it is on the wire", i)
		}
		if b.probed(true, "still down", now) {
			t.Fatalf("probe %d: a failed probe changed something", i)
		}
		if b.reason != "still down" || !b.since.Equal(clock) {
			t.Fatalf("probe %d: %q since %s", i, b.reason, b.since)
		}
	}
	if !b.probed(false, "", now) || b.open || !b.trial {
		t.Fatalf("a good probe does not put it on trial: %+v", b)
	}
	if !b.ended(&flight{}, provider.Transient, "down again", now) || !b.due(now.Add(lastProbe)) || b.due(now.Add(lastProbe-1)) {
		t.Fatalf("a failure on trial does not open it for as long as before: %+v", b)
	}
	b.probed(false, "", now)
	if b.ended(&flight{}, provider.Rejected, "", now) || b.trial {
		t.Fatalf("an answer does not end the trial: %+v", b)
	}
	for range failuresInARow - 1 {
		if b.ended(&flight{}, provider.Transient, "down again", now) {
			t.Fatal("what was before counts after it closed")
		}
	}
	if !b.ended(&flight{}, provider.Transient, "down again", now) || !b.due(now.Add(firstProbe)) {
		t.Fatalf("it did not open again with the first probe's wait: %+v", b)
	}
}

// After a failure probes find out whether the provider is there at all, so that little mail does not take long to do so.
func TestBreakerDoubts(t *testing.T) {
	t.Parallel()
	var b breaker
	if b.due(clock.Add(time.Hour)) {
		t.Error("a provider that never failed is probed")
	}
	b.ended(&flight{}, provider.Transient, "refused", clock)
	if b.due(clock.Add(doubtProbe-1)) || !b.due(clock.Add(doubtProbe)) {
		t.Errorf("no probe after a failure: %+v", b)
	}
	if b.probed(false, "", clock) || b.doubted() || b.inARow != 1 {
		t.Errorf("a good probe says nothing about calls: %+v", b)
	}
	b.ended(&flight{}, provider.Transient, "refused", clock)
	for i := range 3 {
		b.probing = true
		now := clock.Add(time.Duration(i+1) * doubtProbe)
		if opened := b.probed(true, "connection refused", now); opened != (i == 2) || opened != b.open {
			t.Fatalf("after %d failed probes: %+v", i+1, b)
		}
	}
	if b.reason != "5 calls in a row failed, the last one with: connection refused" {
		t.Errorf("reason %q", b.reason)
	}
	b = breaker{}
	b.ended(&flight{}, provider.Transient, "refused", clock)
	if b.ended(&flight{}, provider.Accepted, "", clock); b.doubted() || b.due(clock.Add(time.Hour)) {
		t.Errorf("an answer does not end the doubt: %+v", b)
	}
	b.ended(&flight{}, provider.Transient, "refused", clock)
	b.probing = true
	b.ended(&flight{}, provider.Accepted, "", clock)
	if b.probed(true, "late", clock); b.inARow != 0 || b.doubted() {
		t.Errorf("a probe of before counts after an answer: %+v", b)
	}
}

// Calls that were on the wire when the breaker opened say nothing about the provider of now.
func TestBreakerForgetsCallsOfBefore(t *testing.T) {
	t.Parallel()
	var b breaker
	b.ended(&flight{}, provider.Account, "suspended", clock)
	for _, class := range []provider.Class{provider.Account, provider.Transient, provider.Accepted} {
		if b.ended(&flight{}, class, "words", clock.Add(time.Second)) || !b.open || b.reason != "suspended" || !b.due(clock.Add(firstProbe)) {
			t.Errorf("%s: %+v", class, b)
		}
	}
}

// quietly has n calls fall silent, one after the other, while others are heard.
func quietly(b *breaker, n int) (silent []*flight, changed bool) {
	for range n {
		f := &flight{}
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
	if !b.quiet(f, true, defaultPatience, clock) || !b.open || b.reason != "the provider hangs: no answer for 8s" {
		t.Errorf("%+v", b)
	}
	if b.ended(f, provider.Ambiguous, "time-out", clock) || !b.due(clock.Add(firstProbe)) {
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

// A call that falls silent on trial is a failure, and opens the breaker again.
func TestSilenceOnTrial(t *testing.T) {
	t.Parallel()
	var b breaker
	b.ended(&flight{}, provider.Account, "suspended", clock)
	b.probed(false, "", clock)
	if !b.quiet(&flight{}, false, defaultPatience, clock) || !b.open || !b.due(clock.Add(2*firstProbe)) || b.due(clock.Add(2*firstProbe-1)) {
		t.Errorf("%+v", b)
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
	own := o{Class: provider.Transient, Text: "greylisted", Own: true}
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
		{"a message's own delay", []o{own}, ending{class: provider.Rejected, words: "greylisted"}},
		{"a message's own delay among good ones", []o{own, accepted}, ending{class: provider.Accepted, words: "no words"}},
		{"a message's own delay and a failure", []o{own, transient}, ending{class: provider.Transient, words: "HTTP 503"}},
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
