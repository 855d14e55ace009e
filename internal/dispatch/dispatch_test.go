package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// queue is the store, for messages of one egress and in memory. What storing means is tested with the real one.
type queue struct {
	store.Queue // nil: any call that is not here would panic
	mu          sync.Mutex
	waiting     []store.Job
	unknown     []store.Job
	due         map[mail.ID]time.Time // of both
	settled     []string              // what was decided, in order
	health      directory.Health
	refused     map[string]directory.Refusal
	leased      bool  // by another node
	looks       int   // how often NextDue was called
	claims      []int // how many messages each claim took
	alter       func(*directory.TPSP)
	held        func(now time.Time) store.Claimed // what a claim gives instead of messages
	suppressed  Suppressions
}

func (q *queue) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, out := range outgoing(n) {
		j := *job(1, 0)
		j.ID, j.Content = out.ID, &mail.Content{From: mail.Address{Email: "shop@example.com"}}
		q.waiting = append(q.waiting, j)
	}
}

func (q *queue) Recover(context.Context, store.Recovery) (int, error) { return 0, nil }
func (q *queue) Expire(context.Context, store.Expiry) (int, mail.ID, error) {
	return 0, mail.ID{}, nil
}
func (q *queue) Claim(_ context.Context, c store.Claim) (store.Claimed, error) {
	if q.held != nil {
		return q.held(c.Now), nil
	}
	jobs := q.take(&q.waiting, c)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims = append(q.claims, len(jobs))
	return store.Claimed{Jobs: jobs}, nil
}
func (q *queue) Permits(context.Context, route.Egress, time.Time, time.Duration) (store.Permits, error) {
	return store.Permits{}, nil
}
func (q *queue) Queued(context.Context, store.QueuedFilter, mail.ID, int) ([]store.Queued, mail.ID, error) {
	return nil, mail.ID{}, nil
}
func (q *queue) Rearrange(context.Context, []store.Move, time.Time) (int, error) { return 0, nil }

func (q *queue) ClaimUnknown(_ context.Context, c store.Claim) ([]store.Job, error) {
	return q.take(&q.unknown, c), nil
}

func (q *queue) take(from *[]store.Job, c store.Claim) (jobs []store.Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*from = slices.DeleteFunc(*from, func(j store.Job) bool {
		if len(jobs) == c.Limit || q.due[j.ID].After(c.Now) {
			return false
		}
		jobs = append(jobs, j)
		return true
	})
	return jobs
}

func (q *queue) NextDue(context.Context, route.Egress) (store.Due, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looks++
	var d store.Due
	for _, j := range q.waiting {
		at := q.due[j.ID]
		d.Ready = d.Ready || at.IsZero()
		if !at.IsZero() && (d.Send.IsZero() || at.Before(d.Send)) {
			d.Send = at
		}
	}
	for _, j := range q.unknown {
		if at := q.due[j.ID]; d.Ask.IsZero() || at.Before(d.Ask) {
			d.Ask = at
		}
	}
	return d, nil
}

func (q *queue) Settle(_ context.Context, batch []store.Settlement) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range batch {
		j := *s.Job
		q.settled = append(q.settled, brief(s))
		q.due[j.ID] = s.DueAt
		switch s.Trigger {
		case lifecycle.Requeue:
			if s.Failed {
				j.Failures++
			}
			q.waiting = append(q.waiting, j)
		case lifecycle.Doubt:
			if j.UnknownSince.IsZero() {
				j.UnknownSince = s.At
			}
			if s.Asked {
				j.Asks++
			}
			q.unknown = append(q.unknown, j)
		}
	}
	return nil
}

func (q *queue) UpdateHealth(_ context.Context, _ int32, h directory.Health) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.health = h
	return nil
}

func (*queue) DirectoryRevision(context.Context) (int64, error) { return 0, nil }
func (q *queue) LoadDirectory(context.Context) (directory.Contents, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	refused := slices.Collect(maps.Values(q.refused))
	t := directory.TPSP{ID: 1, AccountID: 1, Type: provider.Postmark, Health: q.health, Refused: refused}
	if q.alter != nil {
		q.alter(&t)
	}
	return directory.Contents{TPSPs: []directory.TPSP{t}}, nil
}

func (q *queue) Refuse(_ context.Context, _ int32, r directory.Refusal) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused[r.Domain] = r
	return nil
}

