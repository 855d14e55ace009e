// Package ip gives the operator's own IPs to accounts. An IP is a public address behind which a mail server of the operator's, a
// smarthost, hands mail on; both stand in the server's configuration, and no account can name a mail server by itself.
//
// An address belongs to one account at most. The first account gets all addresses that nobody has ever had when the server starts; others
// ask for one by its address. One that was given back is not given out again by itself. An IP whose address has gone from the
// configuration keeps its id, its pools and its statistics, and carries no mail until it is back.
//
// The package must not import an engine of the store, an adapter, nor anything of HTTP.
package ip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/tpsp"
)

// ErrNotFound means that the account has no IP with this id.
var ErrNotFound = errors.New("the account has no such IP")

// TakenError refuses an address that is somebody's already.
type TakenError struct {
	Address string // "" when it is not known which
	Own     bool   // it is the account's own
}

// Error implements error.
func (e *TakenError) Error() string {
	switch {
	case e.Address == "":
		return "one of the IPs has just been allocated to somebody"
	case e.Own:
		return "the IP " + e.Address + " is allocated to this account already"
	}
	return "the IP " + e.Address + " is allocated to another account"
}

// PoolsError refuses to delete an IP that is the only member of IP pools.
type PoolsError struct {
	Address string
	Pools   []string // by name
}

// Error implements error.
func (e *PoolsError) Error() string {
	const most = 20
	return fmt.Sprintf("the IP %s is the only member of the IP pools %q; add others to them, or delete it with ?force=true", e.Address,
		e.Pools[:min(len(e.Pools), most)])
}

// WaitingError refuses to delete an IP that messages wait for.
type WaitingError struct {
	Address string
	N       int64 // how many wait
}

// Error implements error.
func (e *WaitingError) Error() string {
	return fmt.Sprintf("%d messages still wait for the IP %s, or are on their way to it; delete it with ?force=true to drop those that nothing else "+
		"in their pool can carry", e.N, e.Address)
}

// MostAtOnce is how many IPs one request allocates.
const MostAtOnce = 1000

// Store is what the package needs of the storage contract.
type Store interface {
	store.IPs
	UpdateTPSP(ctx context.Context, t *directory.TPSP) error
	Drill(ctx context.Context, accountID, id int32, until time.Time) error
	DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error
	Waiting(ctx context.Context, egress route.Egress) (int64, error)
}

// Config is what a Service works with. All fields are required.
type Config struct {
	Directory *directory.Directory
	Store     Store
	Servers   Servers
	Now       func() time.Time
}

// Servers are the mail servers of the configuration, by public address as ParseAddress writes it.
type Servers map[string]provider.Connection

// ParseAddress reads a public address and returns it as it is written everywhere.
func ParseAddress(s string) (string, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return "", errors.New("an IP is an address such as 203.0.113.7 or 2001:db8::7")
	}
	return a.Unmap().String(), nil
}

// Loader is a directory.Loader that knows which IPs have a mail server.
type Loader struct {
	directory.Loader
	Servers Servers
}

// LoadDirectory implements directory.Loader.
func (l Loader) LoadDirectory(ctx context.Context) (directory.Contents, error) {
	c, err := l.Loader.LoadDirectory(ctx)
	for i := range c.TPSPs {
		if t := &c.TPSPs[i]; t.IsIP() {
			_, has := l.Servers[t.Name]
			t.Missing = !has
		}
	}
	return c, err
}

// Service manages IPs. It is safe for concurrent use.
type Service struct {
	Config
	writing sync.Mutex // a change begins from what is stored
}

// New returns a Service.
func New(c Config) *Service { return &Service{Config: c} }

// Connection returns how to reach the mail server of an IP.
func (s *Service) Connection(t *directory.TPSP) (provider.Connection, error) {
	conn, has := s.Servers[t.Name]
	if !has {
		return conn, fmt.Errorf("the IP %s is not in the server's configuration", t.Name)
	}
	conn.AccountID, conn.TPSPID = t.AccountID, t.ID
	return conn, nil
}

// IP returns one of the account's IPs that is in use, or ErrNotFound.
func (s *Service) IP(accountID, id int32) (*directory.TPSP, error) {
	if t := s.Directory.Current().IP(accountID, id); t != nil {
		return t, nil
	}
	return nil, ErrNotFound
}

// IPs returns the account's IPs in the order of ids, whose address contains search.
func (s *Service) IPs(accountID int32, search string) []*directory.TPSP {
	search = strings.ToLower(search)
	return slices.DeleteFunc(s.Directory.Current().IPs(accountID), func(t *directory.TPSP) bool { return !strings.Contains(t.Name, search) })
}

// Adopt gives an account all configured IPs that nobody has or had, and returns how many they were.
func (s *Service) Adopt(ctx context.Context, accountID int32) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	had := map[string]bool{}
	for _, t := range s.Directory.Current().EveryEgress() {
		if t.IsIP() {
			had[t.Name] = true
		}
	}
	var fresh []string
	for address := range s.Servers {
		if !had[address] {
			fresh = append(fresh, address)
		}
	}
	if len(fresh) == 0 {
		return 0, nil
	}
	slices.Sort(fresh)
	return len(fresh), s.store(ctx, s.draft(accountID, fresh))
}

func (s *Service) draft(accountID int32, addresses []string) []*directory.TPSP {
	list := make([]*directory.TPSP, len(addresses))
	for i, address := range addresses {
		list[i] = &directory.TPSP{AccountID: accountID, Name: address, Type: provider.IP, KeyHash: secret.Hash(address), Created: s.Now().UTC()}
	}
	return list
}

