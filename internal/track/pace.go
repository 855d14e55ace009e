package track

import (
	"sync"
	"time"

	"postyard/internal/mail"
)

// pace bounds how many opens and clicks of one message are recorded: whoever has a message has its addresses, and could fill the event
// log by asking for them.
type pace struct {
	mu     sync.Mutex
	minute int64
	taken  map[mail.ID]int
}

const (
	perMinute   = 30      // of a message on a node: mail that goes to a list of people is opened by many
	maxMessages = 100_000 // messages that are counted at a time
)

// take tells whether one more of a message may be recorded.
func (p *pace) take(id mail.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if minute := now.Unix() / 60; minute != p.minute || len(p.taken) >= maxMessages {
		p.minute, p.taken = minute, map[mail.ID]int{}
	}
	if p.taken[id] >= perMinute {
		return false
	}
	p.taken[id]++
	return true
}
