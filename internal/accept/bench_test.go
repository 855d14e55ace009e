package accept_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox/mx"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/route"
	"postyard/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 5, 1, 12, 0, 0, 123, time.UTC)

// books is the store: it keeps what it is given and plans messages as a store does, within the write.
type books struct {
	mu         sync.Mutex
	saved      []saved
	seq        uint64
	err        error
	backlog    int64
	backlogErr error
	kept       map[string]*store.KeptAnswer
}

// saved is one message with what it shares.
type saved struct {
	store.NewMessage
	store.Planned
	store.Submission
	Content   mail.Content
	Recipient mail.Recipient
}

func (b *books) Accept(ctx context.Context, batch []store.Submission) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	for _, s := range store.Keyed(batch) {
		if b.kept[s.Keep.Key] != nil {
			return store.ErrKeyTaken
		}
	}
	for _, s := range batch {
		if s.Keep != nil {
			if b.kept == nil {
				b.kept = map[string]*store.KeptAnswer{}
			}
			b.kept[s.Keep.Key] = s.Keep
		}
		var content mail.Content
		if err := json.Unmarshal(s.Content, &content); err != nil {
			return err
		}
		for _, m := range s.Messages {
			var seq uint64
			if m.Spread {
				seq = b.seq
				b.seq++
			}
			row := saved{NewMessage: m, Planned: m.Plan(seq), Submission: s, Content: content}
			if err := json.Unmarshal(m.Recipient, &row.Recipient); err != nil {
				return err
			}
			b.saved = append(b.saved, row)
		}
	}
	return nil
}

func (b *books) Backlog(context.Context) (int64, error) { return b.backlog, b.backlogErr }

func (b *books) KeptAnswer(_ context.Context, _ int32, key string, _ time.Time) (*store.KeptAnswer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept[key], b.err
}

func (b *books) messages() []saved {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.saved
}

// carrier is an adapter that is only asked what it can carry. The embedded interface is nil: any other call would panic.
type carrier struct {
	provider.Adapter
	family event.Family
	refuse *mail.FieldError
}

func (c carrier) Capabilities() provider.Capabilities                               { return provider.Capabilities{Family: c.family} }
func (c carrier) CanCarry(content *mail.Content, _ provider.Terms) *mail.FieldError { return c.refuse }

type contents directory.Contents

func (contents) DirectoryRevision(context.Context) (int64, error) { return 0, nil }
func (c contents) LoadDirectory(context.Context) (directory.Contents, error) {
	return directory.Contents(c), nil
}

// pools returns account 1 with two providers (101 Postmark, 102 SendGrid), one that was deleted (103), one of a kind that is
// not known (104), and these pools.
func pools(list ...route.Pool) contents {
	return contents{
		Accounts:    []directory.Account{{ID: 1}, {ID: 2}},
		SubAccounts: []directory.SubAccount{{ID: 11, AccountID: 1}},
		TPSPs: []directory.TPSP{
			{ID: 101, AccountID: 1, Type: provider.Postmark}, {ID: 102, AccountID: 1, Type: provider.SendGrid},
			{ID: 103, AccountID: 1, Type: provider.Postmark, Deleted: now}, {ID: 104, AccountID: 1, Type: 999},
		},
		Pools: list,
	}
}

func pool(id int32, name string, members ...route.Egress) route.Pool {
	return route.Pool{ID: id, AccountID: 1, Name: name, Members: members}
}

func planner(adapters provider.Registry) *plan.Planner {
	return plan.New(adapters, func() time.Time { return now })
}

// bench is a Service at work.
type bench struct {
	*accept.Service
	t     *testing.T
	books *books
	woken []route.Egress
	stop  func()
}

// start runs a Service over one pool with one Postmark, unless edit says otherwise.
func start(t *testing.T, configured contents, edit ...func(*accept.Config)) *bench {
	t.Helper()
	d, err := directory.Open(t.Context(), configured)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, books: &books{}}
	config := accept.Config{
		Store: b.books, Directory: d, Mailboxes: mx.New(mx.Config{}), Now: func() time.Time { return now },
		Planner: planner(provider.Registry{provider.Postmark: carrier{family: event.Postmark}, provider.SendGrid: carrier{family: event.SendGrid}}),
		Room:    func() error { return nil },
		Wake:    func(e route.Egress) { b.woken = append(b.woken, e) },
	}
	for _, e := range edit {
		e(&config)
	}
	b.Service = accept.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	b.stop = func() { cancel(); running.Wait() }
	t.Cleanup(b.stop)
	return b
}

