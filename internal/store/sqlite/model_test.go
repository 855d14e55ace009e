package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/store/sqlite/disktest"
)

// world is what a database should hold, in the words of the contract.
type world struct {
	Installation string
	KeyCheck     string
	Accounts     int
	TPSPs        int
	Messages     map[mail.ID]message
	Receipts     []string // bodies, sorted
	Garbage      []string // bodies, sorted
	Foreign      int
	Seen         map[string]bool // identities of events; a database only tells how many
}

type message struct {
	State      lifecycle.State
	Attempts   int
	ProviderID string
	Waiting    string
	To         string
	Subject    string
	Text       string
	Events     []event.Type
}

func (w world) clone() world {
	w.Messages, w.Seen = maps.Clone(w.Messages), maps.Clone(w.Seen)
	w.Receipts, w.Garbage = slices.Clone(w.Receipts), slices.Clone(w.Garbage)
	return w
}

func newWorld() world { return world{Messages: map[mail.ID]message{}, Seen: map[string]bool{}} }

// update changes one message. Its events are copied: a clone of the world shares them.
func (w *world) update(id mail.ID, change func(*message)) {
	m := w.Messages[id]
	m.Events = slices.Clone(m.Events)
	change(&m)
	w.Messages[id] = m
}

// step is one operation of the store and what it does to the world.
type step struct {
	name  string
	apply func(*world)
}

// What a test marks in the log of the disk.
type (
	began        struct{ *step }
	acknowledged struct{}
	refused      struct{}
	opened       struct{ world } // the database as it was found, without a loss of power
)

func (b began) String() string      { return "began " + b.name }
func (acknowledged) String() string { return "acknowledged" }
func (refused) String() string      { return "refused" }
func (opened) String() string       { return "opened" }

// history is what a log says of the store.
type history struct {
	world   world   // with everything that was acknowledged
	refused []*step // since the store wrote last: each may be there, whole, or not
	current *step
	wrote   bool // the current one, to the write-ahead log
}

func (h *history) read(o disktest.Op) {
	if o.Kind == disktest.Write && o.Name == fileName+"-wal" {
		h.wrote = true
	}
	switch m := o.Mark.(type) {
	case began:
		h.current, h.wrote = m.step, false
	case acknowledged:
		h.world = h.world.clone()
		h.current.apply(&h.world)
		if h.wrote { // over what was refused
			h.refused = nil
		}
		h.current = nil
	case refused:
		h.refused = append(slices.Clip(h.refused), h.current)
		h.current = nil
	case opened: // what a store shows is durable, also when it was refused before
		h.world, h.refused = m.world, nil
	}
}

// candidates are the worlds that may be on disk: everything acknowledged and nothing else, or one more operation that was
// not. What is refused is undone before the next operation begins, so there is never more than one.
func (h *history) candidates() []world {
	list := []world{h.world}
	for _, s := range append(slices.Clip(h.refused), h.current) {
		if s != nil {
			w := h.world.clone()
			s.apply(&w)
			list = append(list, w)
		}
	}
	return list
}

// match returns the world that was found out of those that may be.
func (h *history) match(found world) (world, error) { return oneOf(h.candidates(), found) }

// undone finds out whether the database holds what was acknowledged, and nothing of what was refused since.
func (h *history) undone(found world) error {
	_, err := oneOf([]world{h.world}, found)
	return err
}

func oneOf(candidates []world, found world) (world, error) {
	difference := ""
	for _, w := range candidates {
		if w.Installation == "" { // it never was open: nobody knows its id
			w.Installation = found.Installation
		}
		diff := cmp.Diff(w, found, cmpopts.IgnoreFields(world{}, "Seen"), cmpopts.EquateEmpty())
		if diff == "" {
			return w, nil
		}
		if difference == "" {
			difference = diff
		}
	}
	return found, fmt.Errorf("%w (-), nor that with one of %d operations that were not:\n%s", errLost, len(candidates)-1, difference)
}

// errLost tells that a database is consistent, and holds something else.
var errLost = errors.New("not what was acknowledged")
