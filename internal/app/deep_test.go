package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
)

// deepQueue is how many messages wait in TestDeepQueue; `make deep` sets it to a million.
const deepQueue = "POSTYARD_DEEP_QUEUE"

// deep is a server with two providers: mail for the first one waits, because it is away; the second one works.
type deep struct {
	t        *testing.T
	cfg      config.Config
	away     atomic.Bool // the first provider is
	arrived  atomic.Int64
	urgent   atomic.Int64
	server   *Server
	urls     [2]string
	stop     func()
	egresses [2]route.Egress
	account  int32
	sub      int32
	pool     int32
}

func newDeep(t *testing.T, database string) *deep {
	t.Helper()
	simulator, err := sandbox.New(sandbox.Config{DeliveryDelay: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	d := &deep{t: t, cfg: config.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Database: secret.NewString(database), AllowPrivate: true,
		SecretKey: secret.NewKey(), MaxBacklog: 10_000_000, CallTimeout: 10 * time.Second, AskAfter: []time.Duration{time.Second},
		AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 8, BatchSize: 100, ShutdownGrace: time.Second}}
	for i := range d.urls {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/email") {
				if i == 0 && d.away.Load() {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return // the client hung up
				}
				d.arrived.Add(int64(bytes.Count(body, []byte(`"TemplateAlias"`))))
				if bytes.Contains(body, []byte(urgent)) {
					d.urgent.Add(1)
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			simulator.Handler().ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		d.urls[i] = front.URL
	}
	t.Cleanup(func() {
		d.stop()
		if err := simulator.Close(); err != nil {
			t.Error(err)
		}
	})
	d.away.Store(true)
	d.start()
	d.connect()
	return d
}

// start runs the server until stop.
func (d *deep) start() {
	d.t.Helper()
	server, err := NewServer(d.t.Context(), d.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx); err != nil {
			d.t.Errorf("run: %v", err)
		}
	})
	d.server = server
	d.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
}

func (d *deep) connect() {
	t := d.t
	t.Helper()
	fresh, _, err := d.server.Bootstrap(t.Context(), "deep")
	if err != nil {
		t.Fatal(err)
	}
	d.account, d.sub = fresh.Account.ID, fresh.SubAccount.ID
	api := &client.Client{URL: d.server.URL, AccountKey: fresh.AccountKey}
	for i, stream := range []string{"outbound", "broadcast"} {
		made, err := api.CreateTPSP(t.Context(), client.NewTPSP{Type: 4, Name: stream, Key: SandboxToken, Endpoint: d.urls[i], MessageStream: stream})
		if err != nil {
			t.Fatal(err)
		}
		d.egresses[i], d.pool = route.TPSP(made.ID), made.IPPool.ID
	}
}

// urgent is the recipient of a message that must not wait for others.
const urgent = "urgent@gmail.com"

// fill puts n messages into the queue of an egress.
func (d *deep) fill(e route.Egress, n int) {
	d.t.Helper()
	d.fillAs(d.sub, e, n, func(left, i int) string { return fmt.Sprintf("u%d-%d@%s", left, i, domains[i%len(domains)]) })
}

// fillAs does so for a sub-account and its recipients.
func (d *deep) fillAs(sub int32, e route.Egress, n int, recipientOf func(left, i int) string) {
	d.t.Helper()
	const chunk = 400
	content, err := json.Marshal(mail.Content{From: mail.Address{Email: "hello@example.com"}, Template: "welcome-template"})
	if err != nil {
		d.t.Fatal(err)
	}
	plan := func(uint64) store.Planned {
		return store.Planned{Plan: route.Plan{Egresses: []route.Egress{e}, Rule: "deep"}, Processed: 69}
	}
	for left := n; left > 0; left -= chunk {
		s := store.Submission{AccountID: d.account, SubAccountID: sub, Content: content, SubmittedAt: d.server.store.Now()}
		for i := range min(left, chunk) {
			to := recipientOf(left, i)
			recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: to}})
			if err != nil {
				d.t.Fatal(err)
			}
			s.Messages = append(s.Messages, store.NewMessage{ID: uuid.Must(uuid.NewV7()), Recipient: recipient, To: to,
				Mailbox: mailbox.ByDomain(mail.Domain(to)), PoolID: d.pool, Plan: plan})
		}
		if err := d.server.store.Accept(d.t.Context(), []store.Submission{s}); err != nil {
			d.t.Fatal(err)
		}
	}
	d.server.dispatcher.Wake(e)
}

