package postmark

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// beforeAnswer bounds how long a send waits for its webhooks when it is to be answered after them.
const beforeAnswer = 5 * time.Second

// schedule has the first events of accepted messages raised after the delay, or right now when webhooks are to come before the
// answer (PM-sim 41, 46).
func (s *Simulator) schedule(ctx context.Context, mails []*store.Mail) error {
	if len(mails) == 0 {
		return nil
	}
	now := s.settings.Of(mails[0].Server)
	if !now.WebhookBeforeAnswer {
		s.timetable.At(s.clock.Now().Add(now.DeliveryDelay()), func() { s.deliver(mails) })
		return nil
	}
	deliveries, err := s.raiseFirst(mails, now.OpenDelivered)
	if err != nil {
		return err
	}
	return await(ctx, deliveries, func() { s.hooks.Queue(deliveries...) })
}

// await waits for the first try of each delivery, for a bounded time.
func await(ctx context.Context, deliveries []*hook.Delivery, start func()) error {
	ctx, cancel := context.WithTimeout(ctx, beforeAnswer)
	defer cancel()
	deliveries = slices.DeleteFunc(slices.Clone(deliveries), func(d *hook.Delivery) bool { return d.Delay > 0 })
	for _, d := range deliveries {
		d.FirstTry = make(chan struct{})
	}
	start()
	for _, d := range deliveries {
		select {
		case <-d.FirstTry:
		case <-ctx.Done():
			return nil // late webhooks do not spoil the answer
		}
	}
	return nil
}

// deliver raises the first events of messages of one server, or of several with the same settings.
func (s *Simulator) deliver(mails []*store.Mail) {
	if len(mails) == 0 {
		return
	}
	deliveries, err := s.raiseFirst(mails, s.settings.Of(mails[0].Server).OpenDelivered)
	if err != nil {
		s.log.Error("events cannot be raised", "err", err)
		return
	}
	s.hooks.Queue(deliveries...)
}

// raiseFirst raises the first events of messages, which from then on are decoded when someone looks.
func (s *Simulator) raiseFirst(mails []*store.Mail, opened bool) ([]*hook.Delivery, error) {
	batch := make([]store.Raised, 0, len(mails))
	for _, mail := range mails {
		if m, ok := mail.Content.(*content); ok {
			batch = append(batch, store.Raised{Mail: mail, Events: m.firstEvents(opened)})
		}
	}
	defer func() { // the mails, not the batch: that loses those that a reset has removed
		for _, mail := range mails {
			if m := contentOf(mail); m != nil {
				m.fresh.Store(nil)
			}
		}
	}()
	return s.raise(batch)
}

// firstEvents decides what becomes of a message: each recipient has events of their own (PM-sim 21). With opened, those who get
// it open it, as far as that would be noticed.
func (m *content) firstEvents(opened bool) []store.Event {
	events := make([]store.Event, 0, len(m.recipients))
	from := m.message()
	opened = opened && m.tracksOpens(from)
	if m.template != nil && m.template.parts.mayFail(from.TemplateModel) {
		if _, err := m.render(from); err != nil {
			for _, r := range m.recipients { // PM-sim 30
				events = append(events, store.Event{Kind: store.Bounced, Recipient: r, Type: renderingFailed, Detail: err.Error()})
			}
			return events
		}
	}
	for _, r := range m.recipients {
		forced := ""
		if _, domain, _ := cutLast(r, '@'); strings.EqualFold(domain, bounceDomain) || strings.EqualFold(domain, bounceLocalDomain) {
			forced = from.header(headerBounceType)
		}
		switch f := fateOf(r, forced); {
		case f.bounce != "":
			events = append(events, store.Event{Kind: store.Bounced, Recipient: r, Type: f.bounce})
		case f.complaint:
			events = append(events, store.Event{Kind: store.Delivered, Recipient: r},
				store.Event{Kind: store.Complained, Recipient: r, Type: spamComplaint})
		default:
			events = append(events, store.Event{Kind: store.Delivered, Recipient: r})
			if opened {
				events = append(events, store.Event{Kind: store.Opened, Recipient: r, First: true})
			}
		}
	}
	return events
}

func (m *message) header(name string) string {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// raise completes events, with what they bring about, stores them and returns the webhook deliveries they call for.
func (s *Simulator) raise(batch []store.Raised) ([]*hook.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	batch = slices.DeleteFunc(batch, func(r store.Raised) bool { // those from before a reset
		owner := contentOf(r.Mail).owner
		return s.live(owner) != owner
	})
	for i := range batch {
		m := contentOf(batch[i].Mail)
		completed, err := s.complete(batch[i].Mail, m, batch[i].Events, now)
		if err != nil {
			return nil, err
		}
		batch[i].Events = completed
	}
	raised, err := s.store.Raise(batch)
	if err != nil {
		return nil, fmt.Errorf("postmark: %w", err)
	}
	var deliveries []*hook.Delivery
	for _, r := range raised {
		remember(r.Mail, r.Events)
		out, err := s.deliveries(r.Mail, r.Events)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, out...)
	}
	return deliveries, nil
}

