// Package directory holds what is configured (accounts, sub-accounts, TPSPs, IP pools) in memory, as one immutable snapshot,
// so that authentication, routing and webhook checks cost no query. Only who is not found there is looked for in the store:
// where several nodes share it, another one may have made it.
//
// Whoever changes the configuration writes to the store and then calls Reload. Readers take Current once per request and see
// one consistent state. The package does no I/O of its own.
package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postyard/internal/limit"
	"postyard/internal/provider"
	"postyard/internal/route"
)

// KeyHash is the SHA-256 of an API key; keys are looked up by it, so no comparison ever touches a key's characters.
type KeyHash [32]byte

// Account is the tenant.
type Account struct {
	ID        int32
	Name      string
	KeyHash   KeyHash
	SealedKey []byte // the key itself, encrypted
	Created   time.Time
}

// SubAccount separates one sender's mail from another's under an account: a product's, a customer's.
type SubAccount struct {
	ID        int32
	AccountID int32
	Name      string
	Default   bool // made with the account; it cannot be deleted
	Paused    bool // its mail is accepted and waits
	KeyHash   KeyHash
	SealedKey []byte
	Labels    []int32 // the ids of its labels, in their order
	Created   time.Time

	Path        []int32   // the ids of those above it, the nearest first; at most MaxLevels-1
	PerHour     int       // most messages in any 60 minutes, of it and of those under it; 0 is no limit
	Blocked     time.Time // since when nothing is sent for it, nor for those under it; zero: it is not blocked
	BlockReason string
	Deleted     time.Time // zero while it is in use
}

// Label is a word that an account tells its sub-accounts apart by.
type Label struct {
	ID        int32
	AccountID int32
	Name      string
	Color     string // as users write it, "" for none
	Created   time.Time
}

// WebhookState is where the registration of a TPSP's webhook stands.
type WebhookState string

// The states of a webhook registration.
const (
	WebhookPending    WebhookState = "pending"    // not tried yet
	WebhookRegistered WebhookState = "registered" // stands at the provider
	WebhookFailed     WebhookState = "failed"     // the last try failed; the error says why, it is tried again
	WebhookUnverified WebhookState = "unverified" // it is at the provider, which has not verified it and reports nothing
	WebhookPaused     WebhookState = "paused"     // it stands, and the provider does not report some kinds of events
)

// Webhook is the registration of a TPSP's webhook at the provider.
type Webhook struct {
	State          WebhookState
	Ref            string // the provider's id of the hook
	Username       string
	SealedPassword []byte
	Error          string
	Tries          int              // failed tries since the last success
	NextTry        time.Time        // when it is tried again or, while it stands, checked; zero: at once
	Server         string           // the provider's own id of the account that the key opens, "" while it is not known
	Probes         []provider.Probe // how our URL answered when the provider called it, at the last failed try
	Paused         []string         // WebhookPaused: the triggers that the provider paused
}

// Health tells whether an egress is in use, as its breaker has it.
type Health struct {
	Stopped bool
	Reason  string        // why it is stopped, in the provider's words
	Since   time.Time     // since when it is stopped
	ProbeAt time.Time     // while it is stopped: when one message tries it
	Wait    time.Duration // how long the next probe waits when that one fails
}

// Refusal is a sender domain whose mail a provider refuses, while it carries the mail of others.
type Refusal struct {
	Domain  string
	Reason  string // in the provider's words
	Since   time.Time
	ProbeAt time.Time     // from when on mail of the domain tries the provider again
	Wait    time.Duration // how long the next try waits when that one fails
}

// Policy decides about a message when its provider cannot say whether it has it.
type Policy uint8

// The policies.
const (
	AtLeastOnce Policy = iota // send it again: it may arrive twice
	AtMostOnce                // leave it as sent: it may be lost
)

var policyNames = [...]string{"at-least-once", "at-most-once"}

// String returns the policy's public name.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "invalid"
}

// PolicyNamed finds a policy by its public name.
func PolicyNamed(name string) (Policy, bool) {
	i := slices.Index(policyNames[:], name)
	return Policy(max(i, 0)), i >= 0
}

