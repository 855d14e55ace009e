// Package ippool manages IP pools: named sets of ways out with a routing strategy, that overflow into other pools and have
// related ones.
//
// A pool is judged as a whole each time that it is written: its strategy against its members, its lists against what the account
// has, and where it leads against circles. What was stored before and is not changed is not judged again: a provider that was
// deleted since does not keep its pools from being renamed.
//
// Deleting a pool leaves its mail alone: it was planned when it was accepted, and leaves as planned. As that ends a pause, a pool
// whose mail waits is deleted by force only.
//
// The package must not import an engine of the store, an adapter, nor anything of HTTP.
package ippool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("the account has no such IP pool")
	ErrNameTaken = errors.New("an IP pool of this name exists already")
)

// UsedError refuses to delete a pool that others lead to.
type UsedError struct {
	Name string
	By   []string // the names of those pools
}

// Error implements error.
func (e *UsedError) Error() string {
	return fmt.Sprintf("other IP pools lead to %q: %s; change them first", e.Name, quoted(e.By))
}

// WaitingError refuses to delete a pool whose mail waits.
type WaitingError struct{ Name string }

// Error implements error.
func (e *WaitingError) Error() string {
	return fmt.Sprintf("messages of the IP pool %q still wait to be sent; with ?force=true it is deleted, and they leave as they were planned, "+
		"also when it is paused", e.Name)
}

// Limits of a pool.
const (
	MaxTargets        = 16
	MaxPriority       = 100 // and the least is -100
	MaxTTL            = 30 * 24 * time.Hour
	MinTTL            = time.Second
	MaxWarmupInterval = 24 * 366 // hours
)

// Store is what the package needs of the storage contract.
type Store interface {
	CreatePool(ctx context.Context, p *route.Pool) error
	UpdatePool(ctx context.Context, p *route.Pool) error
	DeletePool(ctx context.Context, accountID, id int32) error
	PausePool(ctx context.Context, accountID, id int32, paused bool) error

	// Queued looks through waiting messages, a page at a time.
	Queued(ctx context.Context, f store.QueuedFilter, after mail.ID, limit int) (list []store.Queued, last mail.ID, err error)
}

// queuedPage is how many waiting messages are looked at at once.
const queuedPage = 2000

// Config is what a Service works with. All fields are required.
type Config struct {
	Directory *directory.Directory
	Store     Store
	Now       func() time.Time
	Changed   func() // called after a pool was changed, paused or resumed: what waits may leave now, or first
}

// Service manages IP pools. It is safe for concurrent use.
type Service struct {
	Config
	writing sync.Mutex // a change begins from what is stored
}

// New returns a Service.
func New(c Config) *Service { return &Service{Config: c} }

// Changes is what a user gives of a pool. What is nil stays, or is the default of a new pool.
type Changes struct {
	Name            *string
	TPSPs           *[]int32
	IPs             *[]string // public addresses
	Strategy        *int
	RoutingMetaData *string
	WarmupInterval  *int // hours
	Overflows       *int // SendPost's overflowStrategy: 0 not, 1 into OverflowPool
	OverflowPool    *string
	Targets         *[]string // by name
	Priority        *int
	TTL             *int // seconds; 0 is the server's own
}

// Pool returns one of the account's pools, or ErrNotFound.
func (s *Service) Pool(accountID, id int32) (*route.Pool, error) {
	if p := s.Directory.Current().Pool(accountID, id); p != nil {
		return p, nil
	}
	return nil, ErrNotFound
}

// Create makes a pool. It fails with a *mail.FieldError or ErrNameTaken.
func (s *Service) Create(ctx context.Context, accountID int32, c Changes) (*route.Pool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if c.Name == nil {
		c.Name = new(string) // its absence is refused as an empty one is
	}
	if c.WarmupInterval == nil {
		return nil, mail.Invalid("missing_warmup_interval", "warmupInterval", "warmupInterval is needed: hours, more than 0")
	}
	if c.TPSPs == nil {
		c.TPSPs = &[]int32{}
	}
	p := &route.Pool{AccountID: accountID, Created: s.Now().UTC()}
	if err := s.apply(p, &c); err != nil {
		return nil, err
	}
	if err := s.Store.CreatePool(ctx, p); err != nil {
		return nil, fmt.Errorf("create IP pool %q: %w", p.Name, ours(err))
	}
	return s.reload(ctx, accountID, p.ID)
}

