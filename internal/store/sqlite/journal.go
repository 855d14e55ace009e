package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Message implements store.Journal.
func (db *DB) Message(ctx context.Context, accountID int32, id mail.ID) (*store.Message, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	m := &store.Message{ID: id}
	var class int
	var submitted int64
	var recipient, plan, body []byte
	var status, attempts, egress, due sql.NullInt64
	var waiting sql.NullString
	err := db.readPool.QueryRowContext(ctx, `SELECT m.account_id, m.sub_account_id, m.pool_id, m.egress, m.mailbox, m.state, m.mark,
			m.plan, m.recipient, m.submitted_at, m.attempts, m.provider_id, c.body, q.status, q.attempts, q.egress, q.due_at, q.waiting
			FROM message m JOIN content c ON c.id = m.content_id LEFT JOIN queue q ON q.id = m.id
			WHERE m.id = ? AND m.account_id = ?`, id[:], accountID).
		Scan(&m.AccountID, &m.SubAccountID, &m.PoolID, &m.Egress, &class, &m.State, &m.Mark,
			&plan, &recipient, &submitted, &m.Attempts, &m.ProviderID, &body, &status, &attempts, &egress, &due, &waiting)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("message %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return nil, failed("read message", err)
	}
	if status.Valid { // pending: the queue row knows better
		m.State, m.Attempts, m.Egress = engine.Status(status.Int64).State(), int(attempts.Int64), route.Egress(egress.Int64)
		m.Waiting, m.DueAt = waiting.String, engine.Time(due.Int64)
	}
	m.SubmittedAt = engine.Time(submitted)
	if err := engine.Complete(m, class, body, recipient, plan); err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	return m, nil
}

// Attempts implements store.Journal.
func (db *DB) Attempts(ctx context.Context, accountID int32, id mail.ID) ([]store.Attempt, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	rows, err := db.readPool.QueryContext(ctx, `SELECT `+attemptColumns+` FROM attempt a JOIN message m ON m.id = a.message_id
		WHERE a.message_id = ? AND m.account_id = ? ORDER BY a.n`, id[:], accountID)
	if err != nil {
		return nil, failed("read attempts", err)
	}
	return collect(rows, func(rows *sql.Rows) (store.Attempt, error) {
		a, _, err := scanAttempt(rows)
		return a, err
	})
}

const attemptColumns = `a.message_id, a.n, a.egress, a.began, a.finished, a.class, a.http, a.code, a.text, a.answer, a.refused, a.refusal`

func scanAttempt[R scanner](rows R) (a store.Attempt, id mail.ID, err error) {
	var began, finished int64
	err = rows.Scan((*idColumn)(&id), &a.N, &a.Egress, &began, &finished, &a.Class, &a.HTTPStatus, &a.Code, &a.Text, &a.Answer, &a.Refused, &a.Refusal)
	a.Began, a.Finished = engine.Time(began), engine.Time(finished)
	return a, id, err
}

// Events implements store.Journal.
func (db *DB) Events(ctx context.Context, f store.EventFilter) ([]store.Event, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	if len(f.Values) > 0 {
		order := engine.SeqOrder(&f)
		where, args := eventConditions(f)
		sieve := engine.NewSieve(&f, f.Offset, f.Limit)
		if err := db.sift(ctx, sieve, eventsBy(&f, false)+` WHERE `+where+` ORDER BY e.`+order, args); err != nil {
			return nil, err
		}
		return db.eventsOf(ctx, sieve, `page.`+order)
	}
	query, args := eventQuery(f)
	rows, err := db.readPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read events", err)
	}
	return collect(rows, scanEvent)
}

// eventQuery finds the page first and reads what belongs to its events after that.
func eventQuery(f store.EventFilter) (query string, args []any) {
	where, args := eventConditions(f)
	order := engine.SeqOrder(&f)
	return `SELECT ` + shownEvent + ` FROM (SELECT e.seq FROM ` + eventsBy(&f, false) + ` WHERE ` + where + ` ORDER BY e.` + order + ` LIMIT ? OFFSET ?) found
			CROSS JOIN event page ON page.seq = found.seq ` + shownWith + ` ORDER BY found.` + order, append(args, f.Limit, f.Offset)
}

