package sendgrid

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

const (
	// beforeAnswer bounds how long a send waits for its webhooks when it is to be answered after them.
	beforeAnswer = 5 * time.Second
	// maxBatch is how many events are posted together at most.
	maxBatch = 500
)

// schedule has the steps of accepted mails made when they are due, or right now when webhooks are to come before the answer.
func (s *Simulator) schedule(ctx context.Context, mails []*store.Mail) error {
	if !s.settings.Of(accountName).WebhookBeforeAnswer {
		s.timetable.At(s.clock.Now(), func() { s.advance(mails) })
		return nil
	}
	var all []store.Raised
	for {
		made, err := s.steps(mails, true)
		if err != nil {
			return err
		}
		if len(made) == 0 {
			break
		}
		all = append(all, made...)
	}
	deliveries, err := s.tell(all, true)
	if err != nil {
		return err
	}
	s.plan(mails) // those that are to leave later
	await(ctx, deliveries, func() { s.hooks.Queue(deliveries...) })
	return nil
}

// await waits for the first try of each delivery, for a bounded time: late webhooks do not spoil the answer.
func await(ctx context.Context, deliveries []*hook.Delivery, start func()) {
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
			return
		}
	}
}

// advance makes the next step of mails and sees to those that follow.
func (s *Simulator) advance(mails []*store.Mail) {
	made, err := s.steps(mails, false)
	if err == nil {
		var deliveries []*hook.Delivery
		if deliveries, err = s.tell(made, false); err == nil {
			s.hooks.Queue(deliveries...)
		}
	}
	if err != nil {
		s.log.Error("events cannot be raised", "err", err)
		return
	}
	s.plan(mails)
}

// plan has the next steps of mails made when they are due.
func (s *Simulator) plan(mails []*store.Mail) {
	now, delay := s.clock.Now(), s.settings.Of(accountName).DeliveryDelay()
	later := map[time.Time][]*store.Mail{}
	s.mu.RLock()
	inForce := s.account
	s.mu.RUnlock()
	for _, mail := range mails {
		m, events := contentOf(mail), s.store.Events(mail)
		if m.owner != inForce { // a reset has overtaken it
			continue
		}
		if len(m.steps(events, func(string) string { return "" })) == 0 {
			continue
		}
		due := now
		if len(events) > 0 {
			due = now.Add(delay)
			if at := since(mail, events).Add(delay); at.Before(due) { // it may have come when the clock was ahead, before a restart
				due = at
			}
		}
		if at := m.sendAt(); at.After(due) {
			due = at
		}
		later[due] = append(later[due], mail)
	}
	for due, some := range later {
		s.timetable.At(due, func() { s.advance(some) })
	}
}

// since is from when on the delay of the next step counts: from when the mail came, or was last deferred.
func since(mail *store.Mail, events []store.Event) time.Time {
	at := mail.ReceivedAt
	for _, e := range events {
		if e.Kind == store.Deferred {
			at = e.At
		}
	}
	return at
}

// steps are the next ones of all recipients.
func (m *content) steps(before []store.Event, suppressed func(recipient string) string) []store.Event {
	var events []store.Event
	for _, r := range m.own.recipients() {
		events = append(events, m.step(r, before, suppressed(r))...)
	}
	return events
}

// steps raises the next events of mails. Those that are to leave later get no further than being processed, if due says so.
func (s *Simulator) steps(mails []*store.Mail, due bool) ([]store.Raised, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.settings.Of(accountName).OpenDelivered
	var batch []store.Raised
	for _, mail := range mails {
		m, before := contentOf(mail), s.store.Events(mail)
		if due && len(before) > 0 && m.sendAt().After(s.clock.Now()) {
			continue
		}
		events := m.steps(before, func(r string) string {
			if m.request.bypasses() {
				return ""
			}
			return m.owner.reason(r, m.request.groupOf())
		})
		if opened && m.request.tracksOpens() {
			for _, e := range events {
				if e.Kind == store.Delivered {
					events = append(events, store.Event{Kind: store.Opened, Recipient: e.Recipient})
				}
			}
		}
		if len(events) > 0 {
			batch = append(batch, store.Raised{Mail: mail, Events: events})
		}
	}
	return s.raise(batch)
}