// SuppressionSync says how a TPSP's suppression list and ours are kept in step.
type SuppressionSync uint8

// The ways.
const (
	SyncBoth         SuppressionSync = iota // what is read there suppresses here, and what users do here is done there
	SyncFromProvider                        // only the former
	SyncOff
)

var syncNames = [...]string{"both", "from-provider", "off"}

// String returns the public name.
func (s SuppressionSync) String() string {
	if int(s) < len(syncNames) {
		return syncNames[s]
	}
	return "invalid"
}

// SuppressionSyncNamed finds a way by its public name.
func SuppressionSyncNamed(name string) (SuppressionSync, bool) {
	i := slices.Index(syncNames[:], name)
	return SuppressionSync(max(i, 0)), i >= 0
}

// TPSP is one connection to one provider account: for Postmark a server token and one message stream. One of the operator's own IPs is
// a TPSP as well, for all that has to do with sending: its id is negative, its name is the public address, and how to reach its mail
// server stands in the server's configuration.
type TPSP struct {
	ID        int32 // of an IP: the IP's id, negative
	AccountID int32
	Name      string
	Type      provider.Type
	Domain    string
	Endpoint  string // base URL, "" for the provider's public one
	Port      int    // 0 for the usual one
	SealedKey []byte
	Secret    []byte  // sealed; empty for providers that need a key only
	KeyHash   KeyHash // finds the same token registered twice
	Stream    string
	Policy    Policy
	AllowRaw  bool         // it takes messages without a template, where the provider is reluctant to
	Paused    bool         // by the operator: no mail is planned for it, and what waits goes elsewhere
	Drill     time.Time    // until then it counts as stopped: a rehearsed outage
	Limits    limit.Limits // in messages in any 60 minutes
	Webhook   Webhook
	Health    Health
	Refused   []Refusal  // in the order of domains
	CatchUp   time.Time  // events since then may have been missed and are to be asked for; zero: none
	Past      []PastHook // connections that it had, in the order in which they were replaced
	Created   time.Time
	Deleted   time.Time // zero while it is in use; a deleted one still attributes late events

	SuppressionSync SuppressionSync // for providers that have a list

	Missing    bool // an IP that the configuration does not have any more: it has no mail server
	AutoWarmup bool // of an IP: kept for SendPost's operation
}

// IsIP tells whether it is one of the operator's own IPs.
func (t *TPSP) IsIP() bool { return t.ID < 0 }

// IPID returns the id of an IP, or 0 for a TPSP.
func (t *TPSP) IPID() int32 { return t.Egress().IPID() }

// Noun is what people call it: the provider, the IP.
func (t *TPSP) Noun() string {
	if t.IsIP() {
		return "the IP"
	}
	return "the provider"
}

// PastHook is a connection that a TPSP had before a user changed it, with the webhook that stood there. Its webhook is removed from the
// provider; its credentials stay good for as long as the provider may repeat what it was not answered. The provider is also asked there
// about mail that went out before the change.
type PastHook struct {
	ID             int64
	TPSPID         int32
	Domain         string
	Endpoint       string
	Port           int
	SealedKey      []byte
	Secret         []byte // sealed
	Stream         string
	Server         string // as Webhook.Server
	Ref            string // the provider's id of the webhook, "" when it was never registered
	Username       string
	SealedPassword []byte
	Switched       time.Time // when the connection was replaced
	Removed        time.Time // when the webhook was removed or given up; zero: it is still to be removed
	ValidUntil     time.Time // until when the credentials are good, once it is removed
	Error          string    // why the last try to remove it failed
	Tries          int
	NextTry        time.Time // when something is to be done next: to remove it or, later, to catch up again; zero: nothing
}

// Valid tells whether a webhook may carry the credentials at a moment.
func (p *PastHook) Valid(now time.Time) bool { return p.Removed.IsZero() || now.Before(p.ValidUntil) }

