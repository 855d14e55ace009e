package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// suppressing is what a node knows of whether there are suppressions. As long as there are none, nobody asks for them: accepting
// looks, with what it sends anyway, whether that still holds.
type suppressing struct {
	some    atomic.Bool
	checked atomic.Int64 // when there were none, as UNIX nanoseconds of this machine's clock
}

// unsuppressedFor is how long a look holds that found no suppressions.
const unsuppressedFor = time.Second

const anySuppression = `SELECT EXISTS (SELECT FROM suppression)`

// errSuppressing means that there are suppressions, which was not known.
var errSuppressing = errors.New("there are suppressions")

// minding runs an operation, again when it finds that there are suppressions.
func (db *DB) minding(run func(known bool) error) error {
	err := run(db.suppressing.some.Load())
	if errors.Is(err, errSuppressing) {
		db.suppressing.some.Store(true)
		err = run(true)
	}
	return err
}

// withholding is what a transaction records of messages that are suppressed.
type withholding struct {
	messages []withheldMessage
	events   []recorded
}

type withheldMessage struct {
	*store.NewMessage
	owner
	content   pgtype.UUID
	submitted int64
}

// withheld finds the suppressed addresses of a batch. When it is not known that there are any, check tells, after the next flush.
func (t *tx) withheld(batch []store.Submission, known bool) (held engine.Withheld, check func() error, err error) {
	if !known {
		var some bool
		t.row([]any{&some}, anySuppression)
		return nil, func() error {
			if some {
				return errSuppressing
			}
			return nil
		}, nil
	}
	held = engine.Withheld{}
	t.eachHit(held, engine.Recipients(batch))
	return held, func() error { return nil }, t.flush()
}

const heldQuery = `SELECT s.sub_account_id, s.email, s.reason, s.detail FROM unnest($1::int[], $2::text[]) AS u (sub, email)
	JOIN suppression s ON s.sub_account_id = u.sub AND s.email = u.email WHERE s.released = 0`

func (t *tx) eachHit(to map[store.SuppressionKey]store.SuppressionHit, list []store.SuppressionKey) {
	t.each(scanHit(to), heldQuery, column(list, func(k *store.SuppressionKey) int32 { return k.SubAccountID }),
		column(list, func(k *store.SuppressionKey) string { return address(k.Email) }))
}

func scanHit(to map[store.SuppressionKey]store.SuppressionHit) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var k store.SuppressionKey
		var hit store.SuppressionHit
		err := rows.Scan(&k.SubAccountID, &k.Email, &hit.Reason, &hit.Detail)
		to[k] = hit
		return err
	}
}

// withhold remembers a message whose recipient is suppressed: gone tells that. Else it returns the recipient without the copies
// that are.
func (t *tx) withhold(s *store.Submission, m *store.NewMessage, held engine.Withheld, labels []byte) (recipient []byte, gone bool, err error) {
	o := owner{m.ID, s.AccountID, s.SubAccountID, m.PoolID, int16(m.Mailbox.ID()), text(m.To), labels, engine.Stamp(s.SubmittedAt), 0}
	h := happening{typ: engine.SuppressedDropped, occurredAt: s.SubmittedAt, recordedAt: s.SubmittedAt}
	if why, gone := held.To(s, m); gone {
		if h.detail, err = engine.Detail(&why); err != nil {
			return nil, true, err
		}
		h.recipient, h.effect = m.To, store.EffectOf(lifecycle.Drop)
		first := h
		first.typ, first.effect, first.detail = engine.SuppressedProcessed, store.NoEffect, engine.NoDetail
		t.held.events = append(t.held.events, recorded{owner: o, happening: first}, recorded{owner: o, happening: h})
		t.held.messages = append(t.held.messages, withheldMessage{m, o, uuidOf(s.Messages[0].ID), engine.Stamp(s.SubmittedAt)})
		return nil, true, nil
	}
	recipient, out, err := held.Copies(s, m)
	for i := range out {
		if h.detail, err = engine.Detail(&out[i].Detail); err != nil {
			return nil, false, err
		}
		h.recipient, h.isCopy = out[i].Email, true
		t.held.events = append(t.held.events, recorded{owner: o, happening: h})
	}
	return recipient, false, err
}

