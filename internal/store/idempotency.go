package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// KeepAnswers is how long a request is known again by its key.
const KeepAnswers = 24 * time.Hour

// ErrKeyTaken refuses a submission whose key is kept already: by this node, or by another one meanwhile. Nothing of the batch was stored.
var ErrKeyTaken = errors.New("the idempotency key is taken")

// Idempotency keeps the answers to requests that have a key of their own, so that a client may repeat them. Accept writes them, in the
// transaction that stores the messages.
type Idempotency interface {
	// KeptAnswer returns what is kept under a key of a sub-account, nil when nothing is, or was kept for long enough.
	KeptAnswer(ctx context.Context, subAccountID int32, key string, now time.Time) (*KeptAnswer, error)
}

// KeptAnswer is a request with what was answered to it.
type KeptAnswer struct {
	Key    string            // of the sub-account; printable ASCII
	Hash   [sha256.Size]byte // of the request
	Answer []byte            // as whoever accepted it encodes it
}

// Keyed returns the submissions of a batch that have a key, in the order of sub-accounts and keys.
func Keyed(batch []Submission) (list []*Submission) {
	for i := range batch {
		if batch[i].Keep != nil {
			list = append(list, &batch[i])
		}
	}
	slices.SortFunc(list, func(a, b *Submission) int {
		if a.SubAccountID != b.SubAccountID {
			return int(a.SubAccountID) - int(b.SubAccountID)
		}
		return strings.Compare(a.Keep.Key, b.Keep.Key)
	})
	return list
}