// As returns the TPSP as it was when it had a connection: how to reach the provider there, and the webhook. Where that is an account
// which today's key opens as well, the key is today's: the old one may be revoked.
func (t *TPSP) As(p *PastHook) *TPSP {
	past := *t
	past.Domain, past.Endpoint, past.Port, past.SealedKey, past.Secret, past.Stream = p.Domain, p.Endpoint, p.Port, p.SealedKey, p.Secret, p.Stream
	past.Webhook = Webhook{Ref: p.Ref, Username: p.Username, SealedPassword: p.SealedPassword, Server: p.Server}
	if p.Server != "" && p.Server == t.Webhook.Server && p.Endpoint == t.Endpoint {
		past.SealedKey, past.Secret = t.SealedKey, t.Secret
	}
	past.Past = nil
	return &past
}

// stale is how long a process may go on with a connection that was replaced: until it has read the configuration anew.
const stale = 5 * time.Minute

// Since returns the TPSP as it was at connections that may have carried mail since a time, besides today's: the latest first, and none
// that is known to be another's account and stream.
func (t *TPSP) Since(from time.Time) (list []Retired) {
	for i := len(t.Past) - 1; i >= 0; i-- {
		p := &t.Past[i]
		was := Retired{TPSP: t.As(p), Until: p.Switched.Add(stale), Tries: p.Tries}
		alike := func(other Retired) bool { return was.alike(other.TPSP) }
		if was.Until.After(from) && !was.alike(t) && !slices.ContainsFunc(list, alike) {
			list = append(list, was)
		}
	}
	return list
}

// alike tells whether two connections are known to lead to the same account and stream.
func (t *TPSP) alike(other *TPSP) bool {
	return t.Webhook.Server != "" && t.Webhook.Server == other.Webhook.Server && t.Endpoint == other.Endpoint && t.Stream == other.Stream
}

// Retired is a TPSP as it was at a connection, until when it may have carried mail there, and how often in a row its webhook could not be
// removed there.
type Retired struct {
	*TPSP
	Until time.Time
	Tries int
}

// Mute tells whether the provider reports nothing over this connection although its kind does, as its key is one for trying it out: there
// is no webhook, and why stands in its place. It can be asked nothing, either.
func (t *TPSP) Mute() bool {
	return t.Deleted.IsZero() && t.Webhook.State == "" && t.Webhook.Error != ""
}

// Egress returns the TPSP as a way out.
func (t *TPSP) Egress() route.Egress { return route.Egress(t.ID) }

// Away says why mail cannot leave through the TPSP at a moment, or "".
func (t *TPSP) Away(now time.Time) string {
	switch {
	case !t.Deleted.IsZero():
		return t.Noun() + " was deleted"
	case t.Paused:
		return t.Noun() + " is paused"
	case t.Missing:
		return "the IP is not in the server's configuration any more"
	case now.Before(t.Drill):
		return "an outage of " + t.Noun() + " is rehearsed until " + t.Drill.UTC().Format(time.RFC3339)
	case t.Health.Stopped:
		return t.Stopped(t.Health.Reason)
	default:
		return ""
	}
}

// Stopped says that no mail leaves through it because of a reason that its breaker has.
func (t *TPSP) Stopped(reason string) string { return t.Noun() + " is not used for now: " + reason }

// Refuses says why the provider does not take mail of a sender domain at present, or "".
func (t *TPSP) Refuses(domain string, now time.Time) string {
	for i := range t.Refused {
		if t.Refused[i].Domain == domain && now.Before(t.Refused[i].ProbeAt) {
			return t.Noun() + " refuses mail from " + domain + ": " + t.Refused[i].Reason
		}
	}
	return ""
}

// Impaired says which sender domains the provider refuses, "" when it refuses none.
func (t *TPSP) Impaired() string {
	const most = 5
	var parts []string
	for _, r := range t.Refused[:min(len(t.Refused), most)] {
		parts = append(parts, "mail from "+r.Domain+" is refused: "+r.Reason)
	}
	return strings.Join(parts, "; ")
}