// recordWithheld writes what withhold remembers.
func (t *tx) recordWithheld() {
	for i := range t.held.events {
		t.journal.record(&t.held.events[i].owner, t.held.events[i].happening)
	}
	if list := t.held.messages; len(list) > 0 {
		t.exec(`INSERT INTO message (id, account_id, sub_account_id, content_id, pool_id, mailbox, recipient, to_addr, plan, submitted_at, labels, egress, state)
			SELECT u.*, 0, $12::smallint FROM unnest($1::uuid[], $2::int[], $3::int[], $4::uuid[], $5::int[], $6::smallint[], $7::bytea[], $8::text[], $9::bytea[],
				$10::bigint[], $11::bytea[]) AS u`,
			column(list, func(m *withheldMessage) pgtype.UUID { return uuidOf(m.id) }),
			column(list, func(m *withheldMessage) int32 { return m.accountID }),
			column(list, func(m *withheldMessage) int32 { return m.subAccountID }),
			column(list, func(m *withheldMessage) pgtype.UUID { return m.content }),
			column(list, func(m *withheldMessage) int32 { return m.poolID }),
			column(list, func(m *withheldMessage) int16 { return m.mailbox }),
			column(list, func(m *withheldMessage) []byte { return notNil(m.Recipient) }),
			column(list, func(m *withheldMessage) string { return m.to }),
			column(list, func(*withheldMessage) []byte { return engine.Unplanned }),
			column(list, func(m *withheldMessage) int64 { return m.submitted }),
			column(list, func(m *withheldMessage) []byte { return notNil(m.labels) }),
			int16(lifecycle.Dropped))
	}
}

// suppress remembers suppressions for the end of the transaction.
func (t *tx) suppress(list ...store.Suppression) { t.suppressed = append(t.suppressed, list...) }

// suppressBy remembers what a report suppresses that is recorded.
func (in *ingesting) suppressBy(p *store.Parsed, r *provider.Report, m *message) {
	if s, ok := engine.SuppressionOf(r, p, m.accountID, m.subAccountID); ok {
		in.tx.suppress(s)
	}
}

func (t *tx) writeSuppressions() {
	if len(t.suppressed) == 0 {
		return
	}
	t.storeSuppressions(new(int), t.suppressed)
	if list := engine.Unexplained(t.suppressed); len(list) > 0 { // which are locked by now
		t.exec(`UPDATE suppression s `+engine.ExplainSuppressions+` AND (s.sub_account_id, s.email) IN (SELECT * FROM unnest($1::int[], $2::text[]))`,
			column(list, func(s *store.Suppression) int32 { return s.SubAccountID }), column(list, func(s *store.Suppression) string { return address(s.Email) }))
	}
}

var insertSuppressions = `INSERT INTO suppression AS s (` + engine.SuppressionColumns + `)
	SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::smallint[], $5::text[], $6::smallint[], $7::int[], $8::bigint[], $9::bigint[]) ` +
	engine.SuppressionRule

// storeSuppressions queues suppressions, and adds how many of them change something to n.
func (t *tx) storeSuppressions(n *int, list []store.Suppression) {
	for i := range list {
		list[i].Email = address(list[i].Email)
	}
	list = engine.MergeSuppressions(list)
	t.queue.Queue(insertSuppressions,
		column(list, func(s *store.Suppression) int32 { return s.AccountID }),
		column(list, func(s *store.Suppression) int32 { return s.SubAccountID }),
		column(list, func(s *store.Suppression) string { return s.Email }),
		column(list, func(s *store.Suppression) int16 { return int16(s.Reason) }),
		column(list, func(s *store.Suppression) string { return text(s.Detail) }),
		column(list, func(s *store.Suppression) int16 { return int16(s.Source) }),
		column(list, func(s *store.Suppression) int32 { return s.TPSPID }),
		column(list, func(s *store.Suppression) int64 { return engine.Stamp(s.Since) }),
		column(list, func(s *store.Suppression) int64 { return engine.Stamp(s.Created) })).Exec(counting(n))
}

// counting adds the rows that a statement touches.
func counting(n *int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*n += int(tag.RowsAffected())
		return nil
	}
}

const suppressionFields = `id, account_id, sub_account_id, email, reason, detail, source, tpsp_id, since, created`

