package accept

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// Errors of a call under a key.
var (
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	ErrKeyInUse  = errors.New("a request with this idempotency key is being worked on")
)

// Once is a call that its client may repeat under a key of its own.
type Once struct {
	Key    string                                 // one of the sub-account's
	Hash   [sha256.Size]byte                      // of the call: another one under the same key is refused
	Answer func(results []Result) ([]byte, error) // encodes what is answered, which is kept
}

// AcceptOnce is Accept for a call that may have been made before: it returns what was answered then, and tells that it did. Of a call that is
// refused nothing is kept. The answer is durable together with the messages. Further errors are ErrKeyReused and ErrKeyInUse.
func (s *Service) AcceptOnce(ctx context.Context, sub *directory.SubAccount, once Once, requests ...*Request) (answer []byte, again bool, err error) {
	key := callKey{sub.ID, once.Key}
	if !s.running.begin(key) {
		return nil, false, ErrKeyInUse
	}
	defer s.running.end(key)
	const tries = 2 // after the first one the key is kept, unless its time ends just then
	for try := 1; ; try++ {
		kept, err := s.Store.KeptAnswer(ctx, sub.ID, once.Key, s.Now())
		switch {
		case err != nil:
			return nil, false, err
		case kept != nil && kept.Hash != once.Hash:
			return nil, false, ErrKeyReused
		case kept != nil:
			return kept.Answer, true, nil
		}
		_, answer, err = s.accept(ctx, sub, requests, &once)
		switch {
		case !errors.Is(err, store.ErrKeyTaken):
			return answer, false, err
		case try == tries:
			return nil, false, ErrKeyInUse
		}
		// Another node has it, or an earlier call whose client did not wait for the commit.
	}
}

// callKey is a key of a sub-account.
type callKey struct {
	subAccountID int32
	key          string
}

// running are the calls under a key that are being worked on in this process. The store decides between processes.
type running struct {
	mu   sync.Mutex
	keys map[callKey]struct{}
}

// begin returns false while a call with the same key is being worked on.
func (r *running) begin(key callKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.keys[key]; taken {
		return false
	}
	if r.keys == nil {
		r.keys = map[callKey]struct{}{}
	}
	r.keys[key] = struct{}{}
	return true
}

func (r *running) end(key callKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, key)
}
