package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Counting the queue of all nodes takes a while when it is long, so it is done at most every countEvery plus countShare times
// what it took last.
const (
	countEvery = time.Second
	countShare = 20
)

// backlog is the last count of pending messages.
type backlog struct {
	counting sync.Mutex
	last     atomic.Pointer[count]
}

type count struct {
	n    int64
	next time.Time // when to count again
}

// Backlog implements store.Queue. It may be some seconds old; while the database is away it is the last count.
func (db *DB) Backlog(ctx context.Context) (int64, error) {
	b := &db.backlog
	last := b.last.Load()
	switch {
	case last == nil:
		b.counting.Lock()
	case time.Now().Before(last.next) || !b.counting.TryLock():
		return last.n, nil
	}
	defer b.counting.Unlock()
	if again := b.last.Load(); again != last { // counted by another caller meanwhile
		return again.n, nil
	}
	began := time.Now()
	fresh := &count{}
	_, err := one(ctx, db.work, "count backlog", []any{&fresh.n}, `SELECT count(*) FROM queue`)
	took := time.Since(began)
	if err != nil {
		if last == nil {
			return 0, err
		}
		fresh.n = last.n
	}
	fresh.next = began.Add(took + countEvery + countShare*took)
	b.last.Store(fresh)
	return fresh.n, nil
}
