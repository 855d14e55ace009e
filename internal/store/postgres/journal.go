package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

const messageQuery = `SELECT m.account_id, m.sub_account_id, m.pool_id, m.egress, m.mailbox, m.state, m.mark, m.plan, m.recipient, m.submitted_at,
		m.attempts, m.provider_id, c.body, q.status, q.attempts, q.egress, q.due_at, q.waiting
	FROM message m JOIN content c ON c.id = m.content_id LEFT JOIN queue q ON q.id = m.id
	WHERE m.id = $1 AND m.account_id = $2`

// Message implements store.Journal.
func (db *DB) Message(ctx context.Context, accountID int32, id mail.ID) (*store.Message, error) {
	m := &store.Message{ID: id}
	var class int
	var submitted int64
	var recipient, plan, body []byte
	var status *engine.Status
	var attempts *int
	var egress *route.Egress
	var due *int64
	var waiting *string
	found, err := one(ctx, db.queries, "read message", []any{&m.AccountID, &m.SubAccountID, &m.PoolID, &m.Egress, &class, &m.State, &m.Mark,
		&plan, &recipient, &submitted, &m.Attempts, &m.ProviderID, &body, &status, &attempts, &egress, &due, &waiting},
		messageQuery, uuidOf(id), accountID)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("message %s: %w", id, store.ErrNotFound)
	}
	if status != nil { // pending: the queue row knows better
		m.State, m.Attempts, m.Egress = status.State(), *attempts, *egress
		m.Waiting, m.DueAt = *waiting, engine.Time(*due)
	}
	m.SubmittedAt = engine.Time(submitted)
	if err := engine.Complete(m, class, body, recipient, plan); err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	return m, nil
}

const attemptColumns = `a.n, a.egress, a.began, a.finished, a.class, a.http, a.code, a.text, a.answer, a.refused, a.refusal`

// attemptInto returns where attemptColumns go, and what completes the attempt after the scan.
func attemptInto(a *store.Attempt) (dest []any, complete func()) {
	var began, finished int64
	return []any{&a.N, &a.Egress, &began, &finished, &a.Class, &a.HTTPStatus, &a.Code, &a.Text, &a.Answer, &a.Refused, &a.Refusal},
		func() { a.Began, a.Finished = engine.Time(began), engine.Time(finished) }
}

// Attempts implements store.Journal.
func (db *DB) Attempts(ctx context.Context, accountID int32, id mail.ID) ([]store.Attempt, error) {
	return list(ctx, db.queries, "read attempts", func(rows pgx.Rows) (a store.Attempt, err error) {
		dest, complete := attemptInto(&a)
		err = rows.Scan(dest...)
		complete()
		return a, err
	}, `SELECT `+attemptColumns+` FROM message m JOIN attempt a ON a.message_id = m.id WHERE m.id = $1 AND m.account_id = $2 ORDER BY a.n`,
		uuidOf(id), accountID)
}

// Events implements store.Journal.
func (db *DB) Events(ctx context.Context, f store.EventFilter) ([]store.Event, error) {
	if len(f.Values) > 0 {
		order := engine.SeqOrder(&f)
		where, args := eventConditions(f)
		sieve, err := db.sift(ctx, &f, f.Offset, f.Limit, `event e WHERE `+where+` ORDER BY e.`+order, args)
		if err != nil {
			return nil, err
		}
		return db.eventsOf(ctx, f.AccountID, sieve, `page.`+order)
	}
	query, args := eventQuery(f)
	return list(ctx, db.queries, "read events", scanEvent, query, args...)
}

// eventQuery finds the page first and reads what belongs to its events after that.
func eventQuery(f store.EventFilter) (query string, args []any) {
	where, args := eventConditions(f)
	order := engine.SeqOrder(&f)
	args = append(args, f.Limit, f.Offset)
	return fmt.Sprintf(shownEvents+` FROM (SELECT * FROM event e WHERE %s ORDER BY e.%s LIMIT $%d OFFSET $%d)`+shownFrom+` ORDER BY page.%s`,
		where, order, len(args)-1, len(args), order), args
}

