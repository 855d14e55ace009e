package ses

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
)

// Hooks returns the subscriptions, each with the events that are published to its topic.
func (s *Simulator) Hooks() []hook.Registered {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []hook.Registered{}
	for _, number := range slices.Sorted(maps.Keys(s.subscriptions)) {
		sub := s.subscriptions[number]
		h := hook.Registered{Provider: Provider, Server: serverName, ID: number, URL: hook.Shown(sub.Endpoint), Stream: sub.topicName(), Status: sub.status(),
			Triggers: map[string]string{}}
		for _, set := range s.sets {
			for eventType := range matching {
				if slices.Contains(s.publishes(set.Name, eventType), sub.Topic) {
					h.Triggers[eventType] = h.Status
				}
			}
		}
		list = append(list, h)
	}
	return list
}

// status is what a webhook of another provider would be called.
func (sub *subscription) status() string {
	if sub.Confirmed {
		return "verified"
	}
	return "unverified"
}

func (sub *subscription) topicName() string {
	return sub.Topic[strings.LastIndexByte(sub.Topic, ':')+1:]
}

// TestHook posts samples to a subscription's endpoint, of all events or of the one that is named, signed as its notifications are. The error
// is hook.ErrNone or a *store.Refusal.
func (s *Simulator) TestHook(ctx context.Context, _ string, number int, event string) (hook.Result, error) {
	if event != "" && matching[event] == "" {
		return hook.Result{}, refuse("Amazon SES has no event %q", event)
	}
	var postings []posting
	s.mu.Lock()
	sub := s.subscriptions[number]
	for _, e := range samples(s.clock.Now()) {
		if sub == nil || event != "" && event != eventType(e) {
			continue
		}
		body, err := encode(payload(sampleMail(e.At), e))
		if err != nil {
			s.mu.Unlock()
			return hook.Result{}, fmt.Errorf("ses: payload: %w", err)
		}
		p := s.message(sub, typeNotification, s.otherID(), string(body)+"\n")
		p.subject, p.eventType = eventSubject, eventType(e)
		postings = append(postings, p)
	}
	s.mu.Unlock()
	if sub == nil {
		return hook.Result{}, hook.ErrNone
	}
	deliveries, err := s.sign(postings)
	if err != nil {
		return hook.Result{}, err
	}
	out, good := hook.Result{}, 0
	for _, d := range deliveries {
		one := s.post(ctx, d)
		if one.Success {
			good++
		}
		out.Results = append(out.Results, one)
	}
	out.Success = good == len(deliveries)
	out.Message = fmt.Sprintf("%d/%d samples were taken", good, len(deliveries))
	return out, nil
}

// post posts a sample once.
func (s *Simulator) post(ctx context.Context, d *hook.Delivery) hook.Sample {
	one := hook.Sample{Trigger: d.Type, Message: "OK"}
	var err error
	one.Status, err = s.hooks.Post(ctx, d.URL, d.Header, d.Body)
	switch {
	case err != nil:
		one.Message = "The request failed: " + err.Error()
	case judge(one.Status) != hook.Delivered:
		one.Message = fmt.Sprintf("The answer was %d %s.", one.Status, http.StatusText(one.Status))
	default:
		one.Success = true
	}
	return one
}

// sampleMail is the message that samples are about; nobody has sent it.
func sampleMail(at time.Time) *store.Mail {
	l := &letter{From: "sender@" + seedDomain, To: recipients{ToAddresses: []string{sampleRecipient}}, Set: "sandbox-sample",
		Simple: &simple{Subject: &text{Data: "A sample"}}}
	return &store.Mail{ID: idOf(at, "00000000", "00000000-0000-4000-8000-000000000000"), Provider: Provider, Server: serverName, ReceivedAt: at,
		Content: &content{l}}
}

const sampleRecipient = "recipient@example.net"

// samples are an event of each type.
func samples(at time.Time) []store.Event {
	list := []store.Event{{Kind: store.Processed}, {Kind: store.Dropped, Type: eventReject}, {Kind: store.Bounced, Type: bounceGeneral},
		{Kind: store.Complained, Type: complaintTypes[0]}, {Kind: store.Delivered}, {Kind: store.Opened}, {Kind: store.Clicked, URL: "https://example.com/"},
		{Kind: store.Dropped, Type: eventRendering}, {Kind: store.Deferred, Type: delayTypes[0]}, {Kind: store.Subscribed, Type: "UnsubscribeHeader"}}
	for i := range list {
		e := &list[i]
		e.Recipient, e.At, e.Detail = sampleRecipient, at, details[e.Type]
	}
	return list
}
