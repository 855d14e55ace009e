package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// holdsBytes is the condition that a blob holds another one.
const holdsBytes = `instr(%s, ?) > 0`

// Where a piece ends, and what is in it. Messages of all accounts are looked at: no index has those of one.
const (
	messagesEndQuery = `SELECT id, 0 FROM message WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?`
	pendingEndQuery  = `SELECT id, 0 FROM queue WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?`
	sentToEndQuery   = `SELECT message_id, seq FROM event INDEXED BY event_recipient WHERE account_id = ? AND recipient = ? AND seq < ? ORDER BY seq DESC LIMIT 1 OFFSET ?`

	foundColumns  = `SELECT m.id, m.content_id, ` + engine.MessageColumns
	messagesFound = foundColumns + `, 0 FROM message m LEFT JOIN queue q ON q.id = m.id WHERE m.id >= ? AND m.id < ? AND `
	pendingFound  = foundColumns + `, 0 FROM queue q CROSS JOIN message m ON m.id = q.id WHERE q.id >= ? AND q.id < ? AND `
)

var sentToFound = foundColumns + `, e.seq FROM event e INDEXED BY event_recipient CROSS JOIN message m ON m.id = e.message_id LEFT JOIN queue q ON q.id = m.id
	WHERE e.account_id = ? AND e.recipient = ? AND e.seq >= ? AND e.seq < ? AND e.type IN (` + numbers(engine.ProcessedTypes) + `) AND `

func numbers[T ~int](list []T) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(int(n))
	}
	return strings.Join(texts, ", ")
}

// MessagesBack implements store.MessageLog.
func (db *DB) MessagesBack(ctx context.Context, f store.MessageFilter, before store.MessagePlace, look, limit int) (found []store.FoundMessage, next store.MessagePlace, done bool, err error) {
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		if next, done, err = messagesEnd(ctx, view, &f, before, look); err != nil {
			return err
		}
		query, args := foundQuery(&f, before, next, limit)
		rows, err := view.QueryContext(ctx, query, args...)
		if err != nil {
			return failed("look through messages", err)
		}
		found, err = collect(rows, scanFound)
		return err
	})
	if err == nil && len(found) == limit && f.ID == (mail.ID{}) {
		next, done = found[limit-1].Place, false
	}
	return found, next, done, err
}

// messagesEnd returns where the piece before a place ends, and done when the piece ends with the first one that there is.
func messagesEnd(ctx context.Context, view *sql.Tx, f *store.MessageFilter, before store.MessagePlace, look int) (next store.MessagePlace, done bool, err error) {
	query, args := endQuery(f, before, look)
	if query == "" {
		return next, true, nil
	}
	err = view.QueryRowContext(ctx, query, args...).Scan((*idColumn)(&next.ID), &next.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return store.MessagePlace{}, true, nil
	}
	return engine.PieceEnd(next), false, failed("look through messages", err)
}

func endQuery(f *store.MessageFilter, before store.MessagePlace, look int) (query string, args []any) {
	first, end := engine.IDRange(f, before)
	switch {
	case f.ID != (mail.ID{}):
		return "", nil
	case f.Recipient != "":
		return sentToEndQuery, []any{f.AccountID, strings.ToLower(f.Recipient), seqBefore(before), look - 1}
	case f.Pending():
		return pendingEndQuery, []any{first[:], end[:], look - 1}
	default:
		return messagesEndQuery, []any{first[:], end[:], look - 1}
	}
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
		query, args = messagesFound, []any{f.ID[:], engine.LastID[:]}
		query += `m.id = ? AND `
		args = append(args, f.ID[:])
	case f.Recipient != "":
		query, args, order = sentToFound, []any{f.AccountID, strings.ToLower(f.Recipient), down.Seq, seqBefore(before)}, "e.seq"
	case f.Pending():
		query, args, order = pendingFound, []any{first[:], end[:]}, "q.id"
	default:
		query, args = messagesFound, []any{first[:], end[:]}
	}
	where, values := engine.MessageConditions(f, holdsBytes)
	return query + where + ` ORDER BY ` + order + ` DESC LIMIT ?`, append(append(args, values...), limit)
}

func scanFound(rows *sql.Rows) (store.FoundMessage, error) {
	var r engine.MessageRow
	var content int64
	if err := rows.Scan(append(r.Into((*idColumn)(&r.ID), &content), &r.Place.Seq)...); err != nil {
		return r.FoundMessage, err
	}
	r.ContentRef = strconv.FormatInt(content, 10)
	return r.Done()
}