// raise completes events, with what they bring about, and stores them. The caller holds mu.
func (s *Simulator) raise(batch []store.Raised) ([]store.Raised, error) {
	now := s.clock.Now()
	batch = slices.DeleteFunc(batch, func(r store.Raised) bool { return contentOf(r.Mail).owner != s.account }) // those from before a reset
	silent := s.settings.Of(accountName).DropWebhooks
	for i := range batch {
		for j := range batch[i].Events {
			e := &batch[i].Events[j]
			e.At = now
			if e.Detail == "" {
				e.Detail = detail(*e)
			}
			if err := s.suppress(contentOf(batch[i].Mail), *e); err != nil {
				return nil, err
			}
			if !silent {
				e.Pending = s.account.listeners(*e)
			}
		}
	}
	raised, err := s.store.Raise(batch)
	if err != nil {
		return nil, fmt.Errorf("sendgrid: %w", err)
	}
	return raised, nil
}

// notice is an event that a webhook is to be told of.
type notice struct {
	mail  *store.Mail
	event store.Event
}

// tell returns the deliveries that events call for, or, unless they are to go at once, holds events back to be posted together.
func (s *Simulator) tell(raised []store.Raised, atOnce bool) ([]*hook.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byHook := map[int][]notice{}
	for _, r := range raised {
		for _, e := range r.Events {
			for _, number := range e.Pending {
				byHook[number] = append(byHook[number], notice{r.Mail, e})
			}
		}
	}
	if window := s.settings.Of(accountName).BatchWebhooks(); window > 0 && !atOnce {
		for number, some := range byHook {
			if len(s.held[number]) == 0 {
				s.timetable.At(s.clock.Now().Add(window), func() { s.flush(number) })
			}
			s.held[number] = append(s.held[number], some...)
		}
		return nil, nil
	}
	var out []*hook.Delivery
	for number, some := range byHook {
		deliveries, err := s.deliveries(number, some)
		if err != nil {
			return nil, err
		}
		out = append(out, deliveries...)
	}
	return out, nil
}

// flush posts what was held back for a webhook.
func (s *Simulator) flush(number int) {
	s.mu.Lock()
	some := s.held[number]
	delete(s.held, number)
	deliveries, err := s.deliveries(number, some)
	s.mu.Unlock()
	if err != nil {
		s.log.Error("webhooks cannot be posted", "err", err)
		return
	}
	s.hooks.Queue(deliveries...)
}

// deliveries makes as few posts to a webhook as its events allow: those that are held back go apart. The caller holds mu.
func (s *Simulator) deliveries(number int, some []notice) ([]*hook.Delivery, error) {
	h := s.account.webhook(number)
	if h == nil { // deleted meanwhile
		s.told(number, some)
		return nil, nil
	}
	now := s.settings.Of(accountName)
	policy, err := s.policyOf(now)
	if err != nil {
		return nil, err
	}
	var out []*hook.Delivery
	for _, group := range apart(some, now) {
		for part := range slices.Chunk(group.notices, maxBatch) {
			d, err := s.delivery(h, part)
			if err != nil {
				return nil, err
			}
			d.Policy, d.Delay = policy, group.delay
			out = append(out, d)
			if now.DuplicateWebhooks {
				twin := *d
				twin.Done = nil
				out = append(out, &twin)
			}
		}
	}
	return out, nil
}

type lateGroup struct {
	delay   time.Duration
	notices []notice
}

// apart groups events by how long they are to be late.
func apart(some []notice, now settings.Settings) []lateGroup {
	var list []lateGroup
	for _, n := range some {
		delay := now.Late(lateName(n.event))
		at := slices.IndexFunc(list, func(g lateGroup) bool { return g.delay == delay })
		if at < 0 {
			list, at = append(list, lateGroup{delay: delay}), len(list)
		}
		list[at].notices = append(list[at].notices, n)
	}
	return list
}

