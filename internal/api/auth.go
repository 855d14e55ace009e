package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/member"
	"postyard/internal/store"
)

// handler is an operation without a key; accountHandler and subAccountHandler know whose key the request has.
type (
	handler           func(w http.ResponseWriter, r *http.Request) error
	accountHandler    func(w http.ResponseWriter, r *http.Request, a *directory.Account) error
	subAccountHandler func(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error
)

func (s *server) forAnyone(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *server) forAccount(h accountHandler) http.HandlerFunc {
	return s.forAnyone(forOwner(s, accountKey, Accounts.AuthenticateAccount, func(a *directory.Account) int32 { return a.ID }, s.accountOf, h))
}

func (s *server) forSubAccount(h subAccountHandler) http.HandlerFunc {
	return s.forAnyone(s.authenticated(h))
}

func (s *server) authenticated(h subAccountHandler) handler {
	return forOwner(s, subAccountKey, Accounts.AuthenticateSubAccount, func(a *directory.SubAccount) int32 { return a.ID }, s.subAccountOf, h)
}

// forOwner lets an operation in on whose key the header holds, and tells it whose that is. Without any key, a session does as well; of tells
// whom it is used for.
func forOwner[Owner any](s *server, header auth, find func(a Accounts, key string) *Owner, id func(o *Owner) int32,
	of func(r *http.Request, m *store.Member) (*Owner, error), h func(w http.ResponseWriter, r *http.Request, o *Owner) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if x := exchangeOf(r.Context()); x != nil && x.owner != nil {
			if owner, ok := x.owner.(*Owner); ok {
				return h(w, r, owner)
			}
			return fmt.Errorf("%s is not for %T", r.URL.Path, x.owner)
		}
		key := apiKey(r, header)
		if key == "" && s.hasSession(r) {
			m, err := s.admitMember(r)
			if err != nil {
				return err
			}
			owner, err := of(r, m)
			if err != nil {
				return err
			}
			return audited(s, w, r, owner, h)
		}
		owner := find(s.Accounts, key)
		switch {
		case owner != nil:
			if err := s.throttle.admit(keyOwner{header, id(owner)}); err != nil {
				return err
			}
		case key == "" || s.ofOtherKind(key, header):
			return s.refuseKey(r, key, header)
		default:
			if err := s.throttle.wrongKey(s.Proxies.Of(r), header); err != nil {
				return err
			}
		}
		if owner == nil || header == accountKey {
			// Another node may have made the key; whoever looks at the configuration sees what the others did to it.
			if err := s.Directory.Refresh(r.Context()); err != nil {
				return err
			}
			owner = find(s.Accounts, key)
		}
		if owner == nil {
			return s.refuseKey(r, key, header)
		}
		return audited(s, w, r, owner, h)
	}
}

// stillLetIn tells whether a request that was let in, and is still being answered, would be let in again. A session is in use meanwhile. An
// error says that it is not known.
func (s *server) stillLetIn(r *http.Request) (bool, error) {
	x := exchangeOf(r.Context())
	if x == nil || x.operation == nil {
		return false, nil
	}
	if err := s.Directory.Refresh(r.Context()); err != nil {
		return false, fmt.Errorf("look whether the key or session still holds: %w", err)
	}
	if x.session != nil {
		now, err := s.Members.OfRequest(r)
		switch {
		case errors.Is(err, member.ErrSignedOut):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("look whether the session still holds: %w", err)
		}
		return now.Member.ID == x.session.Member.ID && now.Member.Role >= x.operation.needed(), nil
	}
	switch x.operation.Auth {
	case accountKey:
		return s.Accounts.AuthenticateAccount(apiKey(r, accountKey)) != nil, nil
	case subAccountKey:
		return s.Accounts.AuthenticateSubAccount(apiKey(r, subAccountKey)) != nil, nil
	}
	return true, nil
}

// ofOtherKind tells whether a key is that of a sub-account where an account's is wanted, or the other way round.
func (s *server) ofOtherKind(key string, want auth) bool {
	if want == subAccountKey {
		return s.Accounts.AuthenticateAccount(key) != nil
	}
	return s.Accounts.AuthenticateSubAccount(key) != nil
}

// canonical are the names of the headers as net/http has them.
var canonical = map[auth]string{
	accountKey: http.CanonicalHeaderKey(string(accountKey)), subAccountKey: http.CanonicalHeaderKey(string(subAccountKey)),
}

func apiKey(r *http.Request, header auth) string {
	return strings.TrimSpace(r.Header.Get(canonical[header]))
}

// refuseKey says what is wrong with a request's key (API-3). It tells a key of the other kind only to someone who has it.
func (s *server) refuseKey(r *http.Request, key string, want auth) *problem {
	owner, other, otherOwner := "an account", subAccountKey, "a sub-account"
	if want == subAccountKey {
		owner, other, otherOwner = "a sub-account", accountKey, "an account"
	}
	p := &problem{status: http.StatusUnauthorized, Field: string(want)}
	switch {
	case key == "" && apiKey(r, other) != "":
		p.Code = "missing_api_key"
		p.Message = "this operation needs the key of " + owner + " in the header " + string(want) + "; the request has " +
			string(other) + " only"
	case key == "":
		p.Code = "missing_api_key"
		p.Message = "the header " + string(want) + " is missing; it carries the API key of " + owner
	case s.ofOtherKind(key, want):
		p.Code = "wrong_kind_of_api_key"
		p.Message = "the key in " + string(want) + " is the key of " + otherOwner + "; this operation needs that of " + owner
	default:
		p.Code = "invalid_api_key"
		p.Message = "the key in " + string(want) + " is not the API key of " + owner
	}
	return p
}
