package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"postyard/internal/account"
	"postyard/internal/config"
	"postyard/internal/datadir"
	"postyard/internal/dispatch"
	"postyard/internal/store"
	"postyard/internal/store/postgres"
	"postyard/internal/store/sqlite"
)

// storage is the store, and what goes with it.
type storage struct {
	store.Store
	dir  *datadir.Dir  // nil when the store itself has the data directory
	poll time.Duration // how often to look for what other nodes did
	room func() error

	recorded   func()               // called after events were
	dispatcher *dispatch.Dispatcher // which providers' reports go by
}

const (
	pollAlone  = 30 * time.Second // a hint misses nothing within one process; this is for the case that it should
	pollShared = 2 * time.Second
)

// openStorage opens the database of the configuration.
func openStorage(ctx context.Context, cfg config.Config, log *slog.Logger) (*storage, error) {
	if cfg.Database.IsZero() {
		db, err := sqlite.Open(ctx, cfg.Data)
		if err != nil {
			return nil, err
		}
		fsync, err := fsyncTime(cfg.Data)
		if err == nil {
			err = db.OnSpoilt(ctx, func(err error) {
				log.Error("stop this server and start it anew, soon: its log grows until then", "error", err)
			})
		}
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		log.Info("database open", "engine", "SQLite", "data", cfg.Data, "fsync", fsync)
		return &storage{Store: db, poll: pollAlone, room: newDisk(cfg.Data, cfg.MinFreeDisk, time.Now).room}, nil
	}
	dir, err := datadir.Take(cfg.Data)
	if err != nil {
		return nil, err
	}
	node, err := dir.Node()
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	clock := func() time.Time { return time.Now().Add(cfg.ClockOffset) }
	var db *postgres.DB
	if err := untilThere(ctx, log, func() (err error) {
		db, err = postgres.Open(ctx, postgres.Config{URL: cfg.Database.Reveal(), Node: node, Now: clock, Log: log})
		return err
	}); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	log.Info("database open", "engine", "PostgreSQL", "node", node, "clock", db.Now().Sub(clock()).Round(time.Millisecond))
	return &storage{Store: db, dir: dir, poll: pollShared, room: func() error { return nil }}, nil
}

// Close closes the database and gives the data directory back.
func (s *storage) Close() error {
	err := s.Store.Close()
	if s.dir != nil {
		err = errors.Join(err, s.dir.Close())
	}
	return err
}

// untilThere does something at the start that needs a database that others run. It may be started after us, or be started
// anew just now, so it is waited for.
func untilThere(ctx context.Context, log *slog.Logger, do func() error) error {
	const pause = time.Second
	for {
		err := do()
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		log.Error("the database does not answer; trying again", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// followEvery is how often a server looks whether another one has changed the configuration.
const followEvery = time.Second

// follow takes over what other nodes change in the configuration, until ctx ends.
func (s *Server) follow(ctx context.Context) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	away, known := false, s.directory.Current()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := s.directory.Refresh(ctx)
		if now := s.directory.Current(); now != known { // whoever loaded it: a node dispatches for every egress
			known = now
			s.changed()
		}
		if gone := err != nil && ctx.Err() == nil; gone != away {
			away = gone
			if away {
				s.log.Error("the database does not answer; clients are asked to come back", "error", err)
			} else {
				s.log.Info("the database answers again")
			}
		}
	}
}

// Bootstrap makes the first account of a fresh database, and shows its keys. Of servers that start at once, one makes it.
func (s *Server) Bootstrap(ctx context.Context, name string) (fresh account.Fresh, created bool, err error) {
	const lease, length = "bootstrap", 30 * time.Second
	err = s.patiently(ctx, func() error {
		if err := s.await(ctx, lease, length); err != nil {
			return err
		}
		if err := s.directory.Reload(ctx); err != nil {
			return err
		}
		if fresh, created, err = s.Accounts.Bootstrap(ctx, name); err != nil {
			return err
		}
		return s.adoptIPs(ctx)
	})
	if err != nil {
		return fresh, false, err
	}
	if err := s.store.Release(ctx, lease, s.run); err != nil {
		s.log.Warn("a lease could not be given back and ends by itself", "lease", lease, "error", err)
	}
	return fresh, created, nil
}

// patiently is untilThere for a database that may be away; the one in our own data directory is not.
func (s *Server) patiently(ctx context.Context, do func() error) error {
	if !s.store.Shared() {
		return do()
	}
	return untilThere(ctx, s.log, do)
}

// await takes a lease as soon as its holder gives it back.
func (s *Server) await(ctx context.Context, lease string, length time.Duration) error {
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		mine, err := s.store.Lease(ctx, lease, s.run, length)
		if err != nil {
			return fmt.Errorf("wait for the lease %q: %w", lease, err)
		}
		if mine {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
