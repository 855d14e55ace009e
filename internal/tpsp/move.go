package tpsp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// draft is a TPSP as it is to be after a change.
type draft struct {
	was  *directory.TPSP
	tpsp directory.TPSP // with what is not of the connection
	from provider.Connection
	conn provider.Connection // as it is to be
}

// moves tells whether the change is one of the connection.
func (d *draft) moves() bool { return !same(&d.conn, &d.from) }

// same tells whether two connections of a TPSP are one.
func same(a, b *provider.Connection) bool {
	return a.Domain == b.Domain && a.Endpoint == b.Endpoint && a.Port == b.Port && a.Stream == b.Stream &&
		secret.Equal(a.Key.Reveal(), b.Key.Reveal()) && secret.Equal(a.Secret.Reveal(), b.Secret.Reveal())
}

// draft lays a change over a TPSP as it is stored now, and judges it by itself.
func (s *Service) draft(ctx context.Context, accountID, id int32, change Change) (*draft, error) {
	if err := s.Directory.Refresh(ctx); err != nil { // another node may have changed it
		return nil, err
	}
	known, err := s.TPSP(accountID, id)
	if err != nil {
		return nil, err
	}
	d := &draft{was: known, tpsp: *known}
	d.tpsp.Limits = known.Limits.Clone()
	if d.from, err = s.Connection(known); err != nil {
		return nil, err
	}
	d.conn = d.from
	if err := change(&d.tpsp, &d.conn); err != nil {
		return nil, err
	}
	n := New{Name: d.tpsp.Name, Type: known.Type, Limits: d.tpsp.Limits, AllowRaw: d.tpsp.AllowRaw, Key: d.conn.Key, Secret: d.conn.Secret, Domain: d.conn.Domain,
		Stream: d.conn.Stream, Endpoint: d.conn.Endpoint, Port: d.conn.Port}
	if !d.moves() { // what was good once need not be by today's rules
		err = s.checkSettings(&n)
	} else {
		err = s.check(&n)
	}
	if err != nil {
		return nil, err
	}
	d.tpsp.Name, d.tpsp.Limits = n.Name, n.Limits
	if s.unused(&d.from, &d.conn, &n) {
		return nil, mail.Invalid("unused_secret", "secret", "%s has no use for this secret; a new key goes into key", s.Adapters[known.Type].Profile().Title)
	}
	if d.moves() {
		d.conn = n.connection()
		d.conn.AccountID, d.conn.TPSPID = accountID, id
		same := d.conn
		same.Key = d.from.Key
		if s.identity(known.Type, same) == s.identity(known.Type, d.conn) {
			d.conn.Key = d.from.Key // to the provider it is the same
		}
	}
	return d, nil
}

// unused tells whether nothing came of a secret that was given, as the adapter made no key of it. Providers that take none at all are not
// meant: the clients of SendPost give all fields.
func (s *Service) unused(from, given *provider.Connection, n *New) bool {
	_, judged := s.Adapters[n.Type].(provider.Normalizer)
	word := strings.TrimSpace(given.Secret.Reveal())
	return judged && word != "" && n.Secret.IsZero() && secret.Equal(n.Key.Reveal(), from.Key.Reveal()) && !secret.Equal(word, n.Key.Reveal())
}

// move changes how a TPSP's provider is reached, after the provider has agreed. First the new credentials are durable and known, because
// the provider calls our URL while it registers the webhook; then that is registered, and after it the old one removed. What fails of that
// the Registrar does later.
func (s *Service) move(ctx context.Context, accountID, id int32, change Change) (*directory.TPSP, error) {
	if err := s.take(ctx, id); err != nil {
		return nil, err
	}
	defer s.hint()
	defer s.end(ctx, id)
	d, err := s.draft(ctx, accountID, id, change)
	if err != nil {
		return nil, err
	}
	server, err := s.admit(ctx, d.was.Type, d.conn)
	if err != nil {
		return nil, err
	}
	stays := s.stays(ctx, d, server)
	if !s.holds(ctx, id) {
		return nil, ErrBusy // it took so long that another node may be at it
	}
	past, err := s.commit(ctx, d, change, server, stays)
	if err != nil {
		return nil, err
	}
	s.busy.learn(id, knowledge{})
	t, err := s.TPSP(accountID, id)
	if err != nil || s.silent(d.was.Type) {
		return t, err
	}
	lasting := context.WithoutCancel(ctx) // a client that hangs up does not end it
	if !t.Mute() {
		s.register(lasting, t)
	}
	if t, err = s.TPSP(accountID, id); err != nil {
		return nil, err
	}
	if past != nil && replaced(t) && s.holds(ctx, id) {
		removing, cancel := context.WithTimeout(lasting, removeTimeout)
		defer cancel()
		s.removePast(removing, t, *past)
	}
	return s.TPSP(accountID, id)
}

