package route

import (
	"slices"
	"strconv"
)

// Via is how a plan comes to a pool.
type Via uint8

// The ways.
const (
	Own      Via = iota // it is the message's own
	Overflow            // the own one overflows into it, directly or further on
	Target              // it is a related pool, tried after those
)

// Leg is one pool that a plan leads through.
type Leg struct {
	Pool  *Pool
	Table *Table
	Via   Via
}

// Legs follows a pool to where it overflows and then to its targets, each time with all that follows from there (RT-7, RT-8).
// A pool that was visited, or that find does not know, is passed over: a circle ends.
func Legs(root *Pool, find func(id int32) *Pool, table func(*Pool) *Table) []Leg {
	var legs []Leg
	visited := map[int32]bool{}
	var visit func(p *Pool, via Via)
	visit = func(p *Pool, via Via) {
		if p == nil || visited[p.ID] {
			return
		}
		visited[p.ID] = true
		legs = append(legs, Leg{p, table(p), via})
		if p.Overflow != 0 {
			visit(find(p.Overflow), max(via, Overflow))
		}
		for _, id := range p.Targets {
			visit(find(id), Target)
		}
	}
	visit(root, Own)
	return legs
}

// Reach counts the egresses of all legs. With one there is nothing to choose.
func Reach(legs []Leg) int {
	seen := map[Egress]bool{}
	for _, l := range legs {
		for _, e := range l.Table.member {
			seen[e] = true
		}
	}
	return len(seen)
}

// Standing is how an egress stands to a message.
type Standing uint8

// The standings.
const (
	Ready  Standing = iota // it can carry the message
	Away                   // it can, but not now: it is tried when all who are ready failed
	Paused                 // the operator wants no mail for it: it is used when there is nobody else at all
	Unable                 // it never can
)

// Prepared is what all messages have in common that are the same to the strategies and can be carried by the same egresses.
// It does not change.
type Prepared struct {
	picks   []pick // in the order in which they are tried
	over    int    // how many egresses are before the overflow pool's first one
	skipped []Skipped
	rule    string // up to the number of the turn
	of      string // what follows it
	size    int
}

// pick is the part of one leg in a plan.
type pick struct {
	leg      int
	standing Standing
	key      string
	group    *group
	subset   set       // who takes turns, as indices in the group
	schedule *schedule // of them
	last     []Egress  // who comes after those: volume 0
	whole    bool      // nobody is missing from the schedule
}

// Prepare lays a message over the legs. stand tells how an egress stands to it, and the reason unless it is Ready; it is called
// once for each egress.
func Prepare(legs []Leg, m Message, stand func(Egress) (Standing, string)) *Prepared {
	p := &Prepared{}
	type place struct {
		key   string
		group *group
		by    [Unable]set // indices in the group, by standing
		after [Unable]set // those of volume 0
	}
	places := make([]place, len(legs))
	taken := map[Egress]bool{} // is in the plan, or has its reason
	found := [Unable]bool{}
	for i, leg := range legs {
		key, g := leg.Table.choose(m)
		places[i].key, places[i].group = key, g
		for j, e := range g.egresses {
			if taken[e] {
				continue
			}
			taken[e] = true
			standing, reason := stand(e)
			if standing != Ready {
				p.skipped = append(p.skipped, Skipped{e, reason})
			}
			switch {
			case standing == Unable:
				continue
			case g.weights[j] == 0:
				places[i].after[standing] = places[i].after[standing].with(j)
			default:
				places[i].by[standing] = places[i].by[standing].with(j)
			}
			found[standing] = true
		}
	}
	for _, leg := range legs {
		for _, e := range leg.Table.member {
			if !taken[e] {
				taken[e] = true
				p.skipped = append(p.skipped, Skipped{e, leg.Table.unnamed(m)})
			}
		}
	}
	tiers := []Standing{Ready, Away}
	if !found[Ready] && !found[Away] {
		tiers = []Standing{Paused}
	}
	own, overflows := false, false
	for _, standing := range tiers {
		for i := range places {
			at := &places[i]
			turns, last := at.by[standing], at.after[standing]
			if turns == 0 {
				turns, last = last, 0
			}
			if turns == 0 {
				continue
			}
			next := pick{leg: i, standing: standing, key: at.key, group: at.group, subset: turns, schedule: at.group.schedule(turns), whole: turns == at.group.weighted()}
			for j, e := range at.group.egresses {
				if last.has(j) {
					next.last = append(next.last, e)
				}
			}
			switch via := legs[i].Via; {
			case via == Own:
				own = true
			case via == Overflow && !overflows:
				if overflows = true; own {
					p.over = p.size
				}
			}
			p.size += turns.len() + len(next.last)
			p.picks = append(p.picks, next)
		}
	}
	for i := range p.picks {
		p.picks[i].warm()
	}
	if len(p.picks) > 0 {
		p.rule, p.of = ruleOf(legs, &p.picks[0], m)
	}
	return p
}

// warm makes the schedules that plans are going to ask for, so that they need not be made within a transaction.
func (k *pick) warm() {
	if k.subset.len() < 3 {
		return
	}
	for i := range k.group.egresses {
		if k.subset.has(i) {
			k.group.schedule(k.subset.without(i))
		}
	}
}

// Empty tells that nobody can carry the message.
func (p *Prepared) Empty() bool { return len(p.picks) == 0 }

// Skipped returns who was passed over, and why. It must not be changed.
func (p *Prepared) Skipped() []Skipped { return p.skipped }