func scanSuppression(rows pgx.Rows) (s store.Suppression, err error) {
	var since, created int64
	err = rows.Scan(&s.ID, &s.AccountID, &s.SubAccountID, &s.Email, &s.Reason, &s.Detail, &s.Source, &s.TPSPID, &since, &created)
	s.Since, s.Created = engine.Time(since), engine.Time(created)
	return s, err
}

// suppressionsOf reads those of a sub-account that are in force, for the next flush; lock locks them.
func (t *tx) suppressionsOf(to map[string]store.Suppression, subAccount int32, emails []string, lock string) {
	t.each(func(rows pgx.Rows) error {
		s, err := scanSuppression(rows)
		to[s.Email] = s
		return err
	}, `SELECT `+suppressionFields+` FROM suppression WHERE sub_account_id = $1 AND email = ANY ($2) AND released = 0 ORDER BY email COLLATE "C"`+lock,
		subAccount, emails)
}

// Suppress implements store.Suppressions.
func (db *DB) Suppress(ctx context.Context, list []store.Suppression, push []int32) (stored []store.Suppression, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	err = db.write(ctx, db.front, "suppress", func(t *tx) error {
		found := map[string]store.Suppression{}
		emails := engine.PushKeys(column(list, func(s *store.Suppression) string { return address(s.Email) }))
		first := &list[0]
		t.wish(push, first.AccountID, first.SubAccountID, emails, false, first.Created)
		t.storeSuppressions(new(int), append([]store.Suppression(nil), list...))
		t.suppressionsOf(found, first.SubAccountID, emails, "")
		if err := t.flush(); err != nil {
			return err
		}
		stored = stored[:0]
		for i := range list {
			stored = append(stored, found[address(list[i].Email)])
		}
		return nil
	})
	if err == nil {
		db.suppressing.some.Store(true)
	}
	return stored, err
}

// wish has addresses put on lists, or taken off.
func (t *tx) wish(tpsps []int32, account, subAccount int32, emails []string, release bool, at time.Time) {
	if len(tpsps) == 0 || len(emails) == 0 {
		return
	}
	t.exec(`INSERT INTO suppression_push AS p (tpsp_id, email, account_id, sub_account_id, release, due_at)
		SELECT tpsp, email, $3, $4, $5, $6 FROM unnest($1::int[]) AS a (tpsp), unnest($2::text[]) AS b (email) ORDER BY tpsp, email COLLATE "C"
		ON CONFLICT (tpsp_id, email) DO UPDATE SET version = excluded.version, sub_account_id = excluded.sub_account_id, release = excluded.release,
			due_at = excluded.due_at, tries = 0, refused = false, error = ''`, tpsps, emails, account, subAccount, release, engine.Stamp(at))
}

// Reactivate implements store.Suppressions.
func (db *DB) Reactivate(ctx context.Context, accountID, subAccountID int32, emails []string, at time.Time, push []int32) (ended []store.Suppression, err error) {
	emails = engine.PushKeys(column(emails, func(s *string) string { return address(*s) }))
	err = db.write(ctx, db.front, "reactivate", func(t *tx) error {
		found, locked := map[string]store.Suppression{}, map[string]store.Suppression{}
		t.suppressionsOf(found, subAccountID, emails, "")
		if err := t.flush(); err != nil {
			return err
		}
		released := slices.Sorted(maps.Keys(found))
		t.wish(push, accountID, subAccountID, released, true, at) // before the suppressions are locked
		const pushed = ` FROM suppression_pushed WHERE tpsp_id IN (SELECT id FROM tpsp WHERE account_id = $1) AND email = ANY ($2) AND sub_account_id = $3`
		t.exec(`SELECT`+pushed+` ORDER BY tpsp_id, email COLLATE "C" FOR UPDATE`, accountID, released, subAccountID)
		t.exec(`DELETE`+pushed, accountID, released, subAccountID)
		t.suppressionsOf(locked, subAccountID, released, ` FOR UPDATE`)
		if err := t.flush(); err != nil {
			return err
		}
		ended = ended[:0]
		var ids []int64
		for _, email := range released {
			if s, ok := locked[email]; ok {
				ended, ids = append(ended, s), append(ids, s.ID)
			}
		}
		t.exec(`UPDATE suppression SET released = $2 WHERE id = ANY ($1)`, ids, engine.Stamp(at))
		return nil
	})
	return ended, err
}