// stays tells whether the webhook stays as it is: the provider has the same account and stream behind the new key.
func (s *Service) stays(ctx context.Context, d *draft, server string) bool {
	if s.silent(d.was.Type) {
		return true // there is none
	}
	if d.conn.Stream != d.from.Stream || d.conn.Endpoint != d.from.Endpoint || server == "" {
		return false
	}
	known := d.was.Webhook.Server
	if known == "" { // it was connected by an older version
		ctx, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		var err error
		if known, err = s.identify(ctx, d.was.Type, d.from); err != nil {
			s.Log.InfoContext(ctx, "the old key opens nothing; the webhook moves", "tpsp", d.was.ID, "error", s.reason(d.was, err))
		}
	}
	return known == server
}

// commit makes a move durable and known. It begins from what is stored now, as other changes may have been made meanwhile.
func (s *Service) commit(ctx context.Context, agreed *draft, change Change, server string, stays bool) (*directory.PastHook, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	d, err := s.draft(ctx, agreed.was.AccountID, agreed.was.ID, change)
	if err != nil {
		return nil, err
	}
	if !same(&d.conn, &agreed.conn) || !same(&d.from, &agreed.from) {
		return nil, ErrBusy
	}
	now := s.Now().UTC()
	t, w := &d.tpsp, &d.tpsp.Webhook
	var past *directory.PastHook
	if stays {
		w.Server = server
		if w.State != directory.WebhookRegistered {
			w.NextTry = now
		}
	} else {
		past = pastOf(d.was, now)
		*w = s.freshHook(now, server, s.trial(t.Type, d.conn))
	}
	t.Domain, t.Endpoint, t.Port, t.Stream = d.conn.Domain, d.conn.Endpoint, d.conn.Port, d.conn.Stream
	t.KeyHash = s.identity(t.Type, d.conn)
	t.SealedKey, t.Secret = s.Box.Seal(keyPurpose, []byte(d.conn.Key.Reveal())), nil
	if !d.conn.Secret.IsZero() {
		t.Secret = s.Box.Seal(secretPurpose, []byte(d.conn.Secret.Reveal()))
	}
	switch err := s.Store.MoveTPSP(ctx, t, past, now.Add(-provider.WebhookRetries)); {
	case errors.Is(err, store.ErrConflict):
		return nil, s.duplicate(t.Type, "")
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("change TPSP %d: %w", t.ID, err)
	}
	s.Log.InfoContext(ctx, "provider reached in another way", "tpsp", t.ID, "stream", t.Stream, "webhook stays", stays)
	return past, s.Directory.Reload(ctx)
}

// pastOf is a TPSP's connection at its end. Should we stop before its webhook is removed, the Registrar does that, after it has registered
// the new one.
func pastOf(t *directory.TPSP, now time.Time) *directory.PastHook {
	w := &t.Webhook
	return &directory.PastHook{TPSPID: t.ID, Domain: t.Domain, Endpoint: t.Endpoint, Port: t.Port, SealedKey: t.SealedKey, Secret: t.Secret, Stream: t.Stream,
		Server: w.Server, Ref: w.Ref, Username: w.Username, SealedPassword: w.SealedPassword, Switched: now, NextTry: now.Add(setupTimeout)}
}

// replaced tells whether the webhooks of a TPSP's past connections may go: the one that follows them is at the provider, or none does.
// Until then they report what happens to the mail that went out there, and to the mail that still does.
func replaced(t *directory.TPSP) bool {
	switch t.Webhook.State {
	case directory.WebhookRegistered, directory.WebhookUnverified, "":
		return true
	}
	return !t.Deleted.IsZero()
}

