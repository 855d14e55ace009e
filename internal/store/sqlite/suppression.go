package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// knowSuppressions notes whether there are any: as long as there are none, accepting costs nothing.
func (db *DB) knowSuppressions(ctx context.Context) error {
	var some bool
	err := db.readPool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM suppression)`).Scan(&some)
	db.writer.suppressing.Store(some)
	return failed("look for suppressions", err)
}

var suppressionRows = newBulk(`INSERT INTO suppression AS s (`+engine.SuppressionColumns+`) VALUES `, `(?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	` `+engine.SuppressionRule)

// suppress remembers suppressions for the end of the transaction.
func (t *tx) suppress(list ...store.Suppression) { t.suppressed = append(t.suppressed, list...) }

// suppressBy remembers what a report suppresses that is recorded.
func (in *ingesting) suppressBy(r *reported) {
	if s, ok := engine.SuppressionOf(r.Report, r.of, r.about.accountID, r.about.subAccountID); ok {
		in.suppress(s)
	}
}

func (t *tx) writeSuppressions() error {
	list := engine.MergeSuppressions(t.suppressed)
	t.suppressed = nil
	if _, err := t.storeSuppressions(list); err != nil {
		return err
	}
	for _, s := range engine.Unexplained(list) {
		if _, err := t.exec(`UPDATE suppression AS s `+engine.ExplainSuppressions+` AND s.sub_account_id = ? AND s.email = ?`, s.SubAccountID, s.Email); err != nil {
			return err
		}
	}
	return nil
}

// storeSuppressions writes suppressions, of which none is about the same address as another one, and returns how many changed something.
func (t *tx) storeSuppressions(list []store.Suppression) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	t.writer.suppressing.Store(true)
	values := make([]any, 0, len(list)*suppressionRows.width)
	for i := range list {
		s := &list[i]
		values = append(values, s.AccountID, s.SubAccountID, s.Email, int(s.Reason), s.Detail, int(s.Source), s.TPSPID, engine.Stamp(s.Since), engine.Stamp(s.Created))
	}
	err = suppressionRows.each(values, func(query string, values []any) error {
		changed, err := t.changed(query, values...)
		n += int(changed)
		return err
	})
	return n, err
}

var heldRows = newBulk(`SELECT sub_account_id, email, reason, detail FROM suppression WHERE (sub_account_id, email) IN (VALUES `, `(?, ?)`,
	`) AND released = 0`)

// withheld finds the suppressed addresses of a batch.
func (t *tx) withheld(batch []store.Submission) (engine.Withheld, error) {
	if !t.writer.suppressing.Load() {
		return nil, nil
	}
	held := engine.Withheld{}
	err := heldRows.each(suppressionKeys(engine.Recipients(batch)), func(query string, values []any) error {
		_, err := each(t, func(rows *row) (none struct{}, err error) {
			return none, scanHit(rows, held)
		}, query, values...)
		return err
	})
	return held, err
}

func suppressionKeys(list []store.SuppressionKey) []any {
	values := make([]any, 0, 2*len(list))
	for _, k := range list {
		values = append(values, k.SubAccountID, k.Email)
	}
	return values
}

func scanHit(rows scanner, to map[store.SuppressionKey]store.SuppressionHit) error {
	var k store.SuppressionKey
	var hit store.SuppressionHit
	err := rows.Scan(&k.SubAccountID, &k.Email, &hit.Reason, &hit.Detail)
	to[k] = hit
	return err
}

var withheldRows = newInsert(`message (id, account_id, sub_account_id, content_id, pool_id, mailbox, recipient, to_addr, plan, submitted_at, egress, state, labels)`)

// withhold records a message whose recipient is suppressed: gone tells that. Else it returns the
// recipient without the copies that are, and these.
func (t *tx) withhold(s *store.Submission, m *store.NewMessage, rows *acceptedRows, held engine.Withheld, labels []byte) (recipient []byte, out []engine.LeftOut, gone bool, err error) {
	why, gone := held.To(s, m)
	if !gone {
		recipient, out, err = held.Copies(s, m)
		return recipient, out, false, err
	}
	detail, err := engine.Detail(&why)
	if err != nil {
		return nil, nil, true, err
	}
	class := m.Mailbox.ID()
	rows.withheld = append(rows.withheld, m.ID[:], s.AccountID, s.SubAccountID, rows.contentID, m.PoolID, class, m.Recipient, m.To, engine.Unplanned,
		engine.Stamp(s.SubmittedAt), 0, int(lifecycle.Dropped), labels)
	o := owner{m.ID, s.AccountID, s.SubAccountID, m.PoolID, class, m.To, labels, engine.Stamp(s.SubmittedAt), 0}
	t.record(&o, happening{typ: engine.SuppressedProcessed, recipient: m.To, occurredAt: s.SubmittedAt, recordedAt: s.SubmittedAt, detail: engine.NoDetail})
	t.record(&o, happening{typ: engine.SuppressedDropped, effect: droppedEffect, recipient: m.To, occurredAt: s.SubmittedAt, recordedAt: s.SubmittedAt, detail: detail})
	return nil, nil, true, nil
}

