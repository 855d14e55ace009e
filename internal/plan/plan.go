// Package plan makes the plans of messages from what is configured now: it asks the adapters what they can carry, looks whether
// the egresses are in use, and lets package route apply the pool's strategy.
//
// Acceptance, explanations and whoever plans waiting messages anew use the same Planner, so they all come to the same result. It
// remembers the compiled strategy of every pool for as long as its revision stands, and counts turns where the pool's sequence
// does not.
package plan

import (
	"slices"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
)

// Templates knows the templates of providers; *template.Service does.
type Templates interface {
	// Carried returns a content as an egress would be handed it, or why there is none.
	Carried(t *directory.TPSP, capable provider.Capabilities, c *mail.Content) (*mail.Content, *mail.FieldError)

	// Usable returns an alias of the account that every egress may be handed, "" when there is none.
	Usable(accountID int32) string
}

// Planner makes plans. It is safe for concurrent use.
type Planner struct {
	Templates Templates // nil: every message leaves as it is; set before the first use

	providers provider.Registry
	now       func() time.Time

	mu    sync.Mutex
	pools map[int32]*known
}

// known is what is remembered of a pool.
type known struct {
	pool  *route.Pool // as it was seen last
	table *route.Table
	turns map[turnKey]uint64
}

// turnKey names who takes turns, see route.Prepared.Turns.
type turnKey struct {
	leg  int32 // the pool that is led to
	key  string
	able uint64
}

// Bounds of what is remembered: beyond them it is forgotten, and begins anew.
const (
	maxPools = 16_384 // deleted ones included
	maxTurns = 4_096  // counts of a pool
)

// New returns a Planner. now is the clock.
func New(providers provider.Registry, now func() time.Time) *Planner {
	return &Planner{providers: providers, now: now, pools: map[int32]*known{}}
}

// of returns what is known of a pool as it is now.
func (p *Planner) of(pool *route.Pool) *known {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.pools[pool.ID]
	switch {
	case k != nil && k.pool == pool:
		return k
	case k != nil && same(k.pool, pool):
		k.pool = pool // another snapshot has it
		return k
	}
	if len(p.pools) >= maxPools {
		clear(p.pools)
	}
	k = &known{pool: pool, table: route.Compile(pool), turns: map[turnKey]uint64{}}
	p.pools[pool.ID] = k
	return k
}

// same tells whether plans are made from the same things.
func same(a, b *route.Pool) bool {
	return a.Revision == b.Revision && a.Strategy == b.Strategy && a.RoutingMetaData == b.RoutingMetaData && a.Name == b.Name &&
		slices.Equal(a.Members, b.Members)
}

// Course is how messages with one content leave through one pool, by the configuration of one moment. It is not safe for
// concurrent use.
type Course struct {
	planner  *Planner
	view     *directory.Snapshot
	pool     *route.Pool
	known    *known
	legs     []route.Leg
	sender   string
	stands   map[route.Egress]stand
	prepared map[mailbox.Class]*route.Prepared
}

// stand is how an egress stands to the content.
type stand struct {
	route.Standing
	reason string
	fault  *mail.FieldError // what is wrong with the content
}

// Course looks at a pool of the snapshot for a content. Without content (nil), nothing is refused for it.
func (p *Planner) Course(view *directory.Snapshot, pool *route.Pool, c *mail.Content) *Course {
	legs := route.Legs(pool, func(id int32) *route.Pool { return view.Pool(pool.AccountID, id) },
		func(pool *route.Pool) *route.Table { return p.of(pool).table })
	course := &Course{planner: p, view: view, pool: pool, known: p.of(pool), legs: legs, stands: map[route.Egress]stand{},
		prepared: map[mailbox.Class]*route.Prepared{}}
	if c != nil {
		course.sender = mail.Domain(c.From.Email)
	}
	now := p.now()
	for _, leg := range legs {
		for _, e := range leg.Pool.Members {
			if _, known := course.stands[e]; !known {
				course.stands[e] = p.stand(view, e, c, course.sender, now)
			}
		}
	}
	return course
}

// From sets the sender's domain of a course without content.
func (c *Course) From(domain string) *Course {
	c.sender = domain
	now := c.planner.now()
	for e, was := range c.stands {
		if was.Standing == route.Ready {
			c.stands[e] = c.planner.stand(c.view, e, nil, domain, now)
		}
	}
	return c
}

// stand judges an egress for a content, which may be nil.
func (p *Planner) stand(view *directory.Snapshot, e route.Egress, c *mail.Content, sender string, now time.Time) stand {
	t := view.Egress(e)
	if t == nil || !t.Deleted.IsZero() {
		return stand{Standing: route.Unable, reason: "it is not connected any more"}
	}
	adapter := p.providers[t.Type]
	if adapter == nil {
		return stand{Standing: route.Unable, reason: "this version does not know its kind of provider"}
	}
	if c != nil {
		if bad := p.refusal(adapter, t, c); bad != nil {
			return stand{route.Unable, bad.Message, bad}
		}
	}
	if t.Paused {
		return stand{Standing: route.Paused, reason: t.Away(now)}
	}
	if reason := t.Away(now); reason != "" {
		return stand{Standing: route.Away, reason: reason}
	}
	if reason := t.Refuses(sender, now); reason != "" {
		return stand{Standing: route.Away, reason: reason}
	}
	return stand{Standing: route.Ready}
}

