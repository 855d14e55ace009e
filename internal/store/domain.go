package store

import (
	"context"
	"time"

	"postyard/internal/directory"
)

// Domains keeps the domains that sub-accounts have whitelisted. The directory loads them.
type Domains interface {
	// CreateDomain stores a domain and gives its id. ErrConflict: the sub-account has one with this name.
	CreateDomain(ctx context.Context, d *directory.Domain) error

	// DeleteDomain takes one of the sub-account's domains out of use. What was counted under it stays. ErrNotFound: it has none
	// with this id.
	DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error
}