func eventConditions(f store.EventFilter) (where string, args []any) {
	conditions := []string{"e.account_id = $1"}
	args = []any{f.AccountID}
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.SubAccountID != 0 {
		add("e.sub_account_id = $%d", f.SubAccountID)
	}
	if f.MessageID != (mail.ID{}) {
		add("e.message_id = $%d", uuidOf(f.MessageID))
	}
	if f.TPSPIDs != nil {
		add("e.egress = ANY ($%d::int[])", f.TPSPIDs)
	}
	if types, all := engine.TypesOf(&f); !all {
		add("e.type = ANY ($%d::smallint[])", typeNumbers(types))
	}
	if f.Faceted() {
		add("e.marks & $%d::smallint <> 0", int16(store.MarkFacets))
	}
	if f.First {
		add("e.marks & $%d::smallint <> 0", int16(store.MarkFirst))
	}
	if f.Mailbox != "" {
		add("e.mailbox = $%d", f.Mailbox.ID())
	}
	if f.Group != "" {
		add(inGroup, engine.GroupLabel(f.Group))
	}
	if f.Domain != "" {
		add(inDomain, engine.DomainLabel(f.Domain))
	}
	if f.Recipient != "" {
		add("e.recipient = $%d", address(f.Recipient))
	}
	if f.Search != "" {
		add("strpos(e.recipient, $%d) > 0", address(f.Search))
	}
	if !f.From.IsZero() {
		add("e.occurred_at >= $%d", engine.Stamp(f.From))
	}
	if !f.To.IsZero() {
		add("e.occurred_at < $%d", engine.Stamp(f.To))
	}
	if f.After != 0 {
		add("e.seq > $%d", f.After)
	}
	if f.Before != 0 {
		add("e.seq < $%d", f.Before)
	}
	return strings.Join(conditions, " AND "), args
}

func scanEvent(rows pgx.Rows) (e store.Event, err error) {
	var class int
	var egress route.Egress
	var occurred, recorded int64
	var detail, recipient, shown []byte
	if err := rows.Scan(&e.Seq, &e.AccountID, &e.SubAccountID, idInto(&e.MessageID), &e.PoolID, &egress, &e.Type, &class,
		&e.Recipient, &e.Copy, &occurred, &recorded, &detail, &recipient, &shown); err != nil {
		return e, err
	}
	e.TPSPID, e.IPID = egress.TPSPID(), egress.IPID()
	e.OccurredAt, e.RecordedAt = engine.Time(occurred), engine.Time(recorded)
	if e.Mailbox, err = mailbox.ByID(class); err != nil {
		return e, err
	}
	var to mail.Recipient
	if err := json.Unmarshal(recipient, &to); err != nil {
		return e, err
	}
	addressed := engine.AddressOf(&to, e.Recipient)
	e.Recipient, e.ToName = addressed.Email, addressed.Name
	var h head
	if err := json.Unmarshal(shown, &h); err != nil {
		return e, err
	}
	e.From, e.Subject, e.Groups = h.From, h.Subject, h.Groups
	if e.Groups == nil {
		e.Groups = []string{}
	}
	return e, json.Unmarshal(detail, &e.Detail)
}

// Counts implements store.Journal.
func (db *DB) Counts(ctx context.Context, f store.CountFilter) ([]store.Count, error) {
	return list(ctx, db.queries, "read counters", func(rows pgx.Rows) (c store.Count, err error) {
		var day int64
		err = rows.Scan(&day, &c.Type, &c.N)
		c.Day = time.Unix(day*86400, 0).UTC().Format(time.DateOnly)
		return c, err
	}, `SELECT day, type, sum(n)::bigint FROM counter
		WHERE account_id = $1 AND day BETWEEN $2::bigint AND $3::bigint AND NOT is_copy AND ($4 = 0 OR sub_account_id = $4)
		GROUP BY day, type ORDER BY day, type`,
		f.AccountID, engine.Day(f.From), engine.Day(f.To), f.SubAccountID)
}
