package postgres

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postyard/internal/event"
	"postyard/internal/limit"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
	"postyard/internal/store/storetest"
)

// before00007 takes away what the migrations 7 and later brought, so that the next start brings it again.
const before00007 = `DROP TABLE audit; DROP TABLE session; DROP TABLE invitation; DROP TABLE member; DROP TABLE outbox; DROP TABLE delivery_try; DROP TABLE delivery; DROP TABLE content_hook; DROP TABLE endpoint; DROP TABLE domain_key; DROP TABLE idempotency; DROP TABLE stored_template; DROP TABLE sub_account_label; DROP TABLE account_label; DROP TABLE facet; DROP TABLE label; DROP TABLE domain;
	ALTER TABLE message DROP COLUMN labels; ALTER TABLE message DROP COLUMN engaged; ALTER TABLE event DROP COLUMN marks; ALTER TABLE counter DROP COLUMN firsts; DROP INDEX tpsp_ip;
	ALTER TABLE attempt DROP COLUMN refused; ALTER TABLE attempt DROP COLUMN refusal; ALTER TABLE attempt DROP COLUMN provider_id; ALTER TABLE message DROP COLUMN refusals;
	ALTER TABLE tpsp DROP COLUMN auto_warmup; DROP INDEX suppression_released; DROP INDEX hold_until; DROP INDEX attempt_failed; DROP TABLE sub_permit; DROP TABLE sub_hold; DROP INDEX sub_account_blocked; ALTER TABLE sub_account DROP COLUMN path; ALTER TABLE sub_account DROP COLUMN moved; ALTER TABLE sub_account DROP COLUMN per_hour;
	ALTER TABLE sub_account DROP COLUMN blocked; ALTER TABLE sub_account DROP COLUMN block_reason; DELETE FROM goose_db_version WHERE version_id >= 7`

// TestUpgraded checks a database that was made before there were facets.
func TestUpgraded(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pgtest.Database(t))
	ids := w.accept(8)
	w.send(w.db, 8)
	all := append(reportsOf(ids, event.Delivered), reportsOf(ids[:5], event.Opened)...)
	all = append(all, reportsOf(ids[3:], event.Clicked)...)
	again := reportsOf(ids[:3], event.Opened)
	for i := range again {
		again[i].Identity += "again"
		again[i].OccurredAt = again[i].OccurredAt.Add(-3 * 24 * time.Hour)
	}
	record := func(reports []provider.Report) {
		t.Helper()
		w.receive(len(reports), "{}")
		if res, left := w.ingest(w.db, reports); res.Recorded != len(reports) || len(left) > 0 {
			t.Fatalf("%+v, %d left", res, len(left))
		}
	}
	record(append(all, again...))
	sums := func() []store.Stat {
		t.Helper()
		now := time.Now()
		list, err := w.db.Stats(t.Context(), store.StatFilter{AccountID: w.account.ID, By: store.ByDay, From: now.AddDate(0, 0, -9), To: now.AddDate(0, 0, 1), Limit: 99})
		w.must(err)
		return list
	}
	was := sums()
	w.must(w.db.Close())
	conn, err := pgx.Connect(t.Context(), w.url)
	w.must(err)
	_, err = conn.Exec(t.Context(), before00007)
	w.must(err)
	w.must(conn.Close(t.Context()))
	w.db = open(t, w.url, "one")
	if diff := cmp.Diff(was, sums()); diff != "" {
		t.Errorf("sums: %s", diff)
	}
	if p, err := w.db.SenderPermits(t.Context(), []int32{w.sub.ID}, time.Now(), time.Minute); err != nil || limit.Sum(p[w.sub.ID]) != len(ids) {
		t.Errorf("permits %+v, %v; %d were sent", p, err, len(ids))
	}
	w.must(storetest.CheckBooks(t.Context(), w.db, w.account.ID))
	record(reportsOf(ids[5:], event.Opened))
	w.accept(3)
	w.must(storetest.CheckBooks(t.Context(), w.db, w.account.ID))

	// The migration 16 finds facets and keeps them.
	was = sums()
	w.must(w.db.Close())
	conn, err = pgx.Connect(t.Context(), w.url)
	w.must(err)
	_, err = conn.Exec(t.Context(), `DROP TABLE audit; DROP TABLE session; DROP TABLE invitation; DROP TABLE member; ALTER TABLE facet DROP CONSTRAINT facet_dimension_check; ALTER TABLE facet ADD CONSTRAINT facet_dimension_check CHECK (dimension BETWEEN 1 AND 8);
		DROP INDEX suppression_released; DROP INDEX hold_until; DROP INDEX attempt_failed; DROP TABLE sub_permit; DROP TABLE sub_hold; DROP INDEX sub_account_blocked; ALTER TABLE sub_account DROP COLUMN path; ALTER TABLE sub_account DROP COLUMN moved; ALTER TABLE sub_account DROP COLUMN per_hour;
	ALTER TABLE sub_account DROP COLUMN blocked; ALTER TABLE sub_account DROP COLUMN block_reason; DELETE FROM goose_db_version WHERE version_id >= 16`)
	w.must(err)
	w.must(conn.Close(t.Context()))
	w.db = open(t, w.url, "one")
	if diff := cmp.Diff(was, sums()); diff != "" {
		t.Errorf("sums: %s", diff)
	}
	w.must(storetest.CheckBooks(t.Context(), w.db, w.account.ID))
}

// Other nodes look sub-accounts up while a migration reads what was sent.
func TestUpgradeLetsOthersRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.accept(1)
	w.must(w.db.Close())
	conn, other := w.conn(), w.conn()
	w.exec(conn, `DROP INDEX suppression_released; DROP INDEX hold_until; DROP INDEX attempt_failed; DROP TABLE sub_permit; DROP TABLE sub_hold; DROP INDEX sub_account_blocked;
		ALTER TABLE sub_account DROP COLUMN path, DROP COLUMN moved, DROP COLUMN per_hour, DROP COLUMN blocked, DROP COLUMN block_reason;
		DELETE FROM goose_db_version WHERE version_id >= 19`)
	w.exec(other, `BEGIN; LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE`)
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		w.db = open(t, w.url, "one")
	}()
	for waits := false; !waits; {
		w.must(conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'attempt'::regclass AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits))
	}
	w.exec(conn, `SET lock_timeout = '1s'`)
	if _, err := conn.Exec(t.Context(), `SELECT FROM sub_account`); err != nil {
		t.Error(err)
	}
	w.exec(other, `COMMIT`)
	<-opened
}
