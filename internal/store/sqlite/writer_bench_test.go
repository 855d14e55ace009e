//go:build unix

package sqlite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// The benchmarks of the writer: what a message costs, in groups of benchBatch as they come under load. They tell the processor
// time of the whole process, and the wall clock's time of the group that was quicker than nine in ten: other work on the machine
// disturbs that least.
const benchBatch = 100

// bench is a database with a provider, and a meter that only runs when it is told to.
type bench struct {
	*testing.B
	db      *DB
	account int32
	sub     int32
	tpsp    directory.TPSP
	pool    int32
	content []byte
	labels  bool // requests have two groups of twenty, and a domain of five
	now     time.Time
	n       int // messages made so far
	cpu     time.Duration
	walls   []time.Duration
}

func newBench(b *testing.B) *bench {
	db, err := Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	x := &bench{B: b, db: db, now: time.Now()}
	b.Cleanup(func() { x.must(db.Close()) })
	a, s := directory.Account{Name: "a", SealedKey: []byte("k")}, directory.SubAccount{Name: "s", KeyHash: directory.KeyHash{1}, SealedKey: []byte("k")}
	x.must(db.CreateAccount(b.Context(), &a, &s))
	x.tpsp = directory.TPSP{AccountID: a.ID, Name: "p", Type: provider.Postmark, SealedKey: []byte("k")}
	pool := route.Pool{Name: "pool"}
	x.must(db.CreateTPSP(b.Context(), &x.tpsp, &pool))
	x.account, x.sub, x.pool = a.ID, s.ID, pool.ID
	x.content, err = json.Marshal(mail.Content{From: mail.Address{Email: "a@b.example"}, Subject: "subject", HTML: strings.Repeat("x", 2000)})
	x.must(err)
	return x
}

func (x *bench) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// measure counts what f costs, which does something for a group of messages.
func (x *bench) measure(f func()) {
	var before, after syscall.Rusage
	x.must(syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	began := time.Now()
	f()
	x.walls = append(x.walls, time.Since(began))
	x.must(syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	x.cpu += processorTime(&after) - processorTime(&before)
}

func processorTime(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (x *bench) report() {
	x.ReportMetric(0, "ns/op")
	slices.Sort(x.walls)
	x.ReportMetric(float64(x.cpu.Microseconds())/float64(len(x.walls)*benchBatch), "cpu-µs/message")
	x.ReportMetric(float64(x.walls[len(x.walls)/10].Microseconds())/benchBatch, "quick-µs/message")
}

func (x *bench) submissions() []store.Submission {
	classes := [...]mailbox.Class{mailbox.Default, mailbox.Gmail, mailbox.Yahoo, mailbox.Microsoft}
	batch := make([]store.Submission, benchBatch)
	for i := range batch {
		x.n++
		to := fmt.Sprintf("somebody.%d@example.com", x.n)
		batch[i] = store.Submission{AccountID: x.account, SubAccountID: x.sub, Content: x.content, SubmittedAt: x.now,
			Messages: []store.NewMessage{{ID: uuid.Must(uuid.NewV7()), Recipient: []byte(`{"email":"` + to + `"}`), To: to, PoolID: x.pool,
				Mailbox: classes[x.n%len(classes)], Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{x.tpsp.Egress()}}, Processed: 69}
				}}}}
		if x.labels {
			batch[i].Groups = []string{fmt.Sprint("campaign", x.n%20), fmt.Sprint("campaign", x.n/20%20)}
			batch[i].Domain = fmt.Sprint("shop", x.n%5, ".example.com")
		}
	}
	return batch
}

func (x *bench) claim() []store.Job {
	claimed, err := x.db.Claim(x.Context(), store.Claim{Egress: x.tpsp.Egress(), Limit: benchBatch, Owner: "one", Now: x.now, LeaseUntil: x.now.Add(time.Hour)})
	x.must(err)
	if len(claimed.Jobs) != benchBatch {
		x.Fatalf("claimed %d", len(claimed.Jobs))
	}
	return claimed.Jobs
}

func (x *bench) settlements(jobs []store.Job) []store.Settlement {
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		batch[i] = store.Settlement{Job: &jobs[i], Owner: "one", Trigger: lifecycle.Accept, At: x.now, Sent: 70, Outcome: &provider.Outcome{
			Class: provider.Accepted, HTTPStatus: 200, Text: "OK", ProviderMessageID: uuid.NewString()}}
	}
	return batch
}