// Update changes a pool. It fails with a *mail.FieldError, ErrNotFound or ErrNameTaken.
func (s *Service) Update(ctx context.Context, accountID, id int32, c Changes) (*route.Pool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	known, err := s.Pool(accountID, id)
	if err != nil {
		return nil, err
	}
	p := *known
	p.Members, p.Targets = slices.Clone(known.Members), slices.Clone(known.Targets)
	if err := s.apply(&p, &c); err != nil {
		return nil, err
	}
	if err := s.Store.UpdatePool(ctx, &p); err != nil {
		return nil, fmt.Errorf("update IP pool %d: %w", id, ours(err))
	}
	defer s.Changed()
	return s.reload(ctx, accountID, id)
}

// Preview returns what a pool would be after changes to the one with the id, or to a new one when that is 0, without storing it. Its id is
// 0, so that plans for it are nobody else's. A new one needs neither a name nor warmupInterval. It fails as Update does.
func (s *Service) Preview(accountID, id int32, c Changes) (*route.Pool, error) {
	p := route.Pool{AccountID: accountID}
	if id != 0 {
		known, err := s.Pool(accountID, id)
		if err != nil {
			return nil, err
		}
		p = *known
		p.Members, p.Targets = slices.Clone(known.Members), slices.Clone(known.Targets)
	} else if c.TPSPs == nil {
		c.TPSPs = &[]int32{}
	}
	if err := s.apply(&p, &c); err != nil {
		return nil, err
	}
	p.ID = 0
	return &p, nil
}

// Delete removes a pool and returns what it was. It fails with ErrNotFound, with a *UsedError while other pools overflow into it
// or have it as a target, and with a *WaitingError when mail of it waits and force is not set.
func (s *Service) Delete(ctx context.Context, accountID, id int32, force bool) (*route.Pool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	p, err := s.Pool(accountID, id)
	if err != nil {
		return nil, err
	}
	var by []string
	for _, other := range s.Directory.Current().Pools(accountID) {
		if other.ID != id && (other.Overflow == id || slices.Contains(other.Targets, id)) {
			by = append(by, other.Name)
		}
	}
	if len(by) > 0 {
		return nil, &UsedError{Name: p.Name, By: by}
	}
	if !force {
		switch waits, err := s.waits(ctx, accountID, id); {
		case err != nil:
			return nil, fmt.Errorf("look for what waits in IP pool %d: %w", id, err)
		case waits:
			return nil, &WaitingError{Name: p.Name}
		}
	}
	if err := s.Store.DeletePool(ctx, accountID, id); err != nil {
		return nil, fmt.Errorf("delete IP pool %d: %w", id, ours(err))
	}
	defer s.Changed()
	return p, s.Directory.Reload(ctx)
}

// waits tells whether mail of a pool waits.
func (s *Service) waits(ctx context.Context, accountID, id int32) (bool, error) {
	for after := (mail.ID{}); ; {
		list, last, err := s.Store.Queued(ctx, store.QueuedFilter{AccountID: accountID, PoolID: id}, after, queuedPage)
		if err != nil || len(list) > 0 || last == (mail.ID{}) {
			return len(list) > 0, err
		}
		after = last
	}
}

// Pause sets whether the mail of a pool waits, and returns the pool. It fails with ErrNotFound.
func (s *Service) Pause(ctx context.Context, accountID, id int32, paused bool) (*route.Pool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.Pool(accountID, id); err != nil {
		return nil, err
	}
	if err := s.Store.PausePool(ctx, accountID, id, paused); err != nil {
		return nil, fmt.Errorf("pause IP pool %d: %w", id, ours(err))
	}
	defer s.Changed()
	return s.reload(ctx, accountID, id)
}

func (s *Service) reload(ctx context.Context, accountID, id int32) (*route.Pool, error) {
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, err
	}
	return s.Pool(accountID, id)
}

// ours puts the package's own errors in the place of the store's.
func ours(err error) error { return store.Instead(err, ErrNameTaken, ErrNotFound) }

func quoted(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(list, ", ")
}
