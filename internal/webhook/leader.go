package webhook

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// Bounds of the leader.
const (
	eventsAtOnce    = 500      // that are read and written together
	cacheBytes      = 32 << 20 // of bodies that wait, and of messages whose other events are still to come
	mostNamed       = 10_000   // endpoints that messages name, kept in mind
	idleEvents      = 5_000    // events that nobody wants before the place is written
	idleFor         = 10 * time.Second
	mostUnrecorded  = 4_000 // outcomes
	tryRecords      = 500   // that are written together
	endpointsAtOnce = 500   // that are read together
	sweepAtOnce     = 1000
	mostSweeps      = 5000 // at a time
	drainFor        = 3 * time.Second
)

// leader posts events while this node has the lease.
type leader struct {
	*Service
	bodies   *cache[int64, []byte]
	messages *cache[mail.ID, *told]

	// Of the goroutine that reads the log.
	place     int64 // as the store has it
	read      int64 // up to which event the log was read: nobody wants those between place and read
	written   time.Time
	revision  int64
	own       map[int32][]*endpoint  // of accounts
	named     map[namedKey]*endpoint // that messages named lately
	namedByID map[int32]*endpoint

	mu       sync.Mutex
	lanes    map[int32]*lane
	stood    map[int32]store.EndpointStanding // of lanes that were left because they had nothing to do
	flying   int
	stalled  []*lane // that wait until fewer are flying or unrecorded
	outcomes []outcome
	pauses   []pause
	outcome  chan struct{} // holds one: there are outcomes or pauses
	stopping bool
	calls    sync.WaitGroup
	calling  context.Context // of calls
	cut      context.CancelFunc
}

type namedKey struct {
	account int32
	url     string
}

// pause is an endpoint that is to be paused.
type pause struct {
	account, id int32
	reason      string
}

func newLeader(s *Service) *leader {
	l := &leader{Service: s, bodies: newCache[int64, []byte](cacheBytes), messages: newCache[mail.ID, *told](cacheBytes), lanes: map[int32]*lane{}, stood: map[int32]store.EndpointStanding{},
		named: map[namedKey]*endpoint{}, namedByID: map[int32]*endpoint{}, outcome: make(chan struct{}, 1)}
	l.calling, l.cut = context.WithCancel(context.Background())
	return l
}

// begin reads where the work stands.
func (l *leader) begin(ctx context.Context) (err error) {
	if l.place, err = l.Store.OutboxPlace(ctx); err != nil {
		return err
	}
	l.read, l.written = l.place, time.Now()
	return nil
}