// reports are webhooks of one report each, as providers send them.
func (x *bench) reports(batch []store.Settlement, kind event.Kind) []store.Parsed {
	parsed := make([]store.Parsed, len(batch))
	receipts := make([]store.Receipt, len(batch))
	for i := range batch {
		receipts[i] = store.Receipt{AccountID: x.account, TPSPID: x.tpsp.ID, Headers: map[string]string{"A": "b"}, Body: x.content[:1000], ReceivedAt: x.now}
	}
	x.must(x.db.Receive(x.Context(), receipts))
	receipts, err := x.db.Received(x.Context(), x.now, len(batch))
	x.must(err)
	typ, _ := event.TypeOf(event.Postmark, kind)
	for i := range batch {
		j := batch[i].Job
		parsed[i] = store.Parsed{Receipt: receipts[i], Sent: 70, Now: x.now, Reports: []provider.Report{{MessageID: j.ID, Kind: kind, Type: typ,
			ProviderMessageID: batch[i].Outcome.ProviderMessageID, Recipient: j.Recipient.Email, OccurredAt: x.now, Identity: fmt.Sprint(kind, j.ID)}}}
	}
	return parsed
}

func BenchmarkAccept(b *testing.B) { benchAccept(b, false) }

// BenchmarkAcceptLabelled is of messages that are counted under names as well.
func BenchmarkAcceptLabelled(b *testing.B) { benchAccept(b, true) }

func benchAccept(b *testing.B, labels bool) {
	x := newBench(b)
	x.labels = labels
	for b.Loop() {
		batch := x.submissions()
		x.measure(func() { x.must(x.db.Accept(b.Context(), batch)) })
	}
	x.report()
}

// BenchmarkClaim has a backlog of a thousand messages.
func BenchmarkClaim(b *testing.B) {
	x := newBench(b)
	for range 10 {
		x.must(x.db.Accept(b.Context(), x.submissions()))
	}
	for b.Loop() {
		x.must(x.db.Accept(b.Context(), x.submissions()))
		x.measure(func() { x.claim() })
	}
	x.report()
}

func BenchmarkSettle(b *testing.B) {
	x := newBench(b)
	for b.Loop() {
		x.must(x.db.Accept(b.Context(), x.submissions()))
		batch := x.settlements(x.claim())
		x.measure(func() { x.must(x.db.Settle(b.Context(), batch)) })
	}
	x.report()
}

// BenchmarkIngest counts reports: a delivery and an open of each message.
func BenchmarkIngest(b *testing.B) { benchIngest(b, false) }

// BenchmarkIngestLabelled is of messages that are counted under names as well.
func BenchmarkIngestLabelled(b *testing.B) { benchIngest(b, true) }

func benchIngest(b *testing.B, labels bool) {
	x := newBench(b)
	x.labels = labels
	for b.Loop() {
		x.must(x.db.Accept(b.Context(), x.submissions()))
		batch := x.settlements(x.claim())
		x.must(x.db.Settle(b.Context(), batch))
		for _, kind := range []event.Kind{event.Delivered, event.Opened} {
			parsed := x.reports(batch, kind)
			x.measure(func() {
				res, err := x.db.Ingest(b.Context(), parsed)
				x.must(err)
				if res.Recorded != benchBatch {
					b.Fatalf("%+v", res)
				}
			})
		}
	}
	x.report()
}

// BenchmarkAcceptSuppressing is BenchmarkAccept with ten thousand suppressions.
func BenchmarkAcceptSuppressing(b *testing.B) {
	x := newBench(b)
	list := make([]store.Suppression, 100)
	for n := range 100 {
		for i := range list {
			list[i] = store.Suppression{AccountID: x.account, SubAccountID: x.sub, Email: fmt.Sprintf("u%d@gone.example", 100*n+i), Since: x.now, Created: x.now}
		}
		_, err := x.db.Suppress(b.Context(), list, nil)
		x.must(err)
	}
	for b.Loop() {
		batch := x.submissions()
		x.measure(func() { x.must(x.db.Accept(b.Context(), batch)) })
	}
	x.report()
}
