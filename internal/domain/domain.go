// Package domain manages the sender domains that sub-accounts have whitelisted. Mail of the account that comes from one of them is
// counted under its name. Nothing is verified: providers verify the domains that they send for.
//
// The package must not import an engine of the store, nor anything of HTTP.
package domain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("the sub-account has no such domain")
	ErrDuplicate = errors.New("the sub-account has this domain already")
)

// Service manages domains. It is safe for concurrent use.
type Service struct {
	dir   *directory.Directory
	store store.Domains
	now   func() time.Time
}

// New returns a Service. now is the clock.
func New(dir *directory.Directory, st store.Domains, now func() time.Time) *Service {
	return &Service{dir: dir, store: st, now: now}
}

// ParseName checks a domain name and returns it in lower-case ASCII. It fails with a *mail.FieldError.
func ParseName(name string) (string, error) {
	address, err := mail.ParseEmail("postmaster@" + strings.TrimSpace(name))
	if err != nil || strings.Contains(name, "@") {
		return "", mail.Invalid("invalid_domain", "name", "this is not a domain name, such as example.com")
	}
	return mail.Domain(address), nil
}

// Create whitelists a domain. It fails with a *mail.FieldError or ErrDuplicate.
func (s *Service) Create(ctx context.Context, sub *directory.SubAccount, name string) (*directory.Domain, error) {
	name, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	d := &directory.Domain{AccountID: sub.AccountID, SubAccountID: sub.ID, Name: name, Created: s.now().UTC()}
	if err := s.store.CreateDomain(ctx, d); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return nil, ErrDuplicate
		}
		return nil, fmt.Errorf("create domain %q: %w", name, err)
	}
	return d, s.dir.Reload(ctx)
}

// Domain returns one of the sub-account's domains, or ErrNotFound.
func (s *Service) Domain(sub *directory.SubAccount, id int32) (*directory.Domain, error) {
	if d := s.dir.Current().Domain(sub.ID, id); d != nil {
		return d, nil
	}
	return nil, ErrNotFound
}

// Domains returns the sub-account's domains, in the order of ids, whose name contains search in any case.
func (s *Service) Domains(sub *directory.SubAccount, search string) []*directory.Domain {
	search = strings.ToLower(search)
	return slices.DeleteFunc(s.dir.Current().Domains(sub.ID), func(d *directory.Domain) bool { return !strings.Contains(d.Name, search) })
}

// Delete takes a domain out of use and returns what it was. What was counted under it stays. It fails with ErrNotFound.
func (s *Service) Delete(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error) {
	d, err := s.Domain(sub, id)
	if err != nil {
		return nil, err
	}
	if err := s.store.DeleteDomain(ctx, sub.ID, id, s.now().UTC()); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("delete domain %d: %w", id, err)
	}
	return d, s.dir.Reload(ctx)
}
