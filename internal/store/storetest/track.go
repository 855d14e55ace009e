package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// followed is a report of Postyard's own tracking.
func (b *bench) followed(id mail.ID, kind event.Kind, identity string) provider.Report {
	b.t.Helper()
	typ, ok := event.TypeOf(event.CustomSMTP, kind)
	if !ok {
		b.t.Fatalf("no type of kind %d", kind)
	}
	return provider.Report{Kind: kind, Type: typ, MessageID: id, TPSPID: b.tpsp.ID, Identity: identity, OccurredAt: b.now, Tracked: true,
		Detail: event.Detail{RawUserAgent: "test"}}
}

// track ingests such reports as the tracker does.
func (b *bench) track(account int32, reports ...provider.Report) store.IngestResult {
	b.t.Helper()
	res, err := b.store.Ingest(b.ctx(), []store.Parsed{{Receipt: store.Receipt{AccountID: account, TPSPID: b.tpsp.ID, ReceivedAt: b.now}, Reports: reports,
		Sent: 59, Now: b.now}})
	b.must(err)
	return res
}

// tracked: what is tracked is about the recipient, and proves only in doubt that the provider has the message.
func tracked(t *testing.T, b *bench) {
	id := b.send("Ana@gmail.com")
	if res := b.track(b.account.ID, b.followed(id, event.Opened, "o1"), b.followed(id, event.Opened, "o1"), b.followed(id, event.Clicked, "c1")); res.Recorded != 2 ||
		res.Duplicates != 1 {
		t.Errorf("result %+v", res)
	}
	b.wantTypes(id, 69, 70, 65, 66)
	list, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: id, Limit: 10})
	b.must(err)
	for _, e := range list {
		if e.Recipient != "Ana@gmail.com" || e.Copy {
			t.Errorf("event %+v", e)
		}
	}
	if n := b.counts(); n[65] != 1 || n[66] != 1 {
		t.Errorf("counters %v", n)
	}

	// Queued and on the wire: recorded, and the message stays where it is. The call then decides.
	waits := b.accept("bo@gmail.com")[0]
	b.track(b.account.ID, b.followed(waits, event.Opened, "o2"))
	b.wantState(waits, lifecycle.Queued)
	j := b.claim(1)[0]
	b.track(b.account.ID, b.followed(waits, event.Clicked, "c2"), b.followed(waits, event.Clicked, "c2"))
	b.wantState(waits, lifecycle.Sending)
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now.Add(time.Hour), Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	b.wantState(waits, lifecycle.Unknown)
	b.wantTypes(waits, 69, 65, 66)
	b.track(b.account.ID, b.followed(waits, event.Opened, "o3"))
	b.wantState(waits, lifecycle.Sent)
	b.wantTypes(waits, 69, 65, 66, 59, 65)

	// One that is refused after all stays refused.
	refused := b.accept("cy@gmail.com")[0]
	j = b.claim(1)[0]
	b.track(b.account.ID, b.followed(refused, event.Opened, "o4"))
	dropped := event.Type(62)
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Drop, Drop: &dropped, Outcome: &provider.Outcome{Class: provider.Rejected, Text: "550"}})
	b.track(b.account.ID, b.followed(refused, event.Opened, "o5"))
	b.wantState(refused, lifecycle.Dropped)
	if b.backlog() != 0 {
		t.Errorf("backlog %d", b.backlog())
	}

	// The recipient of the message is suppressed, in its sub-account.
	leaves := b.followed(id, event.Unsubscribed, "u1")
	leaves.Suppresses, leaves.Reason = true, provider.Unsubscribed
	b.track(b.account.ID, leaves)
	key := store.SuppressionKey{SubAccountID: b.sub.ID, Email: "ana@gmail.com"}
	held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{key})
	b.must(err)
	if hit, found := held[key]; !found || hit.Reason != provider.Unsubscribed {
		t.Errorf("suppressed: %v", held)
	}

	// Messages of others, and those that there are not, leave no trace.
	other, _ := b.newAccount("Other")
	if res := b.track(other.ID, b.followed(id, event.Opened, "o6"), b.followed(mail.ID{1}, event.Opened, "o7")); !cmp.Equal(res, store.IngestResult{}) {
		t.Errorf("result %+v", res)
	}
	b.wantTypes(id, 69, 70, 65, 66, 68)
}
