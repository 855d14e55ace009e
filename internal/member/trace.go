package member

import (
	"context"
	"errors"
	"net/http"

	"postyard/internal/audit"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Audit keeps who signed in and out; an *audit.Log does.
type Audit interface {
	Begin(ctx context.Context, e store.AuditEntry) (*audit.Pending, error)
	Note(e store.AuditEntry, status int)
}

// What the audit log calls it.
const (
	tracedSetUp      = "set the dashboard up"
	tracedSignIn     = "sign in to the dashboard"
	tracedSignOut    = "sign out"
	tracedSignOuts   = "end the other sessions"
	tracedJoin       = "join with an invitation"
	tracedPassword   = "change the password"
	noInvitation     = "(an invitation that is not good)"
	statusDone       = http.StatusOK
	statusDoneSilent = http.StatusNoContent
)

// trace writes to the audit log that a member does something; end completes it. Unless it succeeds, it must not be done.
func (s *Service) trace(ctx context.Context, r *http.Request, m *store.Member, operation string, done int) (end func(error), err error) {
	return s.traceAs(ctx, r, m.AccountID, audit.MemberActor(m), m.Email, operation, done)
}

func (s *Service) traceAs(ctx context.Context, r *http.Request, accountID int32, who store.Actor, target, operation string, done int) (end func(error), err error) {
	if s.Audit == nil {
		return func(error) {}, nil
	}
	pending, err := s.Audit.Begin(ctx, s.entry(r, accountID, who, target, operation))
	if err != nil {
		return nil, err
	}
	return func(err error) { pending.End(ctx, statusOf(err, done)) }, nil
}

func (s *Service) entry(r *http.Request, accountID int32, who store.Actor, target, operation string) store.AuditEntry {
	return store.AuditEntry{AccountID: accountID, Actor: who, Address: s.addressOf(r), Method: r.Method, Path: audit.PathOf(r), Operation: operation, Target: target}
}

// refused notes that somebody did not prove to be who they say. It is told to the account of the member with that email; the email's limit bounds how
// often. Where nobody has the email, the invitation or the key, it is told to the account if the server has one only, and else to the program's log.
// That, and that a limit was reached, is told as often as a budget allows: so nobody fills the audit log.
func (s *Service) refused(r *http.Request, m *store.Member, target, operation string, err error) {
	if s.Audit == nil {
		return
	}
	accountID := m.AccountID
	if _, limited := errors.AsType[*TriesError](err); (limited || accountID == 0) && s.limits.unproven.take("", s.Now()) > 0 {
		return
	}
	if accountID == 0 && s.Alone != nil {
		accountID = s.Alone()
	}
	s.Audit.Note(s.entry(r, accountID, store.Actor{Kind: store.BySystem, Name: target}, target, operation), statusOf(err, statusDone))
}

// take counts an attempt, or refuses it with a *TriesError. That is noted for whoever has the email, "" being nobody, once in a while for each address and
// each email that is limited.
func (s *Service) take(ctx context.Context, r *http.Request, email, target, operation string) (back func(), err error) {
	back, err = s.limits.take(s.source(r), email, s.Now())
	limited, ok := errors.AsType[*TriesError](err)
	if !ok || s.Audit == nil || s.limits.told.take(limited.of, s.Now()) > 0 {
		return back, err
	}
	m := &store.Member{}
	if email != "" {
		if known, err := s.Store.MemberByEmail(ctx, email); err == nil { // or else it is told as nobody's
			m = known
		}
	}
	s.refused(r, m, target, operation, err)
	return nil, err
}

// said is what somebody typed as an email, as the audit log may have it.
func said(email string) string {
	parsed, err := ParseEmail(email)
	if err != nil {
		return "(not an email)" // it may be a password, in the wrong field
	}
	return parsed
}

// statusOf is what an answer will have. done is that of success.
func statusOf(err error, done int) int {
	if err == nil {
		return done
	}
	if errors.Is(err, ErrCredentials) && done == statusDoneSilent { // the current password, of somebody who is signed in
		return http.StatusUnprocessableEntity
	}
	if r, ok := RefusalOf(err); ok {
		return r.Status
	}
	if _, ok := errors.AsType[*mail.FieldError](err); ok {
		return http.StatusUnprocessableEntity
	}
	if errors.Is(err, store.ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
