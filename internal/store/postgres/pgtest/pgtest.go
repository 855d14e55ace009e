// Package pgtest runs throw-away PostgreSQL servers for tests. A package whose TestMain is Main shares one server, and every
// test gets a database of its own there; New starts a private server, which may be stopped and killed.
//
// Servers write to the disk as in production. They end with the process that started them, however that ends.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"postyard/internal/store/postgres/migrations"
)

// shared is the server of this process's tests.
var shared struct {
	sync.Mutex
	server *Cluster
	err    error
}

// Main is the TestMain of a package that uses Database. It also looks for goroutines that nobody waits for.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		Stop()
		os.Exit(code)
	}))
}

// Stop ends the shared server. A TestMain that is not Main calls it at the end.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.discard()
		shared.server = nil
	}
}

// Database makes an empty, migrated database on the shared server and returns its URL. It is dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	return Shared(t).Database(t)
}

// Shared returns the shared server.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start()
	}
	defer shared.Unlock()
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New starts a private server, which ends with the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	c, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.discard)
	return c
}

// Database makes an empty, migrated database and returns its URL. It is dropped when the test ends, if the server runs.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	if err := c.execute("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.execute("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	return c.URL(name)
}

// Empty makes a database without tables and returns its URL. The options follow CREATE DATABASE.
func (c *Cluster) Empty(t testing.TB, options string) string {
	t.Helper()
	name := fmt.Sprintf("empty%d", c.databases.Add(1))
	if err := c.execute("CREATE DATABASE " + name + " " + options); err != nil {
		t.Fatal(err)
	}
	return c.URL(name)
}

// URL returns the URL of a database, whether it is there or not.
func (c *Cluster) URL(name string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, c.Port, name)
}

const (
	superuser = "postyard"
	template  = "postyard_template"
	patience  = 60 * time.Second
)

// execute runs one statement outside of the tests' databases.
func (c *Cluster) execute(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("test database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("test database: %w", err)
	}
	return nil
}

// prepare makes the database that the others are copies of.
func (c *Cluster) prepare() error {
	if err := c.execute("CREATE DATABASE " + template); err != nil {
		return err
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.URL(template))
	if err != nil {
		return fmt.Errorf("test database: %w", err)
	}
	return errors.Join(migrations.Up(ctx, conn), conn.Close(ctx))
}
