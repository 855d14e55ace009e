// Package tpsp manages connections to third-party sending providers (SendPost's TPSPs): it lists a provider's streams,
// creates and deletes connections, and keeps their webhooks registered at the provider.
//
// A connection is saved before its webhook is registered, because the provider probes our URL while it registers, and the
// probe must find its credentials in the directory. From then on the store says what is still to be done:
//
//	TPSP     Webhook.State                         to do
//	in use   pending, failed, unverified, paused   register, at NextTry
//	in use   registered                            check, after a start (our public URL may have changed) and at NextTry, every hour
//	deleted  any but ""                            remove from the provider, at NextTry
//	any      ""                                    nothing; in use: the provider has no webhooks, or none for a key that only tries it out
//
// A TPSP whose key, stream or address changes gets another webhook, with credentials of its own. The connection that it had becomes one
// of its Past: the webhook there is removed once the new one is at the provider, its credentials stay good for as long as the provider may
// repeat what was not answered, and what happened there is read back at the change, when the credentials end, and a few times more in
// the week after the removal. Only a key of the same account with the same stream keeps the webhook.
//
// [Service] tries each step once, where the user waits for it; [Registrar] tries again until it is done. The two never work
// on the same TPSP at the same time, nor do two nodes, so a provider never gets two webhooks of one TPSP.
//
// A check puts right what somebody changed or removed at the provider. What happened since the last check may then have gone
// unheard, so the TPSP has to be caught up with. So it has while its webhook cannot be registered at all.
//
// Tokens leave this package only inside a provider.Connection, and never in an error or a log line. The package must not
// import an engine of the store, an adapter, nor anything of our HTTP surface.
package tpsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// ErrNotFound means that the account has no such TPSP in use.
var ErrNotFound = errors.New("the account has no such provider")

// DuplicateError refuses a key and stream that the account has already: every event would come twice; or a mail server and user.
// It is [store.ErrConflict] to errors.Is.
type DuplicateError struct {
	Name   string // of the TPSP that has them, "" when it is not known
	Silent bool   // the provider is a mail server, and reports nothing
	Stream bool   // a connection to the provider is to a message stream
}

// Error implements error.
func (e *DuplicateError) Error() string {
	other := "another provider"
	if e.Name != "" {
		other = fmt.Sprintf("the provider %q", e.Name)
	}
	if e.Silent {
		return other + " of this account uses this mail server and user name already"
	}
	what := "key"
	if e.Stream {
		what = "key and message stream"
	}
	return other + " of this account uses this " + what + " already; every event would be reported twice"
}

// Unwrap implements errors.Unwrap.
func (e *DuplicateError) Unwrap() error { return store.ErrConflict }

// ErrBusy means that the TPSP's webhook is being worked on, here or by another node.
var ErrBusy = errors.New("the webhook of this provider is being registered or removed just now; try again in a minute")

// ErrNoWebhook means that the TPSP's provider has no webhooks, or none for this key.
var ErrNoWebhook = errors.New("this provider reports nothing by webhook")

// PoolsError refuses to delete a TPSP that is the only member of IP pools.
type PoolsError struct {
	Name  string
	Pools []string // by name
}

// Error implements error.
func (e *PoolsError) Error() string {
	named := e.Pools[:min(len(e.Pools), mostNamed)]
	more := ""
	if n := len(e.Pools) - len(named); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("the provider %q is the only member of the IP pools %q%s; add others to them, or delete it with ?force=true", e.Name, named, more)
}

// mostNamed is how many pools a PoolsError names.
const mostNamed = 20

// WaitingError refuses to delete a TPSP that messages still wait for.
type WaitingError struct {
	Name string
	N    int64 // how many wait
}

// Error implements error.
func (e *WaitingError) Error() string {
	return fmt.Sprintf("%d messages still wait for the provider %q, or are on their way to it; delete it with ?force=true to drop those that no other "+
		"provider of their pool can carry", e.N, e.Name)
}

