package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// holdsBytes is the condition that a bytea holds another one.
const holdsBytes = `position(?::bytea in %s) > 0`

// Where a piece ends, and what is in it.
const (
	messagesEndQuery = `SELECT id, 0::bigint FROM message WHERE account_id = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT 1 OFFSET $4`
	pendingEndQuery  = `SELECT id, 0::bigint FROM queue WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3`
	sentToEndQuery   = `SELECT message_id, seq FROM event WHERE account_id = $1 AND recipient = $2 AND seq < $3 ORDER BY seq DESC LIMIT 1 OFFSET $4`

	foundColumns  = `SELECT m.id, m.content_id, ` + engine.MessageColumns
	messagesFound = foundColumns + `, 0::bigint FROM message m LEFT JOIN queue q ON q.id = m.id WHERE m.id >= $1 AND m.id < $2 AND `
	pendingFound  = foundColumns + `, 0::bigint FROM queue q JOIN message m ON m.id = q.id WHERE q.id >= $1 AND q.id < $2 AND `
	sentToFound   = foundColumns + `, e.seq FROM event e JOIN message m ON m.id = e.message_id LEFT JOIN queue q ON q.id = m.id
		WHERE e.account_id = $1 AND e.recipient = $2 AND e.seq >= $3 AND e.seq < $4 AND e.type = ANY ($5::smallint[]) AND `
)

// MessagesBack implements store.MessageLog.
func (db *DB) MessagesBack(ctx context.Context, f store.MessageFilter, before store.MessagePlace, look, limit int) (found []store.FoundMessage, next store.MessagePlace, done bool, err error) {
	if next, done, err = db.messagesEnd(ctx, &f, before, look); err != nil {
		return nil, next, false, err
	}
	query, args := foundQuery(&f, before, next, limit)
	if found, err = list(ctx, db.queries, "look through messages", scanFound, query, args...); err != nil {
		return nil, next, false, err
	}
	if len(found) == limit && f.ID == (mail.ID{}) {
		next, done = found[limit-1].Place, false
	}
	return found, next, done, nil
}

// messagesEnd returns where the piece before a place ends, and done when the piece ends with the first one that there is.
func (db *DB) messagesEnd(ctx context.Context, f *store.MessageFilter, before store.MessagePlace, look int) (next store.MessagePlace, done bool, err error) {
	first, end := engine.IDRange(f, before)
	var query string
	var args []any
	switch {
	case f.ID != (mail.ID{}):
		return next, true, nil
	case f.Recipient != "":
		query, args = sentToEndQuery, []any{f.AccountID, address(f.Recipient), seqBefore(before), look - 1}
	case f.Pending():
		query, args = pendingEndQuery, []any{uuidOf(first), uuidOf(end), look - 1}
	default:
		query, args = messagesEndQuery, []any{f.AccountID, uuidOf(first), uuidOf(end), look - 1}
	}
	found, err := one(ctx, db.queries, "look through messages", []any{idInto(&next.ID), &next.Seq}, query, args...)
	return engine.PieceEnd(next), err == nil && !found, err
}

func seqBefore(p store.MessagePlace) int64 {
	if p.Seq == 0 {
		return math.MaxInt64
	}
	return p.Seq
}

// foundQuery reads what a filter selects of the messages before a place, down to another one.
func foundQuery(f *store.MessageFilter, before, down store.MessagePlace, limit int) (query string, args []any) {
	first, end := engine.IDRange(f, before)
	if down.ID != (mail.ID{}) {
		first = down.ID
	}
	order := "m.id"
	switch {
	case f.ID != (mail.ID{}):
		query, args = messagesFound+`m.id = $1 AND `, []any{uuidOf(f.ID), uuidOf(engine.LastID)}
	case f.Recipient != "":
		query, args, order = sentToFound, []any{f.AccountID, address(f.Recipient), down.Seq, seqBefore(before), processedNumbers}, "e.seq"
	case f.Pending():
		query, args, order = pendingFound, []any{uuidOf(first), uuidOf(end)}, "q.id"
	default:
		query, args = messagesFound, []any{uuidOf(first), uuidOf(end)}
	}
	where, values := engine.MessageConditions(f, holdsBytes)
	query += engine.Numbered(where, len(args))
	args = append(append(args, values...), limit)
	return fmt.Sprintf(`%s ORDER BY %s DESC LIMIT $%d`, query, order, len(args)), args
}

var processedNumbers = column(engine.ProcessedTypes, func(t *event.Type) int16 { return int16(*t) })

