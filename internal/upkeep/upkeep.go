// Package upkeep is how a service works on TPSPs, by itself and when users ask: on each once at a time, on this node, and under a
// lease on all of them.
package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postyard/internal/directory"
)

// Leases is what the package needs of the storage contract.
type Leases interface {
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Config is what a Keeper works with. All fields are required.
type Config struct {
	Leases  Leases
	Name    string        // of the leases, with the TPSP's id behind a slash
	Holder  string        // this run of this node, as the holder of leases
	Length  time.Duration // the longest that work on one TPSP takes
	Running error         // the TPSP is worked on already, here or by another node
	Stopped error         // the server ends
	Full    error         // enough TPSPs are worked on
	Log     *slog.Logger
}

// Keeper knows which TPSPs are worked on. It is safe for concurrent use.
type Keeper struct {
	Config
	hints   chan struct{}   // holds one
	stopped context.Context // ends when no work may go on
	halt    context.CancelFunc
	working sync.WaitGroup

	mu     sync.Mutex
	closed bool
	busy   map[int32]bool // TPSPs that are worked on
}

// New returns a Keeper of TPSPs on which nobody works.
func New(c Config) *Keeper {
	k := &Keeper{Config: c, hints: make(chan struct{}, 1), busy: map[int32]bool{}}
	k.stopped, k.halt = context.WithCancel(context.Background())
	return k
}

// Begin takes a TPSP on this node, until End; most is how many may be taken at once, 0 for any number. It fails with Running, Stopped
// or Full.
func (k *Keeper) Begin(id int32, most int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return k.Stopped
	case k.busy[id]:
		return k.Running
	case most > 0 && len(k.busy) >= most:
		return k.Full
	}
	k.busy[id] = true
	k.working.Add(1)
	return nil
}

// End gives a TPSP back.
func (k *Keeper) End(id int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, id)
	k.working.Done()
}

// Hold works on a TPSP that was taken, under its lease and until Stop. Its error says why nothing was done: Running, or that of the
// store.
func (k *Keeper) Hold(ctx context.Context, id int32, work func(context.Context)) error {
	ctx, cancel := context.WithTimeout(ctx, k.Length)
	defer cancel()
	defer context.AfterFunc(k.stopped, cancel)()
	lease := fmt.Sprintf("%s/%d", k.Name, id)
	switch held, err := k.Leases.Lease(ctx, lease, k.Holder, k.Length+time.Minute); {
	case err != nil:
		return err
	case !held:
		return k.Running
	}
	work(ctx)
	if err := k.Leases.Release(context.WithoutCancel(ctx), lease, k.Holder); err != nil {
		k.Log.Warn("a lease could not be given back and ends by itself", "lease", lease, "error", err)
	}
	return nil
}

// Stop ends all work and lets no more begin.
func (k *Keeper) Stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.halt()
}

// Wait waits until every TPSP was given back.
func (k *Keeper) Wait() { k.working.Wait() }

// Hint says that there may be something to do.
func (k *Keeper) Hint() {
	select {
	case k.hints <- struct{}{}:
	default:
	}
}

// Hints receives after a Hint.
func (k *Keeper) Hints() <-chan struct{} { return k.hints }

// Choose returns the TPSP with an id, or all that are able when the id is 0. It fails with none when there is no such TPSP, and with
// unable when it is not able.
func Choose(list []*directory.TPSP, id int32, able func(*directory.TPSP) bool, none, unable error) ([]*directory.TPSP, error) {
	var chosen []*directory.TPSP
	for _, t := range list {
		if id == 0 && able(t) || t.ID == id {
			chosen = append(chosen, t)
		}
	}
	switch {
	case id == 0:
		return chosen, nil
	case len(chosen) == 0:
		return nil, none
	case !able(chosen[0]):
		return nil, unable
	}
	return chosen, nil
}

// Each works on TPSPs that a user wants to be worked on, a few at once, and returns what came of each in their order. Of one that
// cannot be taken, refused tells what came.
func Each[R any](k *Keeper, list []*directory.TPSP, atOnce int, work func(*directory.TPSP) R, refused func(*directory.TPSP, error) R) []R {
	results := make([]R, len(list))
	var working sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, t := range list {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			if err := k.Begin(t.ID, 0); err != nil {
				results[i] = refused(t, err)
				return
			}
			defer k.End(t.ID)
			results[i] = work(t)
		})
	}
	working.Wait()
	return results
}
