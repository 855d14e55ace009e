package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/secret"
	"postyard/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inbox is the store. Reports without a message id match no message: their receipt is held, as a store does, and stored when
// it is fresh.
type inbox struct {
	mu       sync.Mutex
	receipts []store.Receipt
	due      map[int64]time.Time
	done     []store.Parsed // what was ingested, once per try
	calls    int
	refuse   func([]store.Receipt) error
	fail     func([]store.Parsed) error
}

func (b *inbox) Receive(_ context.Context, batch []store.Receipt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		if err := b.refuse(batch); err != nil {
			return err
		}
	}
	for _, r := range batch {
		b.store(r, time.Time{})
	}
	return nil
}

func (b *inbox) store(r store.Receipt, due time.Time) {
	r.ID = int64(len(b.due) + 1)
	b.due[r.ID] = due
	b.receipts = append(b.receipts, r)
}

func (b *inbox) Received(_ context.Context, now time.Time, limit int) ([]store.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []store.Receipt
	for _, r := range b.receipts {
		if len(list) < limit && !b.due[r.ID].After(now) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (b *inbox) Ingest(_ context.Context, batch []store.Parsed) (store.IngestResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fail != nil {
		if err := b.fail(batch); err != nil {
			return store.IngestResult{}, err
		}
	}
	for _, p := range batch {
		b.done = append(b.done, p)
		stranger := slices.ContainsFunc(p.Reports, func(r provider.Report) bool { return r.MessageID == uuid.UUID{} })
		switch {
		case stranger && !p.HoldTo.IsZero() && p.Fresh:
			b.store(p.Receipt, p.HoldTo)
			continue
		case stranger && !p.HoldTo.IsZero():
			b.due[p.Receipt.ID] = p.HoldTo
			continue
		}
		b.receipts = slices.DeleteFunc(b.receipts, func(r store.Receipt) bool { return r.ID == p.Receipt.ID })
	}
	return store.IngestResult{}, nil
}

// failing makes what follows fail, or not when fail is nil.
func (b *inbox) failing(fail func([]store.Parsed) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

// state returns how often Ingest was called and what is left.
func (b *inbox) state() (calls int, left []store.Receipt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls, slices.Clone(b.receipts)
}

// listener is an adapter that only listens. A body is a list of words, each a report: `sample`, `stranger`, or one of ours.
// The embedded interface is nil: any other call would panic.
type listener struct{ provider.Adapter }

func (listener) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark}
}

func (listener) Authentic(_ context.Context, _ provider.Connection, hook provider.Hook, d provider.Delivery) (bool, error) {
	return d.Header.Get("Authorization") == hook.Credentials.Username, nil
}

func (listener) Parse(h http.Header, body []byte) ([]provider.Report, error) {
	switch string(body) {
	case "garbage":
		return nil, errors.New("not JSON")
	case "panic":
		panic("index out of range")
	}
	var list []provider.Report
	for word := range strings.FieldsSeq(string(body)) {
		r := provider.Report{Identity: word + h.Get("X-Pm-Webhook-Trace-Id"), Sample: word == "sample"}
		if word != "stranger" {
			r.MessageID = uuid.UUID{1}
		}
		list = append(list, r)
	}
	return list, nil
}

type contents directory.Contents

func (contents) DirectoryRevision(context.Context) (int64, error) { return 0, nil }
func (c contents) LoadDirectory(context.Context) (directory.Contents, error) {
	return directory.Contents(c), nil
}

// configured holds two tenants; 103 was deleted, and the credentials of 105 cannot be read.
var configured = contents{TPSPs: []directory.TPSP{
	{ID: 101, AccountID: 1, Type: provider.Postmark}, {ID: 102, AccountID: 1, Type: provider.SendGrid},
	{ID: 103, AccountID: 1, Type: provider.Postmark, Deleted: time.Unix(1, 0)}, {ID: 105, AccountID: 1, Type: provider.Postmark},
	{ID: 201, AccountID: 2, Type: provider.Postmark},
}}

// passwords gives each TPSP a credential of its own: tpsp-101.
type passwords struct{}

func (passwords) Hook(t *directory.TPSP) (provider.Hook, error) {
	if t.ID == 105 {
		return provider.Hook{}, errors.New("sealed with another key")
	}
	return provider.Hook{Credentials: provider.Credentials{Username: fmt.Sprintf("tpsp-%d", t.ID)}}, nil
}

// bench is a Service with its store, on the clock of a synctest bubble.
type bench struct {
	*Service
	t     *testing.T
	inbox *inbox
	stop  func() // ends Run and waits for it
}

func prepare(t *testing.T) *bench {
	t.Helper()
	d, err := directory.Open(t.Context(), configured)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, inbox: &inbox{due: map[int64]time.Time{}}}
	b.Service = New(Config{Store: b.inbox, Directory: d, Hooks: passwords{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Providers: provider.Registry{provider.Postmark: listener{}, provider.SendGrid: listener{}}})
	return b
}

// run calls a test with a Service that runs.
func run(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := prepare(t)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		b.stop = func() { cancel(); running.Wait() }
		defer b.stop()
		synctest.Wait()
		test(b)
	})
}