// leaveOut records which copies of a message are not sent.
func (t *tx) leaveOut(o *owner, at time.Time, out []engine.LeftOut) error {
	for i := range out {
		detail, err := engine.Detail(&out[i].Detail)
		if err != nil {
			return err
		}
		t.record(o, happening{typ: engine.SuppressedDropped, recipient: out[i].Email, isCopy: true, occurredAt: at, recordedAt: at, detail: detail})
	}
	return nil
}

// Suppress implements store.Suppressions.
func (db *DB) Suppress(ctx context.Context, list []store.Suppression, push []int32) (stored []store.Suppression, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		stored = make([]store.Suppression, 0, len(list))
		for i := range list {
			s := &list[i]
			if _, err := t.storeSuppressions(list[i : i+1]); err != nil {
				return err
			}
			got, err := t.suppressionsOf(s.SubAccountID, []string{s.Email})
			if err != nil {
				return err
			}
			stored = append(stored, got...)
			for _, tpsp := range push {
				if err := t.wish(tpsp, s.AccountID, s.SubAccountID, s.Email, false, s.Created); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return stored, err
}

// wish has an address put on a list, or taken off.
func (t *tx) wish(tpsp, account, subAccount int32, email string, release bool, at time.Time) error {
	_, err := t.exec(`INSERT OR REPLACE INTO suppression_push (tpsp_id, email, account_id, sub_account_id, release, due_at) VALUES (?, ?, ?, ?, ?, ?)`,
		tpsp, email, account, subAccount, release, engine.Stamp(at))
	return err
}

const suppressionFields = `id, account_id, sub_account_id, email, reason, detail, source, tpsp_id, since, created`

func scanSuppression(rows scanner) (s store.Suppression, err error) {
	var since, created int64
	err = rows.Scan(&s.ID, &s.AccountID, &s.SubAccountID, &s.Email, &s.Reason, &s.Detail, &s.Source, &s.TPSPID, &since, &created)
	s.Since, s.Created = engine.Time(since), engine.Time(created)
	return s, err
}

// suppressionsOf reads those of a sub-account that are in force, in the order of the addresses.
func (t *tx) suppressionsOf(subAccount int32, emails []string) (list []store.Suppression, err error) {
	for _, email := range emails {
		got, err := each(t, func(rows *row) (store.Suppression, error) { return scanSuppression(rows) }, `SELECT `+suppressionFields+`
			FROM suppression WHERE sub_account_id = ? AND email = ? AND released = 0`, subAccount, email)
		if err != nil {
			return nil, err
		}
		list = append(list, got...)
	}
	return list, nil
}

// Reactivate implements store.Suppressions.
func (db *DB) Reactivate(ctx context.Context, accountID, subAccountID int32, emails []string, at time.Time, push []int32) (ended []store.Suppression, err error) {
	err = db.write(ctx, rest, func(t *tx) (err error) {
		if ended, err = t.suppressionsOf(subAccountID, engine.PushKeys(emails)); err != nil {
			return err
		}
		for i := range ended {
			if _, err := t.exec(`UPDATE suppression SET released = ? WHERE id = ?`, engine.Stamp(at), ended[i].ID); err != nil {
				return err
			}
			if _, err := t.exec(`DELETE FROM suppression_pushed WHERE tpsp_id IN (SELECT id FROM tpsp WHERE account_id = ?) AND email = ? AND sub_account_id = ?`,
				accountID, ended[i].Email, subAccountID); err != nil {
				return err
			}
			for _, tpsp := range push {
				if err := t.wish(tpsp, accountID, subAccountID, ended[i].Email, true, at); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return ended, err
}

// suppressionQuery asks for columns of what a filter selects.
func suppressionQuery(columns string, f store.SuppressionFilter) (query string, args []any) {
	where, args := ` FROM suppression WHERE sub_account_id = ? AND released = 0 AND created >= ? AND created < ?`,
		[]any{f.SubAccountID, engine.Stamp(f.From), engine.Stamp(f.To)}
	if f.Reason != nil {
		where, args = where+` AND reason = ?`, append(args, int(*f.Reason))
	}
	if f.Search != "" {
		where, args = where+` AND instr(email, ?) > 0`, append(args, strings.ToLower(f.Search))
	}
	if f.Below.ID != 0 {
		at := engine.Stamp(f.Below.Created)
		where, args = where+` AND created <= ? AND (created, id) < (?, ?)`, append(args, at, at, f.Below.ID)
	}
	return `SELECT ` + columns + where, args
}

// Suppressions implements store.Suppressions.
func (db *DB) Suppressions(ctx context.Context, f store.SuppressionFilter) ([]store.Suppression, error) {
	query, args := suppressionQuery(suppressionFields, f)
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	query += ` ORDER BY created DESC, id DESC LIMIT ? OFFSET ?`
	rows, err := db.readPool.QueryContext(ctx, query, append(args, limit, f.Offset)...)
	if err != nil {
		return nil, failed("read suppressions", err)
	}
	return collect(rows, func(rows *sql.Rows) (store.Suppression, error) { return scanSuppression(rows) })
}

// CountSuppressions implements store.Suppressions.
func (db *DB) CountSuppressions(ctx context.Context, f store.SuppressionFilter) (n int64, err error) {
	query, args := suppressionQuery(`count(*)`, f)
	err = db.readPool.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, failed("count suppressions", err)
}

// Suppressed implements store.Suppressions.
func (db *DB) Suppressed(ctx context.Context, list []store.SuppressionKey) (store.Suppressed, error) {
	if len(list) == 0 || !db.writer.suppressing.Load() {
		return nil, nil
	}
	held := store.Suppressed{}
	err := heldRows.each(suppressionKeys(list), func(query string, values []any) error {
		rows, err := db.workPool.QueryContext(ctx, query, values...)
		if err != nil {
			return failed("look for suppressions", err)
		}
		_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) { return none, scanHit(rows, held) })
		return err
	})
	return held, err
}

// SuppressionLists implements store.Suppressions.
func (db *DB) SuppressionLists(ctx context.Context) ([]store.SuppressionList, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT tpsp_id, read_at, error, 0 FROM suppression_list
		UNION ALL SELECT tpsp_id, 0, '', min(due_at) FROM suppression_push WHERE refused = 0 GROUP BY tpsp_id`)
	if err != nil {
		return nil, failed("read where suppression lists stand", err)
	}
	parts, err := collect(rows, func(rows *sql.Rows) (l store.SuppressionList, err error) {
		var readAt, pushAt int64
		err = rows.Scan(&l.TPSPID, &readAt, &l.Error, &pushAt)
		l.ReadAt, l.PushAt = engine.Time(readAt), engine.Time(pushAt)
		return l, err
	})
	return engine.MergeLists(parts), err
}

// ConnectSuppressions implements store.Suppressions.
func (db *DB) ConnectSuppressions(ctx context.Context, tpspID int32, connection string) error {
	return db.write(ctx, rest, func(t *tx) error {
		n, err := t.changed(`INSERT INTO suppression_list (tpsp_id, connection) VALUES (?1, ?2) ON CONFLICT (tpsp_id) DO UPDATE SET connection = ?2
			WHERE connection <> ?2`, tpspID, connection)
		if err != nil || n == 0 {
			return err
		}
		if _, err = t.exec(`DELETE FROM suppression_mirror WHERE tpsp_id = ?`, tpspID); err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM suppression_pushed WHERE tpsp_id = ?`, tpspID)
		return err
	})
}

// SuppressionMirror implements store.Suppressions.
func (db *DB) SuppressionMirror(ctx context.Context, tpspID int32) (mirror map[string]store.MirroredSuppression, err error) {
	mirror = map[string]store.MirroredSuppression{}
	rows, err := db.workPool.QueryContext(ctx, `SELECT email, reason, pushed FROM suppression_mirror WHERE tpsp_id = ?`, tpspID)
	if err != nil {
		return nil, failed("read mirrored suppressions", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var email string
		var reason provider.Reason
		var pushed int64
		err = rows.Scan(&email, &reason, &pushed)
		mirror[email] = engine.Mirrored(reason, pushed)
		return none, err
	})
	return mirror, err
}

// MirrorSuppressions implements store.Suppressions.
func (db *DB) MirrorSuppressions(ctx context.Context, c store.ListChange) (effect store.MirrorEffect, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		effect = store.MirrorEffect{}
		for i := range c.Listed {
			n, err := t.listed(&c, &c.Listed[i])
			if err != nil {
				return err
			}
			effect.Suppressed += n
		}
		for _, email := range c.Gone {
			n, err := t.unlisted(&c, email)
			if err != nil {
				return err
			}
			effect.Reactivated += n
		}
		return nil
	})
	return effect, err
}

