package books

import (
	"database/sql"
	"maps"
	"path/filepath"
	"testing"

	"postyard/internal/store"
	"postyard/internal/store/sqlite"
)

// before00007 takes away what the migrations 7 and later brought, so that the next start brings it again.
const before00007 = `DROP TABLE outbox; DROP TABLE delivery_try; DROP TABLE delivery; DROP TABLE content_hook; DROP TABLE endpoint; DROP TABLE domain_key; DROP TABLE idempotency; DROP TABLE stored_template; DROP TABLE sub_account_label; DROP TABLE account_label; DROP TABLE facet; DROP TABLE label; DROP TABLE domain;
	ALTER TABLE message DROP COLUMN labels; ALTER TABLE message DROP COLUMN engaged; ALTER TABLE event DROP COLUMN marks; ALTER TABLE counter DROP COLUMN firsts; DROP INDEX tpsp_ip;
	DROP INDEX attempt_provider; ALTER TABLE attempt DROP COLUMN refused; ALTER TABLE attempt DROP COLUMN refusal; ALTER TABLE attempt DROP COLUMN provider_id; ALTER TABLE message DROP COLUMN refusals;
	ALTER TABLE tpsp DROP COLUMN auto_warmup; DELETE FROM goose_db_version WHERE version_id >= 7`

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
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postyard.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), before00007); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
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
