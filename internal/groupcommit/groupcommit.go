// Package groupcommit lets many callers share one durable write: while one commit runs, it collects what arrives, and
// commits that together next. A caller returns when its item is durable or has failed.
package groupcommit

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrClosed is returned by Do after the Committer stopped.
var ErrClosed = errors.New("group commit: closed")

// Committer collects items of one kind.
type Committer[T any] struct {
	commit func(context.Context, []T) error
	shared func(error) bool
	weigh  func(T) int
	limit  int

	mu      sync.Mutex
	waiting []entry[T]
	closed  bool
	wake    chan struct{}
}

type entry[T any] struct {
	item T
	done chan error
}

// Config says how a Committer commits.
type Config[T any] struct {
	// Commit writes a batch: all of it or nothing.
	Commit func(context.Context, []T) error

	// Shared tells whether an error concerns every item alike (the store is away). After any other error the items of the
	// batch are committed one by one, so that one bad item fails alone.
	Shared func(error) bool

	// Weigh returns the cost of an item; a batch weighs at most Limit, or holds one item.
	Weigh func(T) int
	Limit int
}

// New returns a Committer. It works while Run does.
func New[T any](c Config[T]) *Committer[T] {
	return &Committer[T]{commit: c.Commit, shared: c.Shared, weigh: c.Weigh, limit: c.Limit, wake: make(chan struct{}, 1)}
}

// Do hands an item over and waits until it is durable. When ctx ends first the item may or may not be written.
func (c *Committer[T]) Do(ctx context.Context, item T) error {
	e := entry[T]{item, make(chan error, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.waiting = append(c.waiting, e)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run commits until ctx ends, then commits what still waits and returns. It is called once.
func (c *Committer[T]) Run(ctx context.Context) {
	for {
		select {
		case <-c.wake:
			c.drain()
		case <-ctx.Done():
			c.mu.Lock()
			c.closed = true
			c.mu.Unlock()
			c.drain()
			return
		}
	}
}

// drain commits what waits. Before each batch, callers that are about to hand something over have their turn: to share a
// commit costs them less than the next one.
func (c *Committer[T]) drain() {
	for {
		yield()
		batch := c.take()
		if len(batch) == 0 {
			return
		}
		c.write(batch)
	}
}

// yields is how often a Committer lets everybody else go first. It takes no time when nobody has anything to do.
const yields = 3

func yield() {
	for range yields {
		runtime.Gosched()
	}
}

// take removes the next batch from what waits.
func (c *Committer[T]) take() []entry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, weight := 0, 0
	for n < len(c.waiting) {
		weight += c.weigh(c.waiting[n].item)
		if n > 0 && weight > c.limit {
			break
		}
		n++
	}
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) == 0 {
		c.waiting = nil // let go of the backing array
	}
	return batch
}

func (c *Committer[T]) write(batch []entry[T]) {
	items := make([]T, len(batch))
	for i, e := range batch {
		items[i] = e.item
	}
	ctx := context.Background() // a commit serves many callers; none of them may interrupt it
	err := c.commit(ctx, items)
	alone := err != nil && len(batch) > 1 && !c.shared(err)
	for i, e := range batch {
		if alone {
			err = c.commit(ctx, items[i:i+1])
		}
		e.done <- err
	}
}
