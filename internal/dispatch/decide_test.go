package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

var (
	clock = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	// capable is a provider that can be asked.
	capable = provider.Capabilities{Family: event.Postmark, CanLookup: true}
	rules   = Rules{AskAfter: []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute}, AmbiguousWait: 15 * time.Minute}
)

// always finds every egress usable.
func always(route.Egress) bool { return true }

// job is a message at egress 1 of a plan over egresses 1 to n.
func job(n, failures int) *store.Job {
	j := &store.Job{Egress: 1, Failures: failures, Recipient: mail.Recipient{Address: mail.Address{Email: "ada@example.org"}}}
	for e := range n {
		j.Plan.Egresses = append(j.Plan.Egresses, route.Egress(e+1))
	}
	return j
}

// brief puts what a settlement decides in a line: "requeue to 2 in 5s, failed".
func brief(s store.Settlement) string {
	var text strings.Builder
	switch s.Trigger {
	case lifecycle.Accept:
		fmt.Fprintf(&text, "accept with %d", s.Sent)
	case lifecycle.Drop:
		fmt.Fprintf(&text, "drop with %d", *s.Drop)
	case lifecycle.Bounce:
		fmt.Fprintf(&text, "bounce with %d", *s.Drop)
	case lifecycle.Doubt:
		fmt.Fprintf(&text, "doubt at %d for %s", s.Egress, s.DueAt.Sub(s.At))
	case lifecycle.Requeue:
		fmt.Fprintf(&text, "requeue to %d at once", s.Egress)
		if !s.DueAt.IsZero() {
			text.Reset()
			fmt.Fprintf(&text, "requeue to %d in %s", s.Egress, s.DueAt.Sub(s.At))
		}
	default:
		fmt.Fprintf(&text, "trigger %d", s.Trigger)
	}
	for _, mark := range []struct {
		text string
		set  bool
	}{
		{", failed", s.Failed}, {", asked", s.Asked}, {", may be a duplicate", s.Mark == store.MarkResent}, {", may be lost", s.Mark == store.MarkUnconfirmed},
	} {
		if mark.set {
			text.WriteString(mark.text)
		}
	}
	return text.String()
}

