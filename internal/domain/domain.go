// Package domain manages the sender domains that sub-accounts have whitelisted: their DKIM keys, the DNS records that they are to have,
// and what DNS says about these. Mail of the account that comes from one of them is counted under its name, and signed where Postyard
// composes it itself.
//
// A domain's key is used once DNS has it: a signature that nobody can check does harm. Domains of one name in an account have one key,
// for DNS has one place for it. DNS is asked when a domain is made, when users ask for it, and by itself: soon again while something is
// missing, then less often, and once a day when all is well. Where DNS does not answer, what was known stays.
//
// The package must not import an engine of the store, nor anything of HTTP.
package domain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("the sub-account has no such domain")
	ErrDuplicate = errors.New("the sub-account has this domain already")
)

// maxName is the most bytes of a domain's name: those of its records have to fit into DNS, which takes 253.
const maxName = 253 - len(selector+"._domainkey.")

// Resolver asks DNS; *dns.Client does. Errors are as there.
type Resolver interface {
	TXT(ctx context.Context, name string) ([]string, error)
	CNAME(ctx context.Context, name string) (string, error)
}

// Store is what the package needs of the storage contract.
type Store interface {
	store.Domains
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Config is what a Service works with.
type Config struct {
	Directory *directory.Directory
	Store     Store
	Box       *secret.Box
	Resolver  Resolver         // nil: DNS is not asked
	MailHost  string           // our name in DNS, which records of domains point to; "": we have none
	Holder    string           // this run of this node, as the holder of leases
	Now       func() time.Time // the store's clock
	Jitter    func() float64   // uniform in [0,1)
	Log       *slog.Logger
}

// Service manages domains. It is safe for concurrent use.
type Service struct {
	Config
	bits   int           // of keys that are made
	hints  chan struct{} // holds one; wakes Run
	making chan struct{} // one for each key that is being made
	asking chan struct{} // one for each domain that is looked at because a user wants it

	mu      sync.Mutex
	signers map[int32]signer // of domains, by id
}

// New returns a Service. It asks DNS by itself while Run runs.
func New(c Config) *Service {
	return &Service{Config: c, bits: keyBits, hints: make(chan struct{}, 1), making: make(chan struct{}, keysAtOnce), asking: make(chan struct{}, askAtOnce),
		signers: map[int32]signer{}}
}

// PublicHost returns the host of a URL when it is a name that DNS may know, else "".
func PublicHost(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") {
		return ""
	}
	return host
}

// ParseName checks a domain name and returns it in lower-case ASCII. It fails with a *mail.FieldError.
func ParseName(name string) (string, error) {
	address, err := mail.ParseEmail("postmaster@" + strings.TrimSpace(name))
	if err != nil || strings.Contains(name, "@") || len(mail.Domain(address)) > maxName {
		return "", mail.Invalid("invalid_domain", "name", "this is not a domain name, such as example.com")
	}
	return mail.Domain(address), nil
}

// Create whitelists a domain and makes its key. It fails with a *mail.FieldError or ErrDuplicate.
func (s *Service) Create(ctx context.Context, sub *directory.SubAccount, name string) (*directory.Domain, error) {
	name, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	if _, err := s.Named(sub, name); err == nil {
		return nil, ErrDuplicate // before a key is made, which takes long
	}
	d := &directory.Domain{AccountID: sub.AccountID, SubAccountID: sub.ID, Name: name, Created: s.Now().UTC()}
	sealed, err := s.makeKey(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("make a key for domain %q: %w", name, err)
	}
	if err := s.Store.CreateDomain(ctx, d, sealed); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return nil, ErrDuplicate
		}
		return nil, fmt.Errorf("create domain %q: %w", name, err)
	}
	defer s.hint() // when the directory has it
	return d, s.Directory.Reload(ctx)
}

// Domain returns one of the sub-account's domains, or ErrNotFound.
func (s *Service) Domain(sub *directory.SubAccount, id int32) (*directory.Domain, error) {
	if d := s.Directory.Current().Domain(sub.ID, id); d != nil {
		return d, nil
	}
	return nil, ErrNotFound
}

// Named returns the sub-account's domain of a name in any case, or ErrNotFound. It fails with a *mail.FieldError when that is no name.
func (s *Service) Named(sub *directory.SubAccount, name string) (*directory.Domain, error) {
	name, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	for _, d := range s.Directory.Current().Domains(sub.ID) {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, ErrNotFound
}

// Domains returns the sub-account's domains, in the order of ids, whose name contains search in any case.
func (s *Service) Domains(sub *directory.SubAccount, search string) []*directory.Domain {
	search = strings.ToLower(search)
	return slices.DeleteFunc(s.Directory.Current().Domains(sub.ID), func(d *directory.Domain) bool { return !strings.Contains(d.Name, search) })
}

// Delete takes a domain out of use and returns what it was. What was counted under it stays. It fails with ErrNotFound.
func (s *Service) Delete(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error) {
	d, err := s.Domain(sub, id)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteDomain(ctx, sub.ID, id, s.Now().UTC()); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("delete domain %d: %w", id, err)
	}
	return d, s.Directory.Reload(ctx)
}