// Domain is a sender domain that a sub-account has whitelisted: mail of the account from it is counted under its name.
type Domain struct {
	ID           int32
	AccountID    int32
	SubAccountID int32
	Name         string // in lower-case ASCII
	Selector     string // of its DKIM key; "" while it has none
	PublicKey    string // DER (SubjectPublicKeyInfo) in base64; the private one stays in the store
	Checks       DomainChecks
	Created      time.Time
	Deleted      time.Time // zero while it is in use; a deleted one keeps its statistics
}

// DomainChecks is what DNS said about the records of a domain when it was asked last.
type DomainChecks struct {
	DKIM       RecordCheck `json:"dkim"`
	SPF        RecordCheck `json:"spf"`
	ReturnPath RecordCheck `json:"returnPath"`
	Track      RecordCheck `json:"track"`
	DMARC      RecordCheck `json:"dmarc"`
}

// RecordCheck is what DNS said about one record. Where it did not answer, Verified is what was known before and Reason says so.
type RecordCheck struct {
	Verified bool   `json:"verified,omitempty"`
	Reason   string `json:"reason,omitempty"` // why it is not verified, or could not be looked at; "" also when nobody has looked yet
}

// Contents is everything that is configured, as the store keeps it.
type Contents struct {
	Revision    int64 // changes with every change of what follows
	Accounts    []Account
	SubAccounts []SubAccount // and those deleted ones that may still hold their messages
	TPSPs       []TPSP       // deleted ones included
	Pools       []route.Pool
	Domains     []Domain // deleted ones included
	Labels      []Label
}

// Loader reads the configuration from the store.
type Loader interface {
	LoadDirectory(ctx context.Context) (Contents, error)

	// DirectoryRevision returns the Revision that LoadDirectory would return; it costs little.
	DirectoryRevision(ctx context.Context) (int64, error)
}

// Directory gives out the current snapshot.
type Directory struct {
	loader  Loader
	reload  sync.Mutex
	look    sync.Mutex    // one looks for all who ask meanwhile
	looks   atomic.Uint64 // how many looks have begun
	looked  uint64        // the last one that ended well
	current atomic.Pointer[Snapshot]
}

// Open loads the first snapshot.
func Open(ctx context.Context, loader Loader) (*Directory, error) {
	d := &Directory{loader: loader}
	return d, d.load(ctx)
}

// Current returns the snapshot of now. It must not be changed.
func (d *Directory) Current() *Snapshot { return d.current.Load() }

// reloadTimeout bounds a Reload, which no caller ends.
const reloadTimeout = 10 * time.Second

// Reload reads the configuration anew. Changes that were committed before the call are in the next Current. It does not end
// with ctx: a client that hangs up must not leave the directory behind the store.
func (d *Directory) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout)
	defer cancel()
	return d.load(ctx)
}

// Refresh reads the configuration anew when another node has changed it. Callers that come at once share a look.
func (d *Directory) Refresh(ctx context.Context) error {
	came := d.looks.Load()
	d.look.Lock()
	defer d.look.Unlock()
	if d.looked > came { // one that began after this call has been made meanwhile
		return nil
	}
	began := d.looks.Add(1)
	revision, err := d.loader.DirectoryRevision(ctx)
	if err != nil {
		return fmt.Errorf("read revision of the directory: %w", err)
	}
	if revision != d.Current().revision {
		if err := d.load(ctx); err != nil {
			return err
		}
	}
	d.looked = began
	return nil
}

func (d *Directory) load(ctx context.Context) error {
	d.reload.Lock()
	defer d.reload.Unlock()
	contents, err := d.loader.LoadDirectory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	d.current.Store(newSnapshot(contents))
	return nil
}

// Snapshot is the configuration at one moment.
type Snapshot struct {
	revision         int64
	accounts         map[int32]*Account
	accountsByKey    map[KeyHash]*Account
	subAccounts      map[int32]*SubAccount
	formerSubs       map[int32]*SubAccount // deleted
	subAccountsByKey map[KeyHash]*SubAccount
	tpsps            map[int32]*TPSP
	everyTPSP        []*TPSP // sorted once: every webhook walks it
	ips              map[int32]*TPSP
	pools            map[int32]*route.Pool
	poolsByName      map[poolName]*route.Pool
	domains          map[int32]*Domain
	whitelisted      map[domainName]bool
	labels           map[int32]*Label
	signing          map[domainName][]*Domain // those whose DKIM key stands in DNS, in the order of ids
	tracking         map[domainName][]*Domain // those whose tracking name does
}

