// Package api is SendPost's contract over HTTP: it authenticates, decodes, calls the services, and encodes.
//
// Conventions that hold for every operation:
//
//   - Every path is served with and without a trailing slash, and nothing is ever redirected: clients do not repeat a POST.
//   - Every answer is JSON, refusals included: {"code","message","field","requestId"}. One function, problemOf, decides the
//     status of every error.
//   - Answers to SendPost's own operations have exactly the keys that SendPost documents, because its Java client refuses
//     others (CL-1). What we have to say beyond that stands in operations of our own.
//   - Numbers, strings and booleans keep their documented JSON type; lists are never null (CL-3, CL-9).
//   - Times are nanoseconds since the UNIX epoch; dates in queries are YYYY-MM-DD in UTC (CL-10).
//   - An operation of an account reaches nothing of another account: an id of another one is an unknown id.
//
// The package must not import an engine of the store, nor an adapter.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/peer"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/tpsp"
)

// Sender takes mail in; *accept.Service is one. It returns one result per recipient, in the request's order, when the messages are durable.
type Sender interface {
	Accept(ctx context.Context, a *directory.SubAccount, requests ...*accept.Request) ([]accept.Result, error)
	AcceptOnce(ctx context.Context, a *directory.SubAccount, once accept.Once, requests ...*accept.Request) (answer []byte, again bool, err error)
	Check(ctx context.Context, a *directory.SubAccount, requests ...*accept.Request) error
}

// Accounts finds the owners of keys and manages sub-accounts; *account.Service is one.
type Accounts interface {
	AuthenticateAccount(key string) *directory.Account
	AuthenticateSubAccount(key string) *directory.SubAccount
	Key(a *directory.SubAccount) (secret.String, error)
	SubAccount(accountID, id int32) (*directory.SubAccount, error)
	SubAccounts(accountID int32, search string) []*directory.SubAccount
	CreateSubAccount(ctx context.Context, accountID int32, name string) (*directory.SubAccount, error)
	RenameSubAccount(ctx context.Context, accountID, id int32, name string) (*directory.SubAccount, error)
	DeleteSubAccount(ctx context.Context, accountID, id int32) (*directory.SubAccount, error)
	PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) (*directory.SubAccount, error)
	Hierarchy
	Labels
}

// Providers manages TPSPs; *tpsp.Service is one.
type Providers interface {
	Streams(ctx context.Context, t provider.Type, key secret.String, endpoint string) ([]provider.Stream, error)
	Create(ctx context.Context, accountID int32, n tpsp.New) (*directory.TPSP, *route.Pool, error)
	TryMailServer(ctx context.Context, accountID int32, n tpsp.New) error
	TPSP(accountID, id int32) (*directory.TPSP, error)
	Update(ctx context.Context, accountID, id int32, change tpsp.Change) (*directory.TPSP, error)
	RegisterWebhook(ctx context.Context, accountID, id int32) (*directory.TPSP, error)
	Drill(ctx context.Context, accountID, id int32, length time.Duration) (*directory.TPSP, error)
	Delete(ctx context.Context, accountID, id int32, force bool) (*directory.TPSP, error)
	Connection(t *directory.TPSP) (provider.Connection, error)
	HookURL(t *directory.TPSP) string
	DefaultPerHour(t provider.Type) int
	HasField(t provider.Type, field string) bool
}

// Kinds knows the kinds of providers, and shows how they are handed messages; a provider.Registry does.
type Kinds interface {
	Name(t provider.Type) string
	Named(name string) (provider.Type, bool)
	Capable(t provider.Type) (provider.Capabilities, bool)
	Write(t provider.Type, conn provider.Connection, out *provider.Outgoing) (w provider.Written, ok bool, err error)
	All() []provider.Adapter
}