func eventConditions(f store.EventFilter) (where string, args []any) {
	conditions := []string{"e.account_id = ?"}
	args = []any{f.AccountID}
	add := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if f.SubAccountID != 0 {
		add("e.sub_account_id = ?", f.SubAccountID)
	}
	if f.MessageID != (mail.ID{}) {
		add("e.message_id = ?", f.MessageID[:])
	}
	if f.TPSPIDs != nil {
		add("e.egress IN ("+marks(len(f.TPSPIDs))+")", anys(f.TPSPIDs)...)
	}
	if types, all := engine.TypesOf(&f); !all {
		add("e.type IN ("+marks(len(types))+")", anys(types)...)
	}
	if f.Faceted() {
		add("e.marks & ? <> 0", int(store.MarkFacets))
	}
	if f.First {
		add("e.marks & ? <> 0", int(store.MarkFirst))
	}
	if f.Mailbox != "" {
		add("e.mailbox = ?", f.Mailbox.ID())
	}
	if f.Group != "" {
		add("EXISTS (SELECT 1 FROM message g WHERE g.id = e.message_id AND instr(g.labels, ?) > 0)", engine.GroupLabel(f.Group))
	}
	if f.Domain != "" {
		label := engine.DomainLabel(f.Domain)
		add("EXISTS (SELECT 1 FROM message g WHERE g.id = e.message_id AND substr(g.labels, 1, ?) = ?)", len(label), label)
	}
	if f.Recipient != "" {
		add("e.recipient = ?", strings.ToLower(f.Recipient))
	}
	if f.Search != "" {
		add("instr(e.recipient, ?) > 0", strings.ToLower(f.Search))
	}
	if !f.From.IsZero() {
		add("e.occurred_at >= ?", engine.Stamp(f.From))
	}
	if !f.To.IsZero() {
		add("e.occurred_at < ?", engine.Stamp(f.To))
	}
	if f.After != 0 {
		add("e.seq > ?", f.After)
	}
	if f.Before != 0 {
		add("e.seq < ?", f.Before)
	}
	return strings.Join(conditions, " AND "), args
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func anys[T ~int | ~int32 | ~int64](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

func scanEvent(rows *sql.Rows) (e store.Event, err error) {
	var class int
	var egress, occurred, recorded int64
	var detail, recipient, groups []byte
	var to mail.Recipient
	if err := rows.Scan(&e.Seq, &e.AccountID, &e.SubAccountID, (*idColumn)(&e.MessageID), &e.PoolID, &egress, &e.Type,
		&class, &e.Recipient, &e.Copy, &occurred, &recorded, &detail, &recipient,
		&e.From.Email, &e.From.Name, &e.Subject, &groups); err != nil {
		return e, err
	}
	e.TPSPID, e.IPID = route.Egress(egress).TPSPID(), route.Egress(egress).IPID()
	e.OccurredAt, e.RecordedAt = engine.Time(occurred), engine.Time(recorded)
	if e.Mailbox, err = mailbox.ByID(class); err != nil {
		return e, err
	}
	if err := json.Unmarshal(recipient, &to); err != nil {
		return e, err
	}
	addressed := engine.AddressOf(&to, e.Recipient)
	e.Recipient, e.ToName = addressed.Email, addressed.Name
	if err := json.Unmarshal(groups, &e.Groups); err != nil {
		return e, err
	}
	return e, json.Unmarshal(detail, &e.Detail)
}

// Counts implements store.Journal.
func (db *DB) Counts(ctx context.Context, f store.CountFilter) ([]store.Count, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	rows, err := db.readPool.QueryContext(ctx, `SELECT day, type, sum(n) FROM counter
		WHERE account_id = ? AND day BETWEEN ? AND ? AND is_copy = 0 AND (? = 0 OR sub_account_id = ?)
		GROUP BY day, type ORDER BY day, type`,
		f.AccountID, engine.Day(f.From), engine.Day(f.To), f.SubAccountID, f.SubAccountID)
	if err != nil {
		return nil, failed("read counters", err)
	}
	return collect(rows, func(rows *sql.Rows) (c store.Count, err error) {
		var day int64
		err = rows.Scan(&day, &c.Type, &c.N)
		c.Day = time.Unix(day*86400, 0).UTC().Format(time.DateOnly)
		return c, err
	})
}
