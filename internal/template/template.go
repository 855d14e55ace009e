// Package template mirrors the templates of providers and renders them, so that a message that names one can leave through an
// egress that does not have it, and looks there as it would have looked from the provider.
//
// What is mirrored stands in the store. A node holds an index of it in memory, which answers whether a template is known, and a
// bounded number of parsed templates. Templates are read:
//
//   - when a provider was connected, and once a day,
//   - when a user asks for it ([Service.Sync]),
//   - when a message names one that is not known, or that its provider says it does not have. Whoever sends does not wait for it.
//
// Of one alias at several servers that is taken which comes first in the message's plan, else that of the TPSP with the lowest id,
// and one that can be rendered before one that cannot. One of a deleted TPSP is used only where no TPSP in use has any, for messages
// that were accepted before the deletion and have no body.
//
// It also keeps the accounts' own templates, and fills subjects and bodies in from customFields (Handlebars), whatever provider carries the
// message. Their content becomes the message's when it is accepted; it is filled in where mirrored templates are rendered.
//
// The package knows providers by their contract only. Templates and models are foreign bytes; packages mustachio and handlebars bound
// what they can do.
package template

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/upkeep"
)

const (
	lookEvery   = 2 * time.Second // how often is looked for what is to be read, in memory, and for what other nodes have read
	syncEvery   = 24 * time.Hour
	syncFor     = 5 * time.Minute // how long one sync may take; so long nobody else begins one of the same TPSP
	firstRetry  = time.Minute
	mostRetry   = time.Hour
	defaultGap  = time.Minute
	atOnce      = 2                   // TPSPs that are read at the same time, unasked
	keepDeleted = 30 * 24 * time.Hour // no message waits for longer
	maxAsked    = 1000                // unknown aliases of an account that are remembered
)

// Store is what the package needs of the storage contract.
type Store interface {
	store.Templates
	store.StoredTemplates
	upkeep.Leases
}

// Connections tells how to reach a TPSP's account; *tpsp.Service does.
type Connections interface {
	Connection(t *directory.TPSP) (provider.Connection, error)
}

// Config is what a Service works with. All fields but Gap and Unsubscribe are required.
type Config struct {
	Store       Store
	Directory   *directory.Directory
	Providers   provider.Registry
	Connections Connections
	Holder      string // this run of this node, as the holder of leases
	Log         *slog.Logger
	Now         func() time.Time

	// Gap is how long an unknown alias is not asked for again, and the least time between two syncs of a TPSP that nobody asked
	// for. 0 is a minute.
	Gap time.Duration

	// Unsubscribe returns the link that {{unsubscribe}} stands for in a message that leaves through an egress. nil: it stands for nothing.
	Unsubscribe func(j *store.Job, egress route.Egress) string
}

// Service mirrors templates and renders them. It is safe for concurrent use.
type Service struct {
	Config
	index  atomic.Pointer[index]
	load   sync.Mutex // held while the index is read
	cache  cache
	press  *press
	keeper *upkeep.Keeper     // of TPSPs that are being read; its hints wake Run
	gone   map[int32]struct{} // deleted TPSPs whose templates were dropped; Run's alone

	mu     sync.Mutex
	states map[int32]state                // of TPSPs
	asked  map[int32]map[string]time.Time // unknown aliases by account, folded, and when they were asked for
}

// state is where reading a TPSP's templates stands on this node.
type state struct {
	wanted bool      // a message names one that is not known
	last   time.Time // when the last sync that nobody asked for began
	tries  int       // failed syncs in a row
	next   time.Time // when it is tried again
}

// New returns a Service with the index that the store has.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Gap == 0 {
		c.Gap = defaultGap
	}
	s := &Service{Config: c, states: map[int32]state{}, asked: map[int32]map[string]time.Time{}, gone: map[int32]struct{}{}, cache: cache{limit: cacheBytes}, press: newPress()}
	s.keeper = upkeep.New(upkeep.Config{Leases: c.Store, Name: "templates", Holder: c.Holder, Length: syncFor, Running: ErrRunning, Stopped: ErrStopped,
		Full: errFull, Log: c.Log})
	s.index.Store(&index{})
	return s, s.reload(ctx)
}

// Errors of a sync that a user asked for.
var (
	ErrNotFound = errors.New("the account has no such provider")
	ErrRunning  = errors.New("the templates of this provider are being read already; try again when that is done")
	ErrStopped  = errors.New("the server is stopping")
	ErrNoSource = errors.New("this kind of provider has no templates to read")
)

var errFull = errors.New("enough TPSPs are being read")

// Run reads templates when that is due, until ctx ends. It returns when the last sync has ended, those that users asked for
// included.
func (s *Service) Run(ctx context.Context) {
	defer s.keeper.Wait()
	defer s.Stop()
	looking := time.NewTicker(lookEvery)
	defer looking.Stop()
	for {
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("the index of templates could not be read; trying again", "error", err)
		}
		s.start(ctx)
		select {
		case <-looking.C:
		case <-s.keeper.Hints():
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends all syncs and starts no more. Run's end does it, too.
func (s *Service) Stop() { s.keeper.Stop() }
