package catchup

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = 1
	tpspID  = 7
)

// bench is a Service over a store and a provider that do what a test says. The clock is the bubble's.
type bench struct {
	*Service
	t        *testing.T
	store    *memory
	provider *scripted
	log      *lockedBuffer
	began    time.Time
}

// setup must be called in a synctest bubble. The TPSP was made a day ago.
func setup(t *testing.T) *bench {
	t.Helper()
	now := time.Now()
	m := &memory{seen: map[string]bool{}, leases: map[string]string{}, states: map[mail.ID]lifecycle.State{}, tpsp: directory.TPSP{
		ID: tpspID, AccountID: account, Name: "Postmark", Type: provider.Postmark, Created: now.Add(-24 * time.Hour),
		Webhook: directory.Webhook{State: directory.WebhookRegistered, Ref: "1", NextTry: now.Add(1000 * time.Hour)},
	}}
	dir, err := directory.Open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: m, provider: &scripted{}, log: &lockedBuffer{}, began: now}
	b.Service = New(Config{Store: m, Directory: dir, Providers: provider.Registry{provider.Postmark: b.provider}, Connections: reachable{},
		Holder: "here", Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: time.Now, Jitter: func() float64 { return 0.5 }})
	return b
}

// change changes the TPSP, as another part of the server does.
func (b *bench) change(change func(*directory.TPSP)) {
	b.t.Helper()
	b.store.mu.Lock()
	change(&b.store.tpsp)
	b.store.mu.Unlock()
	if err := b.Directory.Reload(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

// run runs the Service until the returned function is called, which waits for its end.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// elapse lets time pass.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// debt is since when the TPSP has to be caught up with, as the store has it.
func (b *bench) debt() time.Time {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.store.tpsp.CatchUp
}

type reachable struct{}

func (reachable) Connection(t *directory.TPSP) (provider.Connection, error) {
	return provider.Connection{AccountID: t.AccountID, TPSPID: t.ID}, nil
}

// memory is a store with one TPSP.
type memory struct {
	Store // nothing else is called
	mu    sync.Mutex

	tpsp     directory.TPSP
	listened time.Time
	leases   map[string]string
	states   map[mail.ID]lifecycle.State
	awaiting []store.Awaited
	seen     map[string]bool
	parsed   []store.Parsed
	refuse   func(store.Parsed) error
}

func (m *memory) LoadDirectory(context.Context) (directory.Contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return directory.Contents{TPSPs: []directory.TPSP{m.tpsp}}, nil
}

func (*memory) DirectoryRevision(context.Context) (int64, error) { return 0, nil }

func (m *memory) Listening(_ context.Context, silence, overlap time.Duration) (gap time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if since := now.Sub(m.listened); !m.listened.IsZero() && since > silence {
		gap = since
		if from := m.listened.Add(-overlap); m.tpsp.CatchUp.IsZero() || from.Before(m.tpsp.CatchUp) {
			m.tpsp.CatchUp = from
		}
	}
	m.listened = now
	return gap, nil
}

func (m *memory) Lease(_ context.Context, name, holder string, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if other := m.leases[name]; other != "" && other != holder {
		return false, nil
	}
	m.leases[name] = holder
	return true, nil
}

func (m *memory) Release(_ context.Context, name, holder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases[name] == holder {
		delete(m.leases, name)
	}
	return nil
}

func (m *memory) CaughtUp(_ context.Context, _ int32, from time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tpsp.CatchUp.Equal(from) {
		m.tpsp.CatchUp = time.Time{}
	}
	return nil
}

func (m *memory) Awaiting(_ context.Context, _ route.Egress, _, _ time.Time, after mail.ID, limit int) (list []store.Awaited, last mail.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.awaiting {
		if a.ID.String() > after.String() && len(list) < limit {
			list, last = append(list, a), a.ID
		}
	}
	return list, last, nil
}

func (m *memory) Message(_ context.Context, _ int32, id mail.ID) (*store.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state, ok := m.states[id]
	if !ok {
		return nil, store.ErrNotFound
	}
	return &store.Message{ID: id, State: state}, nil
}

func (m *memory) Ingest(_ context.Context, batch []store.Parsed) (res store.IngestResult, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range batch {
		if m.refuse != nil {
			if err := m.refuse(p); err != nil {
				return store.IngestResult{}, err
			}
		}
		m.parsed = append(m.parsed, p)
		for _, r := range p.Reports {
			if m.seen[r.Identity] {
				res.Duplicates++
				continue
			}
			m.seen[r.Identity] = true
			res.Recorded++
		}
	}
	return res, nil
}

// scripted is a provider whose past is what a test says.
type scripted struct {
	provider.Adapter
	history func(ctx context.Context, n int, past provider.Past) ([]string, error) // n counts from 1
	missing []string                                                               // of Fates
	fates   func(sent []provider.Sent, yield func([]provider.Report) error) error

	mu     sync.Mutex
	since  []time.Time // of each History
	called []time.Time
	asked  []provider.Sent
}

func (*scripted) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark}
}

func (s *scripted) History(ctx context.Context, _ provider.Connection, past provider.Past) ([]string, error) {
	s.mu.Lock()
	s.since, s.called = append(s.since, past.Since), append(s.called, time.Now())
	n := len(s.since)
	s.mu.Unlock()
	if s.history == nil {
		return nil, nil
	}
	return s.history(ctx, n, past)
}

func (s *scripted) Fates(_ context.Context, _ provider.Connection, sent []provider.Sent, yield func([]provider.Report) error) ([]string, error) {
	s.mu.Lock()
	s.asked = append(s.asked, sent...)
	s.mu.Unlock()
	if s.fates == nil {
		return nil, nil
	}
	return s.missing, s.fates(sent, yield)
}

// passes returns how often the provider was asked so far, and since when the last time.
func (s *scripted) passes() (n int, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.since) == 0 {
		return 0, time.Time{}
	}
	return len(s.since), s.since[len(s.since)-1]
}

// at returns when the provider was asked, counted from a time.
func (s *scripted) at(from time.Time) (list []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, called := range s.called {
		list = append(list, called.Sub(from))
	}
	return list
}

// lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
