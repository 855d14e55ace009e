package ses

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
)

// beforeAnswer bounds how long a send waits for its notifications when it is to be answered after them.
const beforeAnswer = 5 * time.Second

// schedule has the first events of an accepted message raised after the delay, or right now when webhooks are to come before the answer.
func (s *Simulator) schedule(ctx context.Context, mail *store.Mail) error {
	now := s.settings.Of(serverName)
	if !now.WebhookBeforeAnswer {
		s.timetable.At(s.clock.Now().Add(now.DeliveryDelay()), func() { s.deliver([]*store.Mail{mail}) })
		return nil
	}
	deliveries, err := s.raiseFirst([]*store.Mail{mail})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, beforeAnswer)
	defer cancel()
	for _, d := range deliveries {
		d.FirstTry = make(chan struct{})
	}
	s.hooks.Queue(deliveries...)
	for _, d := range deliveries {
		if d.Delay > 0 {
			continue
		}
		select {
		case <-d.FirstTry:
		case <-ctx.Done():
			return nil // late notifications do not spoil the answer
		}
	}
	return nil
}

// deliver raises the first events of messages.
func (s *Simulator) deliver(mails []*store.Mail) {
	deliveries, err := s.raiseFirst(mails)
	if err != nil {
		s.log.Error("events cannot be raised", "err", err)
		return
	}
	s.hooks.Queue(deliveries...)
}

// raiseFirst decides what becomes of messages.
func (s *Simulator) raiseFirst(mails []*store.Mail) ([]*hook.Delivery, error) {
	opened := s.settings.Of(serverName).OpenDelivered
	return s.raise(func() []store.Raised {
		batch := make([]store.Raised, 0, len(mails))
		for _, mail := range mails {
			batch = append(batch, store.Raised{Mail: mail, Events: s.firstEvents(contentOf(mail), opened)})
		}
		return batch
	})
}

// firstEvents are those of a message that was accepted. The caller holds mu.
func (s *Simulator) firstEvents(m *content, opened bool) []store.Event {
	recipients := m.recipients()
	if why := refusal(recipients); why != "" {
		return []store.Event{{Kind: store.Dropped, Recipient: recipients[0], Type: why, Detail: details[why]}}
	}
	opened = opened && s.tracks(m, eventOpen)
	events := []store.Event{{Kind: store.Processed, Recipient: recipients[0]}}
	for _, r := range recipients {
		if s.suppressions[strings.ToLower(r)] != nil {
			events = append(events, store.Event{Kind: store.Bounced, Recipient: r, Type: bounceListed})
			continue
		}
		for _, e := range fate(r) {
			events = append(events, e)
			if e.Kind == store.Delivered && opened {
				events = append(events, store.Event{Kind: store.Opened, Recipient: r, First: true})
			}
		}
	}
	return events
}

// tracks tells whether SES would notice an open, or a click: an event destination of the message's set wants to know of them, and the
// message has a part for it. The caller holds mu.
func (s *Simulator) tracks(m *content, eventType string) bool {
	return len(s.publishes(m.Set, eventType)) > 0 && m.View().HTML != ""
}

// details are the words of those who refuse a message, by the type of the event.
var details = map[string]string{
	eventReject:                    "Bad content",
	eventRendering:                 "Attribute 'name' is not present in the rendering data.",
	bounceGeneral:                  "smtp; 550 5.1.1 user unknown",
	"Permanent/NoEmail":            "smtp; 550 5.1.1 no such mailbox",
	bounceSuppressed:               "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid address.",
	bounceListed:                   "Amazon SES did not send the message to this address because it is on the suppression list for your account.",
	"Transient/General":            "smtp; 450 4.4.7 message expired",
	"Transient/MailboxFull":        "smtp; 452 4.2.2 mailbox full",
	"Transient/MessageTooLarge":    "smtp; 552 5.3.4 message too large",
	"Transient/ContentRejected":    "smtp; 554 5.7.1 content rejected",
	"Transient/AttachmentRejected": "smtp; 554 5.7.1 attachment rejected",
	"Undetermined/Undetermined":    "smtp; 550 unknown reason",
}

// raise completes events, stores them with what they bring about, and returns the notifications that they call for.
func (s *Simulator) raise(events func() []store.Raised) ([]*hook.Delivery, error) {
	postings, err := s.raiseLocked(events)
	if err != nil {
		return nil, err
	}
	return s.sign(postings)
}

func (s *Simulator) raiseLocked(events func() []store.Raised) ([]posting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, now, silent := events(), s.clock.Now(), s.settings.Of(serverName).DropWebhooks
	for i := range batch {
		m := contentOf(batch[i].Mail)
		for j := range batch[i].Events {
			e := &batch[i].Events[j]
			e.At = now
			if e.Detail == "" {
				e.Detail = details[e.Type]
			}
			if !silent {
				e.Pending = s.listeners(m.Set, eventType(*e))
			}
		}
	}
	raised, err := s.store.Raise(batch)
	if err != nil {
		return nil, fmt.Errorf("ses: %w", err)
	}
	var postings []posting
	for _, r := range raised {
		for _, e := range r.Events {
			if err := s.remember(r.Mail, e); err != nil {
				return nil, err
			}
		}
		out, err := s.postings(r.Mail, r.Events)
		if err != nil {
			return nil, err
		}
		postings = append(postings, out...)
	}
	return postings, nil
}

