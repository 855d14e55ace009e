package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"postyard/internal/event"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// facetKey is the primary key of a facet.
type facetKey struct {
	accountID int32
	day       int64
	store.Facet
}

// notice counts an event under its facets, and tells how it is counted. Whoever records an open or a click writes the owner's
// engaged afterwards, when it has changed.
func (t *tx) notice(o *owner, h *happening, k *counterKey) store.Marks {
	if h.isCopy {
		return 0
	}
	marks, first := store.MarkFacets|store.MarkFine, int64(0)
	if bit := store.EngagedBy(h.typ); bit != 0 && o.engaged&bit == 0 {
		o.engaged |= bit
		marks, first = marks|store.MarkFirst, 1
		if t.firsts == nil {
			t.firsts = map[counterKey]int64{}
		}
		t.firsts[*k]++
	}
	engine.EachFacet(h.typ, o.labels, h.facets, o.submittedAt, engine.Stamp(h.occurredAt), marks, func(f engine.FacetValue) {
		key := facetKey{k.accountID, k.day, store.Facet{Dimension: f.Dimension, Value: f.Value, SubAccountID: k.SubAccountID, Egress: k.Egress,
			Mailbox: k.Mailbox, Type: k.Type}}
		engine.Count(&t.facets, key, first, f.Millis)
	})
	return marks
}