func (q *queue) Admit(_ context.Context, _ int32, domain string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.refused, domain)
	return nil
}

func (q *queue) Lease(context.Context, string, string, time.Duration) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.leased, nil
}
func (*queue) Release(context.Context, string, string) error { return nil }

func (q *queue) log() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.settled)
}

func (q *queue) state() (h directory.Health, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.health, len(q.waiting)
}

// postmark is an adapter whose answers the test gives.
type postmark struct {
	sender
	lookup func(ids []mail.ID) ([]provider.Found, error)
	check  func(context.Context) error // nil: it is well
}

func (p postmark) Check(ctx context.Context, _ provider.Connection) error {
	if p.check == nil {
		return nil
	}
	return p.check(ctx)
}

func (p postmark) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark, CanLookup: p.lookup != nil}
}

func (p postmark) Lookup(_ context.Context, _ provider.Connection, ids []mail.ID, _ time.Time) ([]provider.Found, error) {
	return p.lookup(ids)
}

// nothing is a lookup that finds nothing.
func nothing([]mail.ID) ([]provider.Found, error) { return nil, nil }

type connections struct{}

func (connections) Connection(t *directory.TPSP) (provider.Connection, error) {
	return provider.Connection{TPSPID: t.ID}, nil
}

// dispatching runs a Dispatcher over q inside a bubble of synctest; stop ends it and returns when Run has returned.
func dispatching(t *testing.T, q *queue, p postmark) (stop func()) {
	t.Helper()
	_, stop = dispatcherOver(t, q, p, 2)
	return stop
}

func dispatcherOver(t *testing.T, q *queue, p postmark, concurrency int) (_ *Dispatcher, stop func()) {
	t.Helper()
	return dispatcherWith(t, q, p, connections{}, concurrency)
}

func dispatcherWith(t *testing.T, q *queue, p provider.Adapter, opened Connections, concurrency int) (_ *Dispatcher, stop func()) {
	t.Helper()
	d, err := directory.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	dispatcher := New(Config{Store: q, Directory: d, Connections: opened, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Jitter:    func() float64 { return 0.5 },
		Providers: provider.Registry{provider.Postmark: p}, Node: "n", Run: "me", Rules: rules, BatchSize: 10, Concurrency: concurrency,
		CallTimeout: time.Minute, TTL: 72 * time.Hour, Grace: 20 * time.Second, Suppressions: q.suppressed})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := dispatcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return dispatcher, func() { cancel(); running.Wait() }
}

func newQueue() *queue {
	return &queue{due: map[mail.ID]time.Time{}, refused: map[string]directory.Refusal{}}
}

// calls are the sizes of the calls that an adapter got.
type calls struct {
	mu    sync.Mutex
	sizes []int
}

func (c *calls) add(size int) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes = append(c.sizes, size)
	return len(c.sizes)
}

func (c *calls) made() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sizes)
}

// answering returns an adapter that gives each call the next of some classes, and the last one ever after.
func answering(c *calls, list ...provider.Class) postmark {
	return postmark{sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
		class := list[min(c.add(len(batch)), len(list))-1]
		return same(len(batch), provider.Outcome{Class: class, Text: class.String()})
	}}}
}

func TestMessagesAreSentInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes := newQueue(), &calls{}
		q.add(25)
		stop := dispatching(t, q, answering(sizes, provider.Accepted))
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]int{5, 10, 10}, slices.Sorted(slices.Values(sizes.made()))); diff != "" {
			t.Errorf("calls:\n%s", diff)
		}
		if diff := cmp.Diff(slices.Repeat([]string{"accept with 70"}, 25), q.log()); diff != "" {
			t.Errorf("settled:\n%s", diff)
		}
	})
}

// One claim serves as many calls as may begin, up to two.
func TestAClaimServesSeveralCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes := newQueue(), &calls{}
		q.add(45)
		answer := answering(sizes, provider.Accepted)
		inner := answer.send
		answer.send = func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
			<-time.After(time.Second)
			return inner(ctx, batch)
		}
		_, stop := dispatcherOver(t, q, answer, 3)
		<-time.After(time.Minute)
		stop()
		if diff := cmp.Diff([]int{20, 10}, q.claims[:2]); diff != "" {
			t.Errorf("claims:\n%s", diff)
		}
		if diff := cmp.Diff([]int{5, 10, 10, 10, 10}, slices.Sorted(slices.Values(sizes.made()))); diff != "" {
			t.Errorf("calls:\n%s", diff)
		}
	})
}

