package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postyard/internal/store"
)

// checkpointEvery is how many pages go into the log before they are moved into the database.
const checkpointEvery = 4000

// ErrSpoilt says that the disk refused to sync the database file. The kernel has forgotten what it could not write, and SQLite does not
// write it again when an earlier checkpoint, which readers had cut short, counts it as moved: after the next checkpoint the log would
// not hold it any more, and a power loss would break the file. So there is none while this process lives. The log holds everything;
// the next process begins with moving it anew.
var ErrSpoilt = errors.New("the disk refused to sync the database file: everything is kept in the log, and the server must be started anew")

// checkpoints moves the log into the database. SQLite would do it by itself, and not say when it fails.
type checkpoints struct {
	every  int // pages
	pages  int // that went into the log since the last one
	spoilt error
	tell   func(error) // is told ErrSpoilt, once
}

// shorten moves the log into the database when there is enough in it. A failure is none of the transaction that came before:
// that is durable in the log.
func (w *writer) shorten() {
	written, _, err := w.conn.Status(sqlite.DBStatusCacheWrite, true)
	if err != nil {
		written = w.every // not known: rather too often than never
	}
	if w.pages += written; w.pages >= w.every {
		_ = w.checkpoint("PASSIVE")
	}
}

// checkpoint moves what readers let it move, or with TRUNCATE waits for them and empties the log.
func (w *writer) checkpoint(mode string) error {
	if w.spoilt != nil {
		return w.spoilt
	}
	w.pages = 0
	err := w.run("PRAGMA wal_checkpoint(" + mode + ")")
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code() == sqlite3.SQLITE_IOERR_FSYNC {
		w.spoilt = fmt.Errorf("checkpoint: %w: %w (%w)", store.ErrUnavailable, ErrSpoilt, err)
		if w.tell != nil {
			w.tell(w.spoilt)
		}
		return w.spoilt
	}
	return failed("checkpoint", err)
}

// OnSpoilt has f told, from the writer's goroutine, when the disk refused to sync the database file. See [ErrSpoilt].
func (db *DB) OnSpoilt(ctx context.Context, f func(error)) error {
	return db.writer.do(&job{ctx: ctx, rank: rest, other: func() error {
		db.writer.tell = f
		return nil
	}})
}
