//go:build unix

package ingest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
)

// BenchmarkWebhooks measures webhooks from the request's header and body until the events are in the log, over 64 callers,
// with fsync: half are deliveries, half opens. cpu-µs/event is user and system time of the whole process.
func BenchmarkWebhooks(b *testing.B) {
	db, err := sqlite.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	now := time.Now()
	sealed := []byte("x")
	a := directory.Account{Name: "a", KeyHash: secret.Hash("a"), SealedKey: sealed, Created: now}
	sub := directory.SubAccount{Name: "s", KeyHash: secret.Hash("s"), SealedKey: sealed, Created: now}
	must(db.CreateAccount(b.Context(), &a, &sub))
	tpsp := directory.TPSP{AccountID: a.ID, Name: "p", Type: provider.Postmark, KeyHash: secret.Hash("p"), SealedKey: sealed, Created: now,
		Webhook: directory.Webhook{SealedPassword: sealed}}
	must(db.CreateTPSP(b.Context(), &tpsp, &route.Pool{Name: "pool", Created: now}))
	d, err := directory.Open(b.Context(), db)
	must(err)
	ids := sentMail(b, db, &sub, &tpsp, (b.N+1)/2)
	adapter := postmark.New(postmark.Config{})
	s := New(Config{Store: db, Directory: d, Hooks: generated{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Providers: provider.Registry{provider.Postmark: adapter}})
	h := http.Header{"User-Agent": {"Postmark"}, "Content-Type": {"application/json"}, "X-Pm-Webhook-Trace-Id": {uuid.NewString()},
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "tpsp-%d:secret", tpsp.ID))}}
	ctx, cancel := context.WithCancel(b.Context())
	var running, callers sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	var next atomic.Int64
	began := processorTime(b)
	b.ResetTimer()
	for range 64 {
		callers.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := s.Receive(ctx, a.ID, provider.Postmark, h, report(ids[i/2], int(i/2), i%2 == 1, now)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	for {
		left, err := db.Received(ctx, now.AddDate(1, 0, 0), 1)
		must(err)
		if len(left) == 0 {
			break
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/event")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	running.Wait()
	counts, err := db.Counts(b.Context(), store.CountFilter{AccountID: a.ID, From: now.AddDate(0, 0, -2), To: now.AddDate(0, 0, 2)})
	must(err)
	events := int64(0)
	for _, c := range counts {
		if c.Type == 71 || c.Type == 75 {
			events += c.N
		}
	}
	if events != int64(b.N) {
		b.Errorf("%d events of %d", events, b.N)
	}
}

// generated are credentials as the real ones are.
type generated struct{}

func (generated) Hook(t *directory.TPSP) (provider.Hook, error) {
	return provider.Hook{Credentials: provider.Credentials{Username: fmt.Sprintf("tpsp-%d", t.ID), Password: secret.NewString("secret")}}, nil
}

func (generated) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{}, nil
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report is the body of a webhook as Postmark makes it.
func report(id mail.ID, n int, open bool, at time.Time) []byte {
	common := fmt.Sprintf(`"MessageID":"%s","MessageStream":"outbound","Tag":"","Recipient":"%s","ServerID":77,"Metadata":{"accountId":"1","tpspId":"1",`+
		`"subAccountId":"1","emailType":"0","messageId":"%s","messageSubject":"Your order 4711 is on its way"}`, id, to(n), id)
	stamp := at.UTC().Format(time.RFC3339Nano)
	if open {
		return fmt.Appendf(nil, `{"RecordType":"Open",%s,"ReceivedAt":"%s","FirstOpen":true,"ReadSeconds":0,"Platform":"Desktop","UserAgent":"Mozilla/5.0 (Macintosh; `+
			`Intel Mac OS X 10_15_7) AppleWebKit/605.1.15","OS":{"Name":"macOS","Family":"macOS","Company":"Apple"},"Client":{"Name":"Safari","Family":"Safari",`+
			`"Company":"Apple"},"Geo":{"CountryISOCode":"DE","Country":"Germany","RegionISOCode":"","Region":"","City":"","Zip":"","Coords":"","IP":"192.0.2.7"}}`,
			common, stamp)
	}
	return fmt.Appendf(nil, `{"RecordType":"Delivery",%s,"DeliveredAt":"%s","Details":"smtp;250 2.0.0 OK 1700000000 x1-2020si1.1 - gsmtp"}`, common, stamp)
}

func to(n int) string {
	return fmt.Sprintf("u%d@%s", n, []string{"gmail.com", "yahoo.com", "outlook.com", "example.net"}[n%4])
}

// sentMail stores messages that the provider has accepted.
func sentMail(b *testing.B, db store.Store, sub *directory.SubAccount, tpsp *directory.TPSP, n int) (ids []mail.ID) {
	const batch = 1000
	content, err := json.Marshal(mail.Content{Subject: "Hello"})
	if err != nil {
		b.Fatal(err)
	}
	owner := store.OwnerOf(db.Node(), "bench")
	for len(ids) < n {
		now := time.Now()
		s := store.Submission{AccountID: sub.AccountID, SubAccountID: sub.ID, Content: content, SubmittedAt: now}
		for range min(batch, n-len(ids)) {
			id, email := uuid.Must(uuid.NewV7()), to(len(ids))
			recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: email}})
			if err != nil {
				b.Fatal(err)
			}
			s.Messages = append(s.Messages, store.NewMessage{ID: id, Recipient: recipient, To: email, PoolID: 1, Mailbox: mailbox.ByDomain(mail.Domain(email)),
				Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{tpsp.Egress()}}, Processed: 69}
				}})
			ids = append(ids, id)
		}
		if err := db.Accept(b.Context(), []store.Submission{s}); err != nil {
			b.Fatal(err)
		}
		claimed, err := db.Claim(b.Context(), store.Claim{Egress: tpsp.Egress(), Limit: batch, Owner: owner, Now: now, LeaseUntil: now.Add(time.Hour)})
		if err != nil || len(claimed.Jobs) != len(s.Messages) {
			b.Fatal(len(claimed.Jobs), err)
		}
		var settled []store.Settlement
		for i := range claimed.Jobs {
			j := &claimed.Jobs[i]
			settled = append(settled, store.Settlement{Job: j, Owner: owner, Egress: tpsp.Egress(), Trigger: lifecycle.Accept, At: now, Sent: 70,
				Outcome: &provider.Outcome{Class: provider.Accepted, ProviderMessageID: j.ID.String(), HTTPStatus: 200}})
		}
		if err := db.Settle(b.Context(), settled); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}
