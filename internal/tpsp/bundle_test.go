package tpsp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// bundle is a Service over a real database, with a provider that does what a test says.
type bundle struct {
	*Service
	t        *testing.T
	db       *sqlite.DB
	store    *flakyStore
	provider *scripted
	log      *bytes.Buffer
	account  int32
	began    time.Time
}

// setup must be called in a synctest bubble: the clock is the bubble's.
func setup(t *testing.T) *bundle {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	dir, err := directory.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	a, s := &directory.Account{Name: "a", SealedKey: []byte{1}}, &directory.SubAccount{Name: "s", SealedKey: []byte{1}}
	if err := db.CreateAccount(t.Context(), a, s); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, db: db, store: &flakyStore{DB: db}, provider: &scripted{}, log: &bytes.Buffer{}, account: a.ID, began: time.Now()}
	b.Service = b.service(dir, secret.NewBox(secret.NewKey()), "https://one.example.com/")
	return b
}

func (b *bundle) service(dir *directory.Directory, box *secret.Box, publicURL string) *Service {
	return NewService(Config{
		Directory: dir, Store: b.store, Adapters: provider.Registry{provider.Postmark: b.provider}, Box: box,
		PublicURL: publicURL, AllowPrivate: true, Now: time.Now, Jitter: func() float64 { return 0.5 }, // no spread
		Log: slog.New(slog.NewTextHandler(b.log, nil)),
	})
}

// restart returns the Service of another process on the same data.
func (b *bundle) restart(publicURL string) *Service {
	b.t.Helper()
	dir, err := directory.Open(b.t.Context(), b.db)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.service(dir, b.Box, publicURL)
}

// run runs a Registrar until the returned function is called, which waits for its end.
func run(t *testing.T, s *Service) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { NewRegistrar(s).Run(ctx) })
	return func() { cancel(); running.Wait() }
}

const token = "5ec7e700-1111-4222-8333-0123456789ab"

func (b *bundle) create(stream string) *directory.TPSP {
	b.t.Helper()
	t, _, err := b.Create(b.t.Context(), b.account, New{
		Name: "Postmark " + stream, Type: provider.Postmark, Key: secret.NewString(token), Stream: stream,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// now returns a TPSP as the database has it.
func (b *bundle) now(id int32) *directory.TPSP {
	b.t.Helper()
	contents, err := b.db.LoadDirectory(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, t := range contents.TPSPs {
		if t.ID == id {
			return &t
		}
	}
	b.t.Fatalf("no TPSP %d", id)
	return nil
}

// flakyStore is a database that can be told to fail or to watch.
type flakyStore struct {
	*sqlite.DB
	mu      sync.Mutex
	updates int // how many UpdateWebhook are refused
	debts   int // how many CatchUpFrom are refused
	count   func(context.Context, route.Egress) (int64, error)
}

func (f *flakyStore) UpdateWebhook(ctx context.Context, id int32, w directory.Webhook) error {
	f.mu.Lock()
	refused := f.updates > 0
	f.updates--
	f.mu.Unlock()
	if refused {
		return fmt.Errorf("the disk is away")
	}
	return f.DB.UpdateWebhook(ctx, id, w)
}

func (f *flakyStore) CatchUpFrom(ctx context.Context, id int32, from time.Time) error {
	f.mu.Lock()
	refused := f.debts > 0
	f.debts--
	f.mu.Unlock()
	if refused {
		return fmt.Errorf("the disk is away")
	}
	return f.DB.CatchUpFrom(ctx, id, from)
}

func (f *flakyStore) Waiting(ctx context.Context, e route.Egress) (int64, error) {
	if f.count != nil {
		return f.count(ctx, e)
	}
	return f.DB.Waiting(ctx, e)
}

// call is a set-up step that reached the provider.
type call struct {
	op   string
	at   time.Time
	tpsp int32
	conn provider.Connection
	hook provider.Hook
}

// scripted is a provider whose set-up steps do what a test says; by default all succeed. Its other methods must not be called.
type scripted struct {
	provider.Adapter
	check      func(ctx context.Context) error
	register   func(ctx context.Context, n int) (string, error) // n counts from 1
	unregister func(ctx context.Context, n int) error
	servers    map[string]string // the provider's ids of accounts, by key
	repaired   func()            // is called when the webhook stands at the provider
	changed    func(n int) bool  // the webhook had to be put right; by default when it is new

	mu      sync.Mutex
	calls   []call
	at      map[int32]int // steps on the wire for each TPSP
	overlap bool          // two were on the wire for one TPSP
}

func (s *scripted) begin(op string, conn provider.Connection, hook provider.Hook) (n int, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[int32]int{}
	}
	s.at[conn.TPSPID]++
	s.overlap = s.overlap || s.at[conn.TPSPID] > 1
	for _, c := range s.calls {
		if c.op == op {
			n++
		}
	}
	s.calls = append(s.calls, call{op: op, at: time.Now(), tpsp: conn.TPSPID, conn: conn, hook: hook})
	return n + 1, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at[conn.TPSPID]--
	}
}

// made returns the steps of one kind so far.
func (s *scripted) made(op string) (calls []call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.op == op {
			calls = append(calls, c)
		}
	}
	return calls
}

func (s *scripted) Capabilities() provider.Capabilities {
	return provider.Capabilities{Streams: true, Reluctant: true}
}

func (s *scripted) Profile() provider.Profile {
	return provider.Profile{Title: "Scripted", Fields: []provider.Field{{Name: provider.FieldKey, Holds: "the token"}}}
}

// Distinguish does as Postmark does.
func (s *scripted) Distinguish(conn provider.Connection) string {
	return strings.ToLower(conn.Key.Reveal())
}

func (s *scripted) Check(ctx context.Context, _ provider.Connection) error {
	if s.check != nil {
		return s.check(ctx)
	}
	return nil
}

func (s *scripted) Identify(_ context.Context, conn provider.Connection) (string, error) {
	if id, known := s.servers[conn.Key.Reveal()]; known || s.servers == nil {
		return id, nil
	}
	return "", revoked
}

func (s *scripted) Register(ctx context.Context, conn provider.Connection, hook provider.Hook) (string, bool, error) {
	n, end := s.begin("register", conn, hook)
	defer end()
	changed := hook.Ref == ""
	if s.changed != nil {
		changed = s.changed(n)
	}
	if changed && hook.Broken != nil {
		if err := hook.Broken(); err != nil {
			return "", false, err
		}
	}
	if s.repaired != nil {
		s.repaired()
	}
	if s.register != nil {
		ref, err := s.register(ctx, n)
		return ref, changed, err
	}
	return fmt.Sprintf("hook-%d", n), changed, nil
}

func (s *scripted) Unregister(ctx context.Context, conn provider.Connection, hook provider.Hook) error {
	n, end := s.begin("unregister", conn, hook)
	defer end()
	if s.unregister != nil {
		return s.unregister(ctx, n)
	}
	return nil
}