// Turns names what messages take turns in: the place of the leg, the strategy's key for the message, and who takes part. exact
// tells that these are all messages of the pool, so that a message's turn is its place in the pool's sequence. Otherwise they
// are only some of them, and need a count of their own: within a sequence that others share, mail that comes in a pattern
// (every second one to Gmail) would always hit the same turns.
func (p *Prepared) Turns() (leg int, key string, able uint64, exact bool) {
	if p.Empty() {
		return 0, "", 0, true
	}
	first := &p.picks[0]
	return first.leg, first.key, uint64(first.subset), first.leg == 0 && first.key == "" && first.whole
}

// Plan makes the plan of the message whose turn it is; seq is its place in the pool's sequence, and the same as turn where turns
// are exact. A plan without egresses means that nobody can carry the message.
func (p *Prepared) Plan(turn, seq uint64) Plan {
	plan := Plan{Skipped: p.skipped}
	if p.Empty() {
		return plan
	}
	plan.Overflow = p.over
	plan.Egresses = make([]Egress, 0, p.size)
	for i := range p.picks {
		t := seq
		if i == 0 {
			t = turn
		}
		plan.Egresses = p.picks[i].order(plan.Egresses, t)
	}
	plan.Rule = p.rule + strconv.FormatUint(turn%uint64(len(p.picks[0].schedule.turns))+1, 10) + p.of
	return plan
}

// Origin is how an egress came into a plan.
type Origin struct {
	Leg      int // of Legs
	Standing Standing
	Last     bool // its volume is 0, while others have one
}

// Origins tells how each egress came into the plans.
func (p *Prepared) Origins() map[Egress]Origin {
	origins := map[Egress]Origin{}
	for i := range p.picks {
		k := &p.picks[i]
		for j, e := range k.group.egresses {
			if k.subset.has(j) {
				origins[e] = Origin{Leg: k.leg, Standing: k.standing}
			}
		}
		for _, e := range k.last {
			origins[e] = Origin{Leg: k.leg, Standing: k.standing, Last: true}
		}
	}
	return origins
}

// First returns the first choice of a turn, without the rest of the plan.
func (p *Prepared) First(turn uint64) Egress {
	if p.Empty() {
		return 0
	}
	k := &p.picks[0]
	i, _ := k.schedule.at(turn)
	return k.group.egresses[i]
}

// order appends the egresses of a pick. Whose turn it is comes first. What he cannot do is shared by the others in their
// proportions: his messages take turns among them. What the second cannot do either goes round among the rest.
func (k *pick) order(list []Egress, turn uint64) []Egress {
	left := k.subset
	first, n := k.schedule.at(turn)
	list, left = append(list, k.group.egresses[first]), left.without(first)
	if left.len() > 1 {
		var second int
		second, n = k.group.schedule(left).at(n)
		list, left = append(list, k.group.egresses[second]), left.without(second)
	}
	if left != 0 {
		begin := len(list)
		for rest := left; rest != 0; rest = rest.without(rest.first()) {
			list = append(list, k.group.egresses[rest.first()])
		}
		rotate(list[begin:], n)
	}
	begin := len(list)
	list = append(list, k.last...)
	rotate(list[begin:], n)
	return list
}

// rotate brings the element n to the front, counted round, and keeps the order otherwise.
func rotate(list []Egress, n uint64) {
	if len(list) < 2 {
		return
	}
	by := int(n % uint64(len(list)))
	slices.Reverse(list[:by])
	slices.Reverse(list[by:])
	slices.Reverse(list)
}

// choose returns the group that the strategy names for a message, and the key that it goes by; the key is empty for a
// strategy without keys, and where neither a key nor others matches: all members share the message then.
func (t *Table) choose(m Message) (string, *group) {
	var key string
	switch t.of {
	case MailboxProvider:
		key = strconv.Itoa(m.Mailbox.ID())
	case SendingDomain:
		key = m.Sender
	default:
		return "", t.all
	}
	if g := t.keys[key]; g != nil {
		return key, g
	}
	if g := t.keys[Others]; g != nil {
		return Others, g
	}
	return noKey, t.all
}

// noKey is the key of messages that no key matches. It cannot stand in routing metadata.
const noKey = "*"

// subject says what the strategy saw of a message.
func (t *Table) subject(m Message) string {
	switch {
	case t.of == MailboxProvider:
		return string(m.Mailbox)
	case m.Sender != "":
		return m.Sender
	default:
		return "an unnamed domain"
	}
}

// unnamed says why a member is not used.
func (t *Table) unnamed(m Message) string {
	return "the pool " + strconv.Quote(t.pool) + " does not use it for " + t.subject(m)
}

// ruleOf says how the first choice was made: what comes before and what after the number of the turn.
func ruleOf(legs []Leg, k *pick, m Message) (rule, of string) {
	leg, t := legs[k.leg], legs[k.leg].Table
	rule = "pool " + strconv.Quote(t.pool)
	if leg.Via != Own {
		rule = "pool " + strconv.Quote(legs[0].Table.pool) + " has nobody for it, "
		if leg.Via == Overflow {
			rule += "overflow pool "
		} else {
			rule += "target pool "
		}
		rule += strconv.Quote(t.pool)
	}
	n := strconv.Itoa(k.subset.len())
	switch {
	case t.fault:
		rule += ", its routing metadata cannot be read"
	case t.of == Volume && k.subset&k.group.weighted() == 0:
		rule += ", by volume: only those of volume 0 are left"
	case t.of == Volume:
		return rule + ", by volume over " + n + ", turn ", " of " + strconv.Itoa(len(k.schedule.turns))
	case k.key == noKey:
		rule += ", " + t.of.String() + ": no key for " + t.subject(m) + ", all members"
	case k.key == Others:
		rule += ", " + t.of.String() + ": " + t.subject(m) + " is among the others"
	case k.key != "":
		rule += ", " + t.of.String() + ": " + t.subject(m)
	}
	return rule + ", round robin over " + n + ", turn ", ""
}
