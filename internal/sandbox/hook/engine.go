package hook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"postyard/internal/sandbox/clock"
)

const (
	// perURL is how many deliveries to one URL are on the wire at once.
	perURL = 64
	// timeout of one try; Postmark does not document its own.
	timeout = 30 * time.Second
	// maxAttempts is how many attempts are remembered.
	maxAttempts = 1000
)

// Engine delivers. It is safe for concurrent use.
type Engine struct {
	clock     clock.Clock
	client    *http.Client
	timetable *clock.Timetable

	mu       sync.Mutex
	ctx      context.Context // set while Run runs
	targets  map[string]*target
	attempts []Attempt // a ring; next is where the next one goes
	next     int
	epoch    int // counts resets: what was queued before one is dropped
	workers  sync.WaitGroup
}

// target is the queue of one URL.
type target struct {
	queue   []*queued
	workers int
	bare    *http.Request // to the URL; nil when it is not to be called
	err     error         // why
	shown   string        // the URL for people
}

type queued struct {
	*Delivery
	epoch int
}

// New returns an engine that waits between tries on a clock.
func New(c clock.Clock) *Engine {
	return &Engine{clock: c, client: newClient(), timetable: clock.NewTimetable(c), targets: map[string]*target{}}
}

// Run delivers what is queued until ctx ends, and returns when nothing is on the wire any more. It runs once.
func (e *Engine) Run(ctx context.Context) {
	e.mu.Lock()
	e.ctx = ctx
	for address := range e.targets {
		e.staff(address)
	}
	e.mu.Unlock()
	e.timetable.Run(ctx)
	e.mu.Lock()
	e.ctx = nil
	e.mu.Unlock()
	e.workers.Wait()
	e.client.CloseIdleConnections()
}

// Queue takes deliveries; it never blocks. Without Run they wait.
func (e *Engine) Queue(deliveries ...*Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range deliveries {
		q := &queued{Delivery: d, epoch: e.epoch}
		if d.Delay > 0 {
			e.timetable.At(e.clock.Now().Add(d.Delay), func() { e.again(q) })
			continue
		}
		e.enqueue(q)
	}
}

// enqueue is called with the lock held.
func (e *Engine) enqueue(d *queued) {
	t := e.targets[d.URL]
	if t == nil {
		t = &target{shown: Shown(d.URL)}
		t.bare, t.err = request(d.URL)
		e.targets[d.URL] = t
	}
	t.queue = append(t.queue, d)
	e.staff(d.URL)
}

// staff starts as many workers for a URL as its queue is worth; the caller holds the lock.
func (e *Engine) staff(address string) {
	t := e.targets[address]
	for e.ctx != nil && e.ctx.Err() == nil && t.workers < min(perURL, len(t.queue)) {
		t.workers++
		ctx := e.ctx
		e.workers.Go(func() { e.work(ctx, address, t) })
	}
}

// work delivers until the URL's queue is empty.
func (e *Engine) work(ctx context.Context, address string, t *target) {
	for {
		e.mu.Lock()
		if len(t.queue) == 0 || ctx.Err() != nil {
			t.workers--
			if t.workers == 0 && len(t.queue) == 0 && e.targets[address] == t {
				delete(e.targets, address)
			}
			e.mu.Unlock()
			return
		}
		d := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		e.mu.Unlock()
		e.try(ctx, t, d)
	}
}

func (e *Engine) try(ctx context.Context, t *target, d *queued) {
	started := time.Now()
	ladder := d.Policy.Ladder
	remaining := max(0, len(ladder)-d.tries)
	status, err := 0, t.err
	if err == nil {
		limit := d.Policy.Timeout
		if limit == 0 {
			limit = timeout
		}
		within, cancel := context.WithTimeout(ctx, limit)
		status, err = e.post(within, t.bare, d.header(remaining), d.Body)
		cancel()
	}
	if ctx.Err() != nil {
		return // shutting down: the try counts for nothing
	}
	verdict := d.Policy.Judge(status)
	if errors.Is(err, ErrNotLoopback) {
		verdict = Refused
	}
	if verdict == Retry && remaining == 0 {
		verdict = GivenUp
	}
	d.tries++
	now := e.clock.Now()
	a := Attempt{Server: d.Server, Hook: d.Hook, URL: t.shown, Type: d.Type, MailID: d.MailID, MailIDs: d.MailIDs, Trace: d.Trace, Try: d.tries,
		RetriesRemaining: remaining, At: now, DurationMS: float64(time.Since(started).Microseconds()) / 1000, Status: status,
		Error: textOf(err), Verdict: verdict}
	if verdict == Retry {
		a.NextTry = now.Add(ladder[d.tries-1])
	}
	counts := e.note(d, a)
	if counts && d.Tried != nil {
		d.Tried(a)
	}
	if d.tries == 1 && d.FirstTry != nil {
		close(d.FirstTry)
	}
	if verdict == Retry {
		if counts {
			e.timetable.At(a.NextTry, func() { e.again(d) })
		}
		return
	}
	if d.Done != nil {
		d.Done()
	}
}

func (e *Engine) again(d *queued) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.epoch == e.epoch {
		e.enqueue(d)
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// note remembers an attempt. It returns false when a reset has overtaken the delivery.
func (e *Engine) note(d *queued, a Attempt) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.epoch != e.epoch {
		return false
	}
	if len(e.attempts) < maxAttempts {
		e.attempts = append(e.attempts, a)
		return true
	}
	e.attempts[e.next] = a
	e.next = (e.next + 1) % maxAttempts
	return true
}

// Attempts returns the latest attempts, newest first.
func (e *Engine) Attempts() []Attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Attempt, 0, len(e.attempts))
	for i := range e.attempts {
		list = append(list, e.attempts[(e.next+len(e.attempts)-1-i)%len(e.attempts)])
	}
	return list
}

// Next returns when the next try is due that waits for its time, if one does.
func (e *Engine) Next() (due time.Time, ok bool) { return e.timetable.Next() }

// Reset forgets everything that is queued, waits for a retry, or has been attempted.
func (e *Engine) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.epoch++
	for _, t := range e.targets {
		t.queue = nil
	}
	e.attempts, e.next = nil, 0
	e.timetable.Clear()
}

// Shown is a URL for people: without its credentials.
func Shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	parsed.User = nil
	return parsed.String()
}