// suppressionFilter is the condition of a filter.
const suppressionFilter = ` FROM suppression WHERE sub_account_id = $1 AND released = 0 AND created >= $2 AND created < $3 AND ($4::smallint IS NULL OR reason = $4)
	AND ($5 = '' OR strpos(email, $5) > 0) AND created <= $6 AND (created, id) < ($6, $7)`

func suppressionArgs(f store.SuppressionFilter) []any {
	var reason pgtype.Int2
	if f.Reason != nil {
		reason = pgtype.Int2{Int16: int16(*f.Reason), Valid: true}
	}
	below, id := int64(math.MaxInt64), int64(math.MaxInt64)
	if f.Below.ID != 0 {
		below, id = engine.Stamp(f.Below.Created), f.Below.ID
	}
	return []any{f.SubAccountID, engine.Stamp(f.From), engine.Stamp(f.To), reason, strings.ToLower(text(f.Search)), below, id}
}

// Suppressions implements store.Suppressions.
func (db *DB) Suppressions(ctx context.Context, f store.SuppressionFilter) ([]store.Suppression, error) {
	limit := pgtype.Int8{Int64: int64(f.Limit), Valid: f.Limit > 0}
	return list(ctx, db.queries, "read suppressions", scanSuppression, `SELECT `+suppressionFields+suppressionFilter+`
		ORDER BY created DESC, id DESC LIMIT $8 OFFSET $9`, append(suppressionArgs(f), limit, int64(f.Offset))...)
}

// CountSuppressions implements store.Suppressions.
func (db *DB) CountSuppressions(ctx context.Context, f store.SuppressionFilter) (n int64, err error) {
	_, err = one(ctx, db.queries, "count suppressions", []any{&n}, `SELECT count(*)`+suppressionFilter, suppressionArgs(f)...)
	return n, err
}

// Suppressed implements store.Suppressions.
func (db *DB) Suppressed(ctx context.Context, keys []store.SuppressionKey) (store.Suppressed, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	now := time.Now()
	if !db.suppressing.some.Load() {
		if now.Sub(time.Unix(0, db.suppressing.checked.Load())) < unsuppressedFor {
			return nil, nil
		}
		var some bool
		if _, err := one(ctx, db.work, "look for suppressions", []any{&some}, anySuppression); err != nil {
			return nil, err
		}
		if !some {
			db.suppressing.checked.Store(now.UnixNano())
			return nil, nil
		}
		db.suppressing.some.Store(true)
	}
	var held store.Suppressed
	err := read(ctx, db.work, "look for suppressions", func(ctx context.Context, conn *pgx.Conn) error {
		held = store.Suppressed{}
		t := &tx{queue: &pgx.Batch{}}
		t.eachHit(held, keys)
		return conn.SendBatch(ctx, t.queue).Close()
	})
	return held, err
}

// SuppressionLists implements store.Suppressions.
func (db *DB) SuppressionLists(ctx context.Context) ([]store.SuppressionList, error) {
	parts, err := list(ctx, db.work, "read where suppression lists stand", func(rows pgx.Rows) (l store.SuppressionList, err error) {
		var readAt, pushAt int64
		err = rows.Scan(&l.TPSPID, &readAt, &l.Error, &pushAt)
		l.ReadAt, l.PushAt = engine.Time(readAt), engine.Time(pushAt)
		return l, err
	}, `SELECT tpsp_id, read_at, error, 0::bigint FROM suppression_list
		UNION ALL SELECT tpsp_id, 0, '', min(due_at) FROM suppression_push WHERE NOT refused GROUP BY tpsp_id`)
	return engine.MergeLists(parts), err
}

// ConnectSuppressions implements store.Suppressions.
func (db *DB) ConnectSuppressions(ctx context.Context, tpspID int32, connection string) error {
	return db.write(ctx, db.work, "connect a suppression list", func(t *tx) error {
		var n int
		t.count(&n, `INSERT INTO suppression_list AS l (tpsp_id, connection) VALUES ($1, $2) ON CONFLICT (tpsp_id) DO UPDATE SET connection = $2
			WHERE l.connection <> $2`, tpspID, text(connection))
		if err := t.flush(); err != nil {
			return err
		}
		if n > 0 {
			t.exec(`DELETE FROM suppression_mirror WHERE tpsp_id = $1`, tpspID)
			t.exec(`SELECT FROM suppression_pushed WHERE tpsp_id = $1 ORDER BY email COLLATE "C", sub_account_id FOR UPDATE`, tpspID)
			t.exec(`DELETE FROM suppression_pushed WHERE tpsp_id = $1`, tpspID)
		}
		return nil
	})
}

