// Package postgres is the storage engine for a database that other machines share: several nodes may use one PostgreSQL
// server (14 or newer, UTF-8) at the same time.
//
// # Transactions
//
// Everything is set-based: an operation locks the rows of its batch, decides in memory, and writes them back in a few
// statements, which travel together (see tx). A batch costs two or three round trips, however long it is.
//
// Locks are taken in one order, so that transactions wait for each other but not in a circle:
//
//   - the installation row (configuration only), pools, TPSPs
//   - receipts, sorted by id
//   - queue rows, sorted by id
//   - message rows, sorted by id
//   - keys of reports that were seen, sorted
//   - what is to be pushed to suppression lists, the mirrored lists, what was pushed there, and suppressions, each sorted by its key
//   - counts of foreign events, sorted
//   - the journal's door
//   - counters, sorted
//
// Whoever holds a message's queue row or, once that is gone, its message row, may write its attempts. What takes rows out of
// order passes over those that others hold (SKIP LOCKED). PostgreSQL still ends a circle that nobody thought of; the
// transaction is then run again.
//
// # The journal's door
//
// An event's Seq must be the order of commits: a reader that goes on after the last Seq it saw must never miss an event. So
// events are collected and written last, by one transaction at a time, behind an advisory lock that ends with the commit.
// Counters change behind the same door.
//
// # Clocks
//
// All nodes go by the database's clock. Now adds to this machine's clock how far it is off, which is measured again and
// again; while the database is away the last measurement stands. The other operations use the times that callers give them.
//
// # When the database is away
//
// Every operation ends within about ten seconds, with store.ErrUnavailable when the database did not answer. A transaction
// whose COMMIT got no answer counts as failed, although it may have happened: whoever tries again must not mind.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"postyard/internal/store"
	"postyard/internal/store/engine"
	"postyard/internal/store/postgres/migrations"
)

// Connections of one node. PostgreSQL allows a hundred by default.
const (
	frontConns = 2 // acceptance and webhooks: clients wait for these
	workConns  = 8 // the program's own work
	readConns  = 4 // queries of users
)

// How long things may take.
const (
	connectTime = 4 * time.Second
	acquireTime = 5 * time.Second  // to get a connection
	writeTime   = 9 * time.Second  // of a transaction, its connection and its repetitions included
	queryTime   = 10 * time.Second // of a query of a user
	pingTime    = 2 * time.Second  // of a connection that was idle
)

// Config says which database to use, and as whom.
type Config struct {
	URL  string           // of the database, as libpq understands it
	Node string           // the name of this node, see store.Coordination
	Now  func() time.Time // this machine's clock
	Log  *slog.Logger
}

// DB is the engine. It implements store.Store.
type DB struct {
	labels       labelBook
	node         string
	front        *pgxpool.Pool // acceptance and webhooks
	work         *pgxpool.Pool // dispatch, ingest, configuration
	queries      *pgxpool.Pool // the journal and the books
	clock        *clock
	backlog      backlog
	turns        engine.Turns
	forgot       engine.Forgot
	unsuppressed engine.Forgot
	claimBytes   int
	installation string
	suppressing  suppressing
}

var _ store.Store = (*DB)(nil)

// Open connects to the database and creates or migrates its tables. Other nodes may do so at the same time.
func Open(ctx context.Context, c Config) (_ *DB, err error) {
	db := &DB{node: c.Node, claimBytes: mostBytes}
	base, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err) // pgx leaves the password out
	}
	prepare(base, c.Node)
	if err := setUp(ctx, base); err != nil {
		return nil, failed("open database", err)
	}
	defer func() {
		if err != nil {
			_ = db.Close() // the error that counts is the first one
		}
	}()
	for _, p := range []struct {
		pool  **pgxpool.Pool
		size  int32
		plans string
	}{{&db.front, frontConns, "force_generic_plan"}, {&db.work, workConns, "force_generic_plan"}, {&db.queries, readConns, "auto"}} {
		if *p.pool, err = openPool(ctx, c, p.size, p.plans); err != nil {
			return nil, err
		}
	}
	if err := db.identify(ctx); err != nil {
		return nil, err
	}
	db.clock, err = startClock(ctx, db.work, c)
	return db, err
}

// prepare completes what the URL leaves open.
func prepare(c *pgx.ConnConfig, node string) {
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTime {
		c.ConnectTimeout = connectTime
	}
	c.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "postyard " + node
	}
}

// settings hold on every connection, whatever the server and the URL say.
var settings = map[string]string{
	// Acknowledged is on disk.
	"synchronous_commit":            "on",
	"default_transaction_isolation": "read committed",

	// A statement whose node has gone must not hold locks for long.
	"statement_timeout":                   "10s",
	"lock_timeout":                        "9s",
	"idle_in_transaction_session_timeout": "5s",
	"tcp_keepalives_idle":                 "15",
	"tcp_keepalives_interval":             "5",
	"tcp_keepalives_count":                "3",

	// Plans are kept. One that was made while a table was small must still be right when it is large, so only those are
	// considered that look rows up by an index.
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"jit":              "off",
}

// openPool opens connections that plan a statement once (force_generic_plan), or anew where its values make a difference (auto).
func openPool(ctx context.Context, c Config, size int32, plans string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	prepare(config.ConnConfig, c.Node)
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = plans
	config.MaxConns = size
	config.PingTimeout = pingTime
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return pool, failed("open database", err)
}

// setUp checks the server and brings the tables up to date.
func setUp(ctx context.Context, c *pgx.ConnConfig) (err error) {
	conn, err := pgx.ConnectConfig(ctx, c)
	if _, refused := errors.AsType[*pgconn.PgError](err); err != nil && !refused {
		return unavailable(err)
	}
	if err != nil {
		return err // a password, a name of a database: failed tells those from a server that starts
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := check(ctx, conn); err != nil {
		return err
	}
	return migrations.Up(ctx, conn)
}

// check refuses a server that the engine was not made for.
func check(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var encoding string
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding); err != nil {
		return err
	}
	switch {
	case version < 140000:
		return fmt.Errorf("the server is PostgreSQL %d; 14 or newer is needed", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s; create it with ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return nil
}

// identify reads the database's id; the first node that comes gives it one.
func (db *DB) identify(ctx context.Context) error {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return db.write(ctx, db.work, "identify database", func(t *tx) error {
		t.exec(`INSERT INTO installation (id) VALUES ($1) ON CONFLICT DO NOTHING`, hex.EncodeToString(id[:]))
		t.row([]any{&db.installation}, `SELECT id FROM installation`)
		return nil
	})
}

// Close waits for what is running, at most as long as a transaction may take.
func (db *DB) Close() error {
	if db.clock != nil {
		db.clock.stop()
	}
	for _, pool := range []*pgxpool.Pool{db.front, db.work, db.queries} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// Installation implements store.Configuration.
func (db *DB) Installation(context.Context) (string, error) { return db.installation, nil }
