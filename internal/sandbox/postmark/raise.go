package postmark

import (
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

// Raise has something happen to a message: an open, a click, a complaint, an unsubscription or a bounce (PM-sim 43). What cannot happen is a
// *store.Refusal.
func (s *Simulator) Raise(mail *store.Mail, wish store.Wish) (store.Outcome, error) {
	m, ok := mail.Content.(*content)
	if !ok {
		return store.Outcome{}, refuse("this is not a message of Postmark's")
	}
	before := s.store.Events(mail)
	e, err := m.fulfil(wish, before)
	if err != nil {
		return store.Outcome{}, err
	}
	if wish.Kind == store.Unsubscribed && s.isSuppressed(m.owner, mail.Stream, e.Recipient) {
		return store.Outcome{Note: fmt.Sprintf("%s is on the suppression list of %s already: nothing changes.", e.Recipient, mail.Stream)}, nil
	}
	if e.Kind == store.Clicked && clicked(before, e) {
		return store.Outcome{Note: fmt.Sprintf("%s has clicked %s before: Postmark reports the first click per link and recipient only.",
			e.Recipient, e.URL)}, nil
	}
	deliveries, err := s.raise([]store.Raised{{Mail: mail, Events: []store.Event{e}}})
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
func (m *content) fulfil(wish store.Wish, before []store.Event) (e store.Event, err error) {
	e.Kind = wish.Kind
	if e.Recipient, err = m.recipient(wish.Recipient); err != nil {
		return e, err
	}
	switch wish.Kind {
	case store.Opened:
		return e, m.open(&e, before)
	case store.Clicked:
		return e, m.click(&e, wish.URL)
	case store.Complained:
		e.Type = spamComplaint
		return e, nil
	case store.Unsubscribed:
		e.Kind, e.Type = store.Subscribed, reasonManual
		return e, nil
	case store.Bounced:
		e.Type, err = bounceNamed(wish.Type)
		return e, err
	}
	return e, refuse("kind must be one of open, click, complaint, unsubscribe, bounce; got %q", wish.Kind)
}

// isSuppressed is server.suppressed for the server that is in force.
func (s *Simulator) isSuppressed(v *server, stream, email string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return v.suppressed(stream, email)
}

// BounceTypes returns the names of the types of bounces that a message can have, the usual one first.
func BounceTypes() []string {
	var names []string
	for _, b := range bounceTypes {
		if b.name != spamComplaint {
			names = append(names, b.name)
		}
	}
	return names
}

// bounceNamed finds a type of bounce by its name in any spelling; empty is a hard bounce.
func bounceNamed(name string) (string, error) {
	if name == "" {
		return hardBounce, nil
	}
	for _, b := range bounceTypes {
		if squeeze(b.name) == squeeze(name) && b.name != spamComplaint {
			return b.name, nil
		}
	}
	return "", refuse("type must be one of Postmark's types of bounces, such as HardBounce, SoftBounce, Transient; got %q", name)
}

func (m *content) recipient(wanted string) (string, error) {
	if len(m.recipients) == 0 {
		return "", refuse("the message has no recipient")
	}
	if wanted == "" {
		return m.recipients[0], nil
	}
	at := slices.IndexFunc(m.recipients, func(r string) bool { return strings.EqualFold(r, wanted) })
	if at < 0 {
		return "", refuse("the message was not sent to %q", wanted)
	}
	return m.recipients[at], nil
}

func (m *content) open(e *store.Event, before []store.Event) error {
	from := m.message()
	if opens, _ := m.tracking(from); !opens {
		return refuse("opens of this message are not tracked")
	}
	if !m.hasHTML(from) {
		return refuse("opens are only tracked in messages with an HTML part")
	}
	e.First = !slices.ContainsFunc(before, func(b store.Event) bool { return b.Kind == store.Opened && b.Recipient == e.Recipient })
	return nil
}

func (m *content) click(e *store.Event, link string) error {
	if link != "" && !weblink.Is(link) {
		return refuse("url must begin with http:// or https://")
	}
	from := m.message()
	inHTML, inText := m.tracksLinks(from)
	if !inHTML && !inText {
		_, tracked := m.tracking(from)
		return refuse("links of this message are not tracked (TrackLinks is %s)", tracked)
	}
	out, err := m.render(from)
	if err != nil {
		return refuse("the message cannot be rendered: %v", err)
	}
	e.URL, err = choose(link, m.links(from, out, -1))
	e.Text = !inHTML || slices.Contains(weblink.Find("", out.text, -1), e.URL) && !slices.Contains(weblink.Find(out.html, "", -1), e.URL)
	return err
}

// choose finds the wanted link among those of a message; empty is the first. It may be spelt as in the HTML source. A link that
// the message does not have is taken as it is: who tests what follows from a click may need any.
func choose(wanted string, found []string) (string, error) {
	if wanted == "" {
		if len(found) == 0 {
			return "", refuse("the message has no link that is tracked; give a url")
		}
		return found[0], nil
	}
	if spelling := html.UnescapeString(wanted); !slices.Contains(found, wanted) && slices.Contains(found, spelling) {
		return spelling, nil
	}
	return wanted, nil
}

func clicked(before []store.Event, e store.Event) bool {
	return slices.ContainsFunc(before, func(b store.Event) bool {
		return b.Kind == store.Clicked && b.Recipient == e.Recipient && b.URL == e.URL
	})
}
