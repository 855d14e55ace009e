// Package sqlite is the embedded storage engine: one SQLite file in the data directory, no service to install.
//
// One goroutine owns the only writing connection (see writer) and serves acceptance first, then outcomes and webhooks, then
// the rest. Readers use their own read-only connections, which the write-ahead log keeps from waiting for the writer. A lock
// file keeps a second process out.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postyard/internal/datadir"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	fileName = "postyard.db"
	readers  = 4 // connections for queries of users
	workers  = 3 // connections for the program's own reads, which must not wait for users'
)

// DB is the engine. It implements store.Store.
type DB struct {
	dir          *datadir.Dir
	readPool     *sql.DB // for the journal
	workPool     *sql.DB // for claims, receipts and the configuration
	writer       *writer
	keeper       *keeper
	backlog      atomic.Int64
	leases       leases
	turns        engine.Turns
	forgot       engine.Forgot
	unsuppressed engine.Forgot
	installation string
}

var _ store.Store = (*DB)(nil)

// Open creates or migrates the database in dir, which is created with mode 0700 when it is missing. It fails when another
// process has the directory open.
func Open(ctx context.Context, dir string) (*DB, error) { return open(ctx, dir, files{open: openFile}) }

// files is how the engine comes to its files. Tests come to them by a disk that fails, and loses what was not synced.
type files struct {
	vfs  string // of SQLite; its default one when empty
	open func(path string) (file, error)
}

func open(ctx context.Context, dir string, by files) (_ *DB, err error) {
	db := &DB{}
	if db.dir, err = datadir.Take(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close() // the error that counts is the first one
		}
	}()
	path := filepath.Join(dir, fileName)
	if err = by.renew(path + "-wal"); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	own := []string{"synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-65536)"}
	pool, err := openPool(path, by.vfs, 1, own...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	// Both stay with the file. The page size only counts before the first page is written, so the order matters.
	if _, err = pool.ExecContext(ctx, `PRAGMA page_size = 8192; PRAGMA journal_mode = WAL`); err != nil {
		return nil, failed("set up database file", err)
	}
	if err = migrate(ctx, pool); err != nil {
		return nil, err
	}
	if db.readPool, err = openPool(path, by.vfs, readers, "query_only(1)", "cache_size(-16384)"); err != nil {
		return nil, err
	}
	if db.workPool, err = openPool(path, by.vfs, workers, "query_only(1)", "cache_size(-16384)"); err != nil {
		return nil, err
	}
	if db.writer, err = startWriter(ctx, dataSource(path, by.vfs, own...)); err != nil {
		return nil, err
	}
	if err = db.prepare(ctx); err != nil {
		return nil, err
	}
	db.keeper = startKeeper(db, path+"-wal")
	return db, nil
}

// prepare reads what is kept in memory.
func (db *DB) prepare(ctx context.Context) error {
	var backlog int64
	if err := db.readPool.QueryRowContext(ctx, `SELECT count(*) FROM queue`).Scan(&backlog); err != nil {
		return failed("count backlog", err)
	}
	db.backlog.Store(backlog)
	if err := db.knowSuppressions(ctx); err != nil {
		return err
	}
	err := db.readPool.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&db.installation)
	if errors.Is(err, sql.ErrNoRows) {
		var id [4]byte
		_, _ = rand.Read(id[:]) // never fails
		db.installation = hex.EncodeToString(id[:])
		return db.write(ctx, rest, func(t *tx) error {
			_, err := t.exec(`INSERT INTO installation (id) VALUES (?)`, db.installation)
			return err
		})
	}
	return failed("read installation", err)
}

// Close waits for the running transaction and closes the files. When the error is ErrSpoilt, they are left open, and locked, until the process
// ends.
func (db *DB) Close() error {
	var errs []error
	if db.keeper != nil {
		db.keeper.stop()
	}
	if db.writer != nil {
		err := db.writer.stop()
		if errors.Is(err, ErrSpoilt) {
			return err
		}
		errs = append(errs, err)
	}
	if db.readPool != nil {
		errs = append(errs, db.readPool.Close())
	}
	if db.workPool != nil {
		errs = append(errs, db.workPool.Close())
	}
	if db.dir != nil {
		errs = append(errs, db.dir.Close())
	}
	return errors.Join(errs...)
}

// Installation implements store.Configuration.
func (db *DB) Installation(context.Context) (string, error) { return db.installation, nil }

// Backlog implements store.Queue.
func (db *DB) Backlog(context.Context) (int64, error) { return db.backlog.Load(), nil }

func openPool(path, vfs string, connections int, pragmas ...string) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dataSource(path, vfs, pragmas...))
	if err != nil {
		return nil, failed("open "+path, err)
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// dataSource is the driver's name of the file, with what is set on a connection to it.
func dataSource(path, vfs string, pragmas ...string) string {
	query := url.Values{}
	if vfs != "" {
		query.Set("vfs", vfs)
	}
	for _, p := range append([]string{"busy_timeout(10000)"}, pragmas...) {
		query.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}).String()
}

func migrate(ctx context.Context, pool *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, pool, dir)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return failed("migrate database", err)
	}
	return nil
}

// failed wraps an error of the engine with the operation's name, and marks those that mean that the store cannot work now.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if engine, ok := errors.AsType[*sqlite.Error](err); ok {
		switch engine.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL:
			return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// isUnique tells whether an insert failed because the row exists already.
func isUnique(err error) bool {
	engine, ok := errors.AsType[*sqlite.Error](err)
	return ok && engine.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}
