// Package suppress keeps the suppressions of sub-accounts, and keeps them in step with the lists of providers.
//
// Two lists are compared by way of a third one: the mirror, which has a provider's list as it was read or changed last. What is new
// on the provider's list suppresses here, what is gone from it ends here, and neither is ever pushed back. What users do here is
// pushed there, by an outbox that is written with it, and enters the mirror in the transaction that records the push: so it is no
// news when it is read. Where a list was not read to its end, nothing is known of it.
//
//   - A change of ours may take a while to show: an address that was put on a list less than store.EchoTime ago is not gone from it.
//   - An address that was reactivated is suppressed again only by what happened since.
//   - When much of a list is gone at once, that is believed when it is read a second time.
//   - A provider's list is everybody's who mails through it. An address is put there only if no other sub-account mails through the
//     TPSP without suppressing the address.
//
// One node at a time works on a TPSP, under a lease. The package knows providers by their contract only.
package suppress

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/upkeep"
)

const (
	lookEvery   = 5 * time.Second // how often is looked for what is due; what this node's users do is pushed at once
	defaultRead = 5 * time.Minute
	passFor     = 5 * time.Minute // how long one pass may take; so long nobody else begins one of the same TPSP
	atOnce      = 4               // TPSPs that are worked on at the same time, unasked
	firstRetry  = 5 * time.Second // of a push
	mostRetry   = time.Hour
	chunk       = 100 // changes of a list that are recorded in one transaction
	mostRounds  = 200 // calls of a pass that push
	mostRefused = 100 // refused pushes that a result shows
)

// Store is what the package needs of the storage contract.
type Store interface {
	store.Suppressions
	upkeep.Leases
}

// Connections tells how to reach a TPSP's account; *tpsp.Service does.
type Connections interface {
	Connection(t *directory.TPSP) (provider.Connection, error)
}

// Config is what a Service works with. All fields but Every are required.
type Config struct {
	Store       Store
	Directory   *directory.Directory
	Providers   provider.Registry
	Connections Connections
	Holder      string        // this run of this node, as the holder of leases
	Every       time.Duration // how often providers' lists are read; 0 is 5 minutes
	Log         *slog.Logger
	Now         func() time.Time
	Jitter      func() float64 // uniform in [0,1)
}

// Service keeps suppressions. It is safe for concurrent use.
type Service struct {
	Config
	keeper *upkeep.Keeper // its hints wake Run

	mu     sync.Mutex
	doubts map[int32]bool // TPSPs of whose lists too much was gone to believe it
}

// New returns a Service; it keeps lists in step while Run runs.
func New(c Config) *Service {
	if c.Every == 0 {
		c.Every = defaultRead
	}
	return &Service{Config: c, doubts: map[int32]bool{}, keeper: upkeep.New(upkeep.Config{Leases: c.Store, Name: "suppressions", Holder: c.Holder,
		Length: passFor, Running: ErrRunning, Stopped: ErrStopped, Full: errFull, Log: c.Log})}
}

// Errors of a sync that a user asked for.
var (
	ErrNotFound = errors.New("the account has no such provider")
	ErrRunning  = errors.New("the suppression list of this provider is being read already; try again when that is done")
	ErrStopped  = errors.New("the server is stopping")
	ErrNoList   = errors.New("this provider has no suppression list that is kept in step, or it is switched off (suppressionSync)")
)

var errFull = errors.New("enough lists are worked on")

// Entry is an address that a user suppresses; in lower case.
type Entry struct {
	Email  string
	Reason provider.Reason
}

// Add suppresses addresses in a sub-account, of which none is there twice, and returns what is stored of them.
func (s *Service) Add(ctx context.Context, sub *directory.SubAccount, entries []Entry) ([]store.Suppression, error) {
	now := s.Now()
	list := make([]store.Suppression, len(entries))
	for i, e := range entries {
		list[i] = store.Suppression{AccountID: sub.AccountID, SubAccountID: sub.ID, Email: e.Email, Reason: e.Reason, Source: store.ByUser, Since: now, Created: now}
	}
	defer s.keeper.Hint()
	return s.Store.Suppress(ctx, list, s.pushedTo(sub.AccountID))
}

// Remove reactivates addresses in a sub-account and returns the suppressions that there were.
func (s *Service) Remove(ctx context.Context, sub *directory.SubAccount, emails []string) ([]store.Suppression, error) {
	defer s.keeper.Hint()
	return s.Store.Reactivate(ctx, sub.AccountID, sub.ID, emails, s.Now(), s.pushedTo(sub.AccountID))
}

// List returns suppressions, and Count how many they are.
func (s *Service) List(ctx context.Context, f store.SuppressionFilter) ([]store.Suppression, error) {
	return s.Store.Suppressions(ctx, f)
}

// Count counts what List would return without its limit.
func (s *Service) Count(ctx context.Context, f store.SuppressionFilter) (int64, error) {
	return s.Store.CountSuppressions(ctx, f)
}

// pushedTo returns the TPSPs of an account whose lists get what users do.
func (s *Service) pushedTo(accountID int32) (ids []int32) {
	for _, t := range s.Directory.Current().TPSPs(accountID) {
		if t.SuppressionSync == directory.SyncBoth && s.list(t) != nil {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// list returns the adapter of a TPSP whose list is kept in step, or nil.
func (s *Service) list(t *directory.TPSP) provider.Suppressor {
	if t.SuppressionSync == directory.SyncOff || t.Mute() {
		return nil
	}
	adapter, ok := s.Providers[t.Type].(provider.Suppressor)
	if !ok {
		return nil
	}
	return adapter
}

// Run keeps lists in step until ctx ends. It returns when the last pass has ended, those that users asked for included.
func (s *Service) Run(ctx context.Context) {
	defer s.keeper.Wait()
	defer s.Stop()
	looking := time.NewTicker(min(lookEvery, s.Every))
	defer looking.Stop()
	for {
		if err := s.start(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("it could not be looked up which suppression lists are due; trying again", "error", err)
		}
		select {
		case <-looking.C:
		case <-s.keeper.Hints():
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends all passes and starts no more. Run's end does it, too.
func (s *Service) Stop() { s.keeper.Stop() }

// start begins a pass for each TPSP that is due, a few at a time.
func (s *Service) start(ctx context.Context) error {
	lists, err := s.Store.SuppressionLists(ctx)
	if err != nil {
		return err
	}
	known := make(map[int32]store.SuppressionList, len(lists))
	for _, l := range lists {
		known[l.TPSPID] = l
	}
	now := s.Now()
	for _, t := range s.Directory.Current().EveryTPSP() {
		if !t.Deleted.IsZero() || s.list(t) == nil {
			continue
		}
		l := known[t.ID]
		read := !now.Before(l.ReadAt.Add(s.Every))
		push := t.SuppressionSync == directory.SyncBoth && !l.PushAt.IsZero() && !now.Before(l.PushAt)
		if (read || push) && s.keeper.Begin(t.ID, atOnce) == nil {
			go func() {
				defer s.keeper.End(t.ID)
				s.hold(ctx, t, read)
			}()
		}
	}
	return nil
}