// refusal says why a provider cannot carry a content, or nil. It is the one place that decides so: what is done for providers
// that lack something, such as templates, belongs here.
func (p *Planner) refusal(adapter provider.Adapter, t *directory.TPSP, c *mail.Content) *mail.FieldError {
	if p.Templates != nil {
		var bad *mail.FieldError
		if c, bad = p.Templates.Carried(t, adapter.Capabilities(), c); bad != nil {
			return bad
		}
	}
	return adapter.CanCarry(c, provider.Terms{Raw: t.AllowRaw})
}

// Spread tells whether there is anything to choose: the message needs its place in the pool's sequence.
func (c *Course) Spread() bool { return route.Reach(c.legs) > 1 }

// Refusal says why no egress that the pool leads to can carry the content, whoever receives it, or nil: what is wrong with the
// content, when it is the content.
func (c *Course) Refusal() *mail.FieldError {
	var first *mail.FieldError
	for _, leg := range c.legs {
		for _, e := range leg.Pool.Members {
			switch s := c.stands[e]; {
			case s.Standing != route.Unable:
				return nil
			case first == nil:
				first = s.fault
			}
		}
	}
	if first == nil {
		first = c.empty()
	}
	return first
}

func (c *Course) empty() *mail.FieldError {
	return mail.Invalid("empty_ippool", "ippool", "the IP pool %q has no provider", c.pool.Name)
}

// To prepares the plans of messages to a mailbox provider. The error says why none of the egresses that the strategy names for
// them can carry them, as Refusal does.
func (c *Course) To(class mailbox.Class) (*route.Prepared, *mail.FieldError) {
	prepared := c.prepared[class]
	if prepared == nil {
		prepared = route.Prepare(c.legs, route.Message{Mailbox: class, Sender: c.sender}, func(e route.Egress) (route.Standing, string) {
			s := c.stands[e]
			return s.Standing, s.reason
		})
		c.prepared[class] = prepared
	}
	if !prepared.Empty() {
		return prepared, nil
	}
	for _, s := range prepared.Skipped() {
		if bad := c.stands[s.Egress].fault; bad != nil {
			return prepared, bad
		}
	}
	return prepared, c.empty()
}

// Plan makes the plan of one message, by its place in the pool's sequence. It counts a turn where the sequence is not the
// count. It is quick and does no I/O: it may be called within a transaction. Several goroutines may call it.
func (c *Course) Plan(prepared *route.Prepared, seq uint64) route.Plan {
	leg, key, able, exact := prepared.Turns()
	if exact || prepared.Empty() {
		return prepared.Plan(seq, seq)
	}
	return prepared.Plan(c.planner.turn(c.known, turnKey{c.legs[leg].Pool.ID, key, able}, seq), seq)
}

// turn counts. The first count is the place in the sequence, so that not every process begins with the same egress.
func (p *Planner) turn(k *known, key turnKey, seq uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, known := k.turns[key]
	if !known {
		if len(k.turns) >= maxTurns {
			clear(k.turns)
		}
		next = seq
	}
	k.turns[key] = next + 1
	return next
}

// Processed returns the type of a planned message's processed event: the family of its first choice says which.
func (p *Planner) Processed(view *directory.Snapshot, plan route.Plan) event.Type {
	family := event.Native
	if t := view.Egress(plan.First()); t != nil {
		family = p.providers[t.Type].Capabilities().Family
	}
	processed, _ := event.TypeOf(family, event.Processed) // the native family has it, so every family does
	return processed
}

// Waiting is a stored message that is to be planned anew.
type Waiting struct {
	AccountID int32
	PoolID    int32
	Content   *mail.Content
	Mailbox   mailbox.Class
	Seq       uint64 // any number; equal ones give equal plans where the pool's sequence counts
}

// Again plans a stored message by the configuration of now. It takes no place in the pool's sequence. The error says why nobody
// can carry it, or that its pool is gone.
func (p *Planner) Again(view *directory.Snapshot, w Waiting) (route.Plan, *mail.FieldError) {
	pool := view.Pool(w.AccountID, w.PoolID)
	if pool == nil {
		return route.Plan{}, mail.Invalid("unknown_ippool", "ippool", "the IP pool of this message was deleted")
	}
	course := p.Course(view, pool, w.Content)
	prepared, bad := course.To(w.Mailbox)
	if bad != nil {
		return route.Plan{Skipped: prepared.Skipped()}, bad
	}
	return course.Plan(prepared, w.Seq), nil
}
