package ses

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

func refuse(format string, args ...any) error {
	return &store.Refusal{Reason: fmt.Sprintf(format, args...)}
}

// Raise has something happen to a message. What cannot happen is a *store.Refusal.
func (s *Simulator) Raise(mail *store.Mail, wish store.Wish) (store.Outcome, error) {
	m := contentOf(mail)
	if m == nil {
		return store.Outcome{}, refuse("this is not a message of Amazon SES's")
	}
	before := s.store.Events(mail)
	e, err := s.fulfil(m, wish, before)
	if err != nil {
		return store.Outcome{}, err
	}
	deliveries, err := s.raise(func() []store.Raised { return []store.Raised{{Mail: mail, Events: []store.Event{e}}} })
	if err != nil {
		return store.Outcome{}, err
	}
	s.hooks.Queue(deliveries...)
	after := s.store.Events(mail)
	if len(after) <= len(before) {
		return store.Outcome{Note: "The sandbox was reset meanwhile; the message is gone."}, nil
	}
	return store.Outcome{Events: after[len(before):]}, nil
}

// fulfil turns a wish into an event, if it can happen.
func (s *Simulator) fulfil(m *content, wish store.Wish, before []store.Event) (e store.Event, err error) {
	e.Kind = wish.Kind
	if e.Recipient, err = m.recipient(wish.Recipient); err != nil {
		return e, err
	}
	switch wish.Kind {
	case store.Processed, store.Delivered:
		return e, nil
	case store.Opened:
		e.First = !slices.ContainsFunc(before, func(b store.Event) bool { return b.Kind == store.Opened && b.Recipient == e.Recipient })
		return e, s.tracked(m, eventOpen)
	case store.Clicked:
		return e, s.click(m, &e, wish.URL)
	case store.Complained:
		e.Type, err = oneOf("complaint", wish.Type, complaintTypes)
	case store.Unsubscribed:
		e.Kind, e.Type = store.Subscribed, "UnsubscribeHeader"
	case store.Deferred:
		e.Type, err = oneOf("delay", wish.Type, delayTypes)
	case store.Dropped:
		e.Type, err = oneOf("drop", wish.Type, []string{eventReject, eventRendering})
	case store.Bounced:
		name, known := bounceNamed(cmp.Or(wish.Type, bounceGeneral))
		if e.Type = name; !known {
			err = refuse("type must be one of Amazon SES's types of bounces, %s; got %q", strings.Join(bounceTypes, ", "), wish.Type)
		}
	default:
		err = refuse("kind must be one of processed, delivery, open, click, complaint, unsubscribe, bounce, deferred, dropped; got %q", wish.Kind)
	}
	return e, err
}

// oneOf finds a type by its name in any spelling; empty is the first.
func oneOf(what, name string, types []string) (string, error) {
	if name == "" {
		return types[0], nil
	}
	for _, known := range types {
		if squeeze(known) == squeeze(name) {
			return known, nil
		}
	}
	return "", refuse("type of a %s must be one of %s; got %q", what, strings.Join(types, ", "), name)
}

func (m *content) recipient(wanted string) (string, error) {
	all := m.recipients()
	if wanted == "" {
		return all[0], nil
	}
	at := slices.IndexFunc(all, func(r string) bool { return strings.EqualFold(r, wanted) })
	if at < 0 {
		return "", refuse("the message was not sent to %q", wanted)
	}
	return all[at], nil
}

// tracked refuses what SES would not notice.
func (s *Simulator) tracked(m *content, eventType string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case m.View().HTML == "":
		return refuse("opens and clicks are only tracked in messages with an HTML part")
	case len(s.publishes(m.Set, eventType)) == 0:
		return refuse("the message's configuration set has no event destination for %s", matching[eventType])
	}
	return nil
}

func (s *Simulator) click(m *content, e *store.Event, link string) error {
	if link != "" && !weblink.Is(link) {
		return refuse("url must begin with http:// or https://")
	}
	if err := s.tracked(m, eventClick); err != nil {
		return err
	}
	v := m.View()
	found := weblink.Find(v.HTML, "", weblink.Most)
	switch spelling := html.UnescapeString(link); {
	case link == "" && len(found) == 0:
		return refuse("the message has no link that is tracked; give a url")
	case link == "":
		e.URL = found[0]
	case slices.Contains(found, spelling):
		e.URL = spelling
	default: // who tests what follows from a click may need any link
		e.URL = link
	}
	return nil
}