var (
	counterRows = newBulk(`INSERT INTO counter (account_id, day, sub_account_id, egress, mailbox, type, is_copy, n, firsts) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?)`, ` ON CONFLICT DO UPDATE SET n = n + excluded.n, firsts = firsts + excluded.firsts`)
	facetRows = newBulk(`INSERT INTO facet (account_id, dimension, day, value, sub_account_id, egress, mailbox, type, n, firsts, total) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		` ON CONFLICT DO UPDATE SET n = n + excluded.n, firsts = firsts + excluded.firsts, total = total + excluded.total`)
	labelRows = newInsert(`label (account_id, day, sub_account_id, dimension, name)`)
	engagedBy = [...]*bulk{ // by what they become
		store.EngagedOpened:                        newBulk(`UPDATE message SET engaged = 1 WHERE id IN (`, `?`, `)`),
		store.EngagedClicked:                       newBulk(`UPDATE message SET engaged = 2 WHERE id IN (`, `?`, `)`),
		store.EngagedOpened | store.EngagedClicked: newBulk(`UPDATE message SET engaged = 3 WHERE id IN (`, `?`, `)`),
	}
)

// writeCounts writes what the transaction counted.
func (t *tx) writeCounts() error {
	if err := t.execAll(labelRows, t.labels); err != nil {
		return err
	}
	rows := make([]any, 0, len(t.counters)*counterRows.width)
	for k, n := range t.counters {
		rows = append(rows, k.accountID, k.day, k.SubAccountID, int32(k.Egress), k.Mailbox, int(k.Type), k.Copy, n, t.firsts[k])
	}
	if err := t.execAll(counterRows, rows); err != nil {
		return err
	}
	rows = make([]any, 0, len(t.facets)*facetRows.width)
	for k, s := range t.facets {
		rows = append(rows, k.accountID, int(k.Dimension), k.day, k.Value, k.SubAccountID, int32(k.Egress), k.Mailbox, int(k.Type), s.N, s.Firsts, s.Millis)
	}
	return t.execAll(facetRows, rows)
}

// label decides what the messages of a submission are counted under, and returns it in its stored form.
func (t *tx) label(s *store.Submission) ([]byte, error) {
	if len(s.Groups) == 0 && s.Domain == "" {
		return noLabels, nil
	}
	labels, err := engine.LabelsOf(s.Groups, s.Domain, func(d store.Dimension, name string) (bool, error) {
		return t.hasName(engine.LabelDay{AccountID: s.AccountID, SubAccountID: s.SubAccountID, Day: engine.Day(s.SubmittedAt), Dimension: d}, name)
	})
	return labels.Encode(), err
}

var noLabels = []byte{}

// hasName tells whether a label is counted by its name on a day. The writer remembers the names of the day: it is the only one
// that adds to them.
func (t *tx) hasName(day engine.LabelDay, name string) (bool, error) {
	known := t.writer.labels.Of(day)
	if known == nil {
		names, err := each(t, func(r *row) (name string, err error) { return name, r.Scan(&name) },
			`SELECT name FROM label WHERE account_id = ? AND day = ? AND sub_account_id = ? AND dimension = ?`,
			day.AccountID, day.Day, day.SubAccountID, int(day.Dimension))
		if err != nil {
			return false, err
		}
		known = make(map[string]bool, len(names))
		for _, name := range names {
			known[name] = true
		}
		t.writer.labels.Learn(day, known)
	}
	switch {
	case known[name]:
		return true, nil
	case len(known) >= store.MaxLabels:
		return false, nil
	}
	known[name] = true
	t.labels = append(t.labels, day.AccountID, day.Day, day.SubAccountID, int(day.Dimension), name)
	return true, nil
}

// engage writes what recipients have done, of messages of which that has changed.
func (in *ingesting) engage() error {
	var to [len(engagedBy)][]any
	for id, m := range in.engaged {
		to[m.engaged] = append(to[m.engaged], id[:])
	}
	for bits, ids := range to {
		if len(ids) == 0 {
			continue
		}
		if err := in.execAll(engagedBy[bits], ids); err != nil {
			return err
		}
	}
	return nil
}

// statKeys are the columns of keys.
var statKeys = [...]string{store.ByNothing: "0", store.ByDay: "day", store.ByEgress: "egress", store.BySubAccount: "sub_account_id",
	store.ByMailbox: "mailbox", store.ByValue: "value"}

// Stats implements store.Statistics.
func (db *DB) Stats(ctx context.Context, f store.StatFilter) ([]store.Stat, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	query, args := statQuery(&f)
	rows, err := db.readPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read statistics", err)
	}
	return collect(rows, func(rows *sql.Rows) (s store.Stat, err error) {
		dest := []any{&s.Key, &s.Type, &s.N, &s.Firsts, &s.Millis}
		if f.By == store.ByValue {
			dest[0] = &s.Value
		}
		return s, rows.Scan(dest...)
	})
}

// Lanes implements store.Statistics.
func (db *DB) Lanes(ctx context.Context, f store.StatFilter) ([]store.LaneStat, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	query, args := laneQuery(&f)
	rows, err := db.readPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read statistics of lanes", err)
	}
	return collect(rows, func(rows *sql.Rows) (s store.LaneStat, err error) {
		return s, rows.Scan(&s.Egress, &s.Mailbox, &s.Value, &s.Type, &s.N, &s.Firsts, &s.Millis)
	})
}

func statQuery(f *store.StatFilter) (query string, args []any) {
	return sumsQuery(f, statKeys[f.By]+" AS k", "k")
}

func laneQuery(f *store.StatFilter) (query string, args []any) {
	if f.Dimension == store.NoDimension {
		return sumsQuery(f, "egress, mailbox, '' AS v", "egress, mailbox, v")
	}
	return sumsQuery(f, "egress, mailbox, value AS v", "egress, mailbox, v")
}

// sumsQuery adds up for every value of the keys, which are columns as they are named by, and every type.
func sumsQuery(f *store.StatFilter, keys, by string) (query string, args []any) {
	var b strings.Builder
	value := engine.LabelName(f.Value)
	b.WriteString("SELECT " + keys + ", type, sum(n), sum(firsts), ")
	if f.Dimension == store.NoDimension {
		b.WriteString("0 FROM counter WHERE is_copy = 0")
	} else {
		b.WriteString("sum(total) FROM facet WHERE dimension = ?")
		args = append(args, int(f.Dimension))
	}
	add := func(condition string, values ...any) {
		b.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	add("account_id = ?", f.AccountID)
	from, to := engine.Day(f.From), engine.Day(f.To)
	if f.Value != "" { // of one value, each day is looked up
		add("day IN (WITH RECURSIVE days (d) AS (SELECT ? UNION ALL SELECT d + 1 FROM days WHERE d < ?) SELECT d FROM days) AND value = ?", from, to, value)
	} else {
		add("day BETWEEN ? AND ?", from, to)
	}
	switch {
	case f.SubAccountID != 0 && len(f.Under) > 0:
		add("sub_account_id IN (SELECT value FROM json_each(?))", numberList(append([]int32{f.SubAccountID}, f.Under...)))
	case f.SubAccountID != 0:
		add("sub_account_id = ?", f.SubAccountID)
	}
	if f.Egress != 0 {
		add("egress = ?", int32(f.Egress))
	}
	if f.Mailbox != "" {
		add("mailbox = ?", f.Mailbox.ID())
	}
	if len(f.Types) > 0 {
		add("type IN ("+marks(len(f.Types))+")", anys(f.Types)...)
	}
	b.WriteString(" GROUP BY " + by + ", type ORDER BY " + by + ", type LIMIT ?")
	return b.String(), append(args, f.Limit)
}

// numberList is a list for json_each: there may be more numbers than a statement takes arguments.
func numberList(numbers []int32) string {
	b := []byte{'['}
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(append(b, ']'))
}

// CountedFacets implements store.FacetBooks.
func (db *DB) CountedFacets(ctx context.Context, accountID int32, day int64) (figures store.Figures, upTo int64, err error) {
	figures = store.NewFigures()
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		if err := view.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM event`).Scan(&upTo); err != nil {
			return failed("read the last event", err)
		}
		firsts, err := view.QueryContext(ctx, firstsQuery, accountID, day)
		if err != nil {
			return failed("read counters", err)
		}
		if _, err = collect(firsts, func(rows *sql.Rows) (none struct{}, err error) {
			var c store.Counter
			var n int64
			err = rows.Scan(&c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy, &n)
			figures.Firsts[c] = n
			return none, err
		}); err != nil {
			return err
		}
		labels, err := view.QueryContext(ctx, labelsQuery, accountID, day)
		if err != nil {
			return failed("read labels", err)
		}
		if _, err = collect(labels, func(rows *sql.Rows) (none struct{}, err error) {
			var l store.Label
			err = rows.Scan(&l.SubAccountID, &l.Dimension, &l.Name)
			figures.Labels[l] = true
			return none, err
		}); err != nil {
			return err
		}
		facets, err := view.QueryContext(ctx, facetsQuery, accountID, day)
		if err != nil {
			return failed("read facets", err)
		}
		_, err = collect(facets, func(rows *sql.Rows) (none struct{}, err error) {
			var f store.Facet
			var s store.Sum
			err = rows.Scan(&f.Dimension, &f.Value, &f.SubAccountID, &f.Egress, &f.Mailbox, &f.Type, &s.N, &s.Firsts, &s.Millis)
			figures.Facets[f] = s
			return none, err
		})
		return err
	})
	return figures, upTo, err
}

