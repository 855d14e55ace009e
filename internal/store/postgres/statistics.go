package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"postyard/internal/event"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// facetKey is the primary key of a facet.
type facetKey struct {
	accountID    int32
	dimension    int16
	day          int32
	value        string
	subAccountID int32
	egress       int32
	mailbox      int16
	typ          int16
}

func compareFacets(a, b facetKey) int {
	return cmp.Or(cmp.Compare(a.accountID, b.accountID), cmp.Compare(a.dimension, b.dimension), cmp.Compare(a.day, b.day),
		cmp.Compare(a.value, b.value), cmp.Compare(a.subAccountID, b.subAccountID), cmp.Compare(a.egress, b.egress),
		cmp.Compare(a.mailbox, b.mailbox), cmp.Compare(a.typ, b.typ))
}

// notice counts an event under its facets, and tells how it is counted. Whoever records an open or a click writes the owner's
// engaged afterwards, when it has changed.
func (j *journal) notice(o *owner, h *happening, k counterKey) store.Marks {
	if h.isCopy {
		return 0
	}
	marks, first := store.MarkFacets|store.MarkFine, int64(0)
	if bit := store.EngagedBy(h.typ); bit != 0 && o.engaged&bit == 0 {
		o.engaged |= bit
		marks, first = marks|store.MarkFirst, 1
		if j.firsts == nil {
			j.firsts = map[counterKey]int64{}
		}
		j.firsts[k]++
	}
	engine.EachFacet(h.typ, o.labels, h.facets, o.submittedAt, engine.Stamp(h.occurredAt), marks, func(f engine.FacetValue) {
		key := facetKey{k.accountID, int16(f.Dimension), k.day, f.Value, k.subAccountID, k.egress, k.mailbox, k.typ}
		engine.Count(&j.facets, key, first, f.Millis)
	})
	return marks
}

const upsertFacets = `INSERT INTO facet AS f (account_id, dimension, day, value, sub_account_id, egress, mailbox, type, n, firsts, total)
	SELECT * FROM unnest($1::int[], $2::smallint[], $3::int[], $4::text[], $5::int[], $6::int[], $7::smallint[], $8::smallint[], $9::bigint[],
		$10::bigint[], $11::bigint[])
	ON CONFLICT (account_id, dimension, day, value, sub_account_id, egress, mailbox, type)
	DO UPDATE SET n = f.n + excluded.n, firsts = f.firsts + excluded.firsts, total = f.total + excluded.total`

// writeFacets queues what was counted under facets, in the order of keys.
func (j *journal) writeFacets(t *tx) {
	if len(j.facets) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(j.facets), compareFacets)
	t.exec(upsertFacets,
		column(keys, func(k *facetKey) int32 { return k.accountID }),
		column(keys, func(k *facetKey) int16 { return k.dimension }),
		column(keys, func(k *facetKey) int32 { return k.day }),
		column(keys, func(k *facetKey) string { return k.value }),
		column(keys, func(k *facetKey) int32 { return k.subAccountID }),
		column(keys, func(k *facetKey) int32 { return k.egress }),
		column(keys, func(k *facetKey) int16 { return k.mailbox }),
		column(keys, func(k *facetKey) int16 { return k.typ }),
		column(keys, func(k *facetKey) int64 { return j.facets[*k].N }),
		column(keys, func(k *facetKey) int64 { return j.facets[*k].Firsts }),
		column(keys, func(k *facetKey) int64 { return j.facets[*k].Millis }))
}

// labelBook is what this node remembers of labels: names that are stored. Other nodes add to them, so a name that is not in it
// has to be looked for.
type labelBook struct {
	mu   sync.Mutex
	book engine.LabelBook
}

// has tells whether a name is remembered, and whether the day is known to be full.
func (b *labelBook) has(l engine.Label) (known, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := b.book.Of(l.LabelDay)
	return names[l.Name], len(names) >= store.MaxLabels
}

