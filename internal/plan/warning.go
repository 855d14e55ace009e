package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
)

// Warning is something that a user of a pool should know before it matters.
type Warning struct {
	Code    string       // stable, snake_case
	Egress  route.Egress // whom it is about, 0 for nobody in particular
	Message string       // for people
}

// The codes of warnings.
const (
	PoolPaused         = "pool_paused"          // the pool's mail waits
	Empty              = "empty"                // nobody can be reached from the pool
	NoFallback         = "no_fallback"          // there is one egress only
	CannotCarry        = "cannot_carry"         // an egress cannot carry what another one can
	NotCarried         = "not_carried"          // nobody carries such messages
	CarriedByOne       = "carried_by_one"       // of several egresses only one carries such messages
	ProviderPaused     = "provider_paused"      // no mail is planned for the egress
	ProviderAway       = "provider_away"        // it is out of use for now
	SenderRefused      = "sender_refused"       // it refuses the mail of a sender domain for now
	NotConnected       = "not_connected"        // it was deleted, or its kind is not known
	UnreadableMetaData = "unreadable_metadata"  // the strategy is round robin instead
	GoneEgress         = "gone_egress"          // the routing metadata names somebody who is not in the pool any more
	NeverUsed          = "never_used"           // no key names the egress
	FallbackOnly       = "fallback_only"        // no volume names the egress
	KeyWithoutFallback = "key_without_fallback" // a key names one egress only, and the pool leads nowhere
	NoOthers           = "no_others"            // mail without a key is shared by all members
)

// probes are the kinds of messages that pools are tried with.
var probes = []struct {
	kind    string
	content mail.Content
}{
	{"messages without a tpspTemplate", mail.Content{From: mail.Address{Email: "from@example.com"}, Subject: "Subject", HTML: "<p>Text</p>", Text: "Text"}},
	{"messages with a tpspTemplate", mail.Content{From: mail.Address{Email: "from@example.com"}, Subject: "Subject", Template: "template"}},
}

// Warnings looks at what a pool of the snapshot leads to.
func (p *Planner) Warnings(view *directory.Snapshot, pool *route.Pool) []Warning {
	var list []Warning
	warn := func(code string, e route.Egress, format string, args ...any) {
		list = append(list, Warning{code, e, fmt.Sprintf(format, args...)})
	}
	if pool.Paused {
		warn(PoolPaused, 0, "the pool is paused: its mail waits")
	}
	now := p.now()
	var egresses []route.Egress
	legs := p.Course(view, pool, nil).legs
	for _, leg := range legs {
		for _, e := range leg.Pool.Members {
			if slices.Contains(egresses, e) {
				continue
			}
			if t := view.Egress(e); t == nil || p.providers[t.Type] == nil || !t.Deleted.IsZero() {
				warn(NotConnected, e, "%s: %s", e, p.stand(view, e, nil, "", now).reason)
				continue
			}
			egresses = append(egresses, e)
		}
	}
	switch len(egresses) {
	case 0:
		warn(Empty, 0, "the pool leads to no provider: sends to it are refused")
	case 1:
		warn(NoFallback, egresses[0], "%s is alone: while it is out of use, mail waits", Name(view, egresses[0]))
	}
	for _, e := range egresses {
		list = append(list, inUse(view, e, now)...)
	}
	list = append(list, p.carry(view, egresses)...)
	return append(list, review(view, pool, len(legs) > 1)...)
}

// Name returns how people know an egress: its name and its id.
func Name(view *directory.Snapshot, e route.Egress) string {
	if t := view.Egress(e); t != nil {
		return fmt.Sprintf("%q (%s)", t.Name, e)
	}
	return e.String()
}

// inUse warns of an egress that takes no mail now.
func inUse(view *directory.Snapshot, e route.Egress, now time.Time) (list []Warning) {
	t := view.Egress(e)
	reason := t.Away(now)
	switch {
	case t.Paused:
		list = append(list, Warning{ProviderPaused, e, Name(view, e) + ": " + reason})
	case reason != "":
		list = append(list, Warning{ProviderAway, e, Name(view, e) + ": " + reason})
	}
	for _, r := range t.Refused {
		if reason := t.Refuses(r.Domain, now); reason != "" {
			list = append(list, Warning{SenderRefused, e, Name(view, e) + ": " + reason})
		}
	}
	return list
}

