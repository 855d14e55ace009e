package ses

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"postyard/internal/sandbox/store"
)

// newRandom returns a source that repeats itself for a seed, and does not for seed 0: ids must differ from those of before a restart.
func newRandom(seed uint64) rand.Source {
	if seed == 0 {
		return rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return rand.NewPCG(seed, 4)
}

// goOn keeps a seeded simulator from giving ids again that it gave before a restart.
func (s *Simulator) goOn(mails []*store.Mail) {
	if n := len(mails); s.seed != 0 && n > 0 {
		s.random = rand.NewPCG(s.seed^uint64(n)<<32, 4) // #nosec G404 -- ids to be repeated
	}
}

// newUUID returns a lower-case UUID, version 4. The caller holds mu.
func (s *Simulator) newUUID() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], s.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.random.Uint64())
	return version(id, 4)
}

// newMessageID has the form of SES's own: the region's number, the time, and what is random. The caller holds mu.
func (s *Simulator) newMessageID(now time.Time) string {
	return idOf(now, fmt.Sprintf("%08x", uint32(s.random.Uint64())), s.newUUID())
}

func idOf(at time.Time, short, long string) string {
	return fmt.Sprintf("0100%012x-%s-%s-000000", at.UnixMilli(), short, long[9:])
}

// derived is a UUID that is always the same for the same words: across tries, and across restarts.
func derived(words ...any) string {
	sum := sha256.Sum256(fmt.Appendln(nil, words...))
	var id uuid.UUID
	copy(id[:], sum[:])
	return version(id, 8)
}

func version(id uuid.UUID, v byte) string {
	id[6] = id[6]&0x0f | v<<4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// feedbackID is SES's id of a bounce or a complaint.
func feedbackID(mail *store.Mail, e store.Event) string {
	id := derived("feedback", mail.ID, e.Seq)
	return idOf(e.At, id[:8], id)
}