// learn remembers names that are stored.
func (b *labelBook) learn(list []engine.Label) {
	if len(list) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book.Trim()
	for _, l := range list {
		names := b.book.Of(l.LabelDay)
		if names == nil {
			names = map[string]bool{}
			b.book.Learn(l.LabelDay, names)
		}
		names[l.Name] = true
	}
}

// labelsOf decides what the messages of a submission are counted under.
func labelsOf(s *store.Submission, decide func(engine.Label) bool) (engine.Labels, error) {
	return engine.LabelsOf(s.Groups, s.Domain, func(d store.Dimension, name string) (bool, error) {
		return decide(engine.Label{LabelDay: engine.LabelDay{AccountID: s.AccountID, SubAccountID: s.SubAccountID,
			Day: engine.Day(s.SubmittedAt), Dimension: d}, Name: name}), nil
	})
}

// label decides what the messages of each submission are counted under, in its stored form. Only for a name that this node does
// not remember has it to ask. What it returns beside may be remembered after the commit.
func (t *tx) label(batch []store.Submission, book *labelBook) (labels [][]byte, learned []engine.Label, err error) {
	asked := map[engine.LabelDay]map[string]bool{}
	remembered := map[engine.Label]bool{} // as it is now: others may have the book forget meanwhile
	for i := range batch {
		if _, err := labelsOf(&batch[i], func(l engine.Label) bool {
			known, full := book.has(l)
			if remembered[l] = known; !known && !full {
				asked[l.LabelDay] = map[string]bool{}
			}
			return true
		}); err != nil {
			return nil, nil, err
		}
	}
	if err := t.readLabels(asked); err != nil {
		return nil, nil, err
	}
	for day, names := range asked {
		for name := range names {
			learned = append(learned, engine.Label{LabelDay: day, Name: name})
		}
	}
	var fresh []engine.Label
	labels = make([][]byte, len(batch))
	for i := range batch {
		decided, err := labelsOf(&batch[i], func(l engine.Label) bool {
			names, looked := asked[l.LabelDay]
			switch {
			case !looked:
				return remembered[l]
			case names[l.Name]:
				return true
			case len(names) >= store.MaxLabels:
				return false
			}
			names[l.Name] = true
			fresh = append(fresh, l)
			return true
		})
		if err != nil {
			return nil, nil, err
		}
		labels[i] = decided.Encode()
	}
	if len(fresh) > 0 {
		t.exec(`INSERT INTO label (account_id, day, sub_account_id, dimension, name) SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::smallint[], $5::text[])`,
			column(fresh, func(l *engine.Label) int32 { return l.AccountID }),
			column(fresh, func(l *engine.Label) int32 { return int32(l.Day) }),
			column(fresh, func(l *engine.Label) int32 { return l.SubAccountID }),
			column(fresh, func(l *engine.Label) int16 { return int16(l.Dimension) }),
			column(fresh, func(l *engine.Label) string { return l.Name }))
	}
	return labels, append(learned, fresh...), nil
}

// labelLock is the class of the advisory locks of sub-accounts under which names are added.
const labelLock = 0x6c61626c // "labl" in ASCII

// readLabels reads the names of days, which no other node adds to before this transaction has ended.
func (t *tx) readLabels(days map[engine.LabelDay]map[string]bool) error {
	if len(days) == 0 {
		return nil
	}
	subs := map[int32]bool{}
	for day := range days {
		subs[day.SubAccountID] = true
	}
	for _, sub := range slices.Sorted(maps.Keys(subs)) {
		t.exec(`SELECT pg_advisory_xact_lock($1::int, $2::int)`, int32(labelLock), sub)
	}
	for day, names := range days {
		t.each(func(rows pgx.Rows) error {
			var name string
			err := rows.Scan(&name)
			names[name] = true
			return err
		}, `SELECT name FROM label WHERE account_id = $1 AND day = $2::bigint AND sub_account_id = $3 AND dimension = $4`,
			day.AccountID, day.Day, day.SubAccountID, int16(day.Dimension))
	}
	return t.flush()
}