// SuppressionMirror implements store.Suppressions.
func (db *DB) SuppressionMirror(ctx context.Context, tpspID int32) (map[string]store.MirroredSuppression, error) {
	mirror := map[string]store.MirroredSuppression{}
	_, err := list(ctx, db.work, "read mirrored suppressions", func(rows pgx.Rows) (none struct{}, err error) {
		var email string
		var reason provider.Reason
		var pushed int64
		err = rows.Scan(&email, &reason, &pushed)
		mirror[email] = engine.Mirrored(reason, pushed)
		return none, err
	}, `SELECT email, reason, pushed FROM suppression_mirror WHERE tpsp_id = $1`, tpspID)
	return mirror, err
}

// MirrorSuppressions implements store.Suppressions.
func (db *DB) MirrorSuppressions(ctx context.Context, c store.ListChange) (effect store.MirrorEffect, err error) {
	slices.SortFunc(c.Listed, func(a, b provider.Listed) int { return cmp.Compare(a.Email, b.Email) })
	for _, part := range []struct {
		n    int
		take func(t *tx, c *store.ListChange, n *int) error
		to   *int
	}{{len(c.Listed), (*tx).listed, &effect.Suppressed}, {len(c.Gone), (*tx).unlisted, &effect.Reactivated}} {
		if part.n == 0 {
			continue
		}
		if err := db.write(ctx, db.work, "mirror suppressions", func(t *tx) error {
			*part.to = 0
			return part.take(t, &c, part.to)
		}); err != nil {
			return effect, err
		}
	}
	return effect, nil
}

// wish is what is to be pushed about an address.
type wish struct {
	subAccount int32 // whose wish it is
	release    bool  // to be taken off the list
}

// wished returns what is to be pushed about addresses. What is left of another setting is not.
func (t *tx) wished(tpsp int32, emails []string) (wishes map[string]wish, err error) {
	wishes = map[string]wish{}
	t.each(func(rows pgx.Rows) error {
		var email string
		var w wish
		err := rows.Scan(&email, &w.subAccount, &w.release)
		wishes[email] = w
		return err
	}, `SELECT email, sub_account_id, release FROM suppression_push WHERE tpsp_id = $1 AND email = ANY ($2) AND NOT refused
		AND tpsp_id IN (SELECT id FROM tpsp WHERE suppression_sync = 0) ORDER BY email COLLATE "C" FOR UPDATE`, tpsp, emails)
	return wishes, t.flush()
}

// markPushed notes that a sub-account's suppression, if it is in force still, stands on a list because we put it there.
func (t *tx) markPushed(tpsp int32, email string, subAccount int32) {
	t.exec(`INSERT INTO suppression_pushed (tpsp_id, email, sub_account_id)
		SELECT $1, email, sub_account_id FROM suppression WHERE sub_account_id = $2 AND email = $3 AND released = 0 ON CONFLICT DO NOTHING`, tpsp, subAccount, email)
}

// unmarkPushed notes that addresses are on a list no more.
func (t *tx) unmarkPushed(tpsp int32, emails []string) {
	const marks = ` FROM suppression_pushed WHERE tpsp_id = $1 AND email = ANY ($2)`
	t.exec(`SELECT`+marks+` ORDER BY email COLLATE "C", sub_account_id FOR UPDATE`, tpsp, emails)
	t.exec(`DELETE`+marks, tpsp, emails)
}

