package sendgrid

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

func refuse(format string, args ...any) error {
	return &store.Refusal{Reason: fmt.Sprintf(format, args...)}
}

// Raise has something happen to a mail. Unlike others, SendGrid reports every open and every click. What cannot happen is a
// *store.Refusal.
func (s *Simulator) Raise(mail *store.Mail, wish store.Wish) (store.Outcome, error) {
	m := contentOf(mail)
	if m == nil {
		return store.Outcome{}, refuse("this is not a message of SendGrid's")
	}
	e, err := m.fulfil(wish)
	if err != nil {
		return store.Outcome{}, err
	}
	s.mu.Lock()
	raised, err := s.raise([]store.Raised{{Mail: mail, Events: []store.Event{e}}})
	s.mu.Unlock()
	if err != nil {
		return store.Outcome{}, err
	}
	if len(raised) == 0 {
		return store.Outcome{Note: "The sandbox was reset meanwhile; the message is gone."}, nil
	}
	deliveries, err := s.tell(raised, false)
	if err != nil {
		return store.Outcome{}, err
	}
	s.hooks.Queue(deliveries...)
	return store.Outcome{Events: raised[0].Events}, nil
}

// fulfil turns a wish into an event, if it can happen.
func (m *content) fulfil(wish store.Wish) (e store.Event, err error) {
	e.Kind = wish.Kind
	if e.Recipient, err = m.recipient(wish.Recipient); err != nil {
		return e, err
	}
	switch wish.Kind {
	case store.Processed, store.Delivered, store.Deferred, store.Complained:
	case store.Opened:
		if !m.request.tracksOpens() {
			return e, refuse("opens of this message are not tracked, or it has no HTML part")
		}
		if wish.Type == openMachine {
			e.Type = openMachine
		}
	case store.Clicked:
		return e, m.click(&e, wish.URL)
	case store.Bounced:
		e.Type, err = oneOf(wish.Type, bounceHard, BounceTypes())
	case store.Dropped:
		e.Type, err = oneOf(wish.Type, reasonBounced, dropReasons)
	case store.Unsubscribed:
		e.Kind, e.Type = store.Subscribed, eventUnsubscribe
	case eventGroupUnsubscribe, eventGroupResubscribe:
		if m.request.groupOf() == 0 {
			return e, refuse("the message belongs to no unsubscribe group (asm.group_id)")
		}
		e.Kind, e.Type, e.Lifted = store.Subscribed, string(wish.Kind), wish.Kind == eventGroupResubscribe
	default:
		err = refuse("kind must be one of processed, delivery, deferred, bounce, dropped, open, click, complaint, unsubscribe, group_unsubscribe, "+
			"group_resubscribe; got %q", wish.Kind)
	}
	return e, err
}

// BounceTypes are the types of bounces that a message can have, the usual one first. The simulators of other providers call the hard one
// HardBounce and the soft one SoftBounce, which are understood.
func BounceTypes() []string { return []string{bounceHard, bounceBlocked, bounceExpired} }

// oneOf finds a name in any spelling; empty is the usual one.
func oneOf(wanted, usual string, names []string) (string, error) {
	switch squeeze(wanted) {
	case "", "hardbounce":
		return usual, nil
	case "softbounce", "transient":
		wanted = bounceBlocked
	}
	for _, name := range names {
		if squeeze(name) == squeeze(wanted) {
			return name, nil
		}
	}
	return "", refuse("type must be one of %s; got %q", strings.Join(names, ", "), wanted)
}

func (m *content) recipient(wanted string) (string, error) {
	all := m.own.recipients()
	if wanted == "" {
		return all[0], nil
	}
	at := slices.IndexFunc(all, func(r string) bool { return strings.EqualFold(r, wanted) })
	if at < 0 {
		return "", refuse("the message was not sent to %q", wanted)
	}
	return all[at], nil
}

// click chooses what is clicked. It may be spelt as in the HTML source. A link that the message does not have is taken as it is: who
// tests what follows from a click may need any.
func (m *content) click(e *store.Event, link string) error {
	inHTML, inText := m.request.tracksClicks()
	if !inHTML && !inText {
		return refuse("links of this message are not tracked")
	}
	found := m.links(-1)
	switch spelling := html.UnescapeString(link); {
	case link == "" && len(found) == 0:
		return refuse("the message has no link that is tracked; give a url")
	case link == "":
		link = found[0]
	case !weblink.Is(link):
		return refuse("url must begin with http:// or https://")
	case !slices.Contains(found, link) && slices.Contains(found, spelling):
		link = spelling
	}
	e.URL, e.Text = link, !inHTML
	return nil
}

// Hooks returns the webhooks.
func (s *Simulator) Hooks() []hook.Registered {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []hook.Registered{}
	for _, h := range s.account.webhooks {
		one := hook.Registered{Provider: Provider, Server: accountName, ID: h.Number, URL: hook.Shown(h.Settings.URL), Stream: "unsigned", Status: "disabled",
			Triggers: map[string]string{}}
		if h.Signed {
			one.Stream = "signed"
		}
		if h.Settings.Enabled {
			one.Status = "enabled"
		}
		for _, t := range h.Settings.triggers() {
			if t.enabled {
				one.Triggers[t.event] = one.Status
			}
		}
		list = append(list, one)
	}
	return list
}

// TestHook posts samples to a webhook, of all events or of the one that is named, signed as its events are. The error is hook.ErrNone or a
// *store.Refusal.
func (s *Simulator) TestHook(ctx context.Context, _ string, number int, event string) (hook.Result, error) {
	s.mu.RLock()
	h := s.account.webhook(number)
	s.mu.RUnlock()
	if h == nil {
		return hook.Result{}, hook.ErrNone
	}
	if event != "" && !slices.ContainsFunc(h.Settings.triggers(), func(t trigger) bool { return t.event == event }) {
		return hook.Result{}, refuse("SendGrid has no event %q", event)
	}
	body, err := samples(s.clock.Now(), event)
	if err != nil {
		return hook.Result{}, err
	}
	header, err := h.header(body, s.clock.Now())
	if err != nil {
		return hook.Result{}, err
	}
	if event == "" {
		event = "all"
	}
	one := hook.Sample{Trigger: event, Message: "OK"}
	one.Status, err = s.hooks.Post(ctx, h.Settings.URL, header, body)
	switch {
	case err != nil:
		one.Message = "The request failed: " + err.Error()
	case judge(one.Status) != hook.Delivered:
		one.Message = fmt.Sprintf("The answer was %d %s.", one.Status, http.StatusText(one.Status))
	default:
		one.Success = true
	}
	return hook.Result{Success: one.Success, Message: "the samples were posted in one request", Results: []hook.Sample{one}}, nil
}
