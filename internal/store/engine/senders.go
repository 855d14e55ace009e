package engine

import (
	"maps"
	"slices"
	"time"

	"postyard/internal/store"
)

// Senders is what the limits of sub-accounts let through in one claim. A message counts at its sub-account and at all above it: its chain,
// itself first.
type Senders struct {
	claim store.Claim
	left  map[int32]int       // of those that are limited: how many messages may still go
	free  map[int32]time.Time // of those: when the next one may
	holds map[int32]time.Time // of those that keep messages waiting
	until time.Time           // when the first one of them lets a message go
}

// NewSenders returns the senders of a claim, without limits.
func NewSenders(c store.Claim) *Senders {
	return &Senders{claim: c, left: map[int32]int{}, free: map[int32]time.Time{}, holds: map[int32]time.Time{}}
}

// Limit tells what the limit of a sub-account leaves; free is when the next message may go, where it leaves none.
func (s *Senders) Limit(id int32, room int, free time.Time) { s.left[id], s.free[id] = room, free }

// Known tells whether the limit of a sub-account has been told.
func (s *Senders) Known(id int32) bool { _, known := s.left[id]; return known }

// Room returns how many messages of a chain may go.
func (s *Senders) Room(chain []int32) int {
	room := s.claim.Limit
	for _, id := range chain {
		if left, limited := s.left[id]; limited {
			room = min(room, left)
		}
	}
	return room
}

// Hold notes that messages of a chain without room wait.
func (s *Senders) Hold(chain []int32) {
	var until time.Time
	for _, id := range chain {
		if left, limited := s.left[id]; limited && left == 0 {
			s.holds[id] = s.free[id]
			if s.free[id].After(until) {
				until = s.free[id]
			}
		}
	}
	s.Wait(until)
}

// Wait notes that messages wait for the limit of a sub-account until then at least.
func (s *Senders) Wait(until time.Time) {
	if !until.IsZero() && (s.until.IsZero() || until.Before(s.until)) {
		s.until = until
	}
}

// Holds returns until when sub-accounts without room keep messages waiting, and their ids in order.
func (s *Senders) Holds() (ids []int32, until map[int32]time.Time) {
	return slices.Sorted(maps.Keys(s.holds)), s.holds
}

// Free returns the earlier one of a time and of when the limit of a sub-account lets a message go that waits for it. The zero time is never.
func (s *Senders) Free(t time.Time) time.Time {
	if t.IsZero() || !s.until.IsZero() && s.until.Before(t) {
		return s.until
	}
	return t
}

// cut takes what was dealt of the room, in turn, and cuts the shares for which it does not suffice.
func (s *Senders) cut(lanes []Lane) {
	if s == nil || len(s.left) == 0 {
		return
	}
	for i := range lanes {
		for k := range lanes[i].Flows {
			f := &lanes[i].Flows[k]
			f.Share = min(f.Share, s.Room(f.Chain))
			for _, id := range f.Chain {
				if _, limited := s.left[id]; limited {
					s.left[id] -= f.Share
				}
			}
		}
	}
}
