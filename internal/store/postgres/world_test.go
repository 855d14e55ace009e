package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
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
	"postyard/internal/store/postgres/pgtest"
)

// world is a database with an account and a provider, and the nodes that use it.
type world struct {
	testing.TB
	url     string
	db      *DB // the first node
	account directory.Account
	sub     directory.SubAccount
	tpsp    directory.TPSP
	pool    route.Pool
	content []byte
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, pgtest.Database(t))
}

func newWorldAt(t testing.TB, url string) *world {
	t.Helper()
	w := &world{TB: t, url: url, db: open(t, url, "one")}
	w.account, w.sub = directory.Account{Name: "a", SealedKey: []byte("k")}, directory.SubAccount{Name: "s", KeyHash: directory.KeyHash{1}, SealedKey: []byte("k")}
	w.must(w.db.CreateAccount(t.Context(), &w.account, &w.sub))
	w.tpsp, w.pool = directory.TPSP{AccountID: w.account.ID, Name: "p", Type: provider.Postmark, SealedKey: []byte("k")}, route.Pool{Name: "pool"}
	w.must(w.db.CreateTPSP(t.Context(), &w.tpsp, &w.pool))
	w.content = w.contentOf(mail.Content{From: mail.Address{Email: "a@b.example"}, Subject: "Hello", HTML: strings.Repeat("Dear customer, ", 60)})
	return w
}

func (w *world) contentOf(c mail.Content) []byte {
	w.Helper()
	b, err := json.Marshal(c)
	w.must(err)
	return b
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// customer is the recipient of a batch's i-th message.
func customer(i int) string {
	return fmt.Sprintf("c%d@%s", i, [...]string{"gmail.com", "yahoo.com", "aol.com", "d.example"}[i%4])
}

// reportsOf reports the same about every message of a batch.
func reportsOf(ids []mail.ID, kind event.Kind) []provider.Report {
	reports := make([]provider.Report, len(ids))
	for i, id := range ids {
		reports[i] = report(id, customer(i), kind)
	}
	return reports
}

// submissions makes requests with one message each.
func (w *world) submissions(n int) ([]store.Submission, []mail.ID) {
	now := time.Now()
	batch, ids := make([]store.Submission, n), make([]mail.ID, n)
	for i := range batch {
		ids[i] = uuid.Must(uuid.NewV7())
		to := customer(i)
		batch[i] = store.Submission{AccountID: w.account.ID, SubAccountID: w.sub.ID, Content: w.content, SubmittedAt: now,
			Messages: []store.NewMessage{{ID: ids[i], Recipient: []byte(`{"email":"` + to + `"}`), To: to, PoolID: w.pool.ID,
				Mailbox: mailbox.ByDomain(mail.Domain(to)),
				Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{w.tpsp.Egress()}, Rule: "only one"}, Processed: 69}
				}}}}
	}
	return batch, ids
}

func (w *world) accept(n int) []mail.ID {
	w.Helper()
	batch, ids := w.submissions(n)
	w.must(w.db.Accept(w.Context(), batch))
	return ids
}

func (w *world) claim(db *DB, limit int) []store.Job {
	w.Helper()
	now := db.Now()
	claimed, err := db.Claim(w.Context(), store.Claim{Egress: w.tpsp.Egress(), Limit: limit, Owner: store.OwnerOf(db.Node(), "run"), Now: now, LeaseUntil: now.Add(time.Minute)})
	w.must(err)
	return claimed.Jobs
}

// accepted is what the provider says when it takes everything.
func (w *world) accepted(db *DB, jobs []store.Job) []store.Settlement {
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		batch[i] = store.Settlement{Job: &jobs[i], Owner: store.OwnerOf(db.Node(), "run"), Trigger: lifecycle.Accept, At: db.Now(), Egress: w.tpsp.Egress(),
			Sent: 70, Outcome: &provider.Outcome{ProviderMessageID: "pm-" + jobs[i].ID.String(), HTTPStatus: 200, Text: "OK"}}
	}
	return batch
}

// send claims and settles n messages that were accepted before.
func (w *world) send(db *DB, n int) {
	w.Helper()
	for empty := 0; n > 0; {
		jobs := w.claim(db, min(n, 100))
		if len(jobs) == 0 { // another sender may hold what is ready
			if empty++; empty > 100 {
				w.Errorf("%d messages are missing", n)
				return
			}
		}
		w.must(db.Settle(w.Context(), w.accepted(db, jobs)))
		n -= len(jobs)
	}
}

// report is what the provider reports about a message.
func report(id mail.ID, to string, kind event.Kind) provider.Report {
	typ, _ := event.TypeOf(event.Postmark, kind)
	return provider.Report{Kind: kind, Type: typ, MessageID: id, ProviderMessageID: "pm-" + id.String(), Identity: fmt.Sprint(id, kind),
		Recipient: to, OccurredAt: time.Now(), Detail: event.Detail{SMTPDescription: "250 OK"}}
}

func (w *world) receive(n int, body string) {
	w.Helper()
	batch := make([]store.Receipt, n)
	for i := range batch {
		batch[i] = store.Receipt{AccountID: w.account.ID, TPSPID: w.tpsp.ID, Headers: map[string]string{"Content-Type": "application/json"}, Body: []byte(body), ReceivedAt: time.Now()}
	}
	w.must(w.db.Receive(w.Context(), batch))
}

// ingest takes receipts at a node and ingests one report for each.
func (w *world) ingest(db *DB, reports []provider.Report) (res store.IngestResult, left []provider.Report) {
	w.Helper()
	receipts, err := db.Received(w.Context(), db.Now().Add(time.Second), min(len(reports), 250))
	w.must(err)
	batch := make([]store.Parsed, len(receipts))
	for i := range receipts {
		batch[i] = store.Parsed{Receipt: receipts[i], Reports: reports[i : i+1], Sent: 70, Now: db.Now()}
	}
	res, err = db.Ingest(w.Context(), batch)
	w.must(err)
	return res, reports[len(receipts):]
}

func (w *world) message(id mail.ID) *store.Message {
	w.Helper()
	m, err := w.db.Message(w.Context(), w.account.ID, id)
	w.must(err)
	return m
}
