package sqlite

import (
	"context"
	"os"
	"sync"
	"time"
)

// How far the write-ahead log may grow.
const (
	walLimit = 256 << 20 // bytes; SQLite's own checkpoints keep it far below, unless readers overlap all the time
	walLook  = 5 * time.Second
	// queryTime bounds a user's query, and with it how long the log must be kept for a reader.
	queryTime = 10 * time.Second
)

// keeper keeps the write-ahead log from growing without end. SQLite can only reuse the log when no reader is in it; where
// users' queries overlap all the time, that never happens by itself, so the keeper makes a pause.
type keeper struct {
	db       *DB
	wal      string
	limit    int64
	queries  sync.RWMutex // users' queries hold it for reading
	quit     chan struct{}
	done     chan struct{}
	quitOnce sync.Once
}

func startKeeper(db *DB, wal string) *keeper {
	k := &keeper{db: db, wal: wal, limit: walLimit, quit: make(chan struct{}), done: make(chan struct{})}
	go k.loop()
	return k
}

func (k *keeper) stop() {
	k.quitOnce.Do(func() { close(k.quit) })
	<-k.done
}

func (k *keeper) loop() {
	defer close(k.done)
	ticker := time.NewTicker(walLook)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if info, err := os.Stat(k.wal); err == nil && info.Size() > k.limit {
				k.truncate()
			}
		case <-k.quit:
			return
		}
	}
}

// truncate waits for users' queries to end, holds new ones back, and has the writer empty the log. When that fails, the next
// look tries again; a disk that fills up meanwhile is noticed where mail is accepted.
func (k *keeper) truncate() {
	k.queries.Lock()
	defer k.queries.Unlock()
	_ = k.db.checkpoint(context.Background())
}

// query begins a query of a user: it has a deadline, and ends with the function that is returned.
func (k *keeper) query(ctx context.Context) (context.Context, func()) {
	k.queries.RLock()
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	return ctx, func() {
		cancel()
		k.queries.RUnlock()
	}
}