// carry warns of what some egresses carry and others do not.
func (p *Planner) carry(view *directory.Snapshot, egresses []route.Egress) (list []Warning) {
	for i := range probes {
		var able []route.Egress
		var unable []Warning
		for _, e := range egresses {
			t := view.Egress(e)
			content := probes[i].content
			if p.Templates != nil && content.Template != "" {
				content.Template = cmp.Or(p.Templates.Usable(t.AccountID), content.Template)
			}
			if bad := p.refusal(p.providers[t.Type], t, &content); bad != nil {
				unable = append(unable, Warning{CannotCarry, e, fmt.Sprintf("%s is no fallback for %s: %s", Name(view, e), probes[i].kind, bad.Message)})
				continue
			}
			able = append(able, e)
		}
		switch {
		case len(egresses) == 0 || len(unable) == 0:
			continue
		case len(able) == 0:
			list = append(list, Warning{NotCarried, 0, fmt.Sprintf("nobody in reach of the pool carries %s: such sends are refused", probes[i].kind)})
			continue
		case len(able) == 1:
			list = append(list, Warning{CarriedByOne, able[0], fmt.Sprintf("only %s carries %s: while it is out of use, they wait", Name(view, able[0]), probes[i].kind)})
		}
		list = append(list, unable...)
	}
	return list
}

// review warns of what the strategy leaves open.
func review(view *directory.Snapshot, pool *route.Pool, leadsOn bool) (list []Warning) {
	r := route.Look(pool)
	if r.Unreadable {
		return []Warning{{UnreadableMetaData, 0, "the routing metadata cannot be read: all members share the mail"}}
	}
	for _, e := range r.Gone {
		list = append(list, Warning{GoneEgress, e, fmt.Sprintf("the routing metadata names %s, which is not in the pool any more: it is passed over", e)})
	}
	for _, e := range r.Unused {
		list = append(list, Warning{NeverUsed, e, Name(view, e) + " is in the pool, and no key names it: it is never used"})
	}
	for _, e := range r.FallbackOnly {
		list = append(list, Warning{FallbackOnly, e, Name(view, e) + " is named by no volume: it is used when those that have one cannot"})
	}
	if !leadsOn && len(pool.Members) > 1 {
		for _, key := range r.Alone {
			list = append(list, Warning{KeyWithoutFallback, 0, fmt.Sprintf("key %q names one egress, and the pool leads to no other: while it is out of use, such mail waits", key)})
		}
	}
	if r.NoOthers {
		list = append(list, Warning{NoOthers, 0, fmt.Sprintf("there is no key %q: mail that no key is for is shared by all members", route.Others)})
	}
	return list
}

// Explanation is where a message would go, and why.
type Explanation struct {
	route.Plan
	Ways    []Way  // of the plan's egresses, in their order
	Refusal string // why nobody can carry it, "" when somebody can
}

// Way is one egress of an explained plan.
type Way struct {
	Egress route.Egress
	Pool   string // through which it came into the plan
	Reason string
}

// Explain tells where a message to a mailbox provider would go at a place in the pool's sequence. Nothing is counted.
func (c *Course) Explain(class mailbox.Class, seq uint64) Explanation {
	prepared, bad := c.To(class)
	x := Explanation{Plan: prepared.Plan(seq, seq)}
	if bad != nil {
		x.Refusal = bad.Message
	}
	origins := prepared.Origins()
	for i, e := range x.Egresses {
		o := origins[e]
		leg := c.legs[o.Leg]
		way := Way{Egress: e, Pool: leg.Pool.Name}
		switch {
		case o.Standing != route.Ready && len(c.stands[e].reason) > 0:
			way.Reason = "out of use for now, so it comes after those that are in use: " + c.stands[e].reason
		case i == 0:
			way.Reason = "its turn"
		case o.Last:
			way.Reason = "it has no volume: when those that have one cannot"
		case leg.Via == route.Own:
			way.Reason = "when those before it cannot"
		case leg.Via == route.Overflow:
			way.Reason = "by overflow, when those before it cannot or have reached a limit"
		default:
			way.Reason = "by a target pool, when those before it cannot"
		}
		x.Ways = append(x.Ways, way)
	}
	return x
}

// Sample counts the first choices of n places in a row. Nothing is counted.
func (c *Course) Sample(class mailbox.Class, from uint64, n int) map[route.Egress]int {
	prepared, _ := c.To(class) // when it is empty, so is the sample
	had := map[route.Egress]int{}
	for i := range n {
		if e := prepared.First(from + uint64(i)); e != 0 {
			had[e]++
		}
	}
	return had
}
