package books

import (
	"fmt"
	"slices"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// clockSlack is how much earlier than its beginning a call may have ended: the two are told by the clocks of two nodes, or by
// one that was set back meanwhile.
const clockSlack = time.Minute

// differing is told what a message's books say in one place and in the other.
type differing func(kind Kind, stored, recomputed string)

// check compares what is stored of a message. Every check stands alone, so one slip may be named by more than one.
func check(e *store.Entry, differ differing) {
	checkQueue(e, differ)
	checkState(e, differ)
	checkEvents(e, differ)
	checkEffects(e, differ)
	checkNumbers(e, differ)
	checkOpen(e, differ)
	checkEnded(e, differ)
	checkProof(e, differ)
	checkMark(e, differ)
	checkEngaged(e, differ)
}

// checkQueue: a message is in the queue exactly while it is pending, and its own row says Queued then.
func checkQueue(e *store.Entry, differ differing) {
	switch {
	case e.Queued && e.Stored != lifecycle.Queued:
		differ(KindQueue, "in the queue as "+e.State.String(), "its own row says "+e.Stored.String())
	case !e.Queued && e.Stored.Pending():
		differ(KindQueue, "not in the queue", "its own row says "+e.Stored.String())
	}
}

// checkState: the effects of the events lead to the state.
func checkState(e *store.Entry, differ differing) {
	want := e.Stored
	if e.Queued {
		want = lifecycle.Queued
	}
	if to := e.Sum(); to != want {
		differ(KindState, e.State.String(), "its events come to "+to.String())
	}
}

// checkEvents: a message begins with the one processed event that it has; what a provider has, has been sent, once by each
// family; what was dropped has an event that says so.
func checkEvents(e *store.Entry, differ differing) {
	processed, dropped := 0, 0
	sent := map[event.Family]int64{}
	for i := range e.Events {
		info, _ := event.Describe(e.Events[i].Type)
		switch {
		case e.Events[i].Copy:
		case info.Kind == event.Processed && isKnown(e.Events[i].Type):
			processed++
			if i > 0 {
				differ(KindEvents, fmt.Sprintf("the processed event is number %d", i+1), "it is the first of a message")
			}
		case info.Kind == event.Sent:
			sent[info.Family]++
		case info.Kind == event.Dropped || info.Kind == event.RenderingFailure:
			dropped++
		}
	}
	if processed != 1 {
		differ(KindEvents, amount(int64(processed), "processed event"), "a message has 1")
	}
	families := make([]event.Family, 0, len(sent))
	for family := range sent {
		families = append(families, family)
	}
	slices.Sort(families)
	for _, family := range families {
		if sent[family] > 1 {
			typ, _ := event.TypeOf(family, event.Sent)
			differ(KindEvents, fmt.Sprintf("%s of type %d, %s", amount(sent[family], "event"), typ, nameOf(typ)), "a message has 1 at most")
		}
	}
	if hasProvider(e.State) && len(sent) == 0 && !refusedAtOnce(e) {
		differ(KindEvents, e.State.String()+", without a sent event", "a provider's message has 1")
	}
	if e.State == lifecycle.Dropped && dropped == 0 {
		differ(KindEvents, "dropped, without a dropped event", "a dropped message has 1")
	}
}

// hasProvider tells whether a message in that state has been with a provider, as every such message has.
func hasProvider(s lifecycle.State) bool {
	return s == lifecycle.Sent || s == lifecycle.Delivered || s == lifecycle.Bounced
}

// refusedAtOnce tells whether the operator's own mail server refused a message for its recipient's sake while it was handed over: it
// bounced, and was never sent.
func refusedAtOnce(e *store.Entry) bool {
	return e.State == lifecycle.Bounced && slices.ContainsFunc(e.Events, func(h store.EntryEvent) bool {
		info, _ := event.Describe(h.Type)
		return info.Family == event.Native && h.Effect == store.EffectOf(lifecycle.Bounce)
	})
}

func isKnown(t event.Type) bool {
	_, ok := event.Describe(t)
	return ok
}

func nameOf(t event.Type) string {
	info, _ := event.Describe(t)
	return info.Name
}

// triggers is what an event about the `to` recipient may stand for, by its kind. All others prove that a provider has the
// message, and nothing else.
var triggers = map[event.Kind][]lifecycle.Trigger{
	event.Processed:        nil,
	event.Delivered:        {lifecycle.Deliver},
	event.HardBounced:      {lifecycle.Bounce},
	event.SoftBounced:      {lifecycle.Accept, lifecycle.Bounce},
	event.Dropped:          {lifecycle.Drop, lifecycle.Requeue},
	event.RenderingFailure: {lifecycle.Drop},
}

var proofOnly = []lifecycle.Trigger{lifecycle.Accept}

// tracked tells whether an event may be of Postyard's own tracking: what a scanner on the way to the provider seems to do proves nothing,
// see provider.Report.
func tracked(i event.Info) bool {
	switch i.Kind {
	case event.Unsubscribed:
		return true
	case event.Opened, event.Clicked:
		return i.Family == event.CustomSMTP || i.Family == event.Native
	default:
		return false
	}
}

// checkEffects: an event has the effect that its type can have. That of a provider which took the message back may have none, and so may
// one that says so when the message is not there.
func checkEffects(e *store.Entry, differ differing) {
	back := e.CameBack()
	for i := range e.Events {
		happened := &e.Events[i]
		info, known := event.Describe(happened.Type)
		if !known {
			differ(KindEvents, fmt.Sprintf("event %d of type %d", happened.Seq, happened.Type), "there is no such type")
			continue
		}
		allowed, special := triggers[info.Kind]
		if !special || happened.Copy {
			allowed = proofOnly
		}
		trigger, has := happened.Effect.Trigger()
		if has && !slices.Contains(allowed, trigger) || !has && len(allowed) > 0 && !happened.Copy && !tracked(info) && !back && info.Kind != event.Dropped {
			differ(KindEvents, fmt.Sprintf("event %d, %s, has the effect %d", happened.Seq, info.Name, happened.Effect),
				"no such event has it")
		}
	}
}

// checkNumbers: the attempts are as many as were counted, from 1 on without a gap.
func checkNumbers(e *store.Entry, differ differing) {
	if e.Attempts != len(e.Calls) {
		differ(KindAttempts, "counts "+amount(int64(e.Attempts), "attempt"), amount(int64(len(e.Calls)), "attempt")+" recorded")
	}
	for i := range e.Calls {
		if e.Calls[i].N != i+1 {
			differ(KindAttempts, fmt.Sprintf("attempt %d comes as number %d", e.Calls[i].N, i+1), "attempts are numbered from 1 on, without a gap")
			return
		}
	}
}

// checkOpen: a call is open exactly while the message is being sent, and it is the last one. Who does not know what became of
// a call has made one.
func checkOpen(e *store.Entry, differ differing) {
	last := len(e.Calls) - 1
	for i := range e.Calls {
		open, may := e.Calls[i].Finished.IsZero(), e.State == lifecycle.Sending && i == last
		switch {
		case open && !may:
			differ(KindAttempts, fmt.Sprintf("attempt %d of %d is open", e.Calls[i].N, len(e.Calls)), "the message is "+e.State.String())
		case !open && may:
			differ(KindAttempts, fmt.Sprintf("attempt %d, the last one, has ended", e.Calls[i].N), "the message is sending")
		}
	}
	if len(e.Calls) == 0 && (e.State == lifecycle.Sending || e.State == lifecycle.Unknown) {
		differ(KindAttempts, e.State.String(), "no attempt recorded")
	}
}

// checkEnded: what ended did so after it began, in a way that there is.
func checkEnded(e *store.Entry, differ differing) {
	for i := range e.Calls {
		c := &e.Calls[i]
		if c.Finished.IsZero() {
			continue
		}
		if c.Finished.Before(c.Began.Add(-clockSlack)) {
			differ(KindAttempts, fmt.Sprintf("attempt %d ended at %s", c.N, c.Finished.Format(time.RFC3339Nano)),
				"it began at "+c.Began.Format(time.RFC3339Nano))
		}
		if c.Class > provider.Ambiguous {
			differ(KindAttempts, fmt.Sprintf("attempt %d ended with class %d", c.N, c.Class), "there is no such class")
		}
		if c.Refused != provider.Accepted && c.Class != provider.Accepted {
			differ(KindAttempts, fmt.Sprintf("attempt %d was taken back, and ended as %s", c.N, c.Class), "what is taken back was accepted")
		}
	}
}

// checkProof: that a provider has a message was said by an attempt or by a report, or the message is marked because nobody
// said it.
func checkProof(e *store.Entry, differ differing) {
	if !hasProvider(e.State) || e.Mark == store.MarkUnconfirmed {
		return
	}
	for i := range e.Calls {
		if e.Calls[i].Stands() {
			return
		}
	}
	for i := range e.Events {
		if info, ok := event.Describe(e.Events[i].Type); ok && (e.Events[i].Copy || !isOurs(info.Kind) && e.Events[i].Effect != store.NoEffect) {
			return
		}
	}
	differ(KindProof, e.State.String(), "no attempt was accepted, and no provider reported about it")
}

// isOurs tells whether we record events of the kind ourselves; all are about the `to` recipient.
func isOurs(k event.Kind) bool { return k == event.Processed || k == event.Sent || k == event.Dropped }

// checkMark: both marks are about a call without a clear outcome; only a message that counts as sent is unconfirmed.
func checkMark(e *store.Entry, differ differing) {
	switch {
	case e.Mark > store.MarkUnconfirmed:
		differ(KindMark, fmt.Sprintf("mark %d", e.Mark), "there is no such mark")
	case e.Mark != store.MarkNone && len(e.Calls) == 0:
		differ(KindMark, fmt.Sprintf("mark %d", e.Mark), "no attempt recorded that could be in doubt")
	case e.Mark == store.MarkUnconfirmed && !hasSent(e.Events):
		differ(KindMark, "marked as sent without a confirmation", "no sent event")
	}
}

func hasSent(events []store.EntryEvent) bool {
	return slices.ContainsFunc(events, func(happened store.EntryEvent) bool {
		info, ok := event.Describe(happened.Type)
		return ok && info.Kind == event.Sent
	})
}
