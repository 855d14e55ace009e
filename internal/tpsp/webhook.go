package tpsp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// giveUp is after how many refusals for good (a token that was revoked, say) a deleted TPSP's webhook is left where it is:
// about an hour and a half. A provider that cannot be reached is asked without end.
const giveUp = 15

// maxReason is the most bytes of an error that a Webhook keeps.
const maxReason = provider.MaxText

// checkEvery is how often a webhook that stands is looked at, give or take a tenth.
const checkEvery = time.Hour

// register puts the TPSP's webhook at the provider, or checks it there, and records what came of it. The caller holds the
// TPSP. When ctx is cancelled nothing is recorded: the step is still to be done, and doing it twice is harmless.
func (s *Service) register(ctx context.Context, t *directory.TPSP) {
	callCtx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	owed, kept := true, ""
	ref, changed, err := s.callRegister(callCtx, t, func() error {
		if owed = s.owe(ctx, t.ID, lostSince(t, true, nil)); !owed {
			return errors.New("that events may be lost could not be recorded")
		}
		return nil
	}, func(ref string) error { kept = ref; return s.keep(ctx, t, ref) })
	if err != nil && ctx.Err() != nil || !owed {
		return
	}
	w, stood, known := t.Webhook, t.Webhook.State == directory.WebhookRegistered, s.busy.of(t.ID)
	if err != nil && stood && unreached(err) {
		// Most likely the webhook stands as it did.
		known.tries++
		known.nextCheck = s.later(known.tries)
		s.busy.learn(t.ID, known)
		s.Log.WarnContext(ctx, "webhook not checked", "tpsp", t.ID, "next", known.nextCheck, "error", s.reason(t, err))
		return
	}
	lost := earlier(known.lost, lostSince(t, changed, err))
	w.Ref = cmp.Or(ref, kept, w.Ref) // also beside an error: saved, but out of order
	if w.Server == "" && !unreached(err) {
		w.Server = s.serverOf(callCtx, t)
	}
	if err != nil {
		failed(&w, ref, err)
		w.Error = s.reason(t, err)
		w.Tries++
		w.NextTry = s.later(w.Tries)
		s.Log.WarnContext(ctx, "webhook registration failed", "tpsp", t.ID, "tries", w.Tries, "next", w.NextTry, "error", w.Error)
	} else {
		w.State, w.Error, w.Tries, w.NextTry, w.Probes, w.Paused = directory.WebhookRegistered, "", 0, s.nextCheck(), nil, nil
		switch {
		case stood && changed:
			s.Log.WarnContext(ctx, "webhook was missing or not as it should be, and is put right", "tpsp", t.ID, "url", s.HookURL(t))
		case !stood:
			s.Log.InfoContext(ctx, "webhook registered", "tpsp", t.ID, "url", s.HookURL(t))
		}
	}
	s.busy.learn(t.ID, knowledge{confirmed: err == nil, lost: lost})
	if s.owe(ctx, t.ID, lost) {
		s.record(ctx, t.ID, w)
	}
}

// failed gives a webhook the state that it has after a registration or check that failed. ref is the provider's id of one that is there
// nevertheless.
func failed(w *directory.Webhook, ref string, err error) {
	refused, _ := errors.AsType[*provider.SetupError](err)
	switch {
	case unreached(err) && (w.State == directory.WebhookUnverified || w.State == directory.WebhookPaused):
		return // most likely it is as it was
	case refused != nil && ref != "" && refused.Code == provider.CodeHookUnverified:
		w.State = directory.WebhookUnverified
	case refused != nil && ref != "" && refused.Code == provider.CodeHookPaused:
		w.State = directory.WebhookPaused
	default:
		w.State = directory.WebhookFailed
	}
	w.Probes, w.Paused = nil, nil
	if refused != nil {
		w.Probes, w.Paused = refused.Probes, refused.Paused
	}
}

// serverOf asks for the provider's id of the account of a TPSP that was connected when nobody asked for it; "" when that fails.
func (s *Service) serverOf(ctx context.Context, t *directory.TPSP) string {
	conn, err := s.Connection(t)
	if err != nil {
		return ""
	}
	server, err := s.identify(ctx, t.Type, conn)
	if err != nil {
		s.Log.InfoContext(ctx, "the provider's id of the account is not known", "tpsp", t.ID, "error", s.reason(t, err))
	}
	return server
}

// nextCheck is when a webhook that stands now is checked again.
func (s *Service) nextCheck() time.Time {
	return s.Now().UTC().Add(time.Duration(float64(checkEvery) * (0.9 + 0.2*s.Jitter())))
}

// lostSince returns since when events may have gone unheard, as a registration or check shows; zero when none have.
func lostSince(t *directory.TPSP, changed bool, err error) time.Time {
	w := t.Webhook
	switch stood := w.State == directory.WebhookRegistered; {
	case stood && (changed || err != nil):
		if w.NextTry.IsZero() { // nobody recorded when it was seen last
			return t.Created
		}
		lastSeen := w.NextTry.Add(-checkEvery - checkEvery/10)
		return lastSeen.Add(-provider.WebhookRetries) // those that the provider was about to repeat may have ended with it
	case !stood && (err != nil || w.Tries > 0) && t.CatchUp.IsZero():
		return t.Created // it has never stood: what was set when it did not stand any more stays until it does
	}
	return time.Time{}
}

