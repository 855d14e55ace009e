// Package track tells of opens, clicks and unsubscriptions of mail whose provider does not: mail servers, the operator's own IPs.
//
// When such a message leaves, its HTML gets an image, and its links other targets, all at addresses of ours. `{{unsubscribe}}` in a body
// becomes an address as well, whoever carries the message. Each address holds a signed token that says what it does, for which message,
// and where a link leads. So nothing is stored when a message leaves, and an address that we did not make does nothing: it can neither
// be forged nor used to send people elsewhere.
//
// What is asked for at such an address becomes a provider.Report and goes the way of providers' reports, store.Inbox, in transactions that
// many share.
package track

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/groupcommit"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Store is what the package needs of the storage contract.
type Store interface {
	Ingest(ctx context.Context, batch []store.Parsed) (store.IngestResult, error)
	Events(ctx context.Context, f store.EventFilter) ([]store.Event, error)
	Suppressed(ctx context.Context, list []store.SuppressionKey) (store.Suppressed, error)
}

// Config is what a Service works with. All fields but Host are required.
type Config struct {
	Key       []byte // of the signatures; the same on all nodes and after every restart
	PublicURL string // where we are reached, without a trailing slash
	Store     Store
	Directory *directory.Directory
	Providers provider.Registry
	Log       *slog.Logger
	Now       func() time.Time

	// Host returns where the addresses in a message stand, in the form of PublicURL: the sender's own tracking domain. "" is PublicURL.
	// It must say the same whenever the message leaves. nil is always PublicURL.
	Host func(j *store.Job) string
}

// Service makes addresses and takes what is asked for at them, while Run runs. It is safe for concurrent use.
type Service struct {
	Config
	fresh *groupcommit.Committer[store.Parsed]
	room  chan struct{} // one for each record under way
	doors chan struct{} // one for each unsubscription under way
	pace  pace
	lost  atomic.Int64 // opens and clicks that could not be recorded
	told  atomic.Int64 // when that was told last, in seconds
}

// Bounds of what anybody on the internet can cause.
const (
	recordBatch = 250              // reports that become events in one transaction; bounds how long the writer is busy
	maxWaiting  = 2000             // opens and clicks that wait for the store at a time; what is beyond is not recorded
	maxLeaving  = 50               // unsubscriptions at a time; what is beyond waits
	recordFor   = 2 * time.Second  // how long a picture or a redirect waits for the store
	confirmFor  = 10 * time.Second // how long an unsubscription does, or the page that asks about it
)

// New returns a Service.
func New(c Config) *Service {
	s := &Service{Config: c, room: make(chan struct{}, maxWaiting), doors: make(chan struct{}, maxLeaving)}
	s.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	s.fresh = groupcommit.New(groupcommit.Config[store.Parsed]{
		Commit: func(ctx context.Context, batch []store.Parsed) error {
			_, err := s.Store.Ingest(ctx, batch)
			return err
		},
		Shared: func(err error) bool { return errors.Is(err, store.ErrUnavailable) },
		Weigh:  func(p store.Parsed) int { return len(p.Reports) },
		Limit:  recordBatch,
	})
	return s
}

// Run records until ctx ends, and what still waits then.
func (s *Service) Run(ctx context.Context) { s.fresh.Run(ctx) }

// pixelFile ends the address of an image: some programs load pictures by their names only.
const pixelFile = "/1.png"

// Unsubscribe returns the address at which the recipient of a message that leaves through an egress is unsubscribed: what
// `{{unsubscribe}}` stands for.
func (s *Service) Unsubscribe(j *store.Job, egress route.Egress) string {
	return s.of(j, egress).address(unsubscribe, "")
}

// mint makes the addresses of a message that leaves.
type mint struct {
	*Service
	host  string
	claim claim
}

func (s *Service) of(j *store.Job, egress route.Egress) *mint {
	return &mint{s, s.host(j), claim{family: s.family(egress), message: j.ID, accountID: j.AccountID, egress: egress}}
}

// address returns the address for an action; target is where a click leads.
func (m *mint) address(a action, target string) string {
	c := m.claim
	c.action, c.url = a, target
	address := m.host + paths[a] + m.sign(&c)
	if a == open {
		address += pixelFile
	}
	return address
}

func (s *Service) host(j *store.Job) string {
	if s.Host != nil {
		if host := s.Host(j); host != "" {
			return strings.TrimSuffix(host, "/")
		}
	}
	return s.PublicURL
}

// family returns the family of the events of what leaves through an egress.
func (s *Service) family(e route.Egress) event.Family {
	if t := s.Directory.Current().AnyTPSP(e.TPSPID()); t != nil && s.Providers[t.Type] != nil {
		return s.Providers[t.Type].Capabilities().Family
	}
	return event.Native
}
