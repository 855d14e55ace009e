package postmark

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/google/uuid"

	"postyard/internal/sandbox/store"
)

// newRandom returns a source that repeats itself for a seed, and does not for seed 0: ids must differ from those of before a
// restart.
func newRandom(seed uint64) rand.Source {
	if seed == 0 {
		return rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return rand.NewPCG(seed, 1)
}

// goOn keeps a seeded simulator from giving ids again that it gave before a restart: what follows is repeatable for what there is.
func (s *Simulator) goOn(mails []*store.Mail) {
	if s.seed == 0 || len(mails) == 0 {
		return
	}
	events := 0
	for _, mail := range mails {
		events += len(s.store.Events(mail))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random = rand.NewPCG(s.seed^uint64(len(mails))<<32, uint64(events)<<8|1) // #nosec G404 -- ids to be repeated
}

// newMessageID returns a lower-case UUID, version 4. The caller holds mu.
func (s *Simulator) newMessageID() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], s.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.random.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// newBounceID returns a number that needs all of an int64: beyond what a float64 holds exactly. The caller holds mu.
func (s *Simulator) newBounceID() int64 {
	return int64(1<<62 | s.random.Uint64()>>2)
}

// traceID is the same for every try of one event at one webhook, across restarts too, and differs between any two of them.
func traceID(messageID string, event int64, webhook int) string {
	sum := sha256.New()
	_, _ = sum.Write([]byte(messageID)) // a hash never fails
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:8], uint64(event))
	binary.BigEndian.PutUint64(numbers[8:], uint64(webhook))
	_, _ = sum.Write(numbers[:])
	var id uuid.UUID
	copy(id[:], sum.Sum(nil))
	id[6] = id[6]&0x0f | 0x80 // version 8: made by us
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