// owe has the TPSP caught up with. It returns false when that cannot be stored: then nothing else is to be, and the step is
// done again.
func (s *Service) owe(ctx context.Context, id int32, from time.Time) bool {
	if from.IsZero() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.Store.CatchUpFrom(ctx, id, from); err != nil {
		s.Log.ErrorContext(ctx, "lost events not recorded", "tpsp", id, "error", err)
		return false
	}
	return true
}

// unreached tells whether a step failed because the provider gave no answer of its own: that says nothing of the webhook.
func unreached(err error) bool {
	refused, ok := errors.AsType[*provider.SetupError](err)
	return ok && (refused.Code == provider.CodeUnreachable || refused.Code == provider.CodeUnavailable)
}

// keep records the ref of a webhook that the provider is about to call, for all nodes.
func (s *Service) keep(ctx context.Context, t *directory.TPSP, ref string) error {
	w := t.Webhook
	w.Ref = ref
	if err := s.Store.UpdateWebhook(ctx, t.ID, w); err != nil {
		return fmt.Errorf("record the webhook: %w", err)
	}
	return s.Directory.Reload(ctx)
}

// callRegister calls broken before anything is put right at the provider, and keep before it calls us.
func (s *Service) callRegister(ctx context.Context, t *directory.TPSP, broken func() error, keep func(string) error) (ref string, changed bool, err error) {
	conn, hook, err := s.reach(t)
	if err != nil {
		return "", false, err
	}
	hook.Broken, hook.Keep = broken, keep
	for i := range t.Past {
		if p := &t.Past[i]; p.Removed.IsZero() && p.Ref != "" {
			hook.Before = append(hook.Before, p.Ref)
		}
	}
	ref, changed, err = s.Adapters[t.Type].Register(ctx, conn, hook)
	return ref, changed, refusal(ctx, err)
}

// remove takes a deleted TPSP's webhook from the provider and records what came of it. The caller holds the TPSP in busy.
// When ctx is cancelled nothing is recorded.
func (s *Service) remove(ctx context.Context, t *directory.TPSP) {
	w := t.Webhook
	err := s.callUnregister(ctx, t)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return
	case err == nil:
		// Its credentials stay, and so does the ref, which may hold what proves signatures: the last events are on the way.
		w.State, w.Error, w.Tries, w.NextTry = "", "", 0, time.Time{}
		s.Log.InfoContext(ctx, "webhook removed", "tpsp", t.ID)
	case w.Tries+1 >= giveUp && forGood(err):
		w.State, w.Error, w.NextTry = "", s.reason(t, err), time.Time{}
		s.Log.WarnContext(ctx, "webhook of a deleted provider is left where it is", "tpsp", t.ID, "ref", w.Ref, "error", w.Error)
	default:
		w.Error = s.reason(t, err)
		w.Tries++
		w.NextTry = s.later(w.Tries)
		s.Log.WarnContext(ctx, "webhook removal failed", "tpsp", t.ID, "tries", w.Tries, "next", w.NextTry, "error", w.Error)
	}
	s.record(ctx, t.ID, w)
}

func (s *Service) callUnregister(ctx context.Context, t *directory.TPSP) error {
	conn, hook, err := s.reach(t)
	if err != nil {
		return err
	}
	return refusal(ctx, s.Adapters[t.Type].Unregister(ctx, conn, hook))
}

func (s *Service) reach(t *directory.TPSP) (provider.Connection, provider.Hook, error) {
	if s.Adapters[t.Type] == nil {
		return provider.Connection{}, provider.Hook{}, errors.New("this version has no adapter for the provider's type")
	}
	conn, err := s.Connection(t)
	if err != nil {
		return provider.Connection{}, provider.Hook{}, err
	}
	hook, err := s.Hook(t)
	return conn, hook, err
}

// record keeps the registration's state. When the store is away the old state stays, and with it what is to be done: the
// Registrar does the step again, which is harmless.
func (s *Service) record(ctx context.Context, id int32, w directory.Webhook) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := s.Store.UpdateWebhook(ctx, id, w)
	if known := s.busy.of(id); err == nil && !known.lost.IsZero() {
		// Once more: a catch-up that ended in between did not see that the webhook changed, and took the debt as paid.
		if err = s.Store.CatchUpFrom(ctx, id, known.lost); err == nil {
			known.lost = time.Time{}
			s.busy.learn(id, known)
		}
	}
	if err == nil {
		err = s.Directory.Reload(ctx)
	}
	if err != nil {
		s.Log.ErrorContext(ctx, "webhook state not recorded", "tpsp", id, "error", err)
	}
}

// reason is what a user is told of a failed step.
func (s *Service) reason(t *directory.TPSP, err error) string {
	text := err.Error()
	if refused, ok := errors.AsType[*provider.SetupError](err); ok {
		text = refused.Message
	}
	if conn, err := s.Connection(t); err == nil && !conn.Key.IsZero() {
		text = strings.ReplaceAll(text, conn.Key.Reveal(), conn.Key.String())
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return text
}

// forGood tells whether the provider refused in a way that time does not heal.
func forGood(err error) bool {
	refused, ok := errors.AsType[*provider.SetupError](err)
	return ok && !refused.Retry
}