// post receives bodies from TPSP 101 and waits until what can happen now has happened.
func (b *bench) post(bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		if err := b.Receive(b.t.Context(), 1, provider.Postmark, http.Header{"Authorization": {"tpsp-101"}}, []byte(body)); err != nil {
			b.t.Fatal(err)
		}
	}
	synctest.Wait()
}

// put stores bodies as if they had been received before, by TPSP 101.
func (b *bench) put(bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		if err := b.inbox.Receive(b.t.Context(), []store.Receipt{{AccountID: 1, TPSPID: 101, Body: []byte(body), ReceivedAt: time.Now()}}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// outcome is what was ingested of one body.
type outcome struct {
	Body, Garbage string
	Reports       []string
}

func (b *bench) outcomes() []outcome {
	list := []outcome{}
	for _, p := range b.inbox.done {
		o := outcome{Body: string(p.Receipt.Body), Garbage: p.Garbage}
		for _, r := range p.Reports {
			o.Reports = append(o.Reports, r.Identity)
		}
		list = append(list, o)
	}
	return list
}

// committed takes everything at once.
type committed struct{ inbox }

func (*committed) Ingest(context.Context, []store.Parsed) (store.IngestResult, error) {
	return store.IngestResult{}, nil
}

// same are the credentials of every TPSP.
type same struct{ password secret.String }

func (s same) Hook(*directory.TPSP) (provider.Hook, error) {
	return provider.Hook{Credentials: provider.Credentials{Username: "tpsp", Password: s.password}}, nil
}

// BenchmarkReceive is what a webhook costs here, apart from the connection and the store: who sends it, what is in it, and the
// hand-over.
func BenchmarkReceive(b *testing.B) {
	d, err := directory.Open(b.Context(), contents{TPSPs: []directory.TPSP{{ID: 101, AccountID: 1, Type: provider.Postmark}}})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Config{Store: &committed{}, Directory: d, Hooks: same{secret.NewString("secret")}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Providers: provider.Registry{provider.Postmark: postmark.New(postmark.Config{})}})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	h := http.Header{"User-Agent": {"Postmark"}, "Content-Type": {"application/json"}, "X-Pm-Webhook-Trace-Id": {uuid.NewString()}}
	(&http.Request{Header: h}).SetBasicAuth("tpsp", "secret")
	body := []byte(`{"RecordType":"Delivery","ServerID":1,"Details":"250 2.0.0 OK","DeliveredAt":"2026-03-02T10:15:30.1234567Z",` +
		`"MessageStream":"outbound","MessageID":"3f1c2a9e-8d44-4b7e-9a51-0c6f2d7e1b90","Recipient":"ana@example.net","Tag":null,"Metadata":{` +
		`"messageId":"01930000-0000-7000-8000-000000000001","accountId":"1","tpspId":"1","subAccountId":"1","emailType":"gmail","messageSubject":"Hi"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Receive(ctx, 1, provider.Postmark, h, body); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	running.Wait()
}

func (passwords) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{}, nil
}
func (same) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{}, nil
}
