package store

import (
	"context"
	"time"

	"postyard/internal/directory"
)

// Domains keeps the domains that sub-accounts have whitelisted, their DKIM keys and when DNS is to be asked about them. The directory
// loads them, but not their private keys.
type Domains interface {
	// CreateDomain stores a domain with its sealed private key (nil: it has none yet) and gives its id; it is due for a check at once. When the account has a
	// domain of this name in another sub-account, it gets that one's key and selector instead: there is one place for it in DNS.
	// ErrConflict: the sub-account has one with this name.
	CreateDomain(ctx context.Context, d *directory.Domain, sealed []byte) error

	// DeleteDomain takes one of the sub-account's domains out of use and forgets its key. What was counted under it stays.
	// ErrNotFound: it has none with this id.
	DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error

	// GiveDomainKey gives a domain that has no key one, as CreateDomain does. ErrNotFound: it has one, or is not in use.
	GiveDomainKey(ctx context.Context, d *directory.Domain, sealed []byte) error

	// DomainKey returns the sealed private key of a domain that is in use. ErrNotFound: it has none.
	DomainKey(ctx context.Context, id int32) (sealed []byte, err error)

	// DueDomains returns at most `most` domains in use, of sub-accounts in use, whose time for a check has come, those that waited
	// longest first.
	DueDomains(ctx context.Context, now time.Time, most int) ([]DueDomain, error)

	// RecordDomainCheck records what DNS said of a domain, and when it is to be asked again. Nothing happens when the domain is not in
	// use any more, or when a check that began later is recorded. changed tells whether the checks differ from what was recorded before; only then does the directory change.
	RecordDomainCheck(ctx context.Context, r DomainCheck) (changed bool, err error)
}

// DueDomain is a domain about which DNS is to be asked.
type DueDomain struct {
	ID    int32
	Tries int // checks in a row since something changed
}

// DomainCheck is the result of a check.
type DomainCheck struct {
	ID     int32
	Checks directory.DomainChecks
	Began  time.Time // when DNS was asked
	Next   time.Time // of the next check
	Tries  int
}
