package sendgrid

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Provider is the name under which the simulator's mails are kept.
const Provider = "sendgrid"

// The seed. The key is made of words, so that no one takes it for a real one.
const (
	DemoKey = "SG.sandbox.sandbox-api-key"

	accountName   = "SendGrid"
	defaultStream = "default" // shown for mail that names no IP pool
)

// pools and groups are the IP pools and the unsubscribe groups of the account.
var (
	pools  = []string{"transactional", "marketing"}
	groups = []int64{10, 20}
)

// Deps are what a simulator works with.
type Deps struct {
	Clock     clock.Clock
	Timetable *clock.Timetable // runs steps when they are due
	Hooks     *hook.Engine
	Settings  *settings.Current
	Log       *slog.Logger
	// Seed makes ids repeatable, except those of keys; 0 makes them random.
	Seed uint64
}

// Simulator is a SendGrid account. It is an http.Handler for the API. Use New, then Attach.
type Simulator struct {
	clock     clock.Clock
	timetable *clock.Timetable
	hooks     *hook.Engine
	settings  *settings.Current
	log       *slog.Logger
	seed      uint64
	store     *store.Store

	mu       sync.RWMutex
	account  *account // replaced by a reset
	random   rand.Source
	policies map[policyKey]*hook.Policy
	held     map[int][]notice    // what waits to be posted together, by the webhook's number
	requests map[string]*request // of several mails, while a journal is read
}

// account is what a reset takes away. Guarded by Simulator.mu.
type account struct {
	webhooks     []*webhook // in the order in which they were made
	lastHook     int        // the highest number so far
	suppressions map[suppressionKey]bool
}

func newAccount() *account { return &account{suppressions: map[suppressionKey]bool{}} }

// New returns a simulator in its seeded state. It is a store.Restorer; once its store is open it must be given to Attach.
func New(d Deps) *Simulator {
	return &Simulator{clock: d.Clock, timetable: d.Timetable, hooks: d.Hooks, settings: d.Settings, log: d.Log, seed: d.Seed,
		account: newAccount(), random: newRandom(d.Seed), held: map[int][]notice{}, requests: map[string]*request{}}
}

func newRandom(seed uint64) rand.Source {
	if seed == 0 {
		return rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return rand.NewPCG(seed, 3)
}

// Attach gives the simulator its store, which may hold mails from before a restart: steps and webhooks that were not done then are taken
// up again. Ids that a seeded simulator gave before are not given again.
func (s *Simulator) Attach(st *store.Store) {
	s.store = st
	s.mu.Lock()
	s.requests = nil
	if n := st.Len(); s.seed != 0 && n > 0 {
		s.random = rand.NewPCG(s.seed^uint64(n)<<32, 3)
	}
	s.mu.Unlock()
	s.resume()
}

// Reset goes back to the seed, but keeps the webhooks when asked to: whoever uses them does not hear of it. empty, which empties the
// store of all but the documents that it is given, is called while nothing can be added.
func (s *Simulator) Reset(keepWebhooks bool, empty func(stay []store.Document) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := newAccount()
	var stay []store.Document
	if keepWebhooks {
		next.webhooks, next.lastHook = s.account.webhooks, s.account.lastHook
		for _, h := range next.webhooks {
			stay = append(stay, h.document())
		}
	}
	if err := empty(stay); err != nil {
		return err
	}
	s.account, s.random, s.held = next, newRandom(s.seed), map[int][]notice{}
	return nil
}

// Servers tells what there is to connect to.
func (s *Simulator) Servers() []store.Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return []store.Server{{Provider: Provider, Name: accountName, TokenHeader: "Authorization", Token: DemoKey, Webhooks: len(s.account.webhooks)}}
}

// Whose tells which account a request is for: its name and its key.
func (s *Simulator) Whose(r *http.Request) [2]string {
	switch key, _ := bearer(r); key {
	case "":
		return [2]string{}
	case DemoKey:
		return [2]string{accountName, key}
	default:
		return [2]string{"", key}
	}
}

// Owns tells whether a request is for this API.
func Owns(r *http.Request) bool { return r.URL.Path == "/v3" || strings.HasPrefix(r.URL.Path, "/v3/") }

// Kinds of documents in the store.
const (
	kindWebhook     = "webhook"
	kindSuppression = "suppression"
	kindRequest     = "request" // what the mails of one request have in common
)

// RestoreDocument brings back something of the account.
func (s *Simulator) RestoreDocument(kind, id string, value json.RawMessage) error {
	switch kind {
	case kindWebhook:
		return s.account.restoreWebhook(id, value)
	case kindSuppression:
		return s.account.restoreSuppression(id, value)
	case kindRequest:
		return s.restoreRequest(id, value)
	}
	return fmt.Errorf("sendgrid: unknown kind of document %q", kind)
}

// RestoreEvents implements store.Restorer: events leave nothing behind but what documents say.
func (*Simulator) RestoreEvents(*store.Mail, []store.Event) {}

// newID returns 22 characters of base64, as SendGrid's ids have. The caller holds mu.
func (s *Simulator) newID() string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], s.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.random.Uint64())
	return base64.RawURLEncoding.EncodeToString(id[:])
}
