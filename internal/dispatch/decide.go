package dispatch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Rules are the times by which outcomes are decided.
type Rules struct {
	// AskAfter says when to ask a provider about a message whose outcome is unknown, counted from the moment when it became
	// unknown. Only after the last negative answer is it sent again.
	AskAfter []time.Duration

	// AmbiguousWait is how long a provider may fail to answer before its policy decides about the message, with a mark.
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

// decide says what follows from the outcome of a call, by the table of outcomes in docs/failover.md. usable tells which egresses
// may be turned to at present; jitter is a random number in [0,1) that spreads retries.
func decide(j *store.Job, o *provider.Outcome, capable provider.Capabilities, rules Rules, now time.Time, jitter float64, usable func(route.Egress) bool) store.Settlement {
	family := capable.Family
	s := store.Settlement{Job: j, Outcome: o, At: now, Egress: j.Egress, Inactive: inactiveOf(j, o)}
	if o.Withheld { // no provider refused it
		family = event.Native
	}
	switch o.Class { // nearly every message, and who need not look for another egress
	case provider.Accepted:
		if refusesTo(j, o) {
			return dropped(s, family, o)
		}
		s.Trigger = lifecycle.Accept
		s.Sent = typeOf(family, event.Sent)
		return s
	case provider.Inactive:
		return dropped(s, family, o)
	}
	next, wrapped := j.Plan.After(j.Egress, usable)
	if next == 0 { // it waits where it is
		next = j.Egress
	}
	another := !wrapped // one that has not had its turn in this round
	switch o.Class {
	case provider.Rejected:
		if !another { // also one that is away may have what this one lacks
			next, wrapped = j.Plan.After(j.Egress, func(route.Egress) bool { return true })
		}
		if o.Elsewhere && !wrapped {
			return requeued(s, next, time.Time{}, o)
		}
		return dropped(s, family, o)
	case provider.Transient:
		if o.Unsent { // nothing was tried, so nothing has failed
			var due time.Time
			if o.RetryAfter > 0 {
				due = now.Add(o.RetryAfter)
			}
			return requeued(s, j.Egress, due, o)
		}
		s.Failed = true
		if !o.Own && j.Failures == 0 && usable(j.Egress) {
			return requeued(s, j.Egress, now.Add(quickRetry), o)
		}
		if another {
			return requeued(s, next, time.Time{}, o)
		}
		return requeued(s, next, now.Add(backoff(j.Failures, &j.Plan, jitter)), o)
	case provider.Throttled:
		if another {
			return requeued(s, next, time.Time{}, o)
		}
		// A little later than the egress goes on: whoever waits behind the message has a turn before it.
		return requeued(s, next, now.Add(max(o.RetryAfter, throttleWait)+time.Duration(jitter*float64(time.Second))), o)
	case provider.Account:
		if o.SenderOnly && !another || next == j.Egress { // it steps back: on trial the oldest goes first, and must not be the same every time
			s.Failed = true
			return requeued(s, next, now.Add(backoff(j.Failures, &j.Plan, jitter)), o)
		}
		s.Failed = o.SenderOnly
		return requeued(s, next, time.Time{}, o)
	default: // Ambiguous
		s.Trigger = lifecycle.Doubt
		s.DueAt = now.Add(rules.AskAfter[0])
		if !capable.CanLookup {
			s.DueAt = now.Add(rules.AmbiguousWait)
		}
		s.Waiting = "nobody knows yet whether the provider has it: " + words(o)
	}
	return s
}

// inquiry is what is known when a message in doubt is decided about.
type inquiry struct {
	found   *provider.Found // nil: the provider does not show it
	failure error           // why the provider could not answer
	capable provider.Capabilities
	policy  directory.Policy
	asking  time.Time // since when this process asks and listens: time in which nobody did does not count against the provider
	now     time.Time
}

// decideAnswer says what follows when the provider was asked about a message in doubt. The attempt keeps what the call gave;
// the answer stands beside it.
func decideAnswer(j *store.Job, q *inquiry, rules Rules) store.Settlement {
	s := store.Settlement{Job: j, At: q.now, Egress: j.Egress}
	last := j.Asks+1 >= len(rules.AskAfter)
	switch {
	case q.found != nil:
		s.Trigger = lifecycle.Accept
		s.Sent = typeOf(q.capable.Family, event.Sent)
		s.Outcome = &provider.Outcome{Class: provider.Accepted, ProviderMessageID: q.found.ProviderMessageID}
		s.Answer = "has it"
	case !q.capable.CanLookup:
		since := j.UnknownSince
		if !q.capable.Silent { // its events settle it, and come again when we were away
			since = later(since, q.asking)
		}
		return unanswered(s, q, "cannot be asked", since.Add(rules.AmbiguousWait), time.Time{})
	case q.failure != nil:
		end := later(j.UnknownSince, q.asking).Add(rules.AmbiguousWait)
		return unanswered(s, q, "could not say: "+q.failure.Error(), end, q.now.Add(askAgain))
	case last:
		s.Trigger = lifecycle.Requeue
		s.Failed = true
		s.Answer = fmt.Sprintf("does not have it (answer %d of %d): sent again", j.Asks+1, len(rules.AskAfter))
		s.Waiting = "the provider " + s.Answer
	default:
		s.Trigger = lifecycle.Doubt
		s.Asked = true
		s.DueAt = later(j.UnknownSince.Add(rules.AskAfter[j.Asks+1]), q.now)
		s.Answer = fmt.Sprintf("does not show it (answer %d of %d)", j.Asks+1, len(rules.AskAfter))
		s.Waiting = "the provider " + s.Answer
	}
	return s
}

// unanswered leaves a message in doubt until a moment, asking again meanwhile where that is of use; then the policy decides.
func unanswered(s store.Settlement, q *inquiry, answer string, until, again time.Time) store.Settlement {
	policy := "policy " + q.policy.String()
	switch {
	case q.now.Before(until):
		s.Trigger = lifecycle.Doubt
		s.DueAt = until
		if !again.IsZero() {
			s.DueAt = earlier(until, again)
		}
		s.Answer = answer
		s.Waiting = "the provider " + answer
	case q.policy == directory.AtMostOnce:
		s.Trigger = lifecycle.Accept
		s.Sent = typeOf(q.capable.Family, event.Sent)
		s.Mark = store.MarkUnconfirmed
		s.Answer = answer + "; " + policy + ": left as sent"
		s.Detail = event.Detail{SMTPDescription: "nobody confirmed that the provider has it; by the " + policy + " it is not sent again"}
	default:
		s.Trigger = lifecycle.Requeue
		s.Failed = true
		s.Mark = store.MarkResent
		s.Answer = answer + "; " + policy + ": sent again"
		s.Waiting = "the provider " + s.Answer
	}
	return s
}

// dropped ends a message. What the operator's own mail server refuses for the recipient's sake bounces: there is nobody else to report it.
func dropped(s store.Settlement, family event.Family, o *provider.Outcome) store.Settlement {
	s.Trigger = lifecycle.Drop
	typ := typeOf(family, event.Dropped)
	if family == event.Native && o.Bounce != event.Processed {
		s.Trigger = lifecycle.Bounce
		typ = typeOf(family, o.Bounce)
		if o.Bounce == event.HardBounced {
			s.Inactive = []string{s.Job.Recipient.Email}
		}
	}
	s.Drop = &typ
	s.Detail = event.Detail{SMTPDescription: words(o)}
	if family == event.Native || family == event.CustomSMTP {
		s.Detail.SMTPCode = replyCode(o.Code)
	}
	if o.Code != "" {
		s.Detail.Provider = map[string]string{"ErrorCode": o.Code}
	}
	return s
}

// replyCode returns the code of a mail server's reply, "550 5.1.1", or 0.
func replyCode(code string) int {
	first, _, _ := strings.Cut(code, " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 200 || n > 599 {
		return 0
	}
	return n
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

// inactiveOf returns the recipients of a message that the provider delivers nothing to. One that refuses the message for that reason
// and names nobody means all of them.
func inactiveOf(j *store.Job, o *provider.Outcome) (emails []string) {
	all := o.Class == provider.Inactive && len(o.InactiveAddresses) == 0
	if !all && len(o.InactiveAddresses) == 0 {
		return nil
	}
	for _, list := range [][]mail.Address{{j.Recipient.Address}, j.Recipient.CC, j.Recipient.BCC} {
		for i := range list {
			email := list[i].Email
			if all || slices.ContainsFunc(o.InactiveAddresses, func(a string) bool { return strings.EqualFold(a, email) }) {
				emails = append(emails, email)
			}
		}
	}
	return emails
}

// backoff doubles with every round and is spread over its upper half.
func backoff(failures int, p *route.Plan, jitter float64) time.Duration {
	rounds := failures / max(len(p.Egresses), 1)
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