// Pools manages IP pools; *ippool.Service is one.
type Pools interface {
	Pool(accountID, id int32) (*route.Pool, error)
	Create(ctx context.Context, accountID int32, c ippool.Changes) (*route.Pool, error)
	Update(ctx context.Context, accountID, id int32, c ippool.Changes) (*route.Pool, error)
	Delete(ctx context.Context, accountID, id int32, force bool) (*route.Pool, error)
	Pause(ctx context.Context, accountID, id int32, paused bool) (*route.Pool, error)
	Preview(accountID, id int32, c ippool.Changes) (*route.Pool, error)
}

// Journal answers questions about messages, attempts and events; a store.Journal is one.
type Journal interface {
	Message(ctx context.Context, accountID int32, id mail.ID) (*store.Message, error)
	Attempts(ctx context.Context, accountID int32, id mail.ID) ([]store.Attempt, error)
	Events(ctx context.Context, f store.EventFilter) ([]store.Event, error)
}

// Queue knows what waits and what failed, and how much of the limits is taken; a store.Store is one.
type Queue interface {
	Permits(ctx context.Context, egress route.Egress, now time.Time, claim time.Duration) (store.Permits, error)
	Queued(ctx context.Context, f store.QueuedFilter, after mail.ID, limit int) (list []store.Queued, last mail.ID, err error)
	Rearrange(ctx context.Context, batch []store.Move, now time.Time) (int, error)
	LaneDelays(ctx context.Context, accountID, tpspID int32, limit int) (store.LaneDelays, error)
	FailedAttempts(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) ([]store.FailedAttempt, error)
}

// Ingest takes in the webhooks of providers; *ingest.Service is one. Nil means that the body is durable, whatever is in it.
type Ingest interface {
	Receive(ctx context.Context, accountID int32, t provider.Type, h http.Header, body []byte) error
}

// Web is the dashboard; *web.Handler is one.
type Web interface {
	Serves(r *http.Request) bool
	http.Handler
	Unknown(w http.ResponseWriter, r *http.Request) // for a browser that asks for what is not there
}

// Config is what the API works with. All fields but the last ones are required.
type Config struct {
	Directory    *directory.Directory
	Accounts     Accounts
	Sender       Sender
	Providers    Providers
	Kinds        Kinds
	Pools        Pools
	IPs          IPs
	Planner      *plan.Planner
	Mailboxes    accept.Mailboxes
	Journal      Journal
	Events       store.EventLog
	Messages     MessageLog
	Statistics   store.Statistics
	Domains      Domains
	Books        store.Books
	Ingest       Ingest
	CatchUp      CatchUp
	Queue        Queue
	Templates    Templates
	Fill         Fillers
	Suppressions Suppressions
	Webhooks     Webhooks
	Doctor       Doctor
	Tracking     Tracking
	Members      Members
	Audit        Audit
	Claim        time.Duration    // how long a claim of the dispatcher lasts: until then a permit of it may be used
	Changed      func()           // called when what waits may leave now: limits, pauses and drills have changed
	Now          func() time.Time // the store's clock
	Installation string           // the store's id of itself; event ids begin with it
	Log          *slog.Logger

	Proxies   peer.Proxies    // that are believed about where requests come from
	RateLimit int             // requests of one key in a second; 0: as many as there are
	Web       Web             // nil: there is no dashboard
	Stopping  <-chan struct{} // closed when the server stops: what would go on for long ends; nil: it never does
}

// server is the API with its services.
type server struct {
	Config
	verifying running
	described func() (*served, error) // the API's document and page, made once
	throttle  *throttle
	tails     tails
	reads     map[string]*operation // those with GET, by their paths
}

// New returns the API's handler.
func New(c Config) http.Handler { return newServer(c, newThrottle(c.RateLimit, time.Now)) }

func newServer(c Config, t *throttle) http.Handler {
	s := &server{Config: c, throttle: t}
	s.described = sync.OnceValues(s.describe)
	return s.observe(s.router())
}

// nanos is how the API gives a time; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
