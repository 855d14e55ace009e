package postmark

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"

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
	// Seed makes ids repeatable; 0 makes them random.
	Seed uint64
}

// Simulator is a Postmark account with its servers. It is an http.Handler for the API. Use New, then Attach.
type Simulator struct {
	clock     clock.Clock
	timetable *clock.Timetable
	hooks     *hook.Engine
	settings  *settings.Current
	log       *slog.Logger
	seed      uint64
	store     *store.Store

	mu         sync.RWMutex
	account    *account
	random     rand.Source
	policies   map[policyKey]*hook.Policy
	servers    []*server // the seed's comes first
	lastServer int       // the highest number so far
}

// New returns a simulator in its seeded state. It is a store.Restorer; once its store is open it must be given to Attach.
func New(d Deps) (*Simulator, error) {
	s := &Simulator{clock: d.Clock, timetable: d.Timetable, hooks: d.Hooks, settings: d.Settings, log: d.Log, seed: d.Seed}
	servers, err := s.seedServers()
	if err != nil {
		return nil, err
	}
	s.random, s.servers, s.lastServer, s.account = newRandom(s.seed), servers, len(servers), seedAccount()
	return s, nil
}

// seedServers returns the servers of the first state.
func (s *Simulator) seedServers() ([]*server, error) {
	first, err := seedServer(s.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("postmark: seed: %w", err)
	}
	return []*server{first}, nil
}

// Attach gives the simulator its store, which may hold mails from before a restart: deliveries and webhooks that were not done
// then are taken up again.
func (s *Simulator) Attach(st *store.Store) {
	s.store = st
	mails := st.All()
	s.goOn(mails)
	s.resume(mails)
}

// Reset goes back to the seed, but keeps the webhooks, and servers that were added, when asked to: whoever uses them does not hear of
// it. empty, which
// empties the store of all but the documents that it is given, is called while nothing can be added.
func (s *Simulator) Reset(keepWebhooks bool, empty func(stay []store.Document) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	servers, err := s.seedServers()
	if err != nil {
		return err
	}
	var stay []store.Document
	if keepWebhooks {
		more, documents, err := s.again()
		if err != nil {
			return err
		}
		servers = append(servers, more...)
		stay = append(documents, s.handOver(servers)...)
	}
	if err := empty(stay); err != nil {
		return err
	}
	s.random, s.servers, s.account = newRandom(s.seed), servers, seedAccount()
	return nil
}

// handOver gives the webhooks to the servers that replace those in force, as far as these have the streams, and returns their
// documents. The caller holds mu.
func (s *Simulator) handOver(servers []*server) []store.Document {
	var documents []store.Document
	for _, v := range servers {
		old := s.live(v)
		if old == nil {
			continue
		}
		for _, h := range old.webhooks {
			if v.stream(h.MessageStream) != nil {
				v.putWebhook(h)
				documents = append(documents, document(v, kindWebhook, strconv.Itoa(h.ID), h))
			}
		}
	}
	return documents
}

// live returns the server that is in force for one that a reset may have replaced while a request was on its way; nil when there
// is none any more. The caller holds mu.
func (s *Simulator) live(v *server) *server {
	for _, candidate := range s.servers {
		if candidate.id == v.id {
			return candidate
		}
	}
	return nil
}

// serverOf is live for a request. The caller holds mu.
func (s *Simulator) serverOf(c *call) (*server, error) {
	if v := s.live(c.server); v != nil {
		return v, nil
	}
	return nil, &failure{status: http.StatusUnauthorized, code: codeToken, message: textServerToken}
}

// Servers tells what there is to connect to.
func (s *Simulator) Servers() []store.Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]store.Server, len(s.servers))
	for i, v := range s.servers {
		list[i] = v.describe()
	}
	return list
}

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

// RestoreDocument brings back something of the account or of a server.
func (s *Simulator) RestoreDocument(kind, id string, value json.RawMessage) error {
	owner, id, _ := strings.Cut(id, "/")
	switch {
	case kind == kindServer:
		return s.restoreServer(owner, value)
	case owner == ownAccount:
		return s.account.restore(kind, id, value)
	}
	for _, server := range s.servers {
		if server.key() == owner {
			return server.restore(kind, id, value)
		}
	}
	return fmt.Errorf("postmark: no server %q", owner)
}

// document is something of a server's as the store has it.
func document(owner *server, kind, id string, value any) store.Document {
	return store.Document{Provider: Provider, Kind: kind, ID: owner.key() + "/" + id, Value: value}
}

// keep writes a document of a server to the store; a nil value is a deletion. What a reset has overtaken is as good as done before
// it. The caller holds mu.
func (s *Simulator) keep(owner *server, kind, id string, value any) error {
	if s.live(owner) != owner {
		return nil
	}
	d := document(owner, kind, id, value)
	if value == nil {
		return s.store.Delete(d)
	}
	return s.store.Put(d)
}