// wished tells whether something is to be pushed about an address, and whose wish that is. What is left of another setting is none.
func (t *tx) wished(tpsp int32, email string) (subAccount int32, release, found bool, err error) {
	found, err = t.one([]any{&subAccount, &release}, `SELECT sub_account_id, release FROM suppression_push WHERE tpsp_id = ? AND email = ? AND refused = 0
		AND tpsp_id IN (SELECT id FROM tpsp WHERE suppression_sync = 0)`, tpsp, email)
	return subAccount, release, found, err
}

// markPushed notes that a sub-account's suppression, if it is in force still, stands on a list because we put it there.
func (t *tx) markPushed(tpsp int32, email string, subAccount int32) error {
	_, err := t.exec(`INSERT OR IGNORE INTO suppression_pushed (tpsp_id, email, sub_account_id)
		SELECT ?, email, sub_account_id FROM suppression WHERE sub_account_id = ? AND email = ? AND released = 0`, tpsp, subAccount, email)
	return err
}

// unmarkPushed notes that an address is on a list no more.
func (t *tx) unmarkPushed(tpsp int32, email string) error {
	_, err := t.exec(`DELETE FROM suppression_pushed WHERE tpsp_id = ? AND email = ?`, tpsp, email)
	return err
}

// listed takes an entry in that is new, or has another reason. What we wish for ourselves is not somebody else's doing.
func (t *tx) listed(c *store.ListChange, e *provider.Listed) (n int, err error) {
	wisher, release, wished, err := t.wished(c.TPSPID, e.Email)
	if err != nil || wished && release {
		return 0, err
	}
	pushed := int64(0)
	if e.Reason == provider.Manual && wished {
		pushed = engine.Stamp(c.Now)
		if err := t.markPushed(c.TPSPID, e.Email, wisher); err != nil {
			return 0, err
		}
	}
	if _, err := t.exec(`INSERT INTO suppression_mirror (tpsp_id, email, reason, pushed) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (tpsp_id, email) DO UPDATE SET reason = ?3, pushed = max(pushed, ?4)`, c.TPSPID, e.Email, int(e.Reason), pushed); err != nil || wished && pushed != 0 {
		return 0, err
	}
	subs, err := each(t, func(rows *row) (id int32, err error) { err = rows.Scan(&id); return id, err },
		`SELECT DISTINCT e.sub_account_id FROM event e CROSS JOIN sub_account a ON a.id = e.sub_account_id AND a.deleted = 0
			WHERE e.account_id = ? AND e.recipient = ? AND e.egress = ? ORDER BY 1`,
		c.AccountID, e.Email, int32(route.TPSP(c.TPSPID)))
	if err != nil {
		return 0, err
	}
	if len(subs) == 0 {
		known, err := t.one([]any{new(int)}, `SELECT 1 FROM suppression s CROSS JOIN sub_account a ON a.id = s.sub_account_id AND a.deleted = 0
			WHERE s.account_id = ? AND s.email = ? AND s.released = 0 LIMIT 1`, c.AccountID, e.Email)
		if err != nil || known {
			return 0, err
		}
		subs = []int32{c.DefaultSubAccount}
	}
	list := make([]store.Suppression, len(subs))
	for i, sub := range subs {
		list[i] = store.Suppression{AccountID: c.AccountID, SubAccountID: sub, Email: e.Email, Reason: e.Reason, Source: store.ByList, TPSPID: c.TPSPID,
			Since: e.At, Created: c.Now}
	}
	return t.storeSuppressions(list)
}

