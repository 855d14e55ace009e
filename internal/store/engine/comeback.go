package engine

import (
	"cmp"
	"slices"
	"time"

	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// TakesBack tells whether a dropped report says that the provider takes its acceptance back for a reason of its own.
func TakesBack(r *provider.Report) bool {
	return r.Refused == provider.Transient || r.Refused == provider.Throttled || r.Refused == provider.Account
}

// Call is an attempt as it is looked at when a provider takes a message back.
type Call struct {
	store.Attempt
	ProviderID string // of one that was taken back: how the provider called the message when it said so
}

// Calls are the attempts of a message, in their order.
type Calls []Call

// About finds the call that an egress's report about the message speaks of: the last one there. It is nil when there is none, or when the
// egress has taken the message back already, and so does not have it any more.
func (c Calls) About(e route.Egress, providerID string) *Call {
	var last *Call
	for i := range c {
		switch call := &c[i]; {
		case call.Egress != e:
		case call.Refused != provider.Accepted && call.ProviderID == providerID && providerID != "":
			return nil // a copy of what it said of that call, in other words
		default:
			last = call
		}
	}
	if last == nil || last.Refused != provider.Accepted {
		return nil
	}
	return last
}

// Gone tells whether an egress had the message and has it no more.
func (c Calls) Gone(e route.Egress, providerID string) bool {
	return c.About(e, providerID) == nil && slices.ContainsFunc(c, func(call Call) bool { return call.Egress == e && call.Refused != provider.Accepted })
}

// Else finds another call by which a provider accepted the message and did not take it back; nil when there is none.
func (c Calls) Else(than *Call) *Call {
	for i := range c {
		if call := &c[i]; call != than && call.Stands() {
			return call
		}
	}
	return nil
}

// Confirm notes that the provider has the message by the last call of an egress.
func (c Calls) Confirm(e route.Egress, now time.Time) {
	for i := range slices.Backward(c) {
		if call := &c[i]; call.Egress == e {
			if call.Refused == provider.Accepted && !call.Stands() {
				call.Class = provider.Accepted
				if call.Finished.IsZero() {
					call.Finished = now
				}
			}
			return
		}
	}
}

// ComebackOf describes a message that a report takes back; the plan and the sender are still to be told.
func ComebackOf(p *store.Parsed, r *provider.Report, e route.Egress, call *Call) store.Comeback {
	return store.Comeback{Egress: e, Class: r.Refused, SenderOnly: r.SenderOnly, SentAt: call.Began, At: r.OccurredAt, Now: p.Now,
		Words: words(r)}
}

func words(r *provider.Report) string {
	return provider.Clean(cmp.Or(r.Detail.SMTPDescription, r.SMTPDescription, "no words"), provider.MaxText)
}

// BackDetail is the detail of an event by which a message was taken back: it says so.
func BackDetail(r *provider.Report) ([]byte, error) {
	d := r.Detail
	d.SMTPDescription = store.TakenBack + words(r)
	return Detail(&d)
}

// Place says where a message waits that was taken back, as Parsed.Back has it, and how.
func Place(p *store.Parsed, c *store.Comeback) (s Status, due int64, waiting string) {
	if p.Back == nil {
		c.To, _ = c.Plan.After(c.Egress, func(route.Egress) bool { return true })
	} else {
		to, at := p.Back(c)
		c.To, due = to, Stamp(at)
	}
	if c.To == 0 {
		c.To = c.Egress
	}
	if due != 0 {
		s = Delayed
	}
	return s, due, store.TakenBack + c.Words
}

// EndedBy is how a call ends that is open when something else tells that a provider has the message: itself tells that this is the provider
// which is being called. Of another one it is not known.
func EndedBy(itself bool) provider.Outcome {
	if itself {
		return provider.Outcome{Class: provider.Accepted, Text: store.ReasonReported}
	}
	return provider.Outcome{Class: provider.Ambiguous, Text: store.ReasonEarlier}
}
