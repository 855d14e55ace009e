// Package doctor looks for what keeps the mail of an account from flowing, and says how to repair it.
//
// It changes nothing. It asks providers, calls our own public URL, and reads a bounded part of what the store knows. Whatever
// it looks at has its time, so that an examination takes less than half a minute; what could not be looked at is told, too.
//
// What is broken shows in one check: those that depend on it are not made, and say so by a warning.
//
// The package knows providers and engines by their contracts only.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/catchup"
	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/template"
	"postyard/internal/tpsp"
)

// Status is what came of a check.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // mail flows, or is meant to wait; also: this could not be looked at
	Fail Status = "fail" // mail, or what providers report of it, does not get through
)

// The names of checks, in the order in which they are told.
const (
	Providers  = "providers"        // of the account: there are some
	PublicURL  = "public_url"       // of the account: our URL answers
	Server     = "server"           // a mail server lets us in
	Provider   = "provider"         // the provider answers us
	Token      = "token"            // the provider takes the token
	Stream     = "stream"           // mail can be sent through the message stream
	Webhook    = "webhook"          // it stands at the provider as it should
	Delivery   = "webhook_delivery" // what is posted there arrives here
	Template   = "template"         // messages may name the template; without one, all that are mirrored can be rendered
	Clock      = "clock"            // ours and the provider's agree
	InUse      = "in_use"           // the provider is neither stopped, paused nor in a drill
	Senders    = "senders"          // it refuses no sender domain
	InPool     = "in_pool"          // an IP pool leads to the provider
	CatchUp    = "catch_up"         // no events are to be read back
	Waiting    = "waiting"          // no mail waits for longer than it should
	Errors     = "errors"           // no attempt failed lately
	Unreadable = "webhook_bodies"   // what came by webhook could be read, and was about our mail
	Pool       = "pool"             // of the account: an IP pool leads somewhere, with fallbacks
	Domains    = "domains"          // of the account: DNS has the keys with which its mail is signed
	Hooks      = "webhooks"         // of the account: events get through to its webhooks
)

// Check is one thing that was looked at.
type Check struct {
	Name    string
	TPSPID  int32  // 0: it is about the account
	TPSP    string // the provider's name
	Status  Status
	Message string
	Fix     string // what repairs it; "" when it is ok
}

// Question is what to look at.
type Question struct {
	TPSPID   int32  // 0: all providers of the account
	Template string // an alias, "" for none in particular
	Pool     string // an IP pool's name, "" for all
}

// Connections tells how to reach a TPSP's account, and what it reports to; *tpsp.Service does.
type Connections interface {
	Connection(t *directory.TPSP) (provider.Connection, error)
	Hook(t *directory.TPSP) (provider.Hook, error)
}

// Store is what the package needs of the storage contract.
type Store interface {
	store.Trouble
	Permits(ctx context.Context, egress route.Egress, now time.Time, claim time.Duration) (store.Permits, error)
	SenderPermits(ctx context.Context, ids []int32, now time.Time, claim time.Duration) (map[int32][]limit.Use, error)
}

// CatchingUp knows how reading back goes; *catchup.Service does.
type CatchingUp interface {
	State(tpspID int32) catchup.State
}

// Templates knows what is mirrored; *template.Service does.
type Templates interface {
	List(accountID int32) []template.Listed
}

// SenderDomains knows what DNS says about domains; *domain.Service does.
type SenderDomains interface {
	Checks(d *directory.Domain) directory.DomainChecks
}

// Config is what a Service works with. All fields but Domains and Patience are required.
type Config struct {
	Directory   *directory.Directory
	Store       Store
	Adapters    provider.Registry
	Connections Connections
	CatchUp     CatchingUp
	Templates   Templates
	Domains     SenderDomains // nil: domains are not looked at
	Planner     *plan.Planner
	Webhooks    Webhooks
	PublicURL   string            // where providers reach us, without a trailing slash
	Transport   http.RoundTripper // keeps off addresses that users must not reach
	Claim       time.Duration     // how long a claim of the dispatcher lasts
	Now         func() time.Time  // the store's clock

	// Patience is how long one question to a provider, or to our own URL, may take; 0 is as long as [Longest] allows. It must not be changed
	// while the Service works.
	Patience time.Duration
}

// Service examines accounts. It is safe for concurrent use.
type Service struct {
	Config
	http *http.Client

	mu       sync.Mutex
	examined map[int32]struct{} // accounts that are now
}

// ErrRunning means that the account is being examined already. An account has one examination at a time: it asks providers at addresses that
// the account chose, and these may hold it up for as long as it lasts.
var ErrRunning = fmt.Errorf("the account is being examined already, which ends within %s", Longest+stepTime)

// Bounds of an examination.
const (
	Longest    = 22 * time.Second // the whole of it; the store has a stepTime beyond
	stepTime   = 7 * time.Second  // one question, when nothing else is said
	atOnce     = 4                // providers that one examination looks at
	recent     = 24 * time.Hour   // how far back failures count
	delayRows  = 10_000           // waiting messages of a kind that are looked at
	attempts   = 20_000           // attempts
	strangers  = 1_000            // webhook bodies that could not be read
	maxMessage = 2048             // bytes of a message or a fix
)

// New returns a Service.
func New(c Config) *Service {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // credentials must not travel on
	if c.Patience == 0 {
		c.Patience = stepTime
	}
	return &Service{Config: c, http: &http.Client{Transport: c.Transport, CheckRedirect: stay}, examined: map[int32]struct{}{}}
}