type poolName struct {
	account int32
	name    string
}

type domainName struct {
	account int32
	name    string
}

func newSnapshot(c Contents) *Snapshot {
	s := &Snapshot{
		revision:         c.Revision,
		accounts:         make(map[int32]*Account, len(c.Accounts)),
		accountsByKey:    make(map[KeyHash]*Account, len(c.Accounts)),
		subAccounts:      make(map[int32]*SubAccount, len(c.SubAccounts)),
		formerSubs:       map[int32]*SubAccount{},
		subAccountsByKey: make(map[KeyHash]*SubAccount, len(c.SubAccounts)),
		tpsps:            make(map[int32]*TPSP, len(c.TPSPs)),
		ips:              map[int32]*TPSP{},
		pools:            make(map[int32]*route.Pool, len(c.Pools)),
		poolsByName:      make(map[poolName]*route.Pool, len(c.Pools)),
		domains:          make(map[int32]*Domain, len(c.Domains)),
		whitelisted:      make(map[domainName]bool, len(c.Domains)),
		labels:           make(map[int32]*Label, len(c.Labels)),
		signing:          map[domainName][]*Domain{},
		tracking:         map[domainName][]*Domain{},
	}
	for _, a := range c.Accounts {
		s.accounts[a.ID], s.accountsByKey[a.KeyHash] = &a, &a
	}
	for _, a := range c.SubAccounts {
		if !a.Deleted.IsZero() {
			s.formerSubs[a.ID] = &a
			continue
		}
		s.subAccounts[a.ID], s.subAccountsByKey[a.KeyHash] = &a, &a
	}
	for _, t := range c.TPSPs {
		if t.IsIP() {
			s.ips[t.IPID()] = &t
			continue
		}
		s.tpsps[t.ID] = &t
	}
	for _, p := range c.Pools {
		s.pools[p.ID], s.poolsByName[poolName{p.AccountID, p.Name}] = &p, &p
	}
	for _, d := range c.Domains {
		s.domains[d.ID] = &d
		if d.Deleted.IsZero() && s.subAccounts[d.SubAccountID] != nil {
			name := domainName{d.AccountID, d.Name}
			s.whitelisted[name] = true
			if d.Selector != "" && d.Checks.DKIM.Verified {
				s.signing[name] = append(s.signing[name], &d)
			}
			if d.Checks.Track.Verified {
				s.tracking[name] = append(s.tracking[name], &d)
			}
		}
	}
	for _, l := range c.Labels {
		s.labels[l.ID] = &l
	}
	s.everyTPSP = sorted(s.tpsps, func(*TPSP) bool { return true }, func(t *TPSP) int32 { return t.ID })
	return s
}

// Account returns an account by id, or nil.
func (s *Snapshot) Account(id int32) *Account { return s.accounts[id] }

// AccountByKey returns the account whose API key has this hash, or nil.
func (s *Snapshot) AccountByKey(h KeyHash) *Account { return s.accountsByKey[h] }

// Accounts returns all accounts in the order of ids.
func (s *Snapshot) Accounts() []*Account {
	return sorted(s.accounts, func(*Account) bool { return true }, func(a *Account) int32 { return a.ID })
}

// SubAccount returns one of the account's sub-accounts, or nil.
func (s *Snapshot) SubAccount(accountID, id int32) *SubAccount {
	if a := s.subAccounts[id]; a != nil && a.AccountID == accountID {
		return a
	}
	return nil
}

// SubAccountByKey returns the sub-account whose API key has this hash, or nil.
func (s *Snapshot) SubAccountByKey(h KeyHash) *SubAccount { return s.subAccountsByKey[h] }