// Every class, with one egress and with two, after so many failures. Back-off is shown with the least jitter: half.
func TestDecide(t *testing.T) {
	t.Parallel()
	type o = provider.Outcome
	for _, test := range []struct {
		name    string
		outcome o
		plan    int
		want    []string // by failures, from none; the last one holds for more
	}{
		{"accepted", o{Class: provider.Accepted}, 1, []string{"accept with 70"}},
		{"accepted", o{Class: provider.Accepted}, 2, []string{"accept with 70"}},
		{"accepted but for a copy", o{Class: provider.Accepted, InactiveAddresses: []string{"cc@example.org"}}, 2, []string{"accept with 70"}},
		{"accepted for its copies only", o{Class: provider.Accepted, InactiveAddresses: []string{"cc@example.org", "ADA@example.org"}}, 2, []string{"drop with 74"}},
		{"rejected", o{Class: provider.Rejected}, 1, []string{"drop with 74"}},
		{"rejected", o{Class: provider.Rejected}, 2, []string{"drop with 74"}},
		{"rejected, as a call of one", o{Class: provider.Rejected, WholeCall: true}, 2, []string{"drop with 74"}},
		{"no template, and no other egress", o{Class: provider.Rejected, Elsewhere: true}, 1, []string{"drop with 74"}},
		{"inactive", o{Class: provider.Inactive}, 1, []string{"drop with 74"}},
		{"inactive", o{Class: provider.Inactive, Elsewhere: true}, 2, []string{"drop with 74"}},
		{"transient", o{Class: provider.Transient}, 1, []string{"requeue to 1 in 1s, failed", "requeue to 1 in 2.5s, failed",
			"requeue to 1 in 5s, failed", "requeue to 1 in 10s, failed", "requeue to 1 in 20s, failed"}},
		{"transient", o{Class: provider.Transient}, 2, []string{"requeue to 1 in 1s, failed", "requeue to 2 at once, failed"}},
		{"greylisted", o{Class: provider.Transient, Own: true}, 1, []string{"requeue to 1 in 2.5s, failed", "requeue to 1 in 2.5s, failed",
			"requeue to 1 in 5s, failed", "requeue to 1 in 10s, failed"}},
		{"greylisted", o{Class: provider.Transient, Own: true}, 2, []string{"requeue to 2 at once, failed", "requeue to 2 at once, failed"}},
		{"not sent", o{Class: provider.Transient, Unsent: true}, 2, []string{"requeue to 1 at once"}},
		{"throttled", o{Class: provider.Throttled}, 1, []string{"requeue to 1 in 5s"}},
		{"throttled, shortly", o{Class: provider.Throttled, RetryAfter: time.Second}, 1, []string{"requeue to 1 in 5s"}},
		{"throttled, for long", o{Class: provider.Throttled, RetryAfter: time.Hour}, 1, []string{"requeue to 1 in 1h0m0s"}},
		{"throttled", o{Class: provider.Throttled, RetryAfter: time.Hour}, 2, []string{"requeue to 2 at once"}},
		{"account", o{Class: provider.Account}, 1, []string{"requeue to 1 in 2.5s, failed", "requeue to 1 in 2.5s, failed", "requeue to 1 in 5s, failed"}},
		{"account", o{Class: provider.Account}, 2, []string{"requeue to 2 at once"}},
		{"unknown sender", o{Class: provider.Account, SenderOnly: true}, 1, []string{"requeue to 1 in 2.5s, failed",
			"requeue to 1 in 2.5s, failed", "requeue to 1 in 5s, failed", "requeue to 1 in 10s, failed"}},
		{"ambiguous", o{Class: provider.Ambiguous}, 1, []string{"doubt at 1 for 10s"}},
		{"ambiguous", o{Class: provider.Ambiguous}, 2, []string{"doubt at 1 for 10s"}},
	} {
		for failures, want := range test.want {
			s := decide(job(test.plan, failures), &test.outcome, capable, rules, clock, 0, always)
			if got := brief(s); got != want {
				t.Errorf("%s, plan of %d, %d failures: %s, want %s", test.name, test.plan, failures, got, want)
			}
			if s.Outcome != &test.outcome || !s.At.Equal(clock) {
				t.Errorf("%s: %+v", test.name, s)
			}
		}
	}
}

// What the operator's own mail server refuses for the recipient's sake bounces, and is never failed over; through a provider of type 6 the
// same is a drop.
func TestDecideBounces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		family     event.Family
		bounce     event.Kind
		code, want string
		smtpCode   int
		suppressed bool
	}{
		{event.Native, event.HardBounced, "550 5.1.1", "bounce with 4", 550, true},
		{event.Native, event.SoftBounced, "552 5.2.2", "bounce with 3", 552, false},
		{event.Native, 0, "554", "drop with 1", 554, false},
		{event.Native, 0, "", "drop with 1", 0, false},
		{event.CustomSMTP, event.HardBounced, "550 5.1.1", "drop with 62", 550, false},
		{event.Postmark, 0, "406", "drop with 74", 0, false},
	} {
		o := &provider.Outcome{Class: provider.Rejected, Bounce: test.bounce, Code: test.code, Text: "no"}
		s := decide(job(2, 0), o, provider.Capabilities{Family: test.family}, rules, clock, 0, always)
		if got := brief(s); got != test.want || s.Detail.SMTPCode != test.smtpCode || s.Detail.SMTPDescription != "no" ||
			slices.Equal(s.Inactive, []string{"ada@example.org"}) != test.suppressed {
			t.Errorf("%+v: %s, %+v, %v", test, got, s.Detail, s.Inactive)
		}
	}
	withheld := &provider.Outcome{Class: provider.Rejected, Unsent: true, Withheld: true, Text: "suppressed"}
	if got := brief(decide(job(2, 0), withheld, provider.Capabilities{Family: event.Native}, rules, clock, 0, always)); got != "drop with 1" {
		t.Errorf("withheld: %s", got)
	}
}