func (s *Service) store(ctx context.Context, list []*directory.TPSP) error {
	err := s.Store.AllocateIPs(ctx, list)
	if errors.Is(err, store.ErrConflict) {
		return &TakenError{}
	}
	if err != nil {
		return fmt.Errorf("allocate IPs: %w", err)
	}
	return s.Directory.Reload(ctx)
}

// Allocate gives configured IPs to an account, all or none, and returns them in the order in which they were named. It fails with a
// *mail.FieldError or a *TakenError.
func (s *Service) Allocate(ctx context.Context, accountID int32, addresses []string) ([]*directory.TPSP, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Directory.Refresh(ctx); err != nil { // another node may have given one out
		return nil, err
	}
	parsed, err := s.free(accountID, addresses)
	if err != nil {
		return nil, err
	}
	if err := s.store(ctx, s.draft(accountID, parsed)); err != nil {
		return nil, err
	}
	list := make([]*directory.TPSP, len(parsed))
	for i, address := range parsed {
		if list[i] = s.Directory.Current().IPWithAddress(address); list[i] == nil || list[i].AccountID != accountID {
			return nil, ErrNotFound // given back at once
		}
	}
	return list, nil
}

// free reads addresses, which are to be configured and nobody's.
func (s *Service) free(accountID int32, addresses []string) ([]string, error) {
	switch n := len(addresses); {
	case n == 0:
		return nil, mail.Invalid("missing_ip", "ips", "ips has to name the IPs to allocate")
	case n > MostAtOnce:
		return nil, mail.Invalid("too_many_ips", "ips", "ips names %d IPs; the most is %d", n, MostAtOnce)
	}
	parsed := make([]string, 0, len(addresses))
	const field, shown = "ips", 64
	for _, given := range addresses {
		address, err := ParseAddress(given)
		if err != nil {
			return nil, mail.Invalid("invalid_ip", field, "%.*q: %s", shown, given, err)
		}
		if slices.Contains(parsed, address) {
			return nil, mail.Invalid("duplicate_ip", field, "the IP %s stands there twice", address)
		}
		if _, has := s.Servers[address]; !has {
			return nil, mail.Invalid("unknown_ip", field, "the server's configuration has no IP %s", address)
		}
		if t := s.Directory.Current().IPWithAddress(address); t != nil {
			return nil, &TakenError{Address: address, Own: t.AccountID == accountID}
		}
		parsed = append(parsed, address)
	}
	return parsed, nil
}

// Changes is what a user gives of an IP. What is nil stays.
type Changes struct {
	AutoWarmup *bool
	Active     *bool // false: no mail is planned for it, and what waits goes elsewhere
	Policy     *directory.Policy
	Limits     func(*limit.Limits) error // lays limits over those that it has; nil: they stay
}

// Update changes one of the account's IPs. It fails with ErrNotFound or a *mail.FieldError.
func (s *Service) Update(ctx context.Context, accountID, id int32, c Changes) (*directory.TPSP, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.Directory.Refresh(ctx); err != nil {
		return nil, err
	}
	known, err := s.IP(accountID, id)
	if err != nil {
		return nil, err
	}
	t := *known
	t.Limits = known.Limits.Clone()
	if c.AutoWarmup != nil {
		t.AutoWarmup = *c.AutoWarmup
	}
	if c.Active != nil {
		t.Paused = !*c.Active
	}
	if c.Policy != nil {
		t.Policy = *c.Policy
	}
	if c.Limits != nil {
		if err := c.Limits(&t.Limits); err != nil {
			return nil, err
		}
		if t.Limits, err = tpsp.ParseLimits(t.Limits); err != nil {
			return nil, err
		}
	}
	return s.changed(ctx, accountID, id, s.Store.UpdateTPSP(ctx, &t))
}

// Drill rehearses an outage of one of the account's IPs: it counts as stopped for so long, from now on. 0 ends a drill. It fails with
// ErrNotFound.
func (s *Service) Drill(ctx context.Context, accountID, id int32, length time.Duration) (*directory.TPSP, error) {
	var until time.Time
	if length > 0 {
		until = s.Now().UTC().Add(length)
	}
	return s.changed(ctx, accountID, id, s.Store.Drill(ctx, accountID, int32(route.IP(id)), until))
}

// changed returns an IP as it is after the store was told to change it.
func (s *Service) changed(ctx context.Context, accountID, id int32, err error) (*directory.TPSP, error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("change IP %d: %w", id, err)
	}
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, err
	}
	return s.IP(accountID, id)
}

// Delete gives an IP back and returns what it was: another account may have its address then. It fails with ErrNotFound, and without
// force with a *WaitingError while messages wait for it, and with a *PoolsError when IP pools would have no member any more. With force
// the dispatcher moves what waits to the next egress of its plan, or drops it when there is none.
func (s *Service) Delete(ctx context.Context, accountID, id int32, force bool) (*directory.TPSP, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, err := s.IP(accountID, id)
	if err != nil {
		return nil, err
	}
	if !force {
		n, err := s.Store.Waiting(ctx, t.Egress())
		if err != nil {
			return nil, fmt.Errorf("count what waits for IP %d: %w", id, err)
		}
		if n > 0 {
			return nil, &WaitingError{Address: t.Name, N: n}
		}
	}
	err = s.Store.DeleteTPSP(ctx, accountID, t.ID, force, s.Now().UTC())
	empty, emptied := errors.AsType[*store.EmptyPoolsError](err)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNotFound
	case emptied:
		return nil, &PoolsError{Address: t.Name, Pools: empty.Pools}
	case errors.Is(err, store.ErrConflict):
		return nil, &WaitingError{Address: t.Name, N: 1} // it came since the count
	case err != nil:
		return nil, fmt.Errorf("delete IP %d: %w", id, err)
	}
	return t, s.Directory.Reload(ctx)
}
