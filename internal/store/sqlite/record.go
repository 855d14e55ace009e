package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// stamp turns a time into nanoseconds; the zero time is 0.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func unstamp(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// dayOf counts days since 1970-01-01 UTC.
func dayOf(t time.Time) int64 { return floorDiv(t.Unix(), 86400) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// owner is the part of a message that its events and counters repeat.
type owner struct {
	id           mail.ID
	accountID    int32
	subAccountID int32
	poolID       int32
	mailbox      int
	to           string
}

// happening is an event about to be recorded.
type happening struct {
	egress     route.Egress
	typ        event.Type
	effect     store.Effect
	recipient  string
	isCopy     bool
	occurredAt time.Time
	recordedAt time.Time
	detail     []byte // event.Detail as JSON
}

var noDetail = []byte("{}")

func encodeDetail(d *event.Detail) ([]byte, error) {
	if d == nil {
		return noDetail, nil
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode event detail: %w", err)
	}
	return b, nil
}

// record inserts an event and counts it.
func (t *tx) record(o *owner, h happening) error {
	if _, err := t.exec(`INSERT INTO event (account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, is_copy,
			recipient, occurred_at, recorded_at, detail, effect) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		o.accountID, o.subAccountID, o.id[:], o.poolID, int32(h.egress), int(h.typ), o.mailbox, h.isCopy,
		strings.ToLower(h.recipient), stamp(h.occurredAt), stamp(h.recordedAt), h.detail, int(h.effect)); err != nil {
		return err
	}
	t.count(counterKey{o.accountID, dayOf(h.occurredAt), store.Counter{SubAccountID: o.subAccountID, Egress: h.egress, Mailbox: o.mailbox,
		Type: h.typ, Copy: h.isCopy}})
	return nil
}

type counterKey struct {
	accountID int32
	day       int64
	store.Counter
}

// count remembers an event for flush: a batch touches each counter once.
func (t *tx) count(k counterKey) {
	if t.counters == nil {
		t.counters = map[counterKey]int64{}
	}
	t.counters[k]++
}

// flush writes what the transaction counted.
func (t *tx) flush() error {
	for k, n := range t.counters {
		if _, err := t.exec(`INSERT INTO counter (account_id, day, sub_account_id, egress, mailbox, type, is_copy, n)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET n = n + excluded.n`,
			k.accountID, k.day, k.SubAccountID, int32(k.Egress), k.Mailbox, int(k.Type), k.Copy, n); err != nil {
			return err
		}
	}
	return nil
}
