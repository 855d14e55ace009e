package postgres

import (
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

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
	mailbox      int16
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

// journal collects the events of a transaction.
type journal struct {
	events   []recorded
	counters map[counterKey]int64
	firsts   map[counterKey]int64
	facets   map[facetKey]*store.Sum
}

type recorded struct {
	owner
	happening
	marks store.Marks
}

// counterKey is the primary key of a counter.
type counterKey struct {
	accountID    int32
	day          int32
	subAccountID int32
	egress       int32
	mailbox      int16
	typ          int16
	isCopy       bool
}

func compareCounters(a, b counterKey) int {
	return cmp.Or(cmp.Compare(a.accountID, b.accountID), cmp.Compare(a.day, b.day), cmp.Compare(a.subAccountID, b.subAccountID),
		cmp.Compare(a.egress, b.egress), cmp.Compare(a.mailbox, b.mailbox), cmp.Compare(a.typ, b.typ), compareBools(a.isCopy, b.isCopy))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// record notes an event and counts it.
func (j *journal) record(o *owner, h happening) {
	k := counterKey{o.accountID, int32(engine.Day(h.occurredAt)), o.subAccountID, int32(h.egress), o.mailbox, int16(h.typ), h.isCopy}
	marks := j.notice(o, &h, k)
	j.events = append(j.events, recorded{*o, h, marks})
	if j.counters == nil {
		j.counters = map[counterKey]int64{}
	}
	j.counters[k]++
}

// doorKey is the advisory lock of the journal's door.
const doorKey = 0x6a6f75726e616c // "journal" in ASCII

const insertEvents = `INSERT INTO event (account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, effect, is_copy,
		recipient, occurred_at, recorded_at, detail, marks)
	SELECT account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, effect, is_copy, recipient, occurred_at, recorded_at, detail, marks
	FROM unnest($1::int[], $2::int[], $3::uuid[], $4::int[], $5::int[], $6::smallint[], $7::smallint[], $8::smallint[], $9::bool[],
		$10::text[], $11::bigint[], $12::bigint[], $13::bytea[], $14::smallint[]) WITH ORDINALITY
		AS e (account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, effect, is_copy, recipient, occurred_at, recorded_at, detail, marks, place)
	ORDER BY place`

const upsertCounters = `INSERT INTO counter AS c (account_id, day, sub_account_id, egress, mailbox, type, is_copy, n, firsts)
	SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::smallint[], $6::smallint[], $7::bool[], $8::bigint[], $9::bigint[])
	ON CONFLICT (account_id, day, sub_account_id, egress, mailbox, type, is_copy) DO UPDATE SET n = c.n + excluded.n, firsts = c.firsts + excluded.firsts`

// write queues what was recorded, behind the door. The commit has to follow.
func (j *journal) write(t *tx) {
	if len(j.events) == 0 {
		return
	}
	t.exec(`SELECT pg_advisory_xact_lock($1)`, int64(doorKey))
	e := j.events
	t.exec(insertEvents,
		column(e, func(r *recorded) int32 { return r.accountID }),
		column(e, func(r *recorded) int32 { return r.subAccountID }),
		column(e, func(r *recorded) pgtype.UUID { return uuidOf(r.id) }),
		column(e, func(r *recorded) int32 { return r.poolID }),
		column(e, func(r *recorded) int32 { return int32(r.egress) }),
		column(e, func(r *recorded) int16 { return int16(r.typ) }),
		column(e, func(r *recorded) int16 { return r.mailbox }),
		column(e, func(r *recorded) int16 { return int16(r.effect) }),
		column(e, func(r *recorded) bool { return r.isCopy }),
		column(e, func(r *recorded) string { return address(r.recipient) }),
		column(e, func(r *recorded) int64 { return engine.Stamp(r.occurredAt) }),
		column(e, func(r *recorded) int64 { return engine.Stamp(r.recordedAt) }),
		column(e, func(r *recorded) []byte { return r.detail }),
		column(e, func(r *recorded) int16 { return int16(r.marks) }))
	keys := make([]counterKey, 0, len(j.counters))
	for k := range j.counters {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareCounters)
	t.exec(upsertCounters,
		column(keys, func(k *counterKey) int32 { return k.accountID }),
		column(keys, func(k *counterKey) int32 { return k.day }),
		column(keys, func(k *counterKey) int32 { return k.subAccountID }),
		column(keys, func(k *counterKey) int32 { return k.egress }),
		column(keys, func(k *counterKey) int16 { return k.mailbox }),
		column(keys, func(k *counterKey) int16 { return k.typ }),
		column(keys, func(k *counterKey) bool { return k.isCopy }),
		column(keys, func(k *counterKey) int64 { return j.counters[*k] }),
		column(keys, func(k *counterKey) int64 { return j.firsts[*k] }))
	j.writeFacets(t)
}

func uuidOf(id mail.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// uuids is what a uuid[] is made of.
func uuids(ids []mail.ID) []pgtype.UUID {
	return column(ids, func(id *mail.ID) pgtype.UUID { return uuidOf(*id) })
}

// idInto scans a message id.
func idInto(id *mail.ID) *[16]byte { return (*[16]byte)(id) }

// sorted returns ids in their order, each once.
func sorted(ids []mail.ID) []mail.ID {
	slices.SortFunc(ids, func(a, b mail.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
