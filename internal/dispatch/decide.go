package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Rules are the times by which outcomes are decided.
type Rules struct {
	// AskAfter says when to ask a provider about a message whose outcome is unknown, counted from the moment when it became
	// unknown. Only after the last negative answer is it sent again.
	AskAfter []time.Duration

	// AmbiguousWait is how long a provider may fail to answer before the message is sent again with a mark.
	AmbiguousWait time.Duration
}

// Back-off between rounds over the egresses of a plan.
const (
	quickRetry   = time.Second
	firstBackoff = 5 * time.Second
	lastBackoff  = 15 * time.Minute
	throttleWait = 5 * time.Second // when the provider does not say how long
	askAgain     = 10 * time.Second
)

// decide says what follows from the outcome of a call, by the table of outcomes in docs/architecture.md. jitter is a random
// number in [0,1) that spreads retries.
func decide(j *store.Job, o *provider.Outcome, family event.Family, rules Rules, now time.Time, jitter float64) store.Settlement {
	s := store.Settlement{Job: j, Outcome: o, At: now, Egress: j.Egress}
	next := j.Plan.Next(j.Egress)
	another := next != j.Plan.First() // one that has not had its turn in this round
	switch o.Class {
	case provider.Accepted:
		if refusesTo(j, o) {
			return dropped(s, family, o)
		}
		s.Trigger = lifecycle.Accept
		s.Sent = typeOf(family, event.Sent)
	case provider.Inactive:
		return dropped(s, family, o)
	case provider.Rejected:
		if o.Elsewhere && another {
			return requeued(s, next, time.Time{}, o)
		}
		return dropped(s, family, o)
	case provider.Transient:
		s.Failed = true
		if j.Failures == 0 {
			return requeued(s, j.Egress, now.Add(quickRetry), o)
		}
		if another {
			return requeued(s, next, time.Time{}, o)
		}
		return requeued(s, next, now.Add(backoff(j, jitter)), o)
	case provider.Throttled:
		if another {
			return requeued(s, next, time.Time{}, o)
		}
		return requeued(s, next, now.Add(max(o.RetryAfter, throttleWait)), o)
	case provider.Account:
		if o.SenderOnly {
			s.Failed = true
			if !another {
				return requeued(s, next, now.Add(backoff(j, jitter)), o)
			}
		}
		return requeued(s, next, time.Time{}, o) // the breaker of the egress holds the message while there is no other
	default: // Ambiguous
		s.Trigger = lifecycle.Doubt
		s.DueAt = now.Add(rules.AskAfter[0])
		s.Waiting = "nobody knows yet whether the provider has it: " + words(o)
	}
	return s
}

// decideAnswer says what follows when the provider was asked about a message in doubt. found is nil when the provider does
// not show it; failure is set when it could not answer. asking is since when this process asks: time in which nobody asked
// does not count against the provider.
func decideAnswer(j *store.Job, found *provider.Found, failure error, family event.Family, rules Rules, asking, now time.Time) store.Settlement {
	s := store.Settlement{Job: j, At: now, Egress: j.Egress}
	switch {
	case found != nil:
		s.Trigger = lifecycle.Accept
		s.Sent = typeOf(family, event.Sent)
		s.Outcome = &provider.Outcome{Class: provider.Accepted, ProviderMessageID: found.ProviderMessageID,
			Text: "the provider was asked and has it"}
	case failure != nil && now.Sub(later(j.UnknownSince, asking)) < rules.AmbiguousWait:
		s.Trigger = lifecycle.Doubt
		s.DueAt = now.Add(askAgain)
		s.Waiting = "the provider could not say whether it has it: " + failure.Error()
	case failure != nil:
		s.Trigger = lifecycle.Requeue
		s.Failed = true
		s.Mark = store.MarkResent
		s.Waiting = "the provider could not say whether it has it; sending again"
	case j.Asks+1 < len(rules.AskAfter):
		s.Trigger = lifecycle.Doubt
		s.Asked = true
		s.DueAt = later(j.UnknownSince.Add(rules.AskAfter[j.Asks+1]), now)
		s.Waiting = fmt.Sprintf("the provider does not show it (answer %d of %d)", j.Asks+1, len(rules.AskAfter))
	default:
		s.Trigger = lifecycle.Requeue
		s.Failed = true
		s.Outcome = &provider.Outcome{Class: provider.Ambiguous, Text: "the provider was asked and does not have it"}
	}
	return s
}

func dropped(s store.Settlement, family event.Family, o *provider.Outcome) store.Settlement {
	s.Trigger = lifecycle.Drop
	typ := typeOf(family, event.Dropped)
	s.Drop = &typ
	s.Detail = event.Detail{SMTPDescription: words(o)}
	if o.Code != "" {
		s.Detail.Provider = map[string]string{"ErrorCode": o.Code}
	}
	return s
}

func requeued(s store.Settlement, to route.Egress, due time.Time, o *provider.Outcome) store.Settlement {
	s.Trigger = lifecycle.Requeue
	s.Egress, s.DueAt = to, due
	s.Waiting = o.Class.String() + ": " + words(o)
	return s
}

// words returns what the provider said, or its code when it said nothing.
func words(o *provider.Outcome) string {
	switch {
	case o.Text != "":
		return o.Text
	case o.HTTPStatus != 0:
		return fmt.Sprintf("HTTP %d", o.HTTPStatus)
	default:
		return "no words"
	}
}

// refusesTo tells whether the provider accepted the message for its copies only.
func refusesTo(j *store.Job, o *provider.Outcome) bool {
	return slices.ContainsFunc(o.InactiveAddresses, func(a string) bool { return strings.EqualFold(a, j.Recipient.Email) })
}

// backoff doubles with every round and is spread over its upper half.
func backoff(j *store.Job, jitter float64) time.Duration {
	rounds := j.Failures / max(len(j.Plan.Egresses), 1)
	d := lastBackoff
	if rounds < 10 {
		d = min(firstBackoff<<max(rounds-1, 0), lastBackoff)
	}
	return d/2 + time.Duration(jitter*float64(d/2))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// typeOf returns the family's type; families without one of their own fall back to the native type.
func typeOf(f event.Family, k event.Kind) event.Type {
	t, _ := event.TypeOf(f, k)
	return t
}