// exam is one examination.
type exam struct {
	*Service
	accountID int32
	Question
	view  *directory.Snapshot
	tpsps []*directory.TPSP // of the account
	ips   []*directory.TPSP // of the account
	now   time.Time
	slots chan struct{} // one for each provider that is looked at now; of the examination, so that accounts do not wait for each other

	url   Check // of our own URL; there when asked is closed
	asked chan struct{}
}

// Examine looks at an account. It fails with tpsp.ErrNotFound, with ErrRunning, or when the store does.
func (s *Service) Examine(ctx context.Context, accountID int32, q Question) ([]Check, error) {
	ctx, cancel := context.WithTimeout(ctx, Longest)
	defer cancel()
	e := &exam{Service: s, accountID: accountID, Question: q, view: s.Directory.Current(), now: s.Now().UTC(), asked: make(chan struct{}),
		slots: make(chan struct{}, atOnce)}
	e.tpsps, e.ips = e.view.TPSPs(accountID), e.view.IPs(accountID)
	examined := slices.Concat(e.tpsps, e.ips)
	if q.TPSPID != 0 {
		t := e.view.TPSP(accountID, q.TPSPID)
		if t == nil {
			return nil, tpsp.ErrNotFound
		}
		examined = []*directory.TPSP{t}
	}
	if !s.begin(accountID) {
		return nil, ErrRunning
	}
	defer s.end(accountID)
	results, errs := make([][]Check, len(examined)), make([]error, len(examined))
	var looking sync.WaitGroup
	reported := e.reported(examined)
	if reported {
		looking.Go(func() { defer close(e.asked); e.url = e.publicURL(ctx) })
	}
	for i, t := range examined {
		looking.Go(func() { results[i], errs[i] = e.patient(ctx, t) })
	}
	var list []Check
	if len(e.tpsps)+len(e.ips) == 0 {
		list = append(list, Check{Name: Providers, Status: Fail, Message: "the account has no provider, so it can send no mail",
			Fix: `POST /api/v1/account/tpsp with {"name": ..., "type": 4, "key": ..., "messageStream": ...}`})
	}
	looking.Wait()
	if reported {
		list = append(list, e.url)
	}
	for i := range results {
		if errs[i] != nil {
			return nil, fmt.Errorf("examine TPSP %d: %w", examined[i].ID, errs[i])
		}
		list = append(list, results[i]...)
	}
	list = append(list, e.pools()...)
	list = append(list, e.domains(examined)...)
	hooks, err := e.webhooks(ctx)
	if err != nil {
		return nil, fmt.Errorf("examine webhooks: %w", err)
	}
	list = append(list, hooks...)
	for i := range list {
		list[i].Message, list[i].Fix = provider.Clean(list[i].Message, maxMessage), provider.Clean(list[i].Fix, maxMessage)
	}
	return list, nil
}

// begin tells whether no examination of the account ran, and notes that one does.
func (s *Service) begin(accountID int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, runs := s.examined[accountID]; runs {
		return false
	}
	s.examined[accountID] = struct{}{}
	return true
}

func (s *Service) end(accountID int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.examined, accountID)
}

// reported tells whether one of the providers reports by webhook.
func (e *exam) reported(list []*directory.TPSP) bool {
	for _, t := range list {
		if a := e.Adapters[t.Type]; a != nil && !a.Capabilities().Silent && !t.Mute() {
			return true
		}
	}
	return false
}

// patient looks at one provider.
func (e *exam) patient(ctx context.Context, t *directory.TPSP) ([]Check, error) {
	p := &patient{exam: e, t: t}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
		p.remote(ctx)
	case <-ctx.Done():
		p.add(Provider, Warn, "not looked at: other providers took all the time", "%s", p.again())
	}
	p.local()
	// The store has its own time, and is asked even when providers used ours up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	if err := p.mail(ctx); err != nil {
		return nil, err
	}
	p.scrub()
	return p.list, nil
}

// patient is one provider under examination.
type patient struct {
	*exam
	t       *directory.TPSP
	list    []Check
	secrets []secret.String
	taken   map[int32][]limit.Use // of the limits of sub-accounts
}

// add notes what came of a check; fix is a format.
func (p *patient) add(name string, status Status, message, fix string, args ...any) {
	p.list = append(p.list, p.check(name, status, message, fix, args...))
}

func (p *patient) check(name string, status Status, message, fix string, args ...any) Check {
	if len(args) > 0 {
		fix = fmt.Sprintf(fix, args...)
	}
	return Check{Name: name, TPSPID: p.t.Egress().TPSPID(), TPSP: p.t.Name, Status: status, Message: message, Fix: fix}
}

// again is the command that looks at it once more.
func (p *patient) again() string {
	if p.t.IsIP() {
		return "postyard doctor once more"
	}
	return fmt.Sprintf("postyard doctor --tpsp %d", p.t.ID)
}

// path is where the egress is changed.
func (p *patient) path() string {
	if p.t.IsIP() {
		return fmt.Sprintf("/api/v1/account/ip/%d", p.t.IPID())
	}
	return fmt.Sprintf("/api/v1/account/tpsp/%d", p.t.ID)
}

// shortSecret is a length at which a secret may be a word: taking it out would spoil more than it hides.
const shortSecret = 6

// scrub takes secrets out of what foreign words may have brought in.
func (p *patient) scrub() {
	for _, s := range p.secrets {
		if len(s.Reveal()) < shortSecret {
			continue
		}
		for i := range p.list {
			c := &p.list[i]
			c.Message, c.Fix = strings.ReplaceAll(c.Message, s.Reveal(), secret.Redacted), strings.ReplaceAll(c.Fix, s.Reveal(), secret.Redacted)
		}
	}
}

// moment is a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// word is a text as one word of a shell.
func word(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
