package store

import (
	"context"
	"errors"
	"time"

	"postyard/internal/limit"
)

// Errors of a [Hierarchy].
var (
	ErrCircle      = errors.New("a sub-account cannot stand under itself or under one of its own")
	ErrTooDeep     = errors.New("sub-accounts would stand on too many levels")
	ErrHasChildren = errors.New("other sub-accounts stand under it")
)

// Hierarchy is how the sub-accounts of an account stand under each other, what each may send with those under it, and which are
// blocked. The directory loads it.
type Hierarchy interface {
	// ArrangeSubAccount changes what is given. Two changes never make a circle together, nor more than directory.MaxLevels levels. ErrNotFound:
	// the account has no such sub-account, or no such parent. ErrCircle, ErrTooDeep: nothing is changed.
	ArrangeSubAccount(ctx context.Context, accountID, id int32, a Arrangement) error

	// BlockSubAccount blocks a sub-account; one that is blocked already stays so since then, with the new reason. A zero At unblocks it.
	// ErrNotFound as above.
	BlockSubAccount(ctx context.Context, accountID, id int32, b Block) error

	// SenderPermits returns how many permits of sub-accounts, with those under them, are taken: in the order of spans, see package limit.
	// Those of which none is taken are left out.
	SenderPermits(ctx context.Context, ids []int32, now time.Time, claim time.Duration) (map[int32][]limit.Use, error)
}

// Arrangement is what is to change of the place of a sub-account; nil stays as it is.
type Arrangement struct {
	Parent  *int32 // 0: under none
	PerHour *int   // 0: no limit
	Now     time.Time
}

// Block is why a sub-account is blocked, and since when.
type Block struct {
	At     time.Time
	Reason string
}