// unlisted takes in that an entry is gone.
func (t *tx) unlisted(c *store.ListChange, email string) (n int, err error) {
	_, _, wished, err := t.wished(c.TPSPID, email)
	if err != nil || wished {
		return 0, err
	}
	var pushed int64
	found, err := t.one([]any{&pushed}, `DELETE FROM suppression_mirror WHERE tpsp_id = ? AND email = ? RETURNING pushed`, c.TPSPID, email)
	if err != nil || !found || pushed < 0 {
		return 0, err
	}
	var other int32
	elsewhere, err := t.one([]any{&other}, `SELECT m.tpsp_id FROM tpsp p CROSS JOIN suppression_mirror m ON m.tpsp_id = p.id AND m.email = ? AND m.pushed >= 0
		WHERE p.account_id = ? AND p.deleted = 0 AND p.suppression_sync <> 2 LIMIT 1`, email, c.AccountID)
	if err != nil {
		return 0, err
	}
	if elsewhere { // another list has it still, and now it is that one's
		if err := t.unmarkPushed(c.TPSPID, email); err != nil {
			return 0, err
		}
		_, err := t.exec(`UPDATE suppression SET tpsp_id = ? WHERE account_id = ? AND email = ? AND released = 0 AND tpsp_id = ?`, other, c.AccountID, email, c.TPSPID)
		return 0, err
	}
	changed, err := t.changed(`UPDATE suppression AS s SET released = ?1 WHERE account_id = ?2 AND email = ?3 AND released = 0 AND created < ?4
		AND (tpsp_id = ?5 OR source = 0 AND EXISTS (SELECT 1 FROM suppression_pushed d WHERE d.tpsp_id = ?5 AND d.email = s.email AND d.sub_account_id = s.sub_account_id)
			OR tpsp_id IN (SELECT id FROM tpsp WHERE account_id = ?2 AND deleted <> 0))`, engine.Stamp(c.Ended()), c.AccountID, email, engine.Stamp(c.ReadAt), c.TPSPID)
	if err != nil {
		return 0, err
	}
	return int(changed), t.unmarkPushed(c.TPSPID, email)
}

