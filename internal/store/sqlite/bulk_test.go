package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// sentOf accepts n messages in one batch and sends them all. The provider's id of a message is "id-" and its place.
func sentOf(t *testing.T, n int) (*DB, []mail.ID) {
	t.Helper()
	db, _ := filledDB(t, 0, 0)
	now := time.Now()
	batch, ids := make([]store.Submission, n), make([]mail.ID, n)
	for i := range batch {
		ids[i] = uuid.Must(uuid.NewV7())
		to := fmt.Sprintf("to-%d@d.example", i)
		batch[i] = store.Submission{AccountID: 1, SubAccountID: 1, Content: fmt.Appendf(nil, `{"from":{"email":"a@b.example"},"subject":"s %d"}`, i), SubmittedAt: now,
			Messages: []store.NewMessage{{ID: ids[i], Recipient: []byte(`{"email":"` + to + `"}`), To: to, Mailbox: mailbox.Default, PoolID: 1,
				Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{1}}, Processed: processed}
				}}}}
	}
	if err := db.Accept(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	claimed, err := db.Claim(t.Context(), store.Claim{Egress: 1, Limit: n, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)})
	if err != nil || len(claimed.Jobs) != n {
		t.Fatalf("claimed %d of %d: %v", len(claimed.Jobs), n, err)
	}
	outcomes := make([]store.Settlement, n)
	for i := range claimed.Jobs {
		j := &claimed.Jobs[i]
		outcomes[i] = store.Settlement{Job: j, Owner: "o", Trigger: lifecycle.Accept, At: now, Sent: sent, Outcome: &provider.Outcome{
			Class: provider.Accepted, ProviderMessageID: fmt.Sprint("id-", slices.Index(ids, j.ID))}}
	}
	if err := db.Settle(t.Context(), outcomes); err != nil {
		t.Fatal(err)
	}
	return db, ids
}

func ingestAll(t *testing.T, db *DB, reports ...provider.Report) {
	t.Helper()
	batch := make([]store.Parsed, len(reports))
	for i, r := range reports {
		receipt := store.Receipt{AccountID: 1, TPSPID: 1, Body: []byte("b"), ReceivedAt: time.Now()}
		if err := db.Receive(t.Context(), []store.Receipt{receipt}); err != nil {
			t.Fatal(err)
		}
		r.OccurredAt, r.Identity = time.Now(), fmt.Sprint(i)
		batch[i] = store.Parsed{Sent: sent, Now: time.Now(), Receipt: receipt, Reports: []provider.Report{r}}
	}
	received, err := db.Received(t.Context(), time.Now(), len(reports))
	if err != nil || len(received) != len(reports) {
		t.Fatalf("received %d of %d: %v", len(received), len(reports), err)
	}
	for i := range batch {
		batch[i].Receipt.ID = received[i].ID
	}
	if res, err := db.Ingest(t.Context(), batch); err != nil || res.Recorded != len(reports) {
		t.Fatalf("%+v of %d: %v", res, len(reports), err)
	}
	if left, err := db.Received(t.Context(), time.Now(), 1); err != nil || len(left) != 0 {
		t.Errorf("a receipt is left: %v", err)
	}
}

// Batches of any size are written whole, and in their order.
func TestBatchesOfAnySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 8, 31, 32, 33, 75} {
		db, ids := sentOf(t, n)
		reports := make([]provider.Report, n)
		for i, id := range ids {
			reports[i] = provider.Report{Kind: event.Delivered, Type: delivered, MessageID: id, Recipient: fmt.Sprintf("to-%d@d.example", i)}
		}
		ingestAll(t, db, reports...)
		for i, id := range ids {
			m, err := db.Message(t.Context(), 1, id)
			if err != nil {
				t.Fatal(err)
			}
			want := message{State: lifecycle.Delivered, Attempts: 1, ProviderID: fmt.Sprint("id-", i), To: fmt.Sprintf("to-%d@d.example", i), Subject: fmt.Sprint("s ", i)}
			got := message{State: m.State, Attempts: m.Attempts, ProviderID: m.ProviderID, To: m.Recipient.Email, Subject: m.Content.Subject}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message %d of %d: %s", i, n, diff)
			}
		}
		events, err := db.Events(t.Context(), store.EventFilter{AccountID: 1, Limit: 4 * n})
		if err != nil || len(events) != 3*n {
			t.Fatalf("%d events of %d: %v", len(events), 3*n, err)
		}
		for i, id := range ids {
			if events[i].Type != processed || events[i].MessageID != id || events[2*n+i].Type != delivered || events[2*n+i].MessageID != id {
				t.Errorf("event %d of %d is of another one", i, n)
			}
		}
	}
}

// Several reports of one message in a batch see what the former ones did to it, however each finds it.
func TestReportsOfOneMessageInABatch(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]provider.Report{
		"by our id":            {MessageID: mail.ID{1}}, // stands for the message's
		"by the provider's id": {ProviderMessageID: "id-3"},
	} {
		db, ids := sentOf(t, 9)
		bounce := key
		bounce.Kind, bounce.Type, bounce.Recipient = event.HardBounced, bounced, "to-3@d.example"
		if key.MessageID != (mail.ID{}) {
			bounce.MessageID = ids[3]
		}
		late := provider.Report{Kind: event.Delivered, Type: delivered, MessageID: ids[3], Recipient: "to-3@d.example"}
		ingestAll(t, db, bounce, late)
		if m, err := db.Message(t.Context(), 1, ids[3]); err != nil || m.State != lifecycle.Bounced {
			t.Errorf("%s: it is %v, not bounced (%v)", name, m.State, err)
		}
	}
}

// What the writer reads goes into the types of the engine, and nowhere else.
func TestScan(t *testing.T) {
	t.Parallel()
	var (
		narrow int32
		state  lifecycle.State
		yes    bool
		text   string
		kind   provider.Type
		bytes  []byte
		maybe  sql.NullInt64
	)
	r := row{[]driver.Value{int64(7), int64(2), int64(1), "t", int64(4), nil, nil}}
	if err := r.Scan(&narrow, &state, &yes, &text, &kind, &bytes, &maybe); err != nil {
		t.Fatal(err)
	}
	if narrow != 7 || state != 2 || !yes || text != "t" || kind != 4 || bytes != nil || maybe.Valid {
		t.Error(narrow, state, yes, text, kind, bytes, maybe)
	}
	for _, c := range []struct{ dest, value any }{
		{&narrow, int64(math.MaxInt32) + 1}, {&state, int64(-1)}, {&yes, int64(2)}, {&text, int64(1)}, {&narrow, "7"}, {&narrow, nil}, {&text, nil}, {&bytes, "x"},
	} {
		if err := scanValue(c.dest, c.value); err == nil {
			t.Errorf("%v went into %T", c.value, c.dest)
		}
	}
	if err := r.Scan(&narrow); err == nil {
		t.Error("seven columns went into one place")
	}
}
