package store

import (
	"context"

	"postyard/internal/directory"
)

// IPs gives the operator's own IPs to accounts. The directory loads them as TPSPs with negative ids, and what changes a TPSP or deletes
// it does so with them.
type IPs interface {
	// AllocateIPs stores IPs, all or none, and gives them their ids. ErrConflict: one of the addresses is in use, by whichever account.
	AllocateIPs(ctx context.Context, list []*directory.TPSP) error
}