// SuppressionsRead implements store.Suppressions.
func (db *DB) SuppressionsRead(ctx context.Context, tpspID int32, at time.Time, failure string) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`INSERT INTO suppression_list (tpsp_id, read_at, error) VALUES (?1, ?2, ?3)
			ON CONFLICT (tpsp_id) DO UPDATE SET read_at = ?2, error = ?3`, tpspID, engine.Stamp(at), failure)
		return err
	})
}

// pushesQuery also tells whether a sub-account that mails through the TPSP does not suppress the address.
const pushesQuery = `WITH used AS MATERIALIZED (SELECT DISTINCT c.sub_account_id AS id FROM counter c JOIN sub_account a ON a.id = c.sub_account_id
		WHERE c.account_id = (SELECT account_id FROM tpsp WHERE id = ?1) AND c.day >= ?2 AND c.egress = ?3 AND a.deleted = 0)
	SELECT p.version, p.account_id, p.sub_account_id, p.email, p.release, p.tries, p.error, EXISTS (SELECT 1 FROM used WHERE used.id <> p.sub_account_id AND NOT EXISTS
		(SELECT 1 FROM suppression s WHERE s.sub_account_id = used.id AND s.email = p.email AND s.released = 0))
	FROM suppression_push p WHERE p.tpsp_id = ?1 AND `

// Pushes implements store.Suppressions.
func (db *DB) Pushes(ctx context.Context, tpspID int32, now time.Time, limit int) ([]store.Push, error) {
	return db.pushes(ctx, `p.refused = 0 AND p.due_at <= ?4 ORDER BY p.due_at, p.version LIMIT ?5`, tpspID, now, limit)
}

// RefusedPushes implements store.Suppressions.
func (db *DB) RefusedPushes(ctx context.Context, tpspID int32, limit int) ([]store.Push, error) {
	return db.pushes(ctx, `p.refused = 1 AND ?4 ORDER BY p.version DESC LIMIT ?5`, tpspID, db.Now(), limit)
}

