// Package mx tells the mailbox provider of a recipient's domain, and asks DNS about those whose name does not tell.
//
// Nobody waits for DNS: a [Classifier] answers at once with what it knows. The first messages to a domain that nobody
// wrote to yet therefore count as mailbox.Default, and so does everybody while DNS is away; what was known stays known.
// Answers live in memory only.
package mx

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"postyard/internal/mailbox"
)

// How much is done at once, and remembered.
const (
	workers = 16
	waiting = 4096    // domains; beyond, a domain is asked about when it comes again
	domains = 100_000 // some 100 bytes each
	timeout = 10 * time.Second
)

// How long an answer holds, give or take an eighth. It is refreshed when somebody asks after that.
const (
	goodFor   = 24 * time.Hour
	noneFor   = 4 * time.Hour // the domain has no mail host, or there is no such domain
	retry     = time.Minute   // after a failure; doubled with each one in a row
	retryMost = time.Hour
)

// alarm is after how many failures in a row DNS is thought to be away.
const alarm = 20

// Resolver asks DNS; *net.Resolver is one. The domain ends with a dot: no search list applies.
type Resolver interface {
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
}

// Config is what a Classifier is made of. Without a Resolver nothing is looked up, and the rest is not needed.
type Config struct {
	Resolver Resolver
	Now      func() time.Time
	Jitter   func() float64 // from 0 to 1
	Log      *slog.Logger
}

// Classifier tells the class of domains. It is safe for concurrent use.
type Classifier struct {
	Config
	queue chan string
	limit int // domains in known

	mu      sync.RWMutex
	known   map[string]answer
	asked   map[string]bool // on the queue or with a worker
	failing int             // failures in a row, over all domains
}

// answer is what is known of a domain.
type answer struct {
	class    mailbox.Class // of the last answer that DNS gave; empty before the first
	due      time.Time     // when to ask again
	failures int           // in a row since then
}

// New returns a Classifier. It looks domains up while Run runs.
func New(c Config) *Classifier {
	return &Classifier{Config: c, queue: make(chan string, waiting), limit: domains, known: map[string]answer{}, asked: map[string]bool{}}
}

// Class returns the class of a domain as far as it is known now, else [mailbox.Default]. It does not block.
func (c *Classifier) Class(domain string) mailbox.Class {
	if class, ok := mailbox.ByName(domain); ok {
		return class
	}
	if c.Resolver == nil {
		return mailbox.Default
	}
	name, ok := public(domain)
	if !ok {
		return mailbox.Default
	}
	now := c.Now()
	c.mu.RLock()
	a, known := c.known[name]
	c.mu.RUnlock()
	if !known || !now.Before(a.due) {
		c.ask(name, now)
	}
	if a.class == "" {
		return mailbox.Default
	}
	return a.class
}

// ask puts a domain on the queue, unless it is there, was answered just now, or there is no room.
func (c *Classifier) ask(name string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, known := c.known[name]; c.asked[name] || known && now.Before(a.due) {
		return
	}
	if len(c.queue) == cap(c.queue) {
		return
	}
	name = strings.Clone(name) // it is part of a request, which is not to be kept
	c.asked[name] = true
	c.queue <- name // does not block: nobody else adds to it while mu is held
}

// Run looks up what is asked for until ctx ends, and returns when no lookup is under way. It is called once.
func (c *Classifier) Run(ctx context.Context) {
	if c.Resolver == nil {
		<-ctx.Done()
		return
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for {
				select {
				case name := <-c.queue:
					c.lookUp(ctx, name)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	running.Wait()
}

func (c *Classifier) lookUp(ctx context.Context, name string) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	records, err := c.Resolver.LookupMX(limited, name+".")
	if ctx.Err() != nil {
		return // it was cut off, and nobody is to be answered any more
	}
	if len(records) > 0 {
		err = nil // with some records the resolver may return an error about others, which it left out
	}
	c.learn(name, records, err)
}

// learn keeps what DNS said.
func (c *Classifier) learn(name string, records []*net.MX, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.asked, name)
	a, known := c.known[name]
	class, has := Of(records)
	switch wrong, _ := errors.AsType[*net.DNSError](err); {
	case err == nil && has:
		a = answer{class: class, due: c.in(goodFor)}
	case err == nil || wrong != nil && wrong.IsNotFound:
		a, err = answer{class: mailbox.Default, due: c.in(noneFor)}, nil
	default:
		a.due = c.in(min(retry<<min(a.failures, 10), retryMost))
		a.failures++
	}
	c.report(err)
	if !known && len(c.known) >= c.limit {
		for other := range c.known { // the order is random enough: what is in use comes back with its next message
			delete(c.known, other)
			break
		}
	}
	c.known[name] = a
}

// in returns the time after d, spread so that what was asked for together is not asked for together again.
func (c *Classifier) in(d time.Duration) time.Time {
	return c.Now().Add(d*7/8 + time.Duration(c.Jitter()*float64(d/4)))
}

// report says when DNS goes away and when it comes back.
func (c *Classifier) report(err error) {
	if err == nil {
		if c.failing >= alarm {
			c.Log.Info("MX lookups work again")
		}
		c.failing = 0
		return
	}
	c.failing++
	if c.failing == alarm {
		c.Log.Warn("MX lookups fail; new domains count under the mailbox provider default", "failures", alarm, "error", err)
	}
}
