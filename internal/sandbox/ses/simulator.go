package ses

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Provider is the name under which the simulator's mails are kept.
const Provider = "ses"

// Seeded credentials and names. The key id has the form of AWS's, so that programs that look at it take it; it is nobody's.
const (
	DemoKeyID  = "AKIASANDBOXSANDBOX00"
	DemoSecret = "sandbox-secret-access-key"
	Region     = "us-east-1"

	serverName = "Amazon SES"
	accountID  = "123456789012"
	seedDomain = "example.com"
)

// Deps are what a simulator works with.
type Deps struct {
	Clock     clock.Clock
	Timetable *clock.Timetable // runs deliveries when they are due
	Hooks     *hook.Engine
	Settings  *settings.Current
	Log       *slog.Logger
	Seed      uint64 // makes ids repeatable; 0 makes them random
}

// Simulator is an AWS account with SES and SNS. It is an http.Handler for both. Use New, then Attach.
type Simulator struct {
	clock     clock.Clock
	timetable *clock.Timetable
	hooks     *hook.Engine
	settings  *settings.Current
	log       *slog.Logger
	seed      uint64
	store     *store.Store

	mu     sync.RWMutex
	random rand.Source
	account
	lastSubscription int    // the highest number so far; none is given twice
	lastOther        int    // counts tokens, and messages that are about no mail
	salt             uint64 // keeps what is not random, as a reset may keep it, from being that of another run

	policyMu sync.Mutex
	policies map[policyKey]*hook.Policy
}

// account is what the API can change.
type account struct {
	paused        bool
	identities    map[string]bool         // verified domains and addresses, lower case
	suppressions  map[string]*suppression // by lower-case address
	sets          map[string]*configurationSet
	topics        map[string]*topic // by ARN
	subscriptions map[int]*subscription
	sent          []sent // of the last 24 h
}

func seedAccount() account {
	return account{identities: map[string]bool{seedDomain: true}, suppressions: map[string]*suppression{},
		sets: map[string]*configurationSet{}, topics: map[string]*topic{}, subscriptions: map[int]*subscription{}}
}

// New returns a simulator in its seeded state. It is a store.Restorer; once its store is open it must be given to Attach.
func New(d Deps) *Simulator {
	return &Simulator{clock: d.Clock, timetable: d.Timetable, hooks: d.Hooks, settings: d.Settings, log: d.Log, seed: d.Seed,
		random: newRandom(d.Seed), salt: cmp.Or(d.Seed, rand.Uint64()), account: seedAccount()}
}

// Attach gives the simulator its store, which may hold mails from before a restart: deliveries, notifications and confirmations that were
// not done then are taken up again.
func (s *Simulator) Attach(st *store.Store) {
	s.store = st
	mails := slices.DeleteFunc(st.All(), func(mail *store.Mail) bool { return mail.Provider != Provider })
	s.goOn(mails)
	s.recount(mails)
	s.resume(mails)
	s.remind()
}

// Reset goes back to the seed, but keeps topics, subscriptions, configuration sets and event destinations when asked to: whoever uses them
// does not hear of it. empty, which empties the store of all but the documents that it is given, is called while nothing can be added.
func (s *Simulator) Reset(keepWebhooks bool, empty func(stay []store.Document) error) error {
	s.mu.Lock()
	fresh := seedAccount()
	var stay []store.Document
	if keepWebhooks {
		fresh.topics, fresh.subscriptions, fresh.sets = s.topics, s.subscriptions, s.sets
		stay = fresh.documents()
	}
	if err := empty(stay); err != nil {
		s.mu.Unlock()
		return err
	}
	s.random, s.account = newRandom(s.seed), fresh
	s.mu.Unlock()
	s.remind()
	return nil
}

// Kinds of documents in the store.
const (
	kindAccount      = "account"
	kindIdentity     = "identity"
	kindSuppression  = "suppression"
	kindSet          = "set"
	kindTopic        = "topic"
	kindSubscription = "subscription"
)

// sendingDocument is the document of the account itself.
type sendingDocument struct {
	Paused bool `json:"paused"`
}

// documents are those of what a reset keeps.
func (a *account) documents() []store.Document {
	var list []store.Document
	for _, arn := range slices.Sorted(maps.Keys(a.topics)) {
		list = append(list, document(kindTopic, arn, a.topics[arn]))
	}
	for _, number := range slices.Sorted(maps.Keys(a.subscriptions)) {
		list = append(list, a.subscriptions[number].document())
	}
	for _, name := range slices.Sorted(maps.Keys(a.sets)) {
		list = append(list, document(kindSet, name, a.sets[name]))
	}
	return list
}

func document(kind, id string, value any) store.Document {
	return store.Document{Provider: Provider, Kind: kind, ID: id, Value: value}
}

// RestoreDocument brings back something of the account.
func (s *Simulator) RestoreDocument(kind, id string, value json.RawMessage) error {
	switch kind {
	case kindAccount:
		var d sendingDocument
		if err := json.Unmarshal(value, &d); err != nil {
			return err
		}
		s.paused = d.Paused
		return nil
	case kindIdentity:
		s.identities[id] = true
		if value == nil {
			delete(s.identities, id)
		}
		return nil
	case kindSuppression:
		return restore(s.suppressions, id, value)
	case kindSet:
		return restore(s.sets, id, value)
	case kindTopic:
		return restore(s.topics, id, value)
	case kindSubscription:
		return s.restoreSubscription(id, value)
	}
	return fmt.Errorf("ses: unknown kind of document %q", kind)
}

// restore puts a document's value into a map; nil takes it out.
func restore[T any](into map[string]*T, id string, value json.RawMessage) error {
	if value == nil {
		delete(into, id)
		return nil
	}
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	into[id] = &v
	return nil
}

// put writes a document to the store. The caller holds mu.
func (s *Simulator) put(kind, id string, value any) error {
	return s.store.Put(document(kind, id, value))
}

// drop removes one. The caller holds mu.
func (s *Simulator) drop(kind, id string) error { return s.store.Delete(document(kind, id, nil)) }

// Servers tells what there is to connect to.
func (s *Simulator) Servers() []store.Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	confirmed := 0
	for _, sub := range s.subscriptions {
		if sub.Confirmed {
			confirmed++
		}
	}
	return []store.Server{{Provider: Provider, Name: serverName, Streams: slices.Sorted(maps.Keys(s.sets)), Webhooks: confirmed, User: DemoKeyID,
		Password: DemoSecret}}
}

// Whose tells which account a request is for: its name, and the access key's id.
func (s *Simulator) Whose(r *http.Request) [2]string {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return [2]string{serverName}
	}
	return [2]string{serverName, a.keyID}
}

// Owns tells whether a request is for SES or SNS: a path of SES's API, a form posted to the root, a link of a notification, a certificate.
func Owns(r *http.Request) bool {
	switch {
	case isREST(r), certificatePath.MatchString(r.URL.Path):
		return true
	case !atRoot(r):
		return false
	}
	return r.Method == http.MethodPost && isForm(r) || r.URL.Query().Has("Action")
}

func atRoot(r *http.Request) bool { return r.URL.Path == "/" || r.URL.Path == "" }

func isREST(r *http.Request) bool {
	return r.URL.Path == "/v2/email" || strings.HasPrefix(r.URL.Path, "/v2/email/")
}
