package postmark

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/store"
)

// messageEventOf is an event as message details list it; the bounce's id is a string here.
func messageEventOf(e store.Event) messageEvent {
	out := messageEvent{Recipient: e.Recipient, ReceivedAt: stamp(e.At), Details: map[string]string{}}
	switch e.Kind {
	case store.Delivered:
		out.Type = "Delivered"
		out.Details = destination("smtp;250 2.0.0 OK")
	case store.Bounced, store.Complained:
		out.Type = "Bounced"
		out.Details["Summary"] = e.Detail
		out.Details["BounceID"] = strconv.FormatInt(e.ID, 10)
		if e.Type == "Transient" {
			out.Type = "Transient"
			out.Details = destination(e.Detail)
		}
	case store.Opened:
		out.Type = "Opened"
		out.Details["Summary"] = "Email opened with Chrome 140 on macOS"
	case store.Clicked:
		out.Type = "LinkClicked"
		out.Details["Summary"] = "Tracked link clicked with Chrome 140 on macOS"
		out.Details["Link"] = e.URL
		out.Details["ClickLocation"] = "HTML"
		if e.Text {
			out.Details["ClickLocation"] = "Text"
		}
	case store.Subscribed:
		out.Type = "SubscriptionChanged"
		out.Details["Origin"] = originRecipient
		out.Details["SuppressSending"] = "True"
		if e.Lifted {
			out.Details["Origin"], out.Details["SuppressSending"] = originCustomer, "False"
		}
	}
	return out
}

// destination is what the server of a recipient said.
func destination(message string) map[string]string {
	return map[string]string{"DeliveryMessage": message, "DestinationServer": "mx.sandbox.test", "DestinationIP": "127.0.0.1"}
}

// bounceRef is a bounce or complaint, an open or a click, with its message.
type bounceRef struct {
	mail  *store.Mail
	event store.Event
}

type bounceList struct {
	TotalCount int
	Bounces    []bouncePayload
}

// body is the bounce as the read API has it: without metadata. Inactive follows the suppression list, which may have changed
// since. The caller holds mu.
func (b bounceRef) body(withContent bool) bouncePayload {
	m := contentOf(b.mail)
	p := m.bounce(b.mail, m.message(), b.event, withContent)
	p.Inactive = p.Inactive && m.owner.suppressed(b.mail.Stream, b.event.Recipient)
	p.Metadata = nil
	return p
}

// bounceFilter are the filters of the list.
type bounceFilter struct {
	kind, inactive, email, tag, message, stream string
	from, to                                    time.Time
}

func (c *call) bounceFilter() (f bounceFilter, err error) {
	f = bounceFilter{kind: c.query("type"), inactive: c.query("inactive"), email: strings.ToLower(c.query("emailFilter")),
		tag: c.query("tag"), message: c.query("messageID"), stream: strings.ToLower(c.query("messagestream"))}
	if f.stream == "" {
		f.stream = defaultStream
	}
	if f.kind != "" && !slices.ContainsFunc(bounceTypes, func(b bounceType) bool { return strings.EqualFold(b.name, f.kind) }) {
		return f, fail(codeBouncePaging, "The 'Type' parameter is not a known type of bounce: '%s'.", f.kind)
	}
	if f.from, err = c.date("fromdate", false, codeBouncePaging); err != nil {
		return f, err
	}
	f.to, err = c.date("todate", true, codeBouncePaging)
	return f, err
}

// quick looks at what needs no decoding.
func (f bounceFilter) quick(b bounceRef) bool {
	return b.mail.Stream == f.stream && (f.kind == "" || strings.EqualFold(f.kind, b.event.Type)) &&
		(f.message == "" || strings.EqualFold(f.message, b.mail.ID)) &&
		strings.Contains(strings.ToLower(b.event.Recipient), f.email) && !b.event.At.Before(f.from) &&
		(f.to.IsZero() || !b.event.At.After(f.to))
}