const (
	firstsQuery = `SELECT sub_account_id, egress, mailbox, type, is_copy, firsts FROM counter WHERE account_id = ? AND day = ? AND firsts <> 0`
	labelsQuery = `SELECT sub_account_id, dimension, name FROM label WHERE account_id = ? AND day = ?`
	facetsQuery = `SELECT dimension, value, sub_account_id, egress, mailbox, type, n, firsts, total FROM facet
		WHERE account_id = ? AND dimension IN (1, 2, 3, 4, 5, 6, 7, 8, 9) AND day = ?`

	// An event that is marked as the first of its kind may have been recorded before there were facets.
	facetEventsQuery = `SELECT e.occurred_at, e.seq, e.sub_account_id, e.egress, e.mailbox, e.type, e.is_copy, e.marks, e.detail, m.labels, m.submitted_at
		FROM event e LEFT JOIN message m ON m.id = e.message_id
		WHERE e.account_id = ? AND (e.occurred_at, e.seq) > (?, ?) AND e.occurred_at < ? ORDER BY e.occurred_at, e.seq LIMIT ?`
)

// TallyFacets implements store.FacetBooks.
func (db *DB) TallyFacets(ctx context.Context, accountID int32, day, upTo int64, from store.TallyPlace, limit int) (figures store.Figures, next store.TallyPlace, done bool, err error) {
	if from == (store.TallyPlace{}) {
		from.OccurredAt = engine.DayStart(day)
	}
	counted, next, read := engine.NewTally(), from, 0
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		rows, err := view.QueryContext(ctx, facetEventsQuery, accountID, from.OccurredAt, from.Seq, engine.DayStart(day+1), limit)
		if err != nil {
			return failed("read events", err)
		}
		_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
			e := engine.TalliedEvent{}
			var egress route.Egress
			var typ event.Type
			var submitted sql.NullInt64
			err = rows.Scan(&next.OccurredAt, &next.Seq, &e.SubAccountID, &egress, &e.Mailbox, &typ, &e.Copy, &e.Marks, &e.Detail, &e.Labels, &submitted)
			read++
			if err != nil || next.Seq > upTo {
				return none, err
			}
			e.Egress, e.Type, e.OccurredAt, e.SubmittedAt = egress, typ, next.OccurredAt, submitted.Int64
			counted.Count(&e, day)
			return none, nil
		})
		return err
	})
	return counted.Figures, next, read < limit, err
}

// FormerSubAccounts implements store.Statistics.
func (db *DB) FormerSubAccounts(ctx context.Context, accountID int32) (map[int32]string, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	rows, err := db.readPool.QueryContext(ctx, `SELECT id, name FROM sub_account WHERE account_id = ? AND deleted <> 0`, accountID)
	if err != nil {
		return nil, failed("read sub-accounts", err)
	}
	names := map[int32]string{}
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var id int32
		var name string
		err = rows.Scan(&id, &name)
		names[id] = name
		return none, err
	})
	return names, err
}