// listed takes entries in that are new, or have another reason. What we wish for ourselves is not somebody else's doing.
func (t *tx) listed(c *store.ListChange, n *int) error {
	emails := column(c.Listed, func(l *provider.Listed) string { return address(l.Email) })
	wishes, err := t.wished(c.TPSPID, emails)
	if err != nil {
		return err
	}
	known := map[string]bool{} // the account suppresses it
	t.each(func(rows pgx.Rows) error {
		var email string
		err := rows.Scan(&email)
		known[email] = true
		return err
	}, `SELECT DISTINCT s.email FROM suppression s JOIN sub_account a ON a.id = s.sub_account_id AND a.deleted = 0
		WHERE s.account_id = $1 AND s.email = ANY ($2) AND s.released = 0`, c.AccountID, emails)
	if err := t.flush(); err != nil {
		return err
	}
	var mirrored, fresh []provider.Listed
	var pushed []int64
	var ours []string
	for i, l := range c.Listed {
		l.Email = emails[i]
		wish, wished := wishes[l.Email]
		if wished && wish.release {
			continue
		}
		mirrored = append(mirrored, l)
		stamp := int64(0)
		if l.Reason == provider.Manual && wished {
			stamp = engine.Stamp(c.Now)
			ours = append(ours, l.Email)
		}
		pushed = append(pushed, stamp)
		if !wished || stamp == 0 {
			fresh = append(fresh, l)
		}
	}
	t.exec(`INSERT INTO suppression_mirror AS m (tpsp_id, email, reason, pushed) SELECT $1, * FROM unnest($2::text[], $3::smallint[], $4::bigint[])
		ON CONFLICT (tpsp_id, email) DO UPDATE SET reason = excluded.reason, pushed = greatest(m.pushed, excluded.pushed)`, c.TPSPID,
		column(mirrored, func(l *provider.Listed) string { return l.Email }), column(mirrored, func(l *provider.Listed) int16 { return int16(l.Reason) }), pushed)
	for _, email := range ours {
		t.markPushed(c.TPSPID, email, wishes[email].subAccount)
	}
	mailedBy := map[string][]int32{}
	t.each(func(rows pgx.Rows) error {
		var email string
		var sub int32
		err := rows.Scan(&email, &sub)
		mailedBy[email] = append(mailedBy[email], sub)
		return err
	}, `SELECT DISTINCT e.recipient, e.sub_account_id FROM event e JOIN sub_account a ON a.id = e.sub_account_id AND a.deleted = 0
		WHERE e.account_id = $1 AND e.recipient = ANY ($2) AND e.egress = $3`, c.AccountID,
		column(fresh, func(l *provider.Listed) string { return l.Email }), int32(route.TPSP(c.TPSPID)))
	if err := t.flush(); err != nil {
		return err
	}
	var list []store.Suppression
	for _, l := range fresh {
		subs := mailedBy[l.Email]
		if len(subs) == 0 && !known[l.Email] {
			subs = []int32{c.DefaultSubAccount}
		}
		for _, sub := range subs {
			list = append(list, store.Suppression{AccountID: c.AccountID, SubAccountID: sub, Email: l.Email, Reason: l.Reason, Source: store.ByList,
				TPSPID: c.TPSPID, Since: l.At, Created: c.Now})
		}
	}
	if len(list) > 0 {
		t.storeSuppressions(n, list)
	}
	return t.flush()
}