// headsQuery reads so many heads.
func headsQuery(n int) string {
	return `SELECT id, body ->> '$.from.email', coalesce(body ->> '$.from.name', ''), coalesce(body ->> '$.subject', ''), coalesce(body -> '$.groups', '[]')
		FROM (SELECT id, CAST(body AS TEXT) AS body FROM content WHERE id IN (` + marks(n) + `))`
}

// Heads implements store.MessageLog.
func (db *DB) Heads(ctx context.Context, refs []string) (map[string]store.Head, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	ids := make([]any, len(refs))
	for i, ref := range refs {
		id, err := strconv.ParseInt(ref, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read heads: %w", err)
		}
		ids[i] = id
	}
	rows, err := db.readPool.QueryContext(ctx, headsQuery(len(ids)), ids...)
	if err != nil {
		return nil, failed("read heads", err)
	}
	heads := make(map[string]store.Head, len(refs))
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var h store.Head
		var groups []byte
		if err := rows.Scan(&id, &h.From.Email, &h.From.Name, &h.Subject, &groups); err != nil {
			return none, err
		}
		err = json.Unmarshal(groups, &h.Groups)
		heads[strconv.FormatInt(id, 10)] = h
		return none, err
	})
	return heads, err
}

// lastEventsQuery reads the last events of so many messages.
func lastEventsQuery(n int) string {
	return `SELECT message_id, seq, type, occurred_at, coalesce(CAST(detail AS TEXT) ->> '$.smtpDescription', '') FROM event
		WHERE account_id = ? AND seq IN (SELECT max(seq) FROM event INDEXED BY event_message WHERE message_id IN (` + marks(n) + `) GROUP BY message_id)`
}

// LastEvents implements store.MessageLog.
func (db *DB) LastEvents(ctx context.Context, accountID int32, ids []mail.ID) (map[mail.ID]store.LastEvent, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	args := []any{accountID}
	for i := range ids {
		args = append(args, ids[i][:])
	}
	rows, err := db.readPool.QueryContext(ctx, lastEventsQuery(len(ids)), args...)
	if err != nil {
		return nil, failed("read last events", err)
	}
	last := make(map[mail.ID]store.LastEvent, len(ids))
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var id mail.ID
		var e store.LastEvent
		var typ, occurred int64
		err = rows.Scan((*idColumn)(&id), &e.Seq, &typ, &occurred, &e.Words)
		e.Type, e.OccurredAt = event.Type(typ), engine.Time(occurred)
		last[id] = e
		return none, err
	})
	return last, err
}

// standingQuery and triesOfQuery read what is known of so many events at so many endpoints.
func standingQuery(endpoints, events int) string {
	return `SELECT endpoint_id, seq, state, calls, tries, due_at FROM delivery WHERE endpoint_id IN (` + marks(endpoints) + `) AND seq IN (` + marks(events) + `) LIMIT ?`
}

func triesOfQuery(endpoints, events int) string {
	return `SELECT id, endpoint_id, seq, call, at, took, status, error, fate FROM delivery_try INDEXED BY delivery_try_event WHERE endpoint_id IN (` + marks(endpoints) +
		`) AND seq IN (` + marks(events) + `) ORDER BY id DESC LIMIT ?`
}

// DeliveriesOf implements store.MessageLog.
func (db *DB) DeliveriesOf(ctx context.Context, endpointIDs []int32, seqs []int64, limit int) (standing []store.StandingDelivery, tries []store.Try, err error) {
	if len(endpointIDs) == 0 || len(seqs) == 0 {
		return nil, nil, nil
	}
	args := anys(endpointIDs)
	for _, seq := range seqs {
		args = append(args, seq)
	}
	args = append(args, limit)
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		rows, err := view.QueryContext(ctx, standingQuery(len(endpointIDs), len(seqs)), args...)
		if err != nil {
			return failed("read deliveries", err)
		}
		if standing, err = collect(rows, func(rows *sql.Rows) (store.StandingDelivery, error) {
			var r engine.StandingRow
			err := rows.Scan(r.Into()...)
			return r.Done(), err
		}); err != nil {
			return err
		}
		if rows, err = view.QueryContext(ctx, triesOfQuery(len(endpointIDs), len(seqs)), args...); err != nil {
			return failed("read tries", err)
		}
		tries, err = collect(rows, scanTry)
		return err
	})
	return standing, tries, err
}
