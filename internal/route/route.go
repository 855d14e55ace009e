// Package route turns a pool and a message into a plan: which egresses may carry it, in which order, and why.
//
// [Compile] reads a pool's strategy once. [Legs] follows the pool to where it overflows. [Prepare] lays both over what a message
// is and how the egresses stand to it, and [Prepared.Plan] makes one message's plan: a pure function of that and of numbers, so
// that it can be recomputed and explained. Weights are exact (see schedule.go). The package does no I/O.
package route

import (
	"fmt"
	"slices"
	"time"
)

// Egress is one way out: a TPSP (positive) or one of the operator's own IPs (negative). Zero is none.
type Egress int32

// TPSP returns the egress of a third-party sending provider.
func TPSP(id int32) Egress { return Egress(id) }

// IP returns the egress of one of the operator's own IPs.
func IP(id int32) Egress { return Egress(-id) }

// IPID returns the id of the IP, or 0 when the egress is none.
func (e Egress) IPID() int32 { return max(-int32(e), 0) }

// TPSPID returns the id of the TPSP, or 0 when the egress is none.
func (e Egress) TPSPID() int32 { return max(int32(e), 0) }

// String returns the entity id that routing metadata uses (RT-3): TPSP_5, IP_3.
func (e Egress) String() string {
	if e < 0 {
		return fmt.Sprintf("IP_%d", -e)
	}
	return fmt.Sprintf("TPSP_%d", e)
}

// Strategy is SendPost's routing strategy id.
type Strategy int

// The strategies.
const (
	RoundRobin      Strategy = 0 // equal shares over all egresses of the pool (RT-1)
	MailboxProvider Strategy = 1 // by who receives (RT-2)
	Volume          Strategy = 2 // by relative volumes (RT-5)
	SendingDomain   Strategy = 3 // by the domain of the From address (RT-5b)
)

var strategyNames = [...]string{"round robin", "by mailbox provider", "by volume", "by sending domain"}

// Known tells whether there is such a strategy.
func (s Strategy) Known() bool { return s >= 0 && int(s) < len(strategyNames) }

// String returns the strategy's name, as rules have it.
func (s Strategy) String() string {
	if s.Known() {
		return strategyNames[s]
	}
	return "unknown"
}

// Pool is a named set of egresses with a strategy.
type Pool struct {
	ID              int32
	AccountID       int32
	Name            string
	Strategy        Strategy
	RoutingMetaData string
	Members         []Egress
	Overflow        int32         // the pool that takes what this one cannot (RT-7); 0 is none
	Targets         []int32       // pools that are tried after that (RT-8)
	Priority        int           // within a lane, mail of a pool with a higher one goes first
	TTL             time.Duration // how long its mail may wait; 0 is the server's own
	Paused          bool          // its mail is accepted and waits
	Revision        int64         // changes with what plans are made from; the sequence begins anew with it
	WarmupInterval  int           // hours; kept for SendPost's shape
	AutoTPSP        int32         // the TPSP that this pool was made for, 0 for pools that users made
	Created         time.Time
}

// Skipped is an egress that was passed over, and why.
type Skipped struct {
	Egress Egress `json:"egress"`
	Reason string `json:"reason"`
}

// Plan says which egresses a message may leave through, the preferred one first, and why. An accepted message has at least
// one. An egress that is out of use for now is in both lists: behind the others in the one, with the reason in the other.
type Plan struct {
	Egresses []Egress  `json:"egresses"`
	Overflow int       `json:"overflow,omitempty"` // where in Egresses the overflow pool's begin, behind the pool's own; 0: none
	Rule     string    `json:"rule"`
	Skipped  []Skipped `json:"skipped,omitempty"`
}

// First returns the plan's first choice.
func (p Plan) First() Egress {
	if len(p.Egresses) == 0 {
		return 0
	}
	return p.Egresses[0]
}

// After returns the first egress after another one in the plan's order that is usable, going round; wrapped tells that it stands
// before the other one, or that there is none: then it is 0.
func (p Plan) After(e Egress, usable func(Egress) bool) (next Egress, wrapped bool) {
	at := slices.Index(p.Egresses, e)
	for k := 1; k <= len(p.Egresses); k++ {
		i := (at + k) % len(p.Egresses)
		if next := p.Egresses[i]; next != e && usable(next) {
			return next, i < at
		}
	}
	return 0, true
}