// statKeys are the columns of keys.
var statKeys = [...]string{store.ByNothing: "0", store.ByDay: "day", store.ByEgress: "egress", store.BySubAccount: "sub_account_id",
	store.ByMailbox: "mailbox", store.ByValue: "value"}

// Stats implements store.Statistics.
func (db *DB) Stats(ctx context.Context, f store.StatFilter) ([]store.Stat, error) {
	query, args := statQuery(&f)
	return list(ctx, db.queries, "read statistics", func(rows pgx.Rows) (s store.Stat, err error) {
		dest := []any{&s.Key, &s.Type, &s.N, &s.Firsts, &s.Millis}
		if f.By == store.ByValue {
			dest[0] = &s.Value
		}
		return s, rows.Scan(dest...)
	}, query, args...)
}

// Lanes implements store.Statistics.
func (db *DB) Lanes(ctx context.Context, f store.StatFilter) ([]store.LaneStat, error) {
	value := "''"
	if f.Dimension != store.NoDimension {
		value = "value"
	}
	query, args := sumsQuery(&f, "egress, mailbox, "+value+" AS v", "egress, mailbox, v")
	return list(ctx, db.queries, "read statistics of lanes", func(rows pgx.Rows) (s store.LaneStat, err error) {
		return s, rows.Scan(&s.Egress, &s.Mailbox, &s.Value, &s.Type, &s.N, &s.Firsts, &s.Millis)
	}, query, args...)
}

func statQuery(f *store.StatFilter) (query string, args []any) {
	key := statKeys[f.By]
	if f.By != store.ByValue {
		key += "::bigint"
	}
	return sumsQuery(f, key+" AS k", "k")
}

// sumsQuery adds up for every value of the keys, which are columns as they are named by, and every type.
func sumsQuery(f *store.StatFilter, keys, by string) (query string, args []any) {
	var b strings.Builder
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	value := engine.LabelName(f.Value)
	b.WriteString("SELECT " + keys + ", type, sum(n)::bigint, sum(firsts)::bigint, ")
	if f.Dimension == store.NoDimension {
		b.WriteString("0::bigint FROM counter WHERE NOT is_copy")
	} else {
		b.WriteString("sum(total)::bigint FROM facet WHERE dimension = " + arg(int16(f.Dimension)))
	}
	b.WriteString(" AND account_id = " + arg(f.AccountID))
	from, to := arg(engine.Day(f.From)), arg(engine.Day(f.To))
	if f.Value != "" { // of one value, each day is looked up
		b.WriteString(" AND day = ANY (ARRAY (SELECT generate_series(" + from + "::int, " + to + "::int))) AND value = " + arg(value))
	} else {
		b.WriteString(" AND day BETWEEN " + from + "::int AND " + to + "::int")
	}
	switch {
	case f.SubAccountID != 0 && len(f.Under) > 0:
		b.WriteString(" AND sub_account_id = ANY (" + arg(append([]int32{f.SubAccountID}, f.Under...)) + "::int[])")
	case f.SubAccountID != 0:
		b.WriteString(" AND sub_account_id = " + arg(f.SubAccountID))
	}
	if f.Egress != 0 {
		b.WriteString(" AND egress = " + arg(int32(f.Egress)))
	}
	if f.Mailbox != "" {
		b.WriteString(" AND mailbox = " + arg(int16(f.Mailbox.ID())))
	}
	if len(f.Types) > 0 {
		b.WriteString(" AND type = ANY (" + arg(column(f.Types, func(t *event.Type) int16 { return int16(*t) })) + "::smallint[])")
	}
	b.WriteString(" GROUP BY " + by + ", type ORDER BY " + by + ", type LIMIT " + arg(f.Limit))
	return b.String(), args
}