// While nothing can be sent, hints cost nothing; what they hinted at is seen soon all the same.
func TestHintsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, release := newQueue(), make(chan struct{})
		q.add(1)
		p := answering(&calls{}, provider.Accepted)
		inner := p.send
		p.send = func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
			<-release
			return inner(ctx, batch)
		}
		d, stop := dispatcherOver(t, q, p, 1)
		synctest.Wait()
		before := q.looks
		for range 100 {
			d.Wake(route.TPSP(1))
			<-time.After(time.Millisecond)
		}
		synctest.Wait()
		if n := q.looks - before; n > 2 {
			t.Errorf("%d looks for 100 hints", n)
		}
		before = q.looks
		d.Wake(route.TPSP(1))
		<-time.After(hush)
		synctest.Wait()
		if q.looks == before {
			t.Errorf("no look %s after a hint", hush)
		}
		close(release)
		stop()
	})
}

// A refused account stops the egress; probes that carry no mail find out when it is well, and it starts again with single
// messages. What fails then stops it again, for longer.
func TestARefusedAccountIsProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes, checks := newQueue(), &calls{}, &calls{}
		q.add(10)
		p := answering(sizes, provider.Account, provider.Account, provider.Accepted)
		p.check = func(context.Context) error {
			if checks.add(0) == 1 {
				return errors.New("bad token")
			}
			return nil
		}
		stop := dispatching(t, q, p)
		synctest.Wait()
		if h, _ := q.state(); !h.Stopped || h.Reason != "account" || !h.Since.Equal(time.Now()) || !h.ProbeAt.Equal(time.Now().Add(firstProbe)) {
			t.Errorf("health %+v", h)
		}
		<-time.After(14 * time.Second) // probes after 5 s, and after 10 s more
		synctest.Wait()
		if diff := cmp.Diff([]int{10}, sizes.made()); diff != "" {
			t.Errorf("calls while it is stopped:\n%s", diff)
		}
		if h, _ := q.state(); h.Reason != "bad token" || len(checks.made()) != 1 {
			t.Errorf("health %+v after %d probes", h, len(checks.made()))
		}
		<-time.After(2 * time.Second) // the second probe puts it on trial, which fails
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 1}, sizes.made()); diff != "" {
			t.Errorf("calls on trial:\n%s", diff)
		}
		<-time.After(21 * time.Second)
		synctest.Wait()
		stop()
		health, waiting := q.state()
		if made := sizes.made(); health.Stopped || len(made) < 4 || made[2] != 1 || made[3] != 2 || waiting != 0 {
			t.Errorf("health %+v, calls %v, %d wait", health, made, waiting)
		}
	})
}

// An egress that was stopped when the last process ended is probed first.
func TestAStoppedEgressIsProbedAfterAStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes, checks := newQueue(), &calls{}, &calls{}
		q.add(8)
		q.health = directory.Health{Stopped: true, Reason: "suspended", Since: time.Now(), ProbeAt: time.Now().Add(time.Second), Wait: firstProbe}
		p := answering(sizes, provider.Accepted)
		p.check = func(context.Context) error { checks.add(0); return nil }
		stop := dispatching(t, q, p)
		synctest.Wait()
		stop()
		health, waiting := q.state()
		if made := sizes.made(); len(checks.made()) != 1 || len(made) < 2 || made[0] != 1 || health != (directory.Health{}) || waiting != 0 {
			t.Errorf("%d probes, calls %v, health %+v, %d wait", len(checks.made()), made, health, waiting)
		}
	})
}