// SubAccounts returns the account's sub-accounts in the order of ids.
func (s *Snapshot) SubAccounts(accountID int32) []*SubAccount {
	return sorted(s.subAccounts, func(a *SubAccount) bool { return a.AccountID == accountID },
		func(a *SubAccount) int32 { return a.ID })
}

// TPSP returns one of the account's TPSPs that is in use, or nil.
func (s *Snapshot) TPSP(accountID, id int32) *TPSP {
	if t := s.tpsps[id]; t != nil && t.AccountID == accountID && t.Deleted.IsZero() {
		return t
	}
	return nil
}

// TPSPs returns the account's TPSPs that are in use, in the order of ids.
func (s *Snapshot) TPSPs(accountID int32) []*TPSP {
	return sorted(s.tpsps, func(t *TPSP) bool { return t.AccountID == accountID && t.Deleted.IsZero() },
		func(t *TPSP) int32 { return t.ID })
}

// EveryTPSP returns the TPSPs of all accounts, deleted ones included, in the order of ids. The list must not be changed.
func (s *Snapshot) EveryTPSP() []*TPSP { return s.everyTPSP }

// AnyTPSP returns a TPSP whatever its account, deleted or not, or nil. It is for the dispatcher and for late events;
// requests of users go through TPSP.
func (s *Snapshot) AnyTPSP(id int32) *TPSP { return s.tpsps[id] }

// Egress returns a TPSP or an IP whatever its account, deleted or not, or nil. It is for the dispatcher and for what happened before.
func (s *Snapshot) Egress(e route.Egress) *TPSP {
	if id := e.IPID(); id > 0 {
		return s.ips[id]
	}
	return s.tpsps[e.TPSPID()]
}

// EveryEgress returns the TPSPs and IPs of all accounts, deleted ones included.
func (s *Snapshot) EveryEgress() []*TPSP {
	if len(s.ips) == 0 {
		return s.everyTPSP
	}
	return append(slices.Clone(s.everyTPSP), sorted(s.ips, func(*TPSP) bool { return true }, (*TPSP).IPID)...)
}

// IP returns one of the account's IPs that is in use, or nil.
func (s *Snapshot) IP(accountID, id int32) *TPSP {
	if t := s.ips[id]; t != nil && t.AccountID == accountID && t.Deleted.IsZero() {
		return t
	}
	return nil
}

// IPs returns the account's IPs that are in use, in the order of ids.
func (s *Snapshot) IPs(accountID int32) []*TPSP {
	return sorted(s.ips, func(t *TPSP) bool { return t.AccountID == accountID && t.Deleted.IsZero() }, (*TPSP).IPID)
}

// IPWithAddress returns the IP in use that has a public address, whatever its account, or nil.
func (s *Snapshot) IPWithAddress(address string) *TPSP {
	for _, t := range s.ips {
		if t.Name == address && t.Deleted.IsZero() {
			return t
		}
	}
	return nil
}

// Uses returns the account's egress when it is in use, or nil.
func (s *Snapshot) Uses(accountID int32, e route.Egress) *TPSP {
	if t := s.Egress(e); t != nil && t.AccountID == accountID && t.Deleted.IsZero() {
		return t
	}
	return nil
}

// Owns tells whether a TPSP, deleted or not, is one of the account's.
func (s *Snapshot) Owns(accountID, tpspID int32) bool {
	t := s.tpsps[tpspID]
	return t != nil && t.AccountID == accountID
}

// Whitelisted tells whether a sub-account of the account has whitelisted a domain.
func (s *Snapshot) Whitelisted(accountID int32, name string) bool {
	return len(s.whitelisted) > 0 && s.whitelisted[domainName{accountID, name}]
}

// Signing returns the domain whose key signs mail of a sub-account that comes from a domain, or nil: the domain itself or the nearest
// one above it that the account has whitelisted and whose key stands in DNS. The sub-account's own goes before others of that name.
func (s *Snapshot) Signing(accountID, subAccountID int32, from string) *Domain {
	return nearest(s.signing, accountID, subAccountID, from)
}