// limit sets how many messages the provider that works may take in an hour.
func (d *deep) limit(perHour int) {
	d.t.Helper()
	p := *d.server.directory.Current().AnyTPSP(int32(d.egresses[1]))
	p.Limits = limit.Limits{PerHour: perHour}
	err := d.server.store.UpdateTPSP(d.t.Context(), &p)
	if err == nil {
		err = d.server.directory.Reload(d.t.Context())
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.server.changed()
}

// TestBulkDoesNotBlock has one sub-account's bulk wait for permits, and another one's single mail come after it: it gets one of the
// next permits.
func TestBulkDoesNotBlock(t *testing.T) {
	depth, text := 2000, os.Getenv(deepQueue)
	if text != "" {
		var err error
		if depth, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", deepQueue, err)
		}
	}
	for engine, database := range map[string]func(*testing.T) string{
		"SQLite": func(*testing.T) string { return "" }, "PostgreSQL": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			d := newDeep(t, database(t))
			d.limit(100)
			d.fillAs(d.sub, d.egresses[1], depth, func(left, i int) string { return fmt.Sprintf("u%d-%d@gmail.com", left, i) })
			waitFor(t, "the limit to be reached", func() bool { return d.arrived.Load() == 100 })
			second := directory.SubAccount{AccountID: d.account, Name: "second", KeyHash: secret.Hash("second"), SealedKey: []byte("k"), Created: d.server.store.Now()}
			if err := d.server.store.CreateSubAccount(t.Context(), &second); err != nil {
				t.Fatal(err)
			}
			d.fillAs(second.ID, d.egresses[1], 1, func(int, int) string { return urgent })
			if d.arrived.Load() != 100 {
				t.Fatal("it did not wait for a permit")
			}
			began := time.Now()
			d.limit(102)
			waitFor(t, "the single mail to leave", func() bool { return d.urgent.Load() == 1 })
			took := time.Since(began)
			t.Logf("behind %d messages of another sub-account: %s from the permit to the provider", depth, took.Round(time.Millisecond))
			if took > time.Second && text != "" { // a busy machine is slow with everything
				t.Errorf("it took %s", took)
			}
		})
	}
}

// rate sends n messages through the provider that works, and returns how many left in a second.
func (d *deep) rate(n int) float64 {
	d.t.Helper()
	began, all := time.Now(), d.arrived.Load()+int64(n)
	d.fill(d.egresses[1], n)
	waitFor(d.t, "the messages to leave", func() bool { return d.arrived.Load() >= all })
	return float64(n) / time.Since(began).Seconds()
}

// median is the rate of several tries.
func (d *deep) median(n int) float64 {
	var rates [3]float64
	for i := range rates {
		rates[i] = d.rate(n)
	}
	d.t.Logf("messages/s: %.0f", rates)
	slices.Sort(rates[:])
	return rates[len(rates)/2]
}

// heap returns the memory in use, in MiB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse) / (1 << 20)
}

// TestDeepQueue has many messages wait for one provider, and checks that the mail of another one does not notice, that they
// take no memory, and that a start among them is quick.
func TestDeepQueue(t *testing.T) {
	depth, text := 4000, os.Getenv(deepQueue)
	measured := text != ""
	if measured {
		var err error
		if depth, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", deepQueue, err)
		}
	}
	for engine, database := range map[string]func(*testing.T) string{
		"SQLite": func(*testing.T) string { return "" }, "PostgreSQL": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(engine, func(t *testing.T) { // one after the other: they are measured
			sample := min(max(depth/10, 300), 4000)
			d := newDeep(t, database(t))
			alone, small := d.median(sample), heap()
			d.fill(d.egresses[0], depth)
			waitFor(t, "the first provider to be stopped", func() bool {
				return d.server.directory.Current().AnyTPSP(int32(d.egresses[0])).Health.Stopped
			})
			beside, big := d.median(sample), heap()
			d.stop()
			d.away.Store(false)
			d.arrived.Store(0)
			began := time.Now()
			d.start()
			waitFor(t, "the first send", func() bool { return d.arrived.Load() > 0 })
			first := time.Since(began)
			t.Logf("%d wait: %.0f messages/s alone, %.0f/s beside them; heap %.1f MiB, then %.1f MiB; first send %v after a cold start",
				depth, alone, beside, small, big, first.Round(time.Millisecond))
			if measured && beside < alone*0.7 { // a few messages on a busy machine tell nothing
				t.Errorf("another provider's mail left at %.0f/s, and at %.0f/s without the waiting messages", beside, alone)
			}
			if big > small+50 {
				t.Errorf("the waiting messages take %.1f MiB", big-small)
			}
			if first > 5*time.Second {
				t.Errorf("the first send came %v after the start", first)
			}
		})
	}
}