// delivery is one post of events to a webhook. The caller holds mu.
func (s *Simulator) delivery(h *webhook, some []notice) (*hook.Delivery, error) {
	d := &hook.Delivery{URL: h.Settings.URL, Server: accountName, Hook: h.Number, Done: func() { s.told(h.Number, some) }}
	var events []map[string]any
	var names []string
	trace := sha256.New()
	for _, n := range some {
		events = append(events, contentOf(n.mail).payload(n.mail, n.event, s.store.Events(n.mail)))
		if name := eventName(n.event); !slices.Contains(names, name) {
			names = append(names, name)
		}
		if !slices.Contains(d.MailIDs, n.mail.ID) {
			d.MailIDs = append(d.MailIDs, n.mail.ID)
		}
		_, _ = trace.Write(binary.BigEndian.AppendUint64([]byte(n.mail.ID), uint64(n.event.Seq))) // a hash never fails
	}
	if len(d.MailIDs) == 1 {
		d.MailID, d.MailIDs = d.MailIDs[0], nil
	}
	d.Type, d.Trace = strings.Join(names, ", "), base64.RawURLEncoding.EncodeToString(trace.Sum(nil)[:16])
	var err error
	if d.Body, err = array(events); err != nil {
		return nil, err
	}
	d.Header, err = h.header(d.Body, s.clock.Now())
	return d, err
}

// told notes that a webhook needs to hear of events no more.
func (s *Simulator) told(number int, some []notice) {
	for _, n := range some {
		if err := s.store.Done(n.mail, n.event.Seq, number); err != nil {
			s.log.Error("a delivered webhook cannot be noted; it will be repeated after a restart", "err", err)
			return
		}
	}
}

// resume takes up what was not done before a restart.
func (s *Simulator) resume() {
	var open []*store.Mail
	var pending []store.Raised
	for _, mail := range s.store.All() {
		if mail.Provider != Provider {
			continue
		}
		open = append(open, mail)
		pending = append(pending, store.Raised{Mail: mail, Events: s.store.Events(mail)})
	}
	deliveries, err := s.tell(pending, true)
	if err != nil {
		s.log.Error("webhooks cannot be taken up again", "err", err)
	}
	s.hooks.Queue(deliveries...)
	s.plan(open)
}

// policyKey is what of the settings decides how a webhook is delivered.
type policyKey struct {
	ladder    string
	timeoutMS int64
}

// maxPolicies is how many policies are remembered; deliveries that wait keep theirs.
const maxPolicies = 100

// retries are the waits of SendGrid, which tries for 24 h; how it spreads the tries is not known.
var retries = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
	8 * time.Hour, 8*time.Hour + 9*time.Minute}

// policyOf returns how webhooks are delivered under some settings. The ladders with names other than none are another provider's. The
// caller holds mu.
func (s *Simulator) policyOf(now settings.Settings) (*hook.Policy, error) {
	key := policyKey{now.RetryLadder, now.WebhookTimeoutMS}
	if p := s.policies[key]; p != nil {
		return p, nil
	}
	ladder := retries
	if now.OwnLadder() {
		var err error
		if ladder, err = settings.ParseLadder(now.RetryLadder); err != nil {
			return nil, fmt.Errorf("sendgrid: %w", err) // not so: settings are checked when they are made
		}
	}
	if s.policies == nil || len(s.policies) >= maxPolicies {
		s.policies = map[policyKey]*hook.Policy{}
	}
	p := &hook.Policy{Ladder: ladder, Judge: judge, Timeout: time.Duration(now.WebhookTimeoutMS) * time.Millisecond}
	s.policies[key] = p
	return p, nil
}

// judge reads the answer of a webhook: anything but a 2xx is tried again.
func judge(status int) hook.Verdict {
	if status >= 200 && status < 300 {
		return hook.Delivered
	}
	return hook.Retry
}