// Tracking is Signing for the domain whose tracking name in DNS leads to us.
func (s *Snapshot) Tracking(accountID, subAccountID int32, from string) *Domain {
	return nearest(s.tracking, accountID, subAccountID, from)
}

func nearest(domains map[domainName][]*Domain, accountID, subAccountID int32, from string) *Domain {
	if len(domains) == 0 {
		return nil
	}
	for name, above := from, true; above; _, name, above = strings.Cut(name, ".") {
		list := domains[domainName{accountID, name}]
		if len(list) == 0 {
			continue
		}
		if i := slices.IndexFunc(list, func(d *Domain) bool { return d.SubAccountID == subAccountID }); i >= 0 {
			return list[i]
		}
		return list[0]
	}
	return nil
}

// Domain returns a domain that the sub-account has whitelisted, or nil.
func (s *Snapshot) Domain(subAccountID, id int32) *Domain {
	if d := s.domains[id]; d != nil && d.SubAccountID == subAccountID && d.Deleted.IsZero() {
		return d
	}
	return nil
}

// Domains returns the domains that the sub-account has whitelisted, in the order of ids.
func (s *Snapshot) Domains(subAccountID int32) []*Domain {
	return sorted(s.domains, func(d *Domain) bool { return d.SubAccountID == subAccountID && d.Deleted.IsZero() }, func(d *Domain) int32 { return d.ID })
}

// UsedDomain returns a domain that is in use, whatever its sub-account, or nil. It is for the upkeep of domains.
func (s *Snapshot) UsedDomain(id int32) *Domain {
	if d := s.domains[id]; d != nil && d.Deleted.IsZero() {
		return d
	}
	return nil
}

// UsedDomains returns the domains that are in use, of all accounts, in the order of ids.
func (s *Snapshot) UsedDomains() []*Domain {
	return sorted(s.domains, func(d *Domain) bool { return d.Deleted.IsZero() }, func(d *Domain) int32 { return d.ID })
}

// AnyDomain returns one of the account's domains, deleted or not, or nil. It is for statistics.
func (s *Snapshot) AnyDomain(accountID, id int32) *Domain {
	if d := s.domains[id]; d != nil && d.AccountID == accountID {
		return d
	}
	return nil
}

// EveryDomain returns the account's domains, deleted ones included, in the order of ids.
func (s *Snapshot) EveryDomain(accountID int32) []*Domain {
	return sorted(s.domains, func(d *Domain) bool { return d.AccountID == accountID }, func(d *Domain) int32 { return d.ID })
}

// Label returns one of the account's labels, or nil.
func (s *Snapshot) Label(accountID, id int32) *Label {
	if l := s.labels[id]; l != nil && l.AccountID == accountID {
		return l
	}
	return nil
}

// Labels returns the account's labels in the order of ids.
func (s *Snapshot) Labels(accountID int32) []*Label {
	return sorted(s.labels, func(l *Label) bool { return l.AccountID == accountID }, func(l *Label) int32 { return l.ID })
}

// Pool returns one of the account's IP pools, or nil.
func (s *Snapshot) Pool(accountID, id int32) *route.Pool {
	if p := s.pools[id]; p != nil && p.AccountID == accountID {
		return p
	}
	return nil
}

// PoolNamed returns the account's IP pool with exactly this name, or nil.
func (s *Snapshot) PoolNamed(accountID int32, name string) *route.Pool {
	return s.poolsByName[poolName{accountID, name}]
}

// Pools returns the account's IP pools in the order of ids.
func (s *Snapshot) Pools(accountID int32) []*route.Pool {
	return sorted(s.pools, func(p *route.Pool) bool { return p.AccountID == accountID },
		func(p *route.Pool) int32 { return p.ID })
}

func sorted[T any](all map[int32]*T, keep func(*T) bool, id func(*T) int32) []*T {
	list := make([]*T, 0, len(all))
	for _, item := range all {
		if keep(item) {
			list = append(list, item)
		}
	}
	slices.SortFunc(list, func(a, b *T) int { return cmp.Compare(id(a), id(b)) })
	return list
}