// Egresses that are away are passed over. When all others are, the message waits where it is; the quick retry is for an egress
// that is in use.
func TestDecidePassesOverWhoIsAway(t *testing.T) {
	t.Parallel()
	type o = provider.Outcome
	for _, test := range []struct {
		name     string
		outcome  o
		failures int
		away     []route.Egress
		want     string
	}{
		{"the next one", o{Class: provider.Transient}, 1, []route.Egress{2}, "requeue to 3 at once, failed"},
		{"all others", o{Class: provider.Transient}, 1, []route.Egress{2, 3}, "requeue to 1 in 2.5s, failed"},
		{"itself", o{Class: provider.Transient}, 0, []route.Egress{1}, "requeue to 2 at once, failed"},
		{"throttled", o{Class: provider.Throttled}, 0, []route.Egress{2}, "requeue to 3 at once"},
		{"throttled, all others", o{Class: provider.Throttled}, 0, []route.Egress{2, 3}, "requeue to 1 in 5s"},
		{"account", o{Class: provider.Account}, 0, []route.Egress{1, 2}, "requeue to 3 at once"},
		{"account, everything", o{Class: provider.Account}, 0, []route.Egress{1, 2, 3}, "requeue to 1 in 2.5s, failed"},
		{"a template that another one may have", o{Class: provider.Rejected, Elsewhere: true}, 0, []route.Egress{2, 3}, "requeue to 2 at once"},
		{"rejected for good", o{Class: provider.Rejected}, 0, []route.Egress{2}, "drop with 74"},
	} {
		usable := func(e route.Egress) bool { return !slices.Contains(test.away, e) }
		if got := brief(decide(job(3, test.failures), &test.outcome, capable, rules, clock, 0, usable)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// A refusal that another egress may not share goes there first, whatever happened before, and ends when all have refused.
func TestDecideElsewhere(t *testing.T) {
	t.Parallel()
	outcome := provider.Outcome{Class: provider.Rejected, Elsewhere: true}
	for plan := 2; plan <= 4; plan++ {
		for failures := range 6 {
			j, tried := job(plan, failures), map[route.Egress]bool{}
			s := store.Settlement{Trigger: lifecycle.Requeue, Egress: j.Egress}
			for calls := 0; s.Trigger == lifecycle.Requeue && calls <= 2*plan; calls++ {
				j.Egress, tried[s.Egress] = s.Egress, true
				s = decide(j, &outcome, capable, rules, clock, 0, always)
				if s.Failed {
					j.Failures++
				}
			}
			if s.Trigger != lifecycle.Drop || failures == 0 && len(tried) != plan {
				t.Errorf("plan of %d, %d failures: tried %v, then %s", plan, failures, tried, brief(s))
			}
		}
	}
}

// A sender that one provider does not know is tried at the next one at once.
func TestDecideUnknownSender(t *testing.T) {
	t.Parallel()
	outcome := provider.Outcome{Class: provider.Account, SenderOnly: true}
	if got, want := brief(decide(job(2, 0), &outcome, capable, rules, clock, 0, always)), "requeue to 2 at once, failed"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A throttled message that has nowhere else to go comes back after its egress does, so that it does not lead for ever.
func TestDecideThrottledStepsBack(t *testing.T) {
	t.Parallel()
	outcome := provider.Outcome{Class: provider.Throttled}
	if got, want := brief(decide(job(1, 0), &outcome, capable, rules, clock, 0.5, always)), "requeue to 1 in 5.5s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDecideKeepsTheProvidersWords(t *testing.T) {
	t.Parallel()
	said := provider.Outcome{Class: provider.Rejected, HTTPStatus: 422, Code: "1101", Text: "no such template"}
	s := decide(job(1, 0), &said, capable, rules, clock, 0, always)
	if diff := cmp.Diff(event.Detail{SMTPDescription: "no such template", Provider: map[string]string{"ErrorCode": "1101"}}, s.Detail); diff != "" {
		t.Errorf("dropped:\n%s", diff)
	}
	for _, test := range []struct {
		outcome provider.Outcome
		waiting string
	}{
		{provider.Outcome{Class: provider.Transient, HTTPStatus: 503}, "transient: HTTP 503"},
		{provider.Outcome{Class: provider.Throttled, Text: "slow down", HTTPStatus: 429}, "throttled: slow down"},
		{provider.Outcome{Class: provider.Account}, "account: no words"},
		{provider.Outcome{Class: provider.Ambiguous, Text: "time-out"}, "nobody knows yet whether the provider has it: time-out"},
	} {
		if got := decide(job(1, 0), &test.outcome, capable, rules, clock, 0, always).Waiting; got != test.waiting {
			t.Errorf("waiting %q, want %q", got, test.waiting)
		}
	}
}

// The families' own types, and the native one where a family has none.
func TestDecideUsesTheFamilysTypes(t *testing.T) {
	t.Parallel()
	for family, want := range map[event.Family]string{
		event.Postmark: "accept with 70 drop with 74", event.SendGrid: "accept with 14 drop with 17",
		event.AmazonSES: "accept with 27 drop with 32", event.CustomSMTP: "accept with 59 drop with 62",
	} {
		accepted := decide(job(1, 0), &provider.Outcome{Class: provider.Accepted}, provider.Capabilities{Family: family}, rules, clock, 0, always)
		dropped := decide(job(1, 0), &provider.Outcome{Class: provider.Inactive}, provider.Capabilities{Family: family}, rules, clock, 0, always)
		if got := brief(accepted) + " " + brief(dropped); got != want {
			t.Errorf("family %d: %s, want %s", family, got, want)
		}
	}
}

func TestDecideAnswer(t *testing.T) {
	t.Parallel()
	found, silent := &provider.Found{ProviderMessageID: "pm-1"}, errors.New("HTTP 500")
	deaf := provider.Capabilities{Family: event.Postmark}
	mute := provider.Capabilities{Family: event.Postmark, Silent: true}
	for _, test := range []struct {
		name   string
		q      inquiry
		asks   int           // negative answers before
		after  time.Duration // since it became unknown
		want   string
		answer string
	}{
		{"it has it", inquiry{found: found}, 0, 10 * time.Second, "accept with 70", "has it"},
		{"it has it, and then failed", inquiry{found: found, failure: silent}, 2, time.Hour, "accept with 70", "has it"},
		{"first no", inquiry{}, 0, 10 * time.Second, "doubt at 1 for 20s, asked", "does not show it (answer 1 of 3)"},
		{"second no", inquiry{}, 1, 30 * time.Second, "doubt at 1 for 1m30s, asked", "does not show it (answer 2 of 3)"},
		{"last no", inquiry{policy: directory.AtMostOnce}, 2, 2 * time.Minute, "requeue to 1 at once, failed", "does not have it (answer 3 of 3): sent again"},
		{"a no that came late", inquiry{}, 0, time.Hour, "doubt at 1 for 0s, asked", "does not show it (answer 1 of 3)"},
		{"no answer", inquiry{failure: silent}, 0, 10 * time.Second, "doubt at 1 for 10s", "could not say: HTTP 500"},
		{"no answer yet", inquiry{failure: silent}, 2, 15*time.Minute - 1, "doubt at 1 for 1ns", "could not say: HTTP 500"},
		{"no answer in time", inquiry{failure: silent}, 0, 15 * time.Minute, "requeue to 1 at once, failed, may be a duplicate",
			"could not say: HTTP 500; policy at-least-once: sent again"},
		{"no answer in time, at most once", inquiry{failure: silent, policy: directory.AtMostOnce}, 0, 15 * time.Minute, "accept with 70, may be lost",
			"could not say: HTTP 500; policy at-most-once: left as sent"},
		{"nobody asked for long", inquiry{failure: silent, asking: clock.Add(-time.Minute)}, 0, time.Hour, "doubt at 1 for 10s", "could not say: HTTP 500"},
		{"it cannot be asked", inquiry{capable: deaf}, 0, 10 * time.Second, "doubt at 1 for 14m50s", "cannot be asked"},
		{"nobody listened for long", inquiry{capable: deaf, asking: clock.Add(-time.Minute)}, 0, time.Hour, "doubt at 1 for 14m0s", "cannot be asked"},
		{"it reports nothing", inquiry{capable: mute, asking: clock}, 0, 15 * time.Minute, "requeue to 1 at once, failed, may be a duplicate",
			"cannot be asked; policy at-least-once: sent again"},
		{"it cannot be asked, to the end", inquiry{capable: deaf}, 0, 15 * time.Minute, "requeue to 1 at once, failed, may be a duplicate",
			"cannot be asked; policy at-least-once: sent again"},
		{"it cannot be asked, at most once", inquiry{capable: deaf, policy: directory.AtMostOnce}, 0, 15 * time.Minute, "accept with 70, may be lost",
			"cannot be asked; policy at-most-once: left as sent"},
	} {
		j := job(2, 0)
		j.Asks, j.UnknownSince = test.asks, clock.Add(-test.after)
		test.q.now = clock
		if test.q.asking.IsZero() {
			test.q.asking = clock.Add(-24 * time.Hour)
		}
		if test.q.capable.Family == event.Native {
			test.q.capable = capable
		}
		s := decideAnswer(j, &test.q, rules)
		if got := brief(s); got != test.want || s.Answer != test.answer {
			t.Errorf("%s: %s, %q; want %s, %q", test.name, got, s.Answer, test.want, test.answer)
		}
		if test.q.found != nil && (s.Outcome == nil || s.Outcome.Class != provider.Accepted || s.Outcome.ProviderMessageID != "pm-1") {
			t.Errorf("%s: outcome %+v", test.name, s.Outcome)
		}
		if test.q.found == nil && s.Outcome != nil {
			t.Errorf("%s: it changes what the call gave: %+v", test.name, s.Outcome)
		}
		if s.Trigger != lifecycle.Accept && s.Waiting == "" || s.Mark == store.MarkUnconfirmed && s.Detail.SMTPDescription == "" {
			t.Errorf("%s: nobody learns why: %+v", test.name, s)
		}
	}
}

// A message in doubt at a provider that cannot be asked waits for an event.
func TestDecideInDoubtWithoutQuestions(t *testing.T) {
	t.Parallel()
	s := decide(job(2, 0), &provider.Outcome{Class: provider.Ambiguous}, provider.Capabilities{Family: event.Postmark}, rules, clock, 0, always)
	if got, want := brief(s), "doubt at 1 for 15m0s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// However an egress fails, a message tries every egress of its plan before its first long wait, and never goes round
// without one.
func TestRoundsHavePauses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "plan")
		outcome := provider.Outcome{Class: provider.Transient, Own: rapid.Bool().Draw(t, "own")}
		j, tried, hurried := job(n, 0), map[route.Egress]bool{}, 0
		for range 40 {
			tried[j.Egress] = true
			s := decide(j, &outcome, capable, rules, clock, rapid.Float64Range(0, 0.999).Draw(t, "jitter"), always)
			if s.Trigger != lifecycle.Requeue || !s.Failed {
				t.Fatalf("%s", brief(s))
			}
			if s.DueAt.Sub(clock) > quickRetry {
				if len(tried) != n {
					t.Fatalf("it waits %s after %d of %d egresses", s.DueAt.Sub(clock), len(tried), n)
				}
				clear(tried)
				hurried = 0
			} else if hurried++; hurried > n {
				t.Fatalf("%d calls without a pause over %d egresses", hurried, n)
			}
			j.Failures, j.Egress = j.Failures+1, s.Egress
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "plan")
		failures := rapid.IntRange(0, 1<<30).Draw(t, "failures")
		jitter := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		plan := &job(n, 0).Plan
		d := backoff(failures, plan, jitter)
		if d < firstBackoff/2 || d >= lastBackoff {
			t.Fatalf("after %d failures: %s", failures, d)
		}
		if next := backoff(failures+n, plan, jitter); next < d {
			t.Fatalf("a round later %s becomes %s", d, next)
		}
		if most := backoff(failures, plan, 0.999); most < d || most >= 2*backoff(failures, plan, 0) {
			t.Fatalf("jitter spreads %s up to %s", d, most)
		}
		if failures >= 12*n && d < lastBackoff/2 {
			t.Fatalf("after %d rounds it waits only %s", failures/n, d)
		}
	})
}