// What another node finds out about a provider holds here as well, and one node probes.
func TestTheBreakerOfAnotherNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes, checks := newQueue(), &calls{}, &calls{}
		p := answering(sizes, provider.Accepted)
		p.check = func(context.Context) error { checks.add(0); return nil }
		dispatcher, stop := dispatcherOver(t, q, p, 2)
		synctest.Wait()
		told := func(h directory.Health, leased bool) {
			q.mu.Lock()
			q.health, q.leased = h, leased
			q.mu.Unlock()
			if err := dispatcher.Directory.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			dispatcher.WakeAll()
			synctest.Wait()
		}
		told(directory.Health{Stopped: true, Reason: "no answer", Since: time.Now(), ProbeAt: time.Now().Add(time.Second), Wait: time.Second}, true)
		q.add(1)
		dispatcher.WakeAll()
		<-time.After(20 * time.Second) // the other node has the lease
		synctest.Wait()
		if n := len(sizes.made()) + len(checks.made()); n != 0 {
			t.Errorf("%d calls and probes while another node probes", n)
		}
		told(directory.Health{}, true)
		if diff := cmp.Diff([]int{1}, sizes.made()); diff != "" || len(checks.made()) != 0 {
			t.Errorf("calls after the other node closed it, %d probes:\n%s", len(checks.made()), diff)
		}
		stop()
	})
}

// A sender that the provider refuses is remembered, and forgotten when its mail is taken.
func TestARefusedSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes := newQueue(), &calls{}
		q.add(1)
		stop := dispatching(t, q, postmark{sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
			if sizes.add(len(batch)) < 5 {
				return same(len(batch), provider.Outcome{Class: provider.Account, SenderOnly: true, Text: "not verified"})
			}
			return same(len(batch), provider.Outcome{Class: provider.Accepted})
		}}})
		synctest.Wait()
		began := time.Now()
		if got, want := q.refused["example.com"], (directory.Refusal{Domain: "example.com", Reason: "not verified", Since: began,
			ProbeAt: began.Add(firstRefusal), Wait: firstRefusal}); got != want {
			t.Errorf("refused %+v, want %+v", got, want)
		}
		if h, _ := q.state(); h.Stopped {
			t.Errorf("health %+v", h)
		}
		<-time.After(5 * time.Minute)
		synctest.Wait()
		stop()
		if _, waiting := q.state(); len(q.refused) != 0 || waiting != 0 {
			t.Errorf("refused %+v, %d wait", q.refused, waiting)
		}
	})
}

// A throttled egress rests as long as it asked for.
func TestAThrottledEgressRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes, began := newQueue(), &calls{}, time.Now()
		q.add(3)
		p := answering(sizes, provider.Throttled, provider.Accepted)
		stop := dispatching(t, q, p)
		<-time.After(throttleWait - time.Millisecond)
		synctest.Wait()
		if made := sizes.made(); len(made) != 1 {
			t.Errorf("%d calls within %s", len(made), time.Since(began))
		}
		<-time.After(time.Second)
		synctest.Wait()
		stop()
		if _, waiting := q.state(); waiting != 0 {
			t.Errorf("%d messages still wait after %s", waiting, time.Since(began))
		}
	})
}

// A message in doubt is asked for by the rules, and sent again only after the last negative answer.
func TestAMessageInDoubtIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes, began := newQueue(), &calls{}, time.Now()
		q.add(1)
		p := answering(sizes, provider.Ambiguous, provider.Accepted)
		var asked []time.Duration
		p.lookup = func([]mail.ID) ([]provider.Found, error) {
			asked = append(asked, time.Since(began).Round(100*time.Millisecond))
			return nil, nil
		}
		stop := dispatching(t, q, p)
		<-time.After(3 * time.Minute)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(rules.AskAfter, asked); diff != "" {
			t.Errorf("asked:\n%s", diff)
		}
		log := q.log()
		if want := []string{"requeue to 1 at once, failed", "accept with 70"}; len(log) != 5 || !slices.Equal(log[3:], want) {
			t.Errorf("settled %q", log)
		}
	})
}

// A stop waits for the call that is on the wire; after the grace period the call is cut, and recorded as unknown.
func TestStop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes, until time.Duration
		want         string
	}{
		"the call ends":   {15 * time.Second, 14 * time.Second, "accept with 70"},
		"the call is cut": {50 * time.Second, 20 * time.Second, "doubt at 1 for 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				q.add(1)
				stop := dispatching(t, q, postmark{lookup: nothing, sender: sender{send: func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
					select {
					case <-time.After(test.takes):
						return same(len(batch), provider.Outcome{Class: provider.Accepted})
					case <-ctx.Done():
						return same(len(batch), provider.Outcome{Class: provider.Ambiguous, Text: context.Cause(ctx).Error()})
					}
				}}})
				<-time.After(time.Second)
				stopped := time.Now()
				stop()
				if took := time.Since(stopped); took != test.until {
					t.Errorf("stopped after %s, want %s", took, test.until)
				}
				if diff := cmp.Diff([]string{test.want}, q.log()); diff != "" {
					t.Errorf("settled:\n%s", diff)
				}
			})
		})
	}
}

