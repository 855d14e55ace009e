package books

import (
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postyard/internal/compare"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
)

// before00007 takes away what the migrations 7 and later brought, so that the next start brings it again.
const before00007 = `DROP TABLE audit; DROP TABLE session; DROP TABLE invitation; DROP TABLE member; DROP TABLE outbox; DROP TABLE delivery_try; DROP TABLE delivery; DROP TABLE content_hook; DROP TABLE endpoint; DROP TABLE domain_key; DROP TABLE idempotency; DROP TABLE stored_template; DROP TABLE sub_account_label; DROP TABLE account_label; DROP TABLE facet; DROP TABLE label; DROP TABLE domain;
	ALTER TABLE message DROP COLUMN labels; ALTER TABLE message DROP COLUMN engaged; ALTER TABLE event DROP COLUMN marks; ALTER TABLE counter DROP COLUMN firsts; DROP INDEX tpsp_ip;
	DROP INDEX attempt_provider; ALTER TABLE attempt DROP COLUMN refused; ALTER TABLE attempt DROP COLUMN refusal; ALTER TABLE attempt DROP COLUMN provider_id; ALTER TABLE message DROP COLUMN refusals;
	ALTER TABLE tpsp DROP COLUMN auto_warmup; DROP INDEX suppression_released; DROP INDEX hold_until; DROP INDEX attempt_failed; DROP TABLE sub_permit; DROP TABLE sub_hold; DROP INDEX sub_account_blocked; ALTER TABLE sub_account DROP COLUMN path; ALTER TABLE sub_account DROP COLUMN moved; ALTER TABLE sub_account DROP COLUMN per_hour;
	ALTER TABLE sub_account DROP COLUMN blocked; ALTER TABLE sub_account DROP COLUMN block_reason; DELETE FROM goose_db_version WHERE version_id >= 7`

// TestUpgraded verifies a database that was made before there were facets: it balances, its first opens and clicks are counted as
// they would have been, and it goes on balancing when its old messages are opened.
func TestUpgraded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	both := &sender{}
	one, two := newOffice(t, db, both, "one", 6), newOffice(t, db, both, "two", 7)
	one.loyal, two.loyal = true, true // nobody knew of that
	for range 400 {
		one.step()
		two.step()
	}
	was := firsts(t, db, one)
	db = reopenAfter(t, db, dir, before00007)
	defer func() { _ = db.Close() }()
	one.db, two.db = db, db
	for _, o := range []*office{one, two} {
		if r := o.verify(); !r.OK() || r.Messages == 0 {
			t.Fatalf("upgraded: %q", lines(r))
		}
	}
	if now := firsts(t, db, one); !maps.Equal(was, now) || len(was) == 0 {
		t.Errorf("firsts %v, they were %v", now, was)
	}
	if p, err := db.SenderPermits(t.Context(), slices.Concat(one.subs, two.subs), both.now, time.Minute); err != nil || len(p) == 0 {
		t.Errorf("permits of what was sent just before: %v, %v", p, err)
	}
	one.loyal, two.loyal = false, false
	for range 200 {
		one.step()
		two.step()
	}
	for _, o := range []*office{one, two} {
		if r := o.verify(); !r.OK() {
			t.Errorf("later: %q", lines(r))
		}
	}
}

// before00016 makes of a database what it would be if the migration 16 had not been there: times to deliver in the spans that are shown to
// people, and no failovers.
const before00016 = `DROP TABLE audit; DROP TABLE session; DROP TABLE invitation; DROP TABLE member; UPDATE event SET marks = marks & 3, detail = CASE WHEN CAST(detail AS TEXT) LIKE '{"insteadOf"%' THEN CAST('{}' AS BLOB) ELSE detail END;
	CREATE TABLE counted AS SELECT DISTINCT type FROM facet WHERE dimension = 8; DELETE FROM facet WHERE dimension IN (8, 9);
	INSERT INTO facet SELECT account_id, 8, occurred_at / 86400000000000, coalesce((SELECT CAST(min(value) AS TEXT) FROM json_each('[1,2,3,5,10,20,30,60,120,300,600,1800,3600,7200,14400,28800,86400,172800,259200]')
			WHERE value * 1000000000 >= took), 'more'), sub_account_id, egress, mailbox, type, count(*), 0, sum(took / 1000000)
		FROM (SELECT e.*, max(e.occurred_at - m.submitted_at, 0) AS took FROM event e JOIN message m ON m.id = e.message_id
			WHERE e.type IN counted AND e.is_copy = 0) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
	DROP TABLE counted; DROP INDEX suppression_released; DROP INDEX hold_until; DROP INDEX attempt_failed; DROP TABLE sub_permit; DROP TABLE sub_hold; DROP INDEX sub_account_blocked; ALTER TABLE sub_account DROP COLUMN path; ALTER TABLE sub_account DROP COLUMN moved; ALTER TABLE sub_account DROP COLUMN per_hour;
	ALTER TABLE sub_account DROP COLUMN blocked; ALTER TABLE sub_account DROP COLUMN block_reason; DELETE FROM goose_db_version WHERE version_id >= 16`

// TestUpgradedTimes verifies a database that was made before times were counted in fine spans: what was counted stays, and it goes on
// balancing.
func TestUpgradedTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	o := newOffice(t, db, &sender{}, "one", 8)
	for range 400 {
		o.step()
	}
	db = reopenAfter(t, db, dir, before00016)
	defer func() { _ = db.Close() }()
	o.db = db
	if r := o.verify(); !r.OK() || r.Messages == 0 {
		t.Fatalf("upgraded: %q", lines(r))
	}
	for range 200 {
		o.step()
	}
	if r := o.verify(); !r.OK() {
		t.Errorf("later: %q", lines(r))
	}
	spans := map[bool]int{}
	for from := int64(firstDay); ; {
		day, ok, err := db.NextDay(t.Context(), o.account, from)
		o.must(err)
		if !ok {
			break
		}
		figures, _, err := db.CountedFacets(t.Context(), o.account, day)
		o.must(err)
		for f := range figures.Facets {
			if f.Dimension == store.DimensionDelay {
				_, fine := compare.ReadSpan(f.Value)
				spans[fine]++
			}
		}
		from = day + 1
	}
	if spans[true] == 0 || spans[false] == 0 {
		t.Errorf("spans, fine and not: %v", spans)
	}
}

// reopenAfter changes a database while nobody has it.
func reopenAfter(t *testing.T, db *sqlite.DB, dir, change string) *sqlite.DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postyard.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// placedCounter is a counter of a day.
type placedCounter struct {
	day int64
	store.Counter
}

func firsts(t *testing.T, db *sqlite.DB, o *office) map[placedCounter]int64 {
	t.Helper()
	all := map[placedCounter]int64{}
	for from := int64(firstDay); ; {
		day, ok, err := db.NextDay(t.Context(), o.account, from)
		o.must(err)
		if !ok {
			return all
		}
		figures, _, err := db.CountedFacets(t.Context(), o.account, day)
		o.must(err)
		for c, n := range figures.Firsts {
			all[placedCounter{day, c}] = n
		}
		from = day + 1
	}
}