// Store is what the package needs of the storage contract.
type Store interface {
	CreateTPSP(ctx context.Context, t *directory.TPSP, p *route.Pool) error
	UpdateTPSP(ctx context.Context, t *directory.TPSP) error
	MoveTPSP(ctx context.Context, t *directory.TPSP, past *directory.PastHook, catchUp time.Time) error
	UpdatePastHook(ctx context.Context, p *directory.PastHook) error
	Drill(ctx context.Context, accountID, id int32, until time.Time) error
	UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error
	UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error
	CatchUpFrom(ctx context.Context, tpspID int32, from time.Time) error
	DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error

	// Waiting counts the pending messages of the egress.
	Waiting(ctx context.Context, egress route.Egress) (int64, error)

	// Lease and Release keep other nodes off a TPSP.
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Config is what a Service works with. All fields but AllowPrivate are required.
type Config struct {
	Directory    *directory.Directory
	Store        Store
	Adapters     provider.Registry
	Box          *secret.Box
	PublicURL    string // where providers reach us, without a trailing slash: "https://mail.example.com"
	AllowPrivate bool   // endpoints may be http and point at loopback and private addresses
	Holder       string // this run of this node, as the holder of leases
	Now          func() time.Time
	Jitter       func() float64 // uniform in [0, 1): math/rand/v2.Float64
	Log          *slog.Logger
}

// Service manages TPSPs. It is safe for concurrent use.
type Service struct {
	Config
	keys      *vault
	secrets   *vault
	passwords *vault
	busy      exclusive
	hints     chan struct{} // wakes the Registrar; holds one
	writing   sync.Mutex    // a change by a user begins from what is stored
}

// NewService returns a Service.
func NewService(c Config) *Service {
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return &Service{
		Config: c, keys: newVault(c.Box, keyPurpose), secrets: newVault(c.Box, secretPurpose), passwords: newVault(c.Box, passwordPurpose),
		busy: newExclusive(), hints: make(chan struct{}, 1),
	}
}

// How long one set-up step at a provider may take.
const (
	setupTimeout  = 20 * time.Second
	removeTimeout = 5 * time.Second // while the user waits for a deletion; the Registrar takes setupTimeout
	recordTimeout = 10 * time.Second
)

// TPSP returns one of the account's TPSPs that is in use, or ErrNotFound.
func (s *Service) TPSP(accountID, id int32) (*directory.TPSP, error) {
	if t := s.Directory.Current().TPSP(accountID, id); t != nil {
		return t, nil
	}
	return nil, ErrNotFound
}

// Delete takes a TPSP out of use, with the pool that was made for it, and removes its webhook from the provider. It returns
// what the TPSP was. It fails with ErrNotFound, and with a *WaitingError when messages still wait for it and force is not
// set; with force the dispatcher moves them to the next egress of their plan, or drops them when there is none. Without force it also fails
// with a *PoolsError when IP pools other than the one that was made for it would have no member any more. What the provider's absence
// or a lack of time leaves undone, the Registrar does later.
func (s *Service) Delete(ctx context.Context, accountID, id int32, force bool) (*directory.TPSP, error) {
	t, err := s.TPSP(accountID, id)
	if err != nil {
		return nil, err
	}
	if !force {
		n, err := s.Store.Waiting(ctx, t.Egress())
		if err != nil {
			return nil, fmt.Errorf("count what waits for TPSP %d: %w", id, err)
		}
		if n > 0 {
			return nil, &WaitingError{Name: t.Name, N: n}
		}
	}
	err = s.Store.DeleteTPSP(ctx, accountID, id, force, s.Now().UTC())
	empty, emptied := errors.AsType[*store.EmptyPoolsError](err)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNotFound
	case emptied:
		return nil, &PoolsError{Name: t.Name, Pools: empty.Pools}
	case errors.Is(err, store.ErrConflict):
		return nil, &WaitingError{Name: t.Name, N: 1} // it came since the count
	case err != nil:
		return nil, fmt.Errorf("delete TPSP %d: %w", id, err)
	}
	defer s.hint()
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, err
	}
	s.removeOnce(ctx, id)
	return t, nil
}

// removeOnce tries to remove the webhook of a deleted TPSP while the user waits.
func (s *Service) removeOnce(ctx context.Context, id int32) {
	if !s.begin(ctx, id) {
		return // a registration is on its way; the Registrar removes what it leaves
	}
	defer s.end(ctx, id)
	if t := s.Directory.Current().AnyTPSP(id); t != nil && t.Webhook.State != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		s.remove(ctx, t)
	}
}

// Change lays what a user wants over a TPSP as it is stored, and over its connection, whose key and secret are in clear.
type Change func(t *directory.TPSP, conn *provider.Connection) error

// Update changes one of the account's TPSPs: its name, policy, limits, whether it is paused or takes raw messages, and how its provider is
// reached. It fails with what change fails with, with ErrNotFound, a *mail.FieldError, and when the connection changes as Create does, or
// with ErrBusy. change may be called several times: each time from what is stored then.
func (s *Service) Update(ctx context.Context, accountID, id int32, change Change) (*directory.TPSP, error) {
	t, moves, err := s.updateInPlace(ctx, accountID, id, change)
	if moves {
		return s.move(ctx, accountID, id, change)
	}
	return t, err
}

// updateInPlace makes a change that leaves the connection as it is; it does nothing when one moves it.
func (s *Service) updateInPlace(ctx context.Context, accountID, id int32, change Change) (t *directory.TPSP, moves bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	d, err := s.draft(ctx, accountID, id, change)
	if err != nil || d.moves() {
		return nil, err == nil, err
	}
	err = s.Store.UpdateTPSP(ctx, &d.tpsp)
	if err == nil && d.was.Paused && !d.tpsp.Paused && d.was.Health.Stopped {
		err = s.Store.UpdateHealth(ctx, id, directory.Health{}) // whoever resumes it wants to see now whether it works again
	}
	t, err = s.changed(ctx, accountID, id, err)
	return t, false, err
}

// Drill rehearses an outage of one of the account's TPSPs: it counts as stopped for so long, from now on. 0 ends a drill. It fails
// with ErrNotFound.
func (s *Service) Drill(ctx context.Context, accountID, id int32, length time.Duration) (*directory.TPSP, error) {
	var until time.Time
	if length > 0 {
		until = s.Now().UTC().Add(length)
	}
	return s.changed(ctx, accountID, id, s.Store.Drill(ctx, accountID, id, until))
}

// changed returns a TPSP as it is after the store was told to change it.
func (s *Service) changed(ctx context.Context, accountID, id int32, err error) (*directory.TPSP, error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("change TPSP %d: %w", id, err)
	}
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, err
	}
	return s.TPSP(accountID, id)
}

// hint wakes the Registrar.
func (s *Service) hint() {
	select {
	case s.hints <- struct{}{}:
	default:
	}
}