// An adapter that panics while it is asked must not end the process.
func TestAPanicInALookup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, sizes := newQueue(), &calls{}
		q.add(1)
		p := answering(sizes, provider.Ambiguous)
		p.lookup = func([]mail.ID) ([]provider.Found, error) { panic(errors.New("index out of range")) }
		stop := dispatching(t, q, p)
		<-time.After(15 * time.Second)
		synctest.Wait()
		stop()
		if want := []string{"doubt at 1 for 10s", "doubt at 1 for 10s"}; !slices.Equal(q.log(), want) {
			t.Errorf("settled %q, want %q", q.log(), want)
		}
	})
}

// However many are held, and however much mail comes: claims that look at them in vain leave the store time for others, and go on until all
// have been looked at.
func TestManyAreHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const held = 100 // claims
		q := newQueue()
		q.add(1)
		var at []time.Time
		q.held = func(time.Time) store.Claimed {
			at = append(at, time.Now())
			return store.Claimed{More: len(at)%held != 0}
		}
		d, stop := dispatcherOver(t, q, answering(&calls{}, provider.Accepted), 2)
		<-time.After(time.Second)
		synctest.Wait()
		if len(at) != held {
			t.Errorf("%d claims of %d in a second", len(at), held)
		}
		for range 1000 {
			d.Wake(route.TPSP(1))
			<-time.After(time.Millisecond)
		}
		synctest.Wait()
		stop()
		if len(at) < 2*held {
			t.Errorf("%d claims of %d after new mail", len(at)-held, held)
		}
		for i := vainClaims; i < len(at); i++ {
			if took := at[i].Sub(at[i-vainClaims]); took < lookPause {
				t.Fatalf("%d claims within %s", vainClaims+1, took)
			}
		}
	})
}

// Whatever keeps mail waiting, a runner sleeps meanwhile.
func TestNothingSpins(t *testing.T) {
	t.Parallel()
	stopped := func(q *queue) {
		q.health = directory.Health{Stopped: true, Reason: "down", Since: time.Now(), ProbeAt: time.Now(), Wait: firstProbe}
	}
	altered := func(change func(*directory.TPSP)) func(*queue) { return func(q *queue) { q.alter = change } }
	both := func(sets ...func(*queue)) func(*queue) {
		return func(q *queue) {
			for _, set := range sets {
				set(q)
			}
		}
	}
	holding := func(full []mailbox.Class, free time.Duration) func(*queue) {
		return func(q *queue) {
			q.held = func(now time.Time) store.Claimed { return store.Claimed{Full: full, Free: now.Add(free)} }
		}
	}
	deleted := altered(func(t *directory.TPSP) { t.Deleted = time.Unix(1, 0) })
	paused := altered(func(t *directory.TPSP) { t.Paused = true })
	for name, set := range map[string]func(*queue){
		"deleted": deleted, "deleted while stopped": both(stopped, deleted), "paused": paused, "paused while stopped": both(stopped, paused),
		"in a drill": altered(func(t *directory.TPSP) { t.Drill = time.Unix(1<<33, 0) }), "stopped": stopped,
		"another node probes":     both(stopped, func(q *queue) { q.leased = true }),
		"nothing may be claimed":  func(q *queue) { q.held = func(time.Time) store.Claimed { return store.Claimed{} } },
		"a limit holds it":        holding([]mailbox.Class{mailbox.Gmail}, time.Hour),
		"a limit lets it go":      holding([]mailbox.Class{mailbox.Gmail}, 0),
		"a limit has let it go":   holding(nil, -time.Hour),
		"a limit of a short time": holding([]mailbox.Class{mailbox.Gmail}, 10*time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				q.add(3)
				set(q)
				p := answering(&calls{}, provider.Accepted)
				p.check = func(context.Context) error { return errors.New("still down") }
				stop := dispatching(t, q, p)
				<-time.After(10 * time.Minute)
				synctest.Wait()
				stop()
				if q.looks > 10*60 {
					t.Errorf("it looked %d times in 10 minutes", q.looks)
				}
			})
		})
	}
}
