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
}

// What the audit log calls it.
const (
	tracedSetUp      = "set the dashboard up"
	tracedSignIn     = "sign in to the dashboard"
	tracedSignOut    = "sign out"
	tracedSignOuts   = "end the other sessions"
	tracedJoin       = "join with an invitation"
	tracedPassword   = "change the password"
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
	pending, err := s.Audit.Begin(ctx, store.AuditEntry{AccountID: accountID, Actor: who, Address: s.addressOf(r), Method: r.Method, Path: audit.PathOf(r),
		Operation: operation, Target: target})
	if err != nil {
		return nil, err
	}
	return func(err error) { pending.End(ctx, statusOf(err, done)) }, nil
}

// refused writes down that somebody did not prove to be who they say. Who is nobody is told to the account if there is only one.
func (s *Service) refused(ctx context.Context, r *http.Request, m *store.Member, email, operation string) error {
	if _, err := ParseEmail(email); err != nil {
		email = "(not an email)" // it may be a password, in the wrong field
	}
	accountID, who := m.AccountID, store.Actor{Kind: store.BySystem, Name: email}
	if accountID == 0 && s.Alone != nil {
		accountID = s.Alone()
	}
	if accountID == 0 {
		return nil
	}
	end, err := s.traceAs(ctx, r, accountID, who, email, operation, statusDone)
	if err == nil {
		end(ErrCredentials)
	}
	return err
}

func statusOf(err error, done int) int {
	_, field := errors.AsType[*mail.FieldError](err)
	_, tries := errors.AsType[*TriesError](err)
	switch {
	case err == nil:
		return done
	case tries:
		return http.StatusTooManyRequests
	case errors.Is(err, ErrCredentials) && done == statusDoneSilent: // the current password, of somebody who is signed in
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrSignedOut):
		return http.StatusUnauthorized
	case errors.Is(err, ErrSetUp):
		return http.StatusConflict
	case errors.Is(err, ErrEmailTaken):
		return http.StatusForbidden
	case errors.Is(err, ErrInvitation):
		return http.StatusNotFound
	case errors.Is(err, store.ErrUnavailable):
		return http.StatusServiceUnavailable
	case field:
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}