// follow makes deliveries of what is recorded, until ctx ends or the lease is lost.
func (l *leader) follow(ctx context.Context) {
	ticker := time.NewTicker(cmp.Or(l.Poll, pollEvery))
	defer ticker.Stop()
	for {
		more, err := l.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrConflict):
			l.Log.Warn("another node posts webhooks by now")
			return
		case err != nil:
			l.Log.Warn("webhooks wait", "error", err)
			if !sleep(ctx, again) {
				return
			}
			continue
		case more:
			continue
		}
		select {
		case <-l.hints:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// step makes deliveries of the next events. more tells that there are others.
func (l *leader) step(ctx context.Context) (more bool, err error) {
	o, err := l.Store.Outbound(ctx, l.read, eventsAtOnce)
	if err != nil {
		return false, err
	}
	if o.Revision != l.revision || l.own == nil {
		if err := l.refresh(ctx); err != nil {
			return false, err
		}
		l.revision = o.Revision
	}
	if err := l.name(ctx, o.Events); err != nil {
		return false, err
	}
	keys, wanted := l.match(o.Events)
	if len(keys) == 0 {
		l.read = o.Last
		if l.read-l.place < idleEvents && (l.read == l.place || time.Since(l.written) < idleFor) {
			return o.More, nil
		}
	}
	if len(keys) > 0 {
		if _, err := l.render(ctx, wanted); err != nil {
			return false, err
		}
	}
	if err := l.Store.Enqueue(ctx, l.place, o.Last, keys); err != nil {
		return false, err
	}
	l.place, l.read, l.written = o.Last, o.Last, time.Now()
	l.hand(keys)
	return o.More, nil
}

// match finds the endpoints that get events.
func (l *leader) match(events []store.OutEvent) (keys []store.DeliveryKey, wanted []*store.OutEvent) {
	for i := range events {
		e := &events[i]
		n := len(keys)
		covered := false // its own URL is posted to as a webhook of the account
		for _, p := range l.own[e.AccountID] {
			if e.Seq > p.Since && p.Enabled && wants(&p.Endpoint, e) {
				keys = append(keys, store.DeliveryKey{EndpointID: p.ID, Seq: e.Seq})
				covered = covered || p.URL == e.Hook
			}
		}
		if p := l.named[namedKey{e.AccountID, e.Hook}]; e.Hook != "" && p != nil && !covered && p.Enabled {
			keys = append(keys, store.DeliveryKey{EndpointID: p.ID, Seq: e.Seq})
		}
		if len(keys) > n {
			wanted = append(wanted, e)
		}
	}
	return keys, wanted
}

// name makes sure that the endpoints that messages name are there.
func (l *leader) name(ctx context.Context, events []store.OutEvent) error {
	missing := map[namedKey]store.Endpoint{}
	now := l.Now()
	for i := range events {
		e := &events[i]
		k := namedKey{e.AccountID, e.Hook}
		if e.Hook == "" || l.named[k] != nil {
			continue
		}
		if _, known := missing[k]; !known {
			missing[k] = store.Endpoint{AccountID: e.AccountID, URL: e.Hook, Named: true, Enabled: true, Kinds: allKinds, Secret: l.newSecret(), Created: now, Updated: now}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := l.Store.NamedEndpoints(ctx, slices.Collect(maps.Values(missing)))
	if err != nil {
		return err
	}
	if len(l.named)+len(found) > mostNamed {
		l.forgetNamed()
		return l.name(ctx, events) // those of this batch
	}
	for i := range found {
		p, err := l.prepare(&found[i])
		if err != nil {
			return err
		}
		l.named[namedKey{p.AccountID, p.URL}], l.namedByID[p.ID] = p, p
	}
	return nil
}

func (l *leader) forgetNamed() {
	clear(l.named)
	clear(l.namedByID)
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.stood)
}

// refresh reads the endpoints anew: those of accounts, and those that have a lane or deliveries that wait.
func (l *leader) refresh(ctx context.Context) error {
	list, err := l.Store.Endpoints(ctx, store.EndpointFilter{})
	if err != nil {
		return err
	}
	ids := map[int32]bool{}
	l.mu.Lock()
	for id := range l.lanes {
		ids[id] = true
	}
	l.mu.Unlock()
	for after := int32(0); ; {
		waiting, err := l.Store.Backlogged(ctx, after, endpointsAtOnce)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			ids[id] = true
		}
		if len(waiting) < endpointsAtOnce {
			break
		}
		after = waiting[len(waiting)-1]
	}
	for _, e := range list {
		delete(ids, e.ID)
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(ids)), endpointsAtOnce) {
		more, err := l.Store.Endpoints(ctx, store.EndpointFilter{IDs: some, AllKinds: true})
		if err != nil {
			return err
		}
		list = append(list, more...)
	}
	own, all := map[int32][]*endpoint{}, make(map[int32]*endpoint, len(list))
	for i := range list {
		p, err := l.prepare(&list[i])
		if err != nil {
			l.Log.Error("nothing can be posted to a webhook", "error", err)
			continue
		}
		all[p.ID] = p
		if !p.Named {
			own[p.AccountID] = append(own[p.AccountID], p)
		}
	}
	l.own = own
	l.forgetNamed()
	l.adopt(all)
	return nil
}

// renew keeps the lease, until ctx ends or it is lost.
func (l *leader) renew(ctx context.Context) {
	held := time.Now()
	for sleep(ctx, renewEvery) {
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, renewEvery)
		mine, err := l.Store.Lease(bounded, leaseName, l.Holder, leaseFor)
		cancel()
		switch {
		case err == nil && mine:
			held = began
		case err == nil:
			l.Log.Warn("another node posts webhooks by now")
			return
		case time.Since(held) > leaseFor-renewEvery && ctx.Err() == nil:
			l.Log.Warn("webhooks wait: the lease cannot be renewed", "error", err)
			return
		}
	}
}

// sweep forgets what is not needed any more, until ctx ends.
func (l *leader) sweep(ctx context.Context) {
	for sleep(ctx, sweepEvery) {
		for range mostSweeps {
			n, err := l.Store.SweepOutbox(ctx, l.Now().Add(-KeepTries), sweepAtOnce)
			if err != nil && ctx.Err() == nil {
				l.Log.Warn("old tries of webhooks stay for now", "error", err)
			}
			if n == 0 || err != nil {
				break
			}
		}
	}
}

// stop ends the work: calls that are under way may end for a while.
func (l *leader) stop() {
	l.mu.Lock()
	l.stopping = true
	for _, p := range l.lanes {
		p.disarm()
	}
	l.mu.Unlock()
	cut := time.AfterFunc(drainFor, l.cut)
	l.calls.Wait()
	cut.Stop()
	l.cut()
	close(l.outcome)
}
