// Package migrations brings a PostgreSQL database to the schema that the engine needs. The files have the numbers and names
// of the SQLite engine's.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed *.sql
var files embed.FS

// lockKey is the advisory lock that one migrating node holds at a time ("postyard" in ASCII).
const lockKey = 0x706f737479617264

// Up migrates the database of a connection. Several nodes may call it at once: one migrates, the others wait for it.
func Up(ctx context.Context, turn *pgx.Conn) (err error) {
	if _, err := turn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(lockKey)); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	defer func() { // the lock ends with the connection at the latest
		_, unlocked := turn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(lockKey))
		err = errors.Join(err, unlocked)
	}()
	pool := stdlib.OpenDB(*turn.Config())
	defer func() { err = errors.Join(err, pool.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}
