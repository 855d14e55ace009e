package books

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const benchMessages = 200_000

// BenchmarkVerify verifies a store with 200,000 messages: all sent, nine of ten delivered, four opened. peak-heap-MB is
// what it takes beyond what the process had; SQLite's page caches, 16 MiB for each of four connections at most, are not in it.
func BenchmarkVerify(b *testing.B) {
	db := open(b, b.TempDir())
	defer func() { _ = db.Close() }()
	o := newOffice(b, db, &sender{}, "bench", 1)
	o.fill(benchMessages)
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	peak, last := before.HeapAlloc, &Report{}
	b.ResetTimer()
	for b.Loop() {
		var err error
		last, err = Verify(b.Context(), Options{AccountID: o.account, Awaiting: time.Hour, Now: time.Now, Progress: func() {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}}, db)
		if err != nil || !last.OK() || last.Messages != benchMessages || last.AwaitingCount != benchMessages/10 {
			b.Fatalf("%+v, %v", last, err)
		}
	}
	b.ReportMetric(float64(benchMessages*b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(last.Events*int64(b.N))/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(peak-before.HeapAlloc)/(1<<20), "peak-heap-MB")
}

// fill sends n messages, in large batches, and has the provider report about them.
func (o *office) fill(n int) {
	const batch = 2000
	content, err := json.Marshal(mail.Content{Subject: "Hello", Text: strings.Repeat("x", 1500)})
	o.must(err)
	for done := 0; done < n; done += batch {
		o.now = o.now.Add(time.Minute)
		s := store.Submission{AccountID: o.account, SubAccountID: o.subs[0], Content: content, SubmittedAt: o.now}
		for i := range batch {
			to := fmt.Sprintf("u%d@%s", done+i, []string{"gmail.com", "yahoo.com", "outlook.com", "example.net"}[i%4])
			recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: to}})
			o.must(err)
			s.Messages = append(s.Messages, store.NewMessage{ID: uuid.Must(uuid.NewV7()), Recipient: recipient, To: to, PoolID: 1,
				Mailbox: mailbox.ByDomain(mail.Domain(to)),
				Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: o.egress[:1]}, Processed: processed}
				}})
		}
		o.must(o.db.Accept(o.tb.Context(), []store.Submission{s}))
		claimed, err := o.db.Claim(o.tb.Context(), store.Claim{Egress: o.egress[0], Limit: batch, Owner: o.owner(), Now: o.now, LeaseUntil: o.now.Add(time.Hour)})
		o.must(err)
		jobs := claimed.Jobs
		settlements, reports := make([]store.Settlement, len(jobs)), store.Parsed{Receipt: store.Receipt{AccountID: o.account, TPSPID: o.egress[0].TPSPID()}, Sent: sent, Now: o.now}
		for i := range jobs {
			settlements[i] = store.Settlement{Job: &jobs[i], Owner: o.owner(), Trigger: lifecycle.Accept, At: o.now.Add(time.Second), Sent: sent,
				Outcome: &provider.Outcome{Class: provider.Accepted, ProviderMessageID: jobs[i].ID.String(), HTTPStatus: 200}}
			reports.Reports = append(reports.Reports, o.reportsOf(&jobs[i], i)...)
		}
		o.must(o.db.Settle(o.tb.Context(), settlements))
		_, err = o.db.Ingest(o.tb.Context(), []store.Parsed{reports})
		o.must(err)
	}
}

// reportsOf are the reports about the i-th message of a batch.
func (o *office) reportsOf(j *store.Job, i int) (list []provider.Report) {
	if i%10 == 0 {
		return nil
	}
	report := func(kind event.Kind, typ event.Type) {
		list = append(list, provider.Report{Kind: kind, Type: typ, MessageID: j.ID, Recipient: j.Recipient.Email, Identity: fmt.Sprint(j.ID, kind),
			OccurredAt: o.now.Add(time.Minute)})
	}
	report(event.Delivered, delivered)
	if i%2 == 0 {
		report(event.Opened, opened)
	}
	return list
}