// remember puts an address on the suppression list that bounced for good or complained; those of SES's mailbox simulator never are. The
// caller holds mu.
func (s *Simulator) remember(mail *store.Mail, e store.Event) error {
	entry := suppression{EmailAddress: e.Recipient, LastUpdateTime: e.At, MessageID: mail.ID, FeedbackID: feedbackID(mail, e)}
	switch {
	case simulated(e.Recipient):
		return nil
	case e.Kind == store.Bounced && (e.Type == bounceGeneral || e.Type == "Permanent/NoEmail"):
		entry.Reason = reasonBounce
	case e.Kind == store.Complained && e.Type != "not-spam":
		entry.Reason = reasonComplaint
	default:
		return nil
	}
	return s.suppress(entry)
}

// eventType is SES's name of the type of an event.
func eventType(e store.Event) string {
	switch e.Kind {
	case store.Processed:
		return eventSend
	case store.Delivered:
		return eventDelivery
	case store.Bounced:
		return eventBounce
	case store.Complained:
		return eventComplaint
	case store.Opened:
		return eventOpen
	case store.Clicked:
		return eventClick
	case store.Deferred:
		return eventDelay
	case store.Dropped:
		return e.Type // Reject or Rendering Failure
	}
	return eventSubscription
}

// recordType is the name of the type of an event that all providers of the sandbox share.
func recordType(e store.Event) string {
	switch e.Kind {
	case store.Processed:
		return "Processed"
	case store.Complained:
		return "SpamComplaint"
	case store.Deferred:
		return "Deferred"
	case store.Dropped:
		return "Dropped"
	case store.Subscribed:
		return "SubscriptionChange"
	}
	return eventType(e)
}

// endpoints are the numbers of a topic's subscriptions to which something would be posted. The caller holds mu.
func (s *Simulator) endpoints(topicARN string) []int {
	var list []int
	for _, number := range slices.Sorted(maps.Keys(s.subscriptions)) {
		if sub := s.subscriptions[number]; sub.Topic == topicARN && sub.Confirmed && !sub.filtered() {
			list = append(list, number)
		}
	}
	return list
}

// listeners are the subscriptions that are to hear of an event, once for each event destination that publishes it. The caller holds mu.
func (s *Simulator) listeners(set, eventType string) []int {
	var list []int
	for _, topicARN := range s.publishes(set, eventType) {
		list = append(list, s.endpoints(topicARN)...)
	}
	return list
}

// postings makes one for each subscription that an event still has to reach. The caller holds mu.
func (s *Simulator) postings(mail *store.Mail, events []store.Event) ([]posting, error) {
	var list []posting
	now := s.settings.Of(serverName)
	for _, e := range events {
		if len(e.Pending) == 0 {
			continue
		}
		body, err := encode(payload(mail, e))
		if err != nil {
			return nil, fmt.Errorf("ses: payload: %w", err)
		}
		times := map[int]int{}
		for _, number := range e.Pending {
			done := func() { s.told(mail, e.Seq, number) }
			sub := s.subscriptions[number]
			if sub == nil {
				done()
				continue
			}
			p := s.message(sub, typeNotification, derived(mail.ID, e.Seq, sub.Topic, times[number]), string(body)+"\n")
			times[number]++
			p.subject, p.at, p.mail, p.eventType, p.done = eventSubject, e.At, mail.ID, eventType(e), done
			p.delay, p.twice = now.Late(recordType(e)), now.DuplicateWebhooks
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *Simulator) told(mail *store.Mail, event int64, number int) {
	if err := s.store.Done(mail, event, number); err != nil {
		s.log.Error("a delivered notification cannot be noted; it will be repeated after a restart", "err", err)
	}
}

// resume takes up what was not done before a restart.
func (s *Simulator) resume(mails []*store.Mail) {
	var fresh []*store.Mail
	var postings []posting
	s.mu.Lock()
	for _, mail := range mails {
		events := s.store.Events(mail)
		if len(events) == 0 {
			fresh = append(fresh, mail)
			continue
		}
		out, err := s.postings(mail, events)
		if err != nil {
			s.log.Error("notifications cannot be taken up again", "err", err)
			continue
		}
		postings = append(postings, out...)
	}
	s.mu.Unlock()
	if err := s.queue(postings); err != nil {
		s.log.Error("notifications cannot be taken up again", "err", err)
	}
	if len(fresh) > 0 {
		s.timetable.At(s.clock.Now().Add(s.settings.Get().DeliveryDelay()), func() { s.deliver(fresh) })
	}
}
