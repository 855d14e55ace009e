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

// Up migrates. Several nodes may call it at once: one migrates, the others wait for it.
func Up(ctx context.Context, config *pgx.ConnConfig) (err error) {
	turn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	// The lock ends with the connection, whatever happens.
	defer func() { err = errors.Join(err, turn.Close(context.WithoutCancel(ctx))) }()
	if _, err := turn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(lockKey)); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	pool := stdlib.OpenDB(*config)
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
