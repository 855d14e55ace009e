// Package webhook posts events to the webhooks of accounts, and to the URLs that messages name (webhookEndpoint).
//
// Deliveries are made behind the event log: one node at a time, the holder of a lease, reads the log in its order from a stored place on, finds for
// each event the endpoints that get it, and writes the deliveries and the new place in one transaction. So an event that is in the log gets its
// deliveries once, whoever is killed, and the path of mail writes nothing for it. What was written goes to the senders at once, without being read back;
// what is left over from before is read when there is room for it.
//
// Every endpoint has a lane of its own, with few calls at a time, so that a slow or dead one never delays another. A delivery has ten tries over 75 hours.
// When an endpoint fails five times in a row, its lane backs off: one delivery at a time tries it, later and later, and those that wait lose no try by it.
// An endpoint that says it is gone (410), or that fails for 75 hours, is paused; what is to be posted to it is kept.
//
// The package must not import an engine of the store.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Store is what the package needs of the storage contract.
type Store interface {
	store.Outbox
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Config is what a Service works with. All fields but Poll are required.
type Config struct {
	Store        Store
	Directory    *directory.Directory
	Box          *secret.Box
	Transport    http.RoundTripper // keeps off addresses that users must not reach
	AllowPrivate bool              // URLs may lead to private addresses
	Installation string            // the store's id of itself; event ids begin with it
	Holder       string            // this run of this node, as the holder of leases
	Now          func() time.Time  // the store's clock
	Jitter       func() float64    // uniform in [0,1)
	Log          *slog.Logger

	// Poll is how often is looked for events that nobody hinted at: those of other nodes. 0 is four times a second.
	Poll time.Duration
}

// Service keeps the webhooks of accounts and posts to them while Run runs. It is safe for concurrent use.
type Service struct {
	Config
	http  *http.Client
	hints chan struct{} // holds one: there may be events, or changes
}

// New returns a Service.
func New(c Config) *Service {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a signed body must not travel on
	return &Service{Config: c, http: &http.Client{Transport: c.Transport, CheckRedirect: stay}, hints: make(chan struct{}, 1)}
}

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("the account has no such webhook")
	ErrDuplicate = errors.New("the account has a webhook with this URL already")
	ErrTooMany   = fmt.Errorf("an account has at most %d webhooks", MostEndpoints)
)

// Limits and times.
const (
	MostEndpoints = 100            // webhooks of an account; messages may name any number of URLs
	KeepFormer    = 24 * time.Hour // a replaced secret signs as well for so long
	KeepTries     = 7 * 24 * time.Hour

	leaseName  = "webhooks"
	leaseFor   = 10 * time.Second
	renewEvery = 3 * time.Second
	pollEvery  = 250 * time.Millisecond
	sweepEvery = 10 * time.Minute
	again      = time.Second // after the store was away
)

// Hint says that events were recorded, or that endpoints were changed. It costs nothing.
func (s *Service) Hint() {
	select {
	case s.hints <- struct{}{}:
	default:
	}
}

// Run posts events, as long as this node is the one that does, until ctx ends. Then calls that are under way may end, for a short while.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		held, err := s.Store.Lease(ctx, leaseName, s.Holder, leaseFor)
		if err == nil && held {
			if err = s.lead(ctx); err == nil {
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("webhooks wait", "error", err)
		}
		if !sleep(ctx, again) {
			return
		}
	}
}

// sleep waits; it is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// lead posts events while this node has the lease.
func (s *Service) lead(ctx context.Context) error {
	l := newLeader(s)
	if err := l.begin(ctx); err != nil {
		return errors.Join(err, s.release(ctx))
	}
	session, end := context.WithCancel(ctx)
	defer end()
	var running sync.WaitGroup
	running.Go(func() { defer end(); l.follow(session) })
	running.Go(func() { defer end(); l.renew(session) })
	running.Go(func() { l.sweep(session) })
	recorded := make(chan struct{})
	go func() { defer close(recorded); l.record() }()
	running.Wait()
	l.stop()
	<-recorded
	return s.release(ctx)
}

func (s *Service) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseFor)
	defer cancel()
	return s.Store.Release(ctx, leaseName, s.Holder)
}

// Secrets of endpoints, as Standard Webhooks writes them.
const (
	secretPrefix  = "whsec_"
	secretPurpose = "endpoint.secret"
	secretBytes   = 32
)

// newSecret makes a secret, and seals it.
func (s *Service) newSecret() []byte {
	var key [secretBytes]byte
	_, _ = rand.Read(key[:]) // never fails
	return s.Box.Seal(secretPurpose, []byte(secretPrefix+base64.StdEncoding.EncodeToString(key[:])))
}

// open returns a sealed secret, and the key that it stands for.
func (s *Service) open(sealed []byte) (text secret.String, key []byte, err error) {
	plain, err := s.Box.Open(secretPurpose, sealed)
	if err != nil {
		return text, nil, err
	}
	if len(plain) < len(secretPrefix) {
		return text, nil, errors.New("a webhook's secret is too short")
	}
	key, err = base64.StdEncoding.DecodeString(string(plain[len(secretPrefix):]))
	return secret.NewString(string(plain)), key, err
}