// CountedFacets implements store.FacetBooks.
func (db *DB) CountedFacets(ctx context.Context, accountID int32, day int64) (figures store.Figures, upTo int64, err error) {
	err = snapshot(ctx, db.queries, "read facets", func(t *tx) {
		figures = store.NewFigures()
		t.each(func(rows pgx.Rows) error {
			var c store.Counter
			var n int64
			err := rows.Scan(&c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy, &n)
			figures.Firsts[c] = n
			return err
		}, `SELECT sub_account_id, egress, mailbox, type, is_copy, firsts FROM counter WHERE account_id = $1 AND day = $2::bigint AND firsts <> 0`,
			accountID, day)
		t.each(func(rows pgx.Rows) error {
			var l store.Label
			err := rows.Scan(&l.SubAccountID, &l.Dimension, &l.Name)
			figures.Labels[l] = true
			return err
		}, `SELECT sub_account_id, dimension, name FROM label WHERE account_id = $1 AND day = $2::bigint`, accountID, day)
		t.each(func(rows pgx.Rows) error {
			var f store.Facet
			var s store.Sum
			err := rows.Scan(&f.Dimension, &f.Value, &f.SubAccountID, &f.Egress, &f.Mailbox, &f.Type, &s.N, &s.Firsts, &s.Millis)
			figures.Facets[f] = s
			return err
		}, `SELECT dimension, value, sub_account_id, egress, mailbox, type, n, firsts, total FROM facet
			WHERE account_id = $1 AND dimension = ANY ('{1,2,3,4,5,6,7,8,9}'::smallint[]) AND day = $2::bigint`, accountID, day)
		t.row([]any{&upTo}, `SELECT coalesce(max(seq), 0) FROM event WHERE account_id = $1`, accountID)
	})
	return figures, upTo, err
}

const facetEventsQuery = `SELECT e.sub_account_id, e.egress, e.mailbox, e.type, e.is_copy, e.marks, e.detail, m.labels, coalesce(m.submitted_at, 0),
		e.occurred_at, e.seq
	FROM event e LEFT JOIN message m ON m.id = e.message_id
	WHERE e.account_id = $1 AND e.occurred_at >= $2 AND e.occurred_at < $3 AND (e.occurred_at, e.seq) > ($4, $5) AND e.seq <= $6
	ORDER BY e.occurred_at, e.seq LIMIT $7`

// TallyFacets implements store.FacetBooks.
func (db *DB) TallyFacets(ctx context.Context, accountID int32, day, upTo int64, from store.TallyPlace, limit int) (figures store.Figures, next store.TallyPlace, done bool, err error) {
	first := engine.DayStart(day)
	if from == (store.TallyPlace{}) {
		from.OccurredAt = first
	}
	err = read(ctx, db.queries, "tally facets", func(ctx context.Context, conn *pgx.Conn) error {
		counted := engine.NewTally()
		figures, next = counted.Figures, from
		n := 0
		rows, err := conn.Query(ctx, facetEventsQuery, accountID, first, engine.DayStart(day+1), from.OccurredAt, from.Seq, upTo, limit)
		if err != nil {
			return err
		}
		err = scanAll(rows, func(rows pgx.Rows) error {
			e := engine.TalliedEvent{}
			var egress route.Egress
			if err := rows.Scan(&e.SubAccountID, &egress, &e.Mailbox, &e.Type, &e.Copy, &e.Marks, &e.Detail, &e.Labels, &e.SubmittedAt,
				&next.OccurredAt, &next.Seq); err != nil {
				return err
			}
			e.Egress, e.OccurredAt = egress, next.OccurredAt
			n++
			counted.Count(&e, day)
			return nil
		})
		done = n < limit
		return err
	})
	return figures, next, done, err
}

// FormerSubAccounts implements store.Statistics.
func (db *DB) FormerSubAccounts(ctx context.Context, accountID int32) (map[int32]string, error) {
	names := map[int32]string{}
	_, err := list(ctx, db.queries, "read sub-accounts", func(rows pgx.Rows) (none struct{}, err error) {
		var id int32
		var name string
		err = rows.Scan(&id, &name)
		names[id] = name
		return none, err
	}, `SELECT id, name FROM sub_account WHERE account_id = $1 AND deleted <> 0`, accountID)
	return names, err
}
