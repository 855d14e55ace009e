package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postyard/internal/directory"
)

// Hooks keeps the connections that TPSPs had, with the webhooks that stood there.
type Hooks interface {
	// MoveTPSP changes a TPSP in use as UpdateTPSP does, and how its provider is reached: domain, endpoint, port, key, secret, stream,
	// and the webhook with its credentials. What was learnt of the old connection ends: a stop, refused senders, and the templates are to
	// be read anew. past is the connection that it had, which is kept and gets its id; nil when it is the same account and stream, whose
	// webhook stays. With past, the TPSP is to be caught up with from the given time on. ErrNotFound: the account has none with this id;
	// ErrConflict: it has the same key and stream already.
	MoveTPSP(ctx context.Context, t *directory.TPSP, past *directory.PastHook, catchUp time.Time) error

	// UpdatePastHook records what became of the webhook of a past connection: from Removed on.
	UpdatePastHook(ctx context.Context, p *directory.PastHook) error
}

// KeepPast is how long a past connection is known at least: as long as a provider can tell what happened there.
const KeepPast = 45 * 24 * time.Hour

// EmptyPoolsError refuses to delete a TPSP that is the only member of IP pools. It is ErrConflict to errors.Is.
type EmptyPoolsError struct {
	Pools []string // by name
}

// Error implements error.
func (e *EmptyPoolsError) Error() string {
	return fmt.Sprintf("the IP pools %s have no other member", strings.Join(e.Pools, ", "))
}

// Unwrap implements errors.Unwrap.
func (*EmptyPoolsError) Unwrap() error { return ErrConflict }
