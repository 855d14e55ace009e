package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postyard/internal/store/engine"
)

const (
	measureEvery = 10 * time.Second
	samples      = 4           // of one measurement; the quickest answer is the best
	notable      = time.Second // a difference between the clocks that people should know of
)

// clock follows the database's clock by this machine's.
type clock struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	log    *slog.Logger
	offset atomic.Int64 // nanoseconds, to be added to this machine's clock
	cancel context.CancelFunc
	done   chan struct{}
}

// startClock measures once, and then again and again until stop.
func startClock(ctx context.Context, pool *pgxpool.Pool, config Config) (*clock, error) {
	c := &clock{pool: pool, now: config.Now, log: config.Log, done: make(chan struct{})}
	if err := c.measure(ctx); err != nil {
		return nil, err
	}
	if off := time.Duration(c.offset.Load()); off.Abs() >= notable {
		c.log.Warn("this machine's clock differs from the database's, which counts", "difference", off)
	}
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.run(ctx)
	return c, nil
}

func (c *clock) run(ctx context.Context) {
	defer close(c.done)
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = c.measure(ctx) // while the database is away the last measurement stands
		case <-ctx.Done():
			return
		}
	}
}

func (c *clock) stop() {
	c.cancel()
	<-c.done
}

// time returns the database's time.
func (c *clock) time() time.Time { return c.now().Add(time.Duration(c.offset.Load())) }

// measure asks for the database's time. It was that halfway between question and answer, within half of what the answer
// took.
func (c *clock) measure(ctx context.Context) error {
	return read(ctx, c.pool, "compare clocks", func(ctx context.Context, conn *pgx.Conn) error {
		var best, offset time.Duration
		for i := range samples {
			var stamp int64
			asked := c.now()
			if err := conn.QueryRow(ctx, `SELECT `+clockStamp).Scan(&stamp); err != nil {
				return fmt.Errorf("read clock: %w", err)
			}
			took := c.now().Sub(asked)
			if i == 0 || took < best {
				best, offset = took, engine.Time(stamp).Sub(asked.Add(took/2))
			}
		}
		c.offset.Store(int64(offset))
		return nil
	})
}
