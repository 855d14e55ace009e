package sqlite

import (
	"slices"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// owner is the part of a message that its events and counters repeat.
type owner struct {
	id           mail.ID
	accountID    int32
	subAccountID int32
	poolID       int32
	mailbox      int
	to           string
	labels       []byte // see engine.Labels
	submittedAt  int64
	engaged      store.Engaged
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
	detail     []byte              // event.Detail as JSON
	facets     []engine.FacetValue // of the event itself
}

var eventRows = newInsert(`event (account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, is_copy, recipient, occurred_at, recorded_at,
	detail, effect, marks)`)

// expect makes room for events.
func (t *tx) expect(events int) { t.events = slices.Grow(t.events, events*eventRows.width) }

// record remembers an event for flush, and counts it.
func (t *tx) record(o *owner, h happening) {
	id, day := o.id, engine.Day(h.occurredAt)
	k := counterKey{o.accountID, day, store.Counter{SubAccountID: o.subAccountID, Egress: h.egress, Mailbox: o.mailbox, Type: h.typ, Copy: h.isCopy}}
	marks := t.notice(o, &h, &k)
	t.events = append(t.events, o.accountID, o.subAccountID, id[:], o.poolID, int32(h.egress), int(h.typ), o.mailbox, h.isCopy,
		strings.ToLower(h.recipient), engine.Stamp(h.occurredAt), engine.Stamp(h.recordedAt), h.detail, int(h.effect), int(marks))
	t.count(k)
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

// flush writes what the transaction recorded and counted.
func (t *tx) flush() error {
	if err := t.execAll(eventRows, t.events); err != nil {
		return err
	}
	if err := t.execAll(receiptsByID, t.forgotten); err != nil {
		return err
	}
	if err := t.writeSuppressions(); err != nil {
		return err
	}
	return t.writeCounts()
}