// readAgain is how long after the removal of its webhook a past connection is read back again: when its credentials end, and then for what
// happens late to mail that went out there. Bounces and complaints come within days, and so do nearly all opens and clicks.
var readAgain = [...]time.Duration{provider.WebhookRetries, 24 * time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour}

// nextReading is when a past connection is read back next, zero when it has been for the last time. What was slept through is not made up
// for: each reading goes back to the change.
func nextReading(p *directory.PastHook, now time.Time) time.Time {
	for _, after := range readAgain {
		if at := p.Removed.Add(after); at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// finishPast does what is due of a past connection: removing its webhook or, afterwards, having it caught up with again. The caller holds
// the TPSP.
func (s *Service) finishPast(ctx context.Context, t *directory.TPSP, p directory.PastHook) {
	if p.Removed.IsZero() {
		s.removePast(ctx, t, p)
		return
	}
	p.NextTry = time.Time{} // deleted TPSPs are not caught up with
	if t.Deleted.IsZero() {
		if !s.owe(ctx, t.ID, p.Switched.Add(-provider.WebhookRetries)) {
			return
		}
		p.NextTry = nextReading(&p, s.Now())
	}
	s.recordPast(ctx, p)
}

// removePast takes the webhook of a past connection from the provider, and records what came of it. When ctx is cancelled nothing is
// recorded.
func (s *Service) removePast(ctx context.Context, t *directory.TPSP, p directory.PastHook) {
	was := t.As(&p)
	err := s.callUnregister(ctx, was)
	gone := func() {
		p.Removed = s.Now().UTC()
		p.ValidUntil = p.Removed.Add(cmp.Or(s.Adapters[t.Type].Capabilities().Repeats, provider.WebhookRetries)) // of what it reported until just now
		p.NextTry = nextReading(&p, p.Removed)
	}
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return
	case err == nil:
		gone()
		p.Error, p.Tries = "", 0
		s.Log.InfoContext(ctx, "webhook of a past connection removed", "tpsp", t.ID, "stream", p.Stream)
	case p.Tries+1 >= giveUp && forGood(err):
		gone()
		p.Error = s.reason(was, err)
		s.Log.WarnContext(ctx, "webhook of a past connection is left where it is", "tpsp", t.ID, "ref", p.Ref, "error", p.Error)
	default:
		p.Error = s.reason(was, err)
		p.Tries++
		p.NextTry = s.later(p.Tries)
		s.Log.WarnContext(ctx, "webhook of a past connection not removed", "tpsp", t.ID, "tries", p.Tries, "next", p.NextTry, "error", p.Error)
	}
	s.recordPast(ctx, p)
}

// recordPast keeps what became of a past connection. When the store is away the old state stays, and the step is done again.
func (s *Service) recordPast(ctx context.Context, p directory.PastHook) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := s.Store.UpdatePastHook(ctx, &p)
	if err == nil {
		err = s.Directory.Reload(ctx)
	}
	if err != nil {
		s.Log.ErrorContext(ctx, "state of a past connection not recorded", "tpsp", p.TPSPID, "error", err)
	}
}

// RegisterWebhook registers the webhook of one of the account's TPSPs again: it puts right what somebody changed or removed, and has the
// provider verify it anew. What came of it is in the TPSP's Webhook. It fails with ErrNotFound, ErrNoWebhook or ErrBusy.
func (s *Service) RegisterWebhook(ctx context.Context, accountID, id int32) (*directory.TPSP, error) {
	if err := s.Directory.Refresh(ctx); err != nil {
		return nil, err
	}
	t, err := s.TPSP(accountID, id)
	if err != nil {
		return nil, err
	}
	if s.silent(t.Type) || t.Mute() {
		return nil, ErrNoWebhook
	}
	if !s.begin(ctx, id) {
		return nil, ErrBusy
	}
	defer s.hint()
	defer s.end(ctx, id)
	if t, err = s.TPSP(accountID, id); err != nil { // anew: it may have changed until we held it
		return nil, err
	}
	if t.Mute() {
		return nil, ErrNoWebhook
	}
	s.register(context.WithoutCancel(ctx), t)
	return s.TPSP(accountID, id)
}