// complete gives events their time, number, words and webhooks, and adds the subscription changes. The caller holds mu.
func (s *Simulator) complete(mail *store.Mail, m *content, events []store.Event, now time.Time) ([]store.Event, error) {
	out := make([]store.Event, 0, len(events))
	for _, e := range events {
		e.At = now
		if e.Kind == store.Bounced || e.Kind == store.Complained {
			e.ID = s.newBounceID()
			if e.Detail == "" {
				e.Detail = bounceTypeOf(e.Type).details()
			}
		}
		out = append(out, e)
		if e.Kind == store.Subscribed && !e.Lifted { // someone unsubscribed
			entry := &suppression{Email: e.Recipient, Reason: e.Type, Origin: originRecipient, CreatedAt: now}
			if err := s.suppress(m.owner, mail.Stream, entry); err != nil {
				return nil, err
			}
			continue
		}
		if e.Type != hardBounce && e.Kind != store.Complained {
			continue
		}
		entry := &suppression{Email: e.Recipient, Reason: e.Type, Origin: originRecipient, CreatedAt: now}
		if err := s.suppress(m.owner, mail.Stream, entry); err != nil {
			return nil, err
		}
		out = append(out, store.Event{Kind: store.Subscribed, Recipient: e.Recipient, Type: e.Type, At: now})
	}
	if s.settings.Of(mail.Server).DropWebhooks {
		return out, nil
	}
	for i := range out {
		out[i].Pending = m.owner.listeners(mail.Stream, out[i])
	}
	return out, nil
}

// deliveries makes a delivery for each webhook that an event still has to reach. The caller holds mu.
func (s *Simulator) deliveries(mail *store.Mail, events []store.Event) ([]*hook.Delivery, error) {
	if !slices.ContainsFunc(events, func(e store.Event) bool { return len(e.Pending) > 0 }) {
		return nil, nil
	}
	m := contentOf(mail)
	p, err := s.poster(m.owner)
	if err != nil {
		return nil, err
	}
	var from *message // decoded once, when needed
	for _, e := range events {
		for _, id := range e.Pending {
			done := func() { s.told(mail, e.Seq, id) }
			h := m.owner.webhook(id)
			if h == nil {
				done()
				continue
			}
			if from == nil {
				from = m.message()
			}
			d := hook.Delivery{Type: recordType(e), MailID: mail.ID, Trace: traceID(mail.ID, e.Seq, id), Done: done}
			if err := p.add(h, m.payload(mail, from, h, e, p.now.WebhookDates), d); err != nil {
				return nil, err
			}
		}
	}
	return p.out, nil
}

// poster makes deliveries to the webhooks of a server, all under the settings that are in force now.
type poster struct {
	owner  *server
	now    settings.Settings
	policy *hook.Policy
	tried  func(hook.Attempt)
	out    []*hook.Delivery
}

// poster returns one for a server. The caller holds mu.
func (s *Simulator) poster(v *server) (*poster, error) {
	now := s.settings.Of(v.name)
	policy, err := s.policyOf(now)
	if err != nil {
		return nil, err
	}
	return &poster{owner: v, now: now, policy: policy, tried: func(a hook.Attempt) { s.tried(v, a) }}, nil
}

// add completes a delivery to a webhook: twice, or later than others, if that is asked for (PM-sim 46).
func (p *poster) add(h *webhook, payload any, d hook.Delivery) error {
	body, err := encode(payload)
	if err != nil {
		return fmt.Errorf("postmark: payload: %w", err)
	}
	d.URL, d.Header, d.Body, d.Policy, d.Server, d.Hook, d.Tried = h.URL, h.sent, body, p.policy, p.owner.name, h.ID, p.tried
	if !h.near { // it will not be called, which is no failure of its
		d.Tried = nil
	}
	if p.now.LateWebhooks != "" {
		d.Delay = p.now.Late(d.Type)
	}
	p.out = append(p.out, &d)
	if p.now.DuplicateWebhooks {
		twin := d
		twin.Done = nil
		p.out = append(p.out, &twin)
	}
	return nil
}

func (s *Simulator) told(mail *store.Mail, event int64, webhook int) {
	if err := s.store.Done(mail, event, webhook); err != nil {
		s.log.Error("a delivered webhook cannot be noted; it will be repeated after a restart", "err", err)
	}
}

// resume takes up what was not done before a restart.
func (s *Simulator) resume(mails []*store.Mail) {
	s.resumeChanges()
	var fresh []*store.Mail
	for _, mail := range mails {
		if mail.Provider != Provider {
			continue
		}
		events := s.store.Events(mail)
		if len(events) == 0 {
			fresh = append(fresh, mail)
			continue
		}
		s.mu.Lock()
		deliveries, err := s.deliveries(mail, events)
		s.mu.Unlock()
		if err != nil {
			s.log.Error("webhooks cannot be taken up again", "err", err)
			continue
		}
		s.hooks.Queue(deliveries...)
	}
	if len(fresh) > 0 { // the settings are those of the start, and the same for all servers
		s.timetable.At(s.clock.Now().Add(s.settings.Get().DeliveryDelay()), func() { s.deliver(fresh) })
	}
}

// RestoreEvents rebuilds the lists of bounces, opens and clicks.
func (*Simulator) RestoreEvents(mail *store.Mail, events []store.Event) { remember(mail, events) }

// remember lists what bounced, was complained about, opened or clicked for the read side.
func remember(mail *store.Mail, events []store.Event) {
	m, ok := mail.Content.(*content)
	if !ok {
		return
	}
	for _, e := range events {
		if e.Kind == store.Bounced || e.Kind == store.Complained {
			m.owner.bounces = append(m.owner.bounces, bounceRef{mail: mail, event: e})
		}
		if isTracked(e) {
			m.owner.tracked = append(m.owner.tracked, bounceRef{mail: mail, event: e})
		}
	}
}
