package postgres

import (
	"log/slog"
	"testing"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
	"postyard/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open opens a database as a node, until the test ends.
func open(t testing.TB, url, node string) *DB {
	t.Helper()
	db := reopen(t, url, node)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func reopen(t testing.TB, url, node string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: url, Node: node, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) func() store.Store {
		url := pgtest.Database(t)
		return func() store.Store { return reopen(t, url, "one") }
	})
}
