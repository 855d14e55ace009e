package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("the store is away")

// disk is what a Committer commits to. It holds what it was given and refuses what it was told to.
type disk struct {
	mu      sync.Mutex
	tries   [][]int
	written []int
	bad     []int         // a batch with one of these fails
	away    bool          // everything fails
	gate    chan struct{} // not nil: each commit takes one from it first
}

func (d *disk) commit(ctx context.Context, items []int) error {
	if d.gate != nil {
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, slices.Clone(items))
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if d.away {
		return errAway
	}
	for _, item := range items {
		if slices.Contains(d.bad, item) {
			return fmt.Errorf("item %d is bad", item)
		}
	}
	d.written = append(d.written, items...)
	return nil
}

// bench is a Committer at work, inside a bubble of synctest.
type bench struct {
	*Committer[int]
	t       *testing.T
	disk    *disk
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	results map[int]error // of the items that returned
}

// start returns a Committer whose items weigh what they are worth.
func start(t *testing.T, d *disk, limit int) *bench {
	b := &bench{t: t, disk: d, results: map[int]error{}, Committer: New(Config[int]{
		Commit: d.commit,
		Shared: func(err error) bool { return errors.Is(err, errAway) },
		Weigh:  func(item int) int { return item },
		Limit:  limit,
	})}
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = cancel
	b.running.Go(func() { b.Run(ctx) })
	return b
}

// do hands items over, in this order, each from a goroutine of its own.
func (b *bench) do(ctx context.Context, items ...int) {
	for _, item := range items {
		b.running.Go(func() {
			err := b.Do(ctx, item)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.results[item] = err
		})
		synctest.Wait()
	}
}

func (b *bench) open(commits int) {
	for range commits {
		b.disk.gate <- struct{}{}
		synctest.Wait()
	}
}

// finish stops the Committer and waits for everyone.
func (b *bench) finish() {
	b.stop()
	b.running.Wait()
}

func (b *bench) wantTries(want ...[]int) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.disk.tries); diff != "" {
		b.t.Errorf("commits:\n%s", diff)
	}
}

func (b *bench) wantResults(want map[int]string) {
	b.t.Helper()
	got := map[int]string{}
	for item, err := range b.results {
		got[item] = fmt.Sprint(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("results:\n%s", diff)
	}
}

func TestCallersShareACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{})}, 1000)
		b.do(t.Context(), 1, 2, 3, 4, 5)
		if len(b.results) != 0 {
			t.Errorf("%v returned before anything was durable", b.results)
		}
		b.open(1)
		b.wantResults(map[int]string{1: "<nil>"}) // the first was alone; the others came while it was written
		b.open(1)
		b.finish()
		b.wantTries([]int{1}, []int{2, 3, 4, 5})
		b.wantResults(map[int]string{1: "<nil>", 2: "<nil>", 3: "<nil>", 4: "<nil>", 5: "<nil>"})
	})
}

func TestABadItemFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{}), bad: []int{3}}, 1000)
		b.do(t.Context(), 1, 2, 3, 4)
		b.open(5)
		b.finish()
		b.wantTries([]int{1}, []int{2, 3, 4}, []int{2}, []int{3}, []int{4})
		b.wantResults(map[int]string{1: "<nil>", 2: "<nil>", 3: "item 3 is bad", 4: "<nil>"})
		if diff := cmp.Diff([]int{1, 2, 4}, b.disk.written); diff != "" {
			t.Errorf("written:\n%s", diff)
		}
	})
}

func TestABadItemByItselfIsTriedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{bad: []int{3}}, 1000)
		b.do(t.Context(), 3)
		b.finish()
		b.wantTries([]int{3})
		b.wantResults(map[int]string{3: "item 3 is bad"})
	})
}

func TestASharedErrorHitsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{}), away: true}, 1000)
		b.do(t.Context(), 1, 2, 3)
		b.open(2)
		b.wantTries([]int{1}, []int{2, 3}) // not one by one: that would be as vain, and slow
		away := errAway.Error()
		b.wantResults(map[int]string{1: away, 2: away, 3: away})
		b.disk.away = false
		b.do(t.Context(), 4)
		b.open(1)
		b.finish()
		b.wantResults(map[int]string{1: away, 2: away, 3: away, 4: "<nil>"})
	})
}

func TestBatchesKeepTheWeightLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{})}, 10)
		b.do(t.Context(), 1, 4, 6, 5, 50, 2, 3)
		b.open(5)
		b.finish()
		b.wantTries([]int{1}, []int{4, 6}, []int{5}, []int{50}, []int{2, 3})
	})
}

func TestWhatWaitsAtTheEndIsCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{})}, 1000)
		b.do(t.Context(), 1, 2, 3)
		b.stop()
		b.open(2)
		b.running.Wait()
		b.wantTries([]int{1}, []int{2, 3})
		b.wantResults(map[int]string{1: "<nil>", 2: "<nil>", 3: "<nil>"})
	})
}

func TestDoAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{}, 1000)
		b.finish()
		if err := b.Do(t.Context(), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("Do = %v, want ErrClosed", err)
		}
		b.wantTries()
	})
}

func TestACallerThatLeavesStopsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &disk{gate: make(chan struct{})}, 1000)
		gone := errors.New("the client has hung up")
		ctx, leave := context.WithCancelCause(t.Context())
		b.do(ctx, 1)
		b.do(t.Context(), 2)
		b.do(ctx, 3)
		leave(gone)
		synctest.Wait()
		b.wantResults(map[int]string{1: gone.Error(), 3: gone.Error()})
		b.open(2)
		b.finish()
		b.wantTries([]int{1}, []int{2, 3})
		b.wantResults(map[int]string{1: gone.Error(), 2: "<nil>", 3: gone.Error()})
	})
}

// Under load, and while the Committer stops, each caller learns the truth about its own item: what Do calls durable was
// written exactly once, what it refused was not.
func TestEveryCallerLearnsTheTruth(t *testing.T) {
	t.Parallel()
	const callers, each = 16, 100
	d := &disk{}
	for i := 1; i <= callers*each; i += 37 {
		d.bad = append(d.bad, i)
	}
	c := New(Config[int]{Commit: d.commit, Shared: func(error) bool { return false }, Weigh: func(int) int { return 1 }, Limit: 7})
	ctx, stop := context.WithCancel(t.Context())
	var running, calling sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	results := make([]error, callers*each+1)
	for n := range callers {
		calling.Go(func() {
			for i := range each {
				item := n*each + i + 1
				if item == callers*each*3/4 {
					stop()
				}
				results[item] = c.Do(t.Context(), item)
			}
		})
	}
	calling.Wait()
	stop()
	running.Wait()
	times := map[int]int{}
	for _, item := range d.written {
		times[item]++
	}
	for item, err := range results[1:] {
		item++
		switch {
		case err == nil && times[item] != 1, err != nil && times[item] != 0:
			t.Errorf("item %d: Do = %v, written %d times", item, err, times[item])
		case err != nil && !errors.Is(err, ErrClosed) && !slices.Contains(d.bad, item):
			t.Errorf("item %d: Do = %v", item, err)
		}
	}
}