func scanFound(rows pgx.Rows) (store.FoundMessage, error) {
	var r engine.MessageRow
	var content [16]byte
	if err := rows.Scan(append(r.Into(idInto(&r.ID), &content), &r.Place.Seq)...); err != nil {
		return r.FoundMessage, err
	}
	r.ContentRef = string(content[:])
	return r.Done()
}

// contentIDs are the ids of contents that refs name.
func contentIDs(refs []string) ([]pgtype.UUID, error) {
	ids := make([]pgtype.UUID, len(refs))
	for i, ref := range refs {
		if len(ref) != len(ids[i].Bytes) {
			return nil, fmt.Errorf("read contents: %d bytes name none", len(ref))
		}
		copy(ids[i].Bytes[:], ref)
		ids[i].Valid = true
	}
	return ids, nil
}

// Heads implements store.MessageLog.
func (db *DB) Heads(ctx context.Context, refs []string) (map[string]store.Head, error) {
	ids, err := contentIDs(refs)
	if err != nil {
		return nil, err
	}
	heads := make(map[string]store.Head, len(refs))
	_, err = list(ctx, db.queries, "read heads", func(rows pgx.Rows) (none struct{}, err error) {
		var id [16]byte
		var raw []byte
		var h head
		if err := rows.Scan(&id, &raw); err != nil {
			return none, err
		}
		err = json.Unmarshal(raw, &h)
		heads[string(id[:])] = store.Head{From: h.From, Subject: h.Subject, Groups: h.Groups}
		return none, err
	}, `SELECT id, head FROM content WHERE id = ANY ($1)`, ids)
	return heads, err
}

const lastEventsQuery = `SELECT wanted.id, e.seq, e.type, e.occurred_at, e.detail FROM unnest($2::uuid[]) wanted (id), LATERAL (SELECT * FROM event
	WHERE message_id = wanted.id AND account_id = $1 ORDER BY seq DESC LIMIT 1) e`

// LastEvents implements store.MessageLog.
func (db *DB) LastEvents(ctx context.Context, accountID int32, ids []mail.ID) (map[mail.ID]store.LastEvent, error) {
	last := make(map[mail.ID]store.LastEvent, len(ids))
	_, err := list(ctx, db.queries, "read last events", func(rows pgx.Rows) (none struct{}, err error) {
		var id mail.ID
		var e store.LastEvent
		var occurred int64
		var raw []byte
		var detail event.Detail
		if err := rows.Scan(idInto(&id), &e.Seq, &e.Type, &occurred, &raw); err != nil {
			return none, err
		}
		err = json.Unmarshal(raw, &detail)
		e.OccurredAt, e.Words = engine.Time(occurred), detail.SMTPDescription
		last[id] = e
		return none, err
	}, lastEventsQuery, accountID, uuids(ids))
	return last, err
}

const (
	standingQuery = `SELECT endpoint_id, seq, state, calls, tries, due_at FROM delivery WHERE endpoint_id = ANY ($1) AND seq = ANY ($2) LIMIT $3`
	triesOfQuery  = `SELECT id, endpoint_id, seq, call, at, took, status, error, fate FROM delivery_try WHERE endpoint_id = ANY ($1) AND seq = ANY ($2)
		ORDER BY id + 0 DESC LIMIT $3` // the sum keeps the index of ids out of it
)

// DeliveriesOf implements store.MessageLog.
func (db *DB) DeliveriesOf(ctx context.Context, endpointIDs []int32, seqs []int64, limit int) (standing []store.StandingDelivery, tries []store.Try, err error) {
	if standing, err = list(ctx, db.queries, "read deliveries", func(rows pgx.Rows) (store.StandingDelivery, error) {
		var r engine.StandingRow
		err := rows.Scan(r.Into()...)
		return r.Done(), err
	}, standingQuery, endpointIDs, seqs, limit); err != nil {
		return nil, nil, err
	}
	tries, err = list(ctx, db.queries, "read tries", scanTry, triesOfQuery, endpointIDs, seqs, limit)
	return standing, tries, err
}

// inGroup is the condition that the message of an event counts under a group.
const inGroup = `EXISTS (SELECT 1 FROM message g WHERE g.id = e.message_id AND position($%d::bytea in g.labels) > 0)`

// inDomain is the condition that it counts under a domain.
const inDomain = `EXISTS (SELECT 1 FROM message g WHERE g.id = e.message_id AND substr(g.labels, 1, length($%[1]d::bytea)) = $%[1]d::bytea)`