// unlisted takes in that entries are gone. What another list has still, is now that one's.
func (t *tx) unlisted(c *store.ListChange, n *int) error {
	emails := engine.PushKeys(column(c.Gone, func(s *string) string { return address(*s) }))
	wishes, err := t.wished(c.TPSPID, emails)
	if err != nil {
		return err
	}
	var gone []string
	for _, email := range emails {
		if _, wished := wishes[email]; !wished {
			gone = append(gone, email)
		}
	}
	var removed []string
	t.exec(`SELECT FROM suppression_mirror WHERE tpsp_id = $1 AND email = ANY ($2) ORDER BY email COLLATE "C" FOR UPDATE`, c.TPSPID, gone)
	t.each(func(rows pgx.Rows) error {
		var email string
		var pushed int64
		err := rows.Scan(&email, &pushed)
		if pushed >= 0 {
			removed = append(removed, email)
		}
		return err
	}, `DELETE FROM suppression_mirror WHERE tpsp_id = $1 AND email = ANY ($2) RETURNING email, pushed`, c.TPSPID, gone)
	if err := t.flush(); err != nil || len(removed) == 0 {
		return err
	}
	const elsewhere = `SELECT m.tpsp_id FROM tpsp p JOIN suppression_mirror m ON m.tpsp_id = p.id AND m.email = s.email AND m.pushed >= 0 WHERE p.account_id = $1 AND p.deleted = 0
		AND p.suppression_sync <> 2`
	t.exec(`SELECT FROM suppression_pushed WHERE tpsp_id = $1 AND email = ANY ($2) ORDER BY email COLLATE "C", sub_account_id FOR UPDATE`, c.TPSPID, removed)
	t.exec(`SELECT FROM suppression WHERE account_id = $1 AND email = ANY ($2) AND released = 0 ORDER BY sub_account_id, email COLLATE "C" FOR UPDATE`, c.AccountID, removed)
	t.exec(`UPDATE suppression s SET tpsp_id = (`+elsewhere+` LIMIT 1) WHERE account_id = $1 AND email = ANY ($2) AND released = 0 AND tpsp_id = $3
		AND EXISTS (`+elsewhere+`)`, c.AccountID, removed, c.TPSPID)
	t.queue.Queue(`UPDATE suppression s SET released = $5 WHERE account_id = $1 AND email = ANY ($2) AND released = 0 AND created < $4
		AND (tpsp_id = $3 OR source = 0 AND EXISTS (SELECT FROM suppression_pushed d WHERE d.tpsp_id = $3 AND d.email = s.email AND d.sub_account_id = s.sub_account_id)
			OR tpsp_id IN (SELECT id FROM tpsp WHERE account_id = $1 AND deleted <> 0)) AND NOT EXISTS (`+elsewhere+`)`,
		c.AccountID, removed, c.TPSPID, engine.Stamp(c.ReadAt), engine.Stamp(c.Ended())).Exec(counting(n))
	t.exec(`DELETE FROM suppression_pushed WHERE tpsp_id = $1 AND email = ANY ($2)`, c.TPSPID, removed)
	return t.flush()
}

// SuppressionsRead implements store.Suppressions.
func (db *DB) SuppressionsRead(ctx context.Context, tpspID int32, at time.Time, failure string) error {
	return db.write(ctx, db.work, "record the reading of suppressions", func(t *tx) error {
		t.exec(`INSERT INTO suppression_list (tpsp_id, read_at, error) VALUES ($1, $2, $3)
			ON CONFLICT (tpsp_id) DO UPDATE SET read_at = $2, error = $3`, tpspID, engine.Stamp(at), text(failure))
		return nil
	})
}

// pushesQuery also tells whether a sub-account that mails through the TPSP does not suppress the address.
const pushesQuery = `WITH used AS MATERIALIZED (SELECT DISTINCT c.sub_account_id AS id FROM counter c JOIN sub_account a ON a.id = c.sub_account_id
		WHERE c.account_id = (SELECT account_id FROM tpsp WHERE id = $1) AND c.day >= $2 AND c.egress = $3 AND a.deleted = 0)
	SELECT p.version, p.account_id, p.sub_account_id, p.email, p.release, p.tries, p.error, EXISTS (SELECT FROM used WHERE used.id <> p.sub_account_id AND NOT EXISTS
		(SELECT FROM suppression s WHERE s.sub_account_id = used.id AND s.email = p.email AND s.released = 0))
	FROM suppression_push p WHERE p.tpsp_id = $1 AND `

// Pushes implements store.Suppressions.
func (db *DB) Pushes(ctx context.Context, tpspID int32, now time.Time, limit int) ([]store.Push, error) {
	return db.pushes(ctx, `NOT p.refused AND p.due_at <= $5 ORDER BY p.due_at, p.version LIMIT $4`, tpspID, now, limit, engine.Stamp(now))
}

// RefusedPushes implements store.Suppressions.
func (db *DB) RefusedPushes(ctx context.Context, tpspID int32, limit int) ([]store.Push, error) {
	return db.pushes(ctx, `p.refused ORDER BY p.version DESC LIMIT $4`, tpspID, db.Now(), limit)
}

func (db *DB) pushes(ctx context.Context, which string, tpspID int32, now time.Time, limit int, more ...any) ([]store.Push, error) {
	return list(ctx, db.work, "read what is to be pushed", func(rows pgx.Rows) (store.Push, error) {
		p := store.Push{TPSPID: tpspID}
		err := rows.Scan(&p.Version, &p.AccountID, &p.SubAccountID, &p.Email, &p.Release, &p.Tries, &p.Error, &p.Shared)
		return p, err
	}, pushesQuery+which, append([]any{tpspID, int32(engine.Day(now.Add(-engine.UsedFor))), int32(route.TPSP(tpspID)), limit}, more...)...)
}