func (db *DB) pushes(ctx context.Context, which string, tpspID int32, now time.Time, limit int) ([]store.Push, error) {
	rows, err := db.workPool.QueryContext(ctx, pushesQuery+which, tpspID, engine.Day(now.Add(-engine.UsedFor)), int32(route.TPSP(tpspID)), engine.Stamp(now), limit)
	if err != nil {
		return nil, failed("read what is to be pushed", err)
	}
	return collect(rows, func(rows *sql.Rows) (store.Push, error) {
		p := store.Push{TPSPID: tpspID}
		err := rows.Scan(&p.Version, &p.AccountID, &p.SubAccountID, &p.Email, &p.Release, &p.Tries, &p.Error, &p.Shared)
		return p, err
	})
}

// Pushed implements store.Suppressions.
func (db *DB) Pushed(ctx context.Context, batch []store.PushOutcome) error {
	return db.write(ctx, rest, func(t *tx) error {
		for i := range batch {
			if err := t.pushed(&batch[i]); err != nil {
				return fmt.Errorf("record a push: %w", err)
			}
		}
		return nil
	})
}

func (t *tx) pushed(o *store.PushOutcome) (err error) {
	switch {
	case o.Mirror:
		_, err = t.exec(`INSERT INTO suppression_mirror (tpsp_id, email, reason, pushed) VALUES (?1, ?2, 0, ?3)
			ON CONFLICT (tpsp_id, email) DO UPDATE SET pushed = ?3`, o.TPSPID, o.Email, engine.MirrorStamp(o.At, o.Release))
		switch {
		case err != nil:
		case o.Release:
			err = t.unmarkPushed(o.TPSPID, o.Email)
		default:
			err = t.markPushed(o.TPSPID, o.Email, o.SubAccountID)
		}
	case o.Kept:
		_, err = t.storeSuppressions([]store.Suppression{{AccountID: o.AccountID, SubAccountID: o.SubAccountID, Email: o.Email, Reason: o.Reason,
			Detail: o.Refused, Source: store.ByList, TPSPID: o.TPSPID, Since: o.At.Add(1), Created: o.At}}) // it was ended at this moment at the latest
	}
	if err != nil {
		return err
	}
	switch {
	case o.Done:
		_, err = t.exec(`DELETE FROM suppression_push WHERE version = ?`, o.Version)
	case o.Refused != "":
		_, err = t.exec(`UPDATE suppression_push SET refused = 1, error = ?, tries = tries + 1 WHERE version = ?`, o.Refused, o.Version)
	default:
		_, err = t.exec(`UPDATE suppression_push SET error = ?, tries = tries + 1, due_at = ? WHERE version = ?`, o.Failure, engine.Stamp(o.Next), o.Version)
	}
	return err
}

// forgetSuppressions removes what is left of reactivations of long ago, and of the lists of deleted TPSPs. It looks for them on a reading
// connection: there is no index of them.
func (db *DB) forgetSuppressions(ctx context.Context, now time.Time) error {
	if !db.unsuppressed.After(now, engine.ForgetSuppressionsEvery) {
		return nil
	}
	deleted, err := scanned[int32](ctx, db, engine.ForgottenLists)
	if err != nil {
		return err
	}
	for _, tpsp := range deleted {
		for _, table := range engine.ListTables {
			if err := db.forgetRows(ctx, `DELETE FROM `+table+` WHERE tpsp_id = ?1 AND email IN (SELECT email FROM `+table+` WHERE tpsp_id = ?1 LIMIT ?2)`, tpsp); err != nil {
				return err
			}
		}
		if err := db.write(ctx, rest, func(t *tx) error {
			_, err := t.exec(`DELETE FROM suppression_list WHERE tpsp_id = ?`, tpsp)
			return err
		}); err != nil {
			return err
		}
	}
	return db.forgetReleased(ctx, engine.Stamp(now.Add(-engine.ReleasesKept)))
}

// releasedQuery reads old reactivations.
const releasedQuery = `SELECT id FROM suppression WHERE released <> 0 AND released < ?`

func (db *DB) forgetReleased(ctx context.Context, before int64) error {
	ids, err := scanned[int64](ctx, db, releasedQuery, before)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, engine.ForgottenAtOnce) {
		if err := db.write(ctx, rest, func(t *tx) error {
			for _, id := range part {
				if _, err := t.exec(`DELETE FROM suppression WHERE id = ? AND released <> 0 AND released < ?`, id, before); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// scanned reads a column.
func scanned[T any](ctx context.Context, db *DB, query string, args ...any) ([]T, error) {
	rows, err := db.workPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read what is to be forgotten", err)
	}
	return collect(rows, func(rows *sql.Rows) (v T, err error) { err = rows.Scan(&v); return v, err })
}