func (f bounceFilter) passes(p bouncePayload) bool {
	return (f.inactive == "" || strings.EqualFold(f.inactive, strconv.FormatBool(p.Inactive))) &&
		(f.tag == "" || p.Tag != nil && *p.Tag == f.tag)
}

// listBounces lists bounces and complaints, newest first (PM-sim 49).
func (s *Simulator) listBounces(c *call) (any, error) {
	count, offset, err := c.paging(codeBouncePaging)
	if err != nil {
		return nil, err
	}
	f, err := c.bounceFilter()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := bounceList{Bounces: []bouncePayload{}}
	for _, b := range slices.Backward(c.server.bounces) {
		if !f.quick(b) {
			continue
		}
		wanted := list.TotalCount >= offset && len(list.Bounces) < count
		if wanted || f.inactive != "" || f.tag != "" {
			p := b.body(false)
			if !f.passes(p) {
				continue
			}
			if wanted {
				list.Bounces = append(list.Bounces, p)
			}
		}
		list.TotalCount++
	}
	return list, nil
}

// findBounce finds a bounce by the id of a path. Ids need all of an int64; a client that reads numbers as doubles, such as Postmark's own
// for Node, asks for a rounded one, which is taken for the latest bounce that rounds to it (PM-sim 49). The caller holds mu.
func (c *call) findBounce() (found bounceRef, err error) {
	id, err := strconv.ParseInt(c.args[0], 10, 64)
	for _, b := range c.server.bounces {
		switch {
		case err != nil:
		case b.event.ID == id:
			return b, nil
		case float64(b.event.ID) == float64(id):
			found = b
		}
	}
	if found.mail == nil {
		return found, fail(codeNoBounce, "The bounce was not found.")
	}
	return found, nil
}

func (s *Simulator) getBounce(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := c.findBounce()
	if err != nil {
		return nil, err
	}
	return b.body(true), nil
}

type dumpBody struct {
	Body string
}

func (s *Simulator) dumpBounce(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := c.findBounce()
	if err != nil {
		return nil, err
	}
	return dumpBody{b.body(true).Content}, nil
}

type activatedBody struct {
	Message string
	Bounce  bouncePayload
}

// activateBounce takes the recipient off the suppression list (PM-sim 49).
func (s *Simulator) activateBounce(c *call) (any, error) {
	b, lifted, err := s.lift(c)
	if err != nil {
		return nil, err
	}
	if lifted {
		deliveries, err := s.raise([]store.Raised{{Mail: b.mail, Events: []store.Event{{Kind: store.Subscribed,
			Recipient: b.event.Recipient, Lifted: true}}}})
		if err != nil {
			return nil, err
		}
		s.hooks.Queue(deliveries...)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return activatedBody{"OK", b.body(false)}, nil
}

// lift removes the suppression that a bounce has brought about, if it is still there.
func (s *Simulator) lift(c *call) (b bounceRef, lifted bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, err = c.findBounce(); err != nil {
		return b, false, err
	}
	if b.event.Type != hardBounce {
		return b, false, fail(codeNotActivated, "This bounce cannot be reactivated.")
	}
	key := keyOf(b.mail.Stream, b.event.Recipient)
	if entry := c.server.suppressions[key]; entry == nil || entry.Reason != hardBounce {
		return b, false, nil
	}
	return b, true, s.release(c.server, key)
}

type bounceCount struct {
	Type  string `json:",omitempty"`
	Name  string
	Count int
}

type deliveryStats struct {
	InactiveMails int
	Bounces       []bounceCount
}

// deliveryStats counts bounces by type (PM-sim 49).
func (s *Simulator) deliveryStats(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := map[string]int{}
	for _, b := range c.server.bounces {
		counts[b.event.Type]++
	}
	stats := deliveryStats{InactiveMails: len(c.server.suppressions),
		Bounces: []bounceCount{{Name: "All", Count: len(c.server.bounces)}}}
	for _, kind := range bounceTypes {
		if n := counts[kind.name]; n > 0 {
			stats.Bounces = append(stats.Bounces, bounceCount{kind.name, kind.title, n})
		}
	}
	return stats, nil
}
