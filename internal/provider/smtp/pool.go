package smtp

import (
	"context"
	"slices"
	"sync"
	"time"
)

// partingTime is how long a server may take to say goodbye.
const partingTime = time.Second

// pool keeps connections between calls, the latest used on top.
type pool struct {
	idle time.Duration

	mu     sync.Mutex
	kept   map[target][]*session
	closed bool
	held   sync.WaitGroup // connections that are kept, or say goodbye
}

func newPool(idle time.Duration) *pool { return &pool{idle: idle, kept: make(map[target][]*session)} }

// take returns a kept connection to the target, or nil.
func (p *pool) take(t target) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		list := p.kept[t]
		if len(list) == 0 {
			return nil
		}
		s := list[len(list)-1]
		p.remove(t, s)
		if s.expiry.Stop() {
			p.held.Done()
			return s
		} // else its time is over just now, and it is being closed
	}
}

// remove is called with the lock held.
func (p *pool) remove(t target, s *session) {
	list := slices.DeleteFunc(p.kept[t], func(other *session) bool { return other == s })
	if len(list) == 0 {
		delete(p.kept, t)
		return
	}
	p.kept[t] = list
}

// put keeps a connection until its time is over, or ends it when there are enough.
func (p *pool) put(t target, s *session) {
	if p.keep(t, s) {
		return
	}
	part(s)
}

func (p *pool) keep(t target, s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.kept[t]) >= maxIdle || s.carried >= maxCarried {
		return false
	}
	p.held.Add(1)
	s.expiry = time.AfterFunc(p.idle, func() {
		defer p.held.Done()
		p.mu.Lock()
		p.remove(t, s)
		p.mu.Unlock()
		part(s)
	})
	p.kept[t] = append(p.kept[t], s)
	return true
}

// part says goodbye.
func part(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	s.quit(ctx)
}

// close ends what is kept and waits for it.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, list := range p.kept {
		for _, s := range list {
			if s.expiry.Stop() {
				go func() {
					defer p.held.Done()
					part(s)
				}()
			}
		}
	}
	clear(p.kept)
	p.mu.Unlock()
	p.held.Wait()
}
