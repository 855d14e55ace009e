package postmark

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Provider is the name under which the simulator's mails are kept.
const Provider = "postmark"

// Seeded credentials and names. The tokens are words, not UUIDs, so that no one takes them for real ones (PM-sim 10).
const (
	DemoServerToken   = "sandbox-server-token"
	DemoAccountToken  = "sandbox-account-token"
	DemoTemplateAlias = "welcome-template"
	testToken         = "POSTMARK_API_TEST"

	serverTokenHeader  = "X-Postmark-Server-Token"
	accountTokenHeader = "X-Postmark-Account-Token"
)

// Deps are what a simulator works with.
type Deps struct {
	Clock     clock.Clock
	Timetable *clock.Timetable // runs deliveries when they are due
	Hooks     *hook.Engine
	Settings  *settings.Current
	Log       *slog.Logger
	// Ladder are the waits between the tries of a webhook; nil is Postmark's own.
	Ladder []time.Duration
	// Seed makes ids repeatable; 0 makes them random.
	Seed uint64
}

// Simulator is a Postmark account with its servers. It is an http.Handler for the API. Use New, then Attach.
type Simulator struct {
	clock     clock.Clock
	timetable *clock.Timetable
	hooks     *hook.Engine
	policy    *hook.Policy
	settings  *settings.Current
	log       *slog.Logger
	seed      uint64
	store     *store.Store

	mu      sync.RWMutex
	random  rand.Source
	servers []*server
}

// New returns a simulator in its seeded state. It is a store.Restorer; once its store is open it must be given to Attach.
func New(d Deps) (*Simulator, error) {
	if d.Ladder == nil {
		d.Ladder = ladder()
	}
	s := &Simulator{clock: d.Clock, timetable: d.Timetable, hooks: d.Hooks, settings: d.Settings, log: d.Log, seed: d.Seed,
		policy: &hook.Policy{Ladder: d.Ladder, Judge: judge, RetriesHeader: headerRetries}}
	return s, s.reseed()
}

// reseed puts the simulator into its first state. The caller holds mu.
func (s *Simulator) reseed() error {
	first, err := seedServer(s.clock.Now())
	if err != nil {
		return fmt.Errorf("postmark: seed: %w", err)
	}
	s.random = newRandom(s.seed)
	s.servers = []*server{first}
	return nil
}

// Attach gives the simulator its store, which may hold mails from before a restart: deliveries and webhooks that were not done
// then are taken up again.
func (s *Simulator) Attach(st *store.Store) {
	s.store = st
	s.resume(st.All())
}

// Reset goes back to the seed. empty, which empties the store, is called while nothing can be added to it.
func (s *Simulator) Reset(empty func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := empty(); err != nil {
		return err
	}
	return s.reseed()
}

// current tells whether a server has not been replaced by a reset. The caller holds mu.
func (s *Simulator) current(v *server) bool { return slices.Contains(s.servers, v) }

// authenticate finds the server of the token (PM-sim 6).
func (s *Simulator) authenticate(c *call, need access) error {
	token := strings.TrimSpace(c.Header.Get(serverTokenHeader))
	if need == byAccount {
		if strings.EqualFold(strings.TrimSpace(c.Header.Get(accountTokenHeader)), DemoAccountToken) {
			return nil
		}
		return &failure{status: http.StatusUnauthorized, code: codeToken, message: textAccountToken}
	}
	if need == bySending && strings.EqualFold(token, testToken) {
		c.test = true
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, candidate := range s.servers {
		if strings.EqualFold(token, candidate.token) {
			c.server = candidate
			return nil
		}
	}
	return &failure{status: http.StatusUnauthorized, code: codeToken, message: textServerToken}
}

// RestoreDocument brings back a stream, template, webhook or suppression.
func (s *Simulator) RestoreDocument(kind, id string, value json.RawMessage) error {
	owner, id, _ := strings.Cut(id, "/")
	for _, server := range s.servers {
		if server.key() == owner {
			return server.restore(kind, id, value)
		}
	}
	return fmt.Errorf("postmark: no server %q", owner)
}

// keep writes a document of a server to the store; a nil document is a deletion.
func (s *Simulator) keep(owner *server, kind, id string, document any) error {
	if document == nil {
		return s.store.Delete(Provider, kind, owner.key()+"/"+id)
	}
	return s.store.Put(Provider, kind, owner.key()+"/"+id, document)
}