// Pushed implements store.Suppressions.
func (db *DB) Pushed(ctx context.Context, batch []store.PushOutcome) error {
	batch = slices.SortedFunc(slices.Values(batch), func(a, b store.PushOutcome) int {
		return cmp.Or(cmp.Compare(a.TPSPID, b.TPSPID), cmp.Compare(a.Email, b.Email))
	})
	return db.write(ctx, db.work, "record pushes", func(t *tx) error {
		var kept []store.Suppression
		for i := range batch { // before the mirror is changed
			t.exec(`SELECT FROM suppression_push WHERE tpsp_id = $1 AND email = $2 FOR UPDATE`, batch[i].TPSPID, address(batch[i].Email))
		}
		for i := range batch {
			o := &batch[i]
			switch email := address(o.Email); {
			case o.Mirror:
				t.exec(`INSERT INTO suppression_mirror (tpsp_id, email, reason, pushed) VALUES ($1, $2, 0, $3)
					ON CONFLICT (tpsp_id, email) DO UPDATE SET pushed = $3`, o.TPSPID, email, engine.MirrorStamp(o.At, o.Release))
				if o.Release {
					t.unmarkPushed(o.TPSPID, []string{email})
				} else {
					t.markPushed(o.TPSPID, email, o.SubAccountID)
				}
			case o.Kept: // it was ended at this moment at the latest
				kept = append(kept, store.Suppression{AccountID: o.AccountID, SubAccountID: o.SubAccountID, Email: email, Reason: o.Reason,
					Detail: o.Refused, Source: store.ByList, TPSPID: o.TPSPID, Since: o.At.Add(1), Created: o.At})
			}
			switch {
			case o.Done:
				t.exec(`DELETE FROM suppression_push WHERE tpsp_id = $1 AND email = $2 AND version = $3`, o.TPSPID, address(o.Email), o.Version)
			case o.Refused != "":
				t.exec(`UPDATE suppression_push SET refused = true, error = $4, tries = tries + 1 WHERE tpsp_id = $1 AND email = $2 AND version = $3`,
					o.TPSPID, address(o.Email), o.Version, text(o.Refused))
			default:
				t.exec(`UPDATE suppression_push SET error = $4, tries = tries + 1, due_at = $5 WHERE tpsp_id = $1 AND email = $2 AND version = $3`,
					o.TPSPID, address(o.Email), o.Version, text(o.Failure), engine.Stamp(o.Next))
			}
		}
		t.suppress(kept...)
		return nil
	})
}

// forgetSuppressions removes what is left of reactivations of long ago, and of the lists of deleted TPSPs.
func (db *DB) forgetSuppressions(ctx context.Context, now time.Time) error {
	if !db.unsuppressed.After(now, engine.ForgetSuppressionsEvery) {
		return nil
	}
	deleted, err := list(ctx, db.work, "read what is to be forgotten", func(rows pgx.Rows) (id int32, err error) { err = rows.Scan(&id); return id, err },
		engine.ForgottenLists)
	if err != nil {
		return err
	}
	for _, tpsp := range deleted {
		for _, table := range engine.ListTables {
			if err := db.forgetRows(ctx, "forget suppressions", `DELETE FROM `+table+` WHERE ctid = ANY (ARRAY (SELECT ctid FROM `+table+` WHERE tpsp_id = $2 LIMIT $1
					FOR UPDATE SKIP LOCKED))`, tpsp); err != nil {
				return err
			}
		}
		if err := db.write(ctx, db.work, "forget a suppression list", func(t *tx) error {
			t.exec(`DELETE FROM suppression_list WHERE tpsp_id = $1`, tpsp)
			return nil
		}); err != nil {
			return err
		}
	}
	return db.forgetRows(ctx, "forget suppressions", forgetReleased, engine.Stamp(now.Add(-engine.ReleasesKept)))
}

// forgetReleased removes old reactivations.
const forgetReleased = `DELETE FROM suppression WHERE id IN (SELECT id FROM suppression WHERE released <> 0 AND released < $2 LIMIT $1 FOR UPDATE SKIP LOCKED)`