// simple is a Service with one pool over one Postmark.
func simple(t *testing.T, edit ...func(*accept.Config)) *bench {
	t.Helper()
	return start(t, pools(pool(31, "postmark-pool", 101)), edit...)
}

func (b *bench) accept(req *accept.Request) ([]accept.Result, error) {
	b.t.Helper()
	return b.Accept(b.t.Context(), &directory.SubAccount{ID: 11, AccountID: 1}, req)
}

// mustAccept accepts a request that is good as a whole.
func (b *bench) mustAccept(req *accept.Request) []accept.Result {
	b.t.Helper()
	results, err := b.accept(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return results
}

// refuses checks that the request breaks a rule, and that nothing came of it.
func (b *bench) refuses(req *accept.Request, code, field string) {
	b.t.Helper()
	results, err := b.accept(req)
	bad, ok := errors.AsType[*mail.FieldError](err)
	if !ok || results != nil {
		b.t.Fatalf("Accept = %+v, %v, want a FieldError", results, err)
	}
	if bad.Code != code || bad.Field != field || bad.Message == "" {
		b.t.Errorf("refused with %q in %q (%s), want %q in %q", bad.Code, bad.Field, bad.Message, code, field)
	}
	b.storedNothing()
}

func (b *bench) storedNothing() {
	b.t.Helper()
	if list := b.books.messages(); len(list) != 0 || len(b.woken) != 0 {
		b.t.Errorf("stored %+v, woke %v, want nothing", list, b.woken)
	}
}

// request returns a good request of one recipient, edited.
func request(edit ...func(*accept.Request)) *accept.Request {
	req := &accept.Request{
		Content:    mail.Content{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello", Template: "welcome"},
		Recipients: []mail.Recipient{to("ada@example.org")},
	}
	for _, e := range edit {
		e(req)
	}
	return req
}

func to(email string) mail.Recipient { return mail.Recipient{Address: mail.Address{Email: email}} }

func addresses(n int) []mail.Address {
	list := make([]mail.Address, n)
	for i := range list {
		list[i].Email = "copy@example.org"
	}
	return list
}

// quick is a store that plans what it is given and keeps nothing.
type quick struct{ store.Idempotency }

func (quick) Accept(_ context.Context, batch []store.Submission) error {
	for _, s := range batch {
		for _, m := range s.Messages {
			m.Plan(0)
		}
	}
	return nil
}

func (quick) Backlog(context.Context) (int64, error) { return 0, nil }

// BenchmarkAccept is what a message costs here, apart from the connection and the store: the rules, its plan, and the hand-over.
func BenchmarkAccept(b *testing.B) {
	d, err := directory.Open(b.Context(), pools(pool(31, "postmark-pool", 101)))
	if err != nil {
		b.Fatal(err)
	}
	s := accept.New(accept.Config{
		Store: quick{}, Directory: d, Mailboxes: mx.New(mx.Config{}), Now: func() time.Time { return now },
		Planner: planner(provider.Registry{provider.Postmark: postmark.New(postmark.Config{})}),
		Room:    func() error { return nil }, Wake: func(route.Egress) {},
	})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	sub := &directory.SubAccount{ID: 11, AccountID: 1}
	req := request(func(r *accept.Request) {
		r.Content.Pool, r.Content.Groups = "postmark-pool", []string{"welcome"}
		r.Recipients[0] = mail.Recipient{Address: mail.Address{Email: "gavin@gmail.com", Name: "Gavin"}, CustomFields: json.RawMessage(`{"name":"Gavin"}`)}
	})
	b.ReportAllocs()
	for b.Loop() {
		results, err := s.Accept(ctx, sub, req)
		if err != nil || results[0].Code != accept.Accepted {
			b.Fatal(results, err)
		}
	}
	cancel()
	running.Wait()
}
