package postgres

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
)

// hostile is what foreign parties may write anywhere.
var hostile = map[string]string{
	"NUL":            "a\x00b",
	"invalid UTF-8":  "a\xff\xc3(",
	"half a rune":    "x€"[:3],
	"4-byte runes":   "😀𝕏",
	"quotes":         `'"\\u0000$1%s;--`,
	"very long":      strings.Repeat("x€", 50_000),
	"long and wrong": strings.Repeat("\xff", 5000),
}

func TestHostileText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, words := range hostile {
		batch, ids := w.submissions(1)
		s := &batch[0]
		s.Content = w.contentOf(mail.Content{Subject: words, From: mail.Address{Email: "a@b.example", Name: words}, Groups: []string{words}})
		recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: words, Name: words}})
		w.must(err)
		s.Messages[0].Recipient, s.Messages[0].To = recipient, words
		w.must(w.db.Accept(t.Context(), batch))
		jobs := w.claim(w.db, 1)
		out := &provider.Outcome{Class: provider.Transient, Code: words, Text: words}
		w.must(w.db.Settle(t.Context(), []store.Settlement{{Job: &jobs[0], Owner: "one/run", Trigger: lifecycle.Doubt, Outcome: out,
			At: time.Now(), Egress: w.tpsp.Egress(), Waiting: words}}))
		asked, err := w.db.ClaimUnknown(t.Context(), store.Claim{Egress: w.tpsp.Egress(), Limit: 1, Owner: "one/run", Now: time.Now()})
		w.must(err)
		w.must(w.db.Settle(t.Context(), []store.Settlement{{Job: &asked[0], Owner: "one/run", Trigger: lifecycle.Requeue, Answer: words,
			At: time.Now(), Egress: w.tpsp.Egress(), Waiting: words}}))
		jobs = w.claim(w.db, 1)
		done := w.accepted(w.db, jobs)
		done[0].Outcome.ProviderMessageID = words
		w.must(w.db.Settle(t.Context(), done))
		w.must(w.db.Receive(t.Context(), []store.Receipt{{AccountID: w.account.ID, TPSPID: w.tpsp.ID, Headers: map[string]string{"X": words},
			Body: []byte(words), ReceivedAt: time.Now()}}))
		r := report(mail.ID{}, words, event.Delivered)
		r.Identity, r.ProviderMessageID, r.Detail = name, words, event.Detail{SMTPDescription: words, Provider: map[string]string{words: words}}
		if res, _ := w.ingest(w.db, []provider.Report{r}); res.Recorded != 1 {
			t.Errorf("%s: %+v", name, res)
		}
		m := w.message(ids[0])
		if m.State != lifecycle.Delivered || m.ProviderID != term(words) || utf8.ValidString(words) && m.Content.Subject != words {
			t.Errorf("%s: state %s, subject %.100q", name, m.State, m.Content.Subject)
		}
		events, err := w.db.Events(t.Context(), store.EventFilter{AccountID: w.account.ID, Recipient: words, MessageID: ids[0], Limit: 10})
		w.must(err)
		attempts, err := w.db.Attempts(t.Context(), w.account.ID, ids[0])
		w.must(err)
		if len(events) != 3 || len(attempts) != 2 || attempts[0].Text != text(words) || attempts[0].Answer != text(words) {
			t.Errorf("%s: %d events, %d attempts", name, len(events), len(attempts))
		}
	}
	w.wantBooks()
}

func TestHostileConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, words := range hostile {
		if len(words) > 1000 && name != "very long" {
			continue
		}
		short := term(words)
		p := directory.TPSP{AccountID: w.account.ID, Name: words, Stream: short, Endpoint: words, Type: provider.Postmark, Webhook: directory.Webhook{Username: words}}
		w.must(w.db.CreateTPSP(t.Context(), &p, &route.Pool{Name: short}))
		w.must(w.db.UpdateWebhook(t.Context(), p.ID, directory.Webhook{State: directory.WebhookFailed, Ref: words, Username: words, Error: words}))
		w.must(w.db.UpdateHealth(t.Context(), p.ID, directory.Health{Stopped: true, Reason: words}))
		w.must(w.db.UpdateTPSP(t.Context(), &p))
	}
	if _, err := w.db.LoadDirectory(t.Context()); err != nil {
		t.Error(err)
	}
}

// A message that cannot be read does not hold the others up; it waits, and says why.
func TestAMessageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.accept(8)
	w.must(w.db.write(t.Context(), w.db.work, "break", func(t *tx) error {
		t.exec(`UPDATE message SET recipient = 'no' WHERE id = $1`, uuidOf(ids[2]))
		t.exec(`UPDATE content SET body = 'no' WHERE id = $1`, uuidOf(ids[4]))
		t.exec(`DELETE FROM content WHERE id = $1`, uuidOf(ids[6]))
		return nil
	}))
	if jobs := w.claim(w.db, 100); len(jobs) != 5 {
		t.Errorf("claimed %d of the 5 good ones", len(jobs))
	}
	var waiting []string
	w.must(w.db.write(t.Context(), w.db.work, "look", func(t *tx) error {
		t.each(func(rows pgx.Rows) error {
			var why string
			err := rows.Scan(&why)
			waiting = append(waiting, why)
			return err
		}, `SELECT waiting FROM queue WHERE status = 1 AND attempts = 0 AND lease_owner = ''`)
		return nil
	}))
	if len(waiting) != 3 || !strings.HasPrefix(waiting[0], "it cannot be read") {
		t.Errorf("waiting: %q", waiting)
	}
	if jobs := w.claim(w.db, 100); len(jobs) != 0 {
		t.Errorf("claimed %d again", len(jobs))
	}
}

// A claim takes no more into memory than it may; what exceeds it is claimed next.
func TestAClaimIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.db.claimBytes = 512 << 10
	w.content = w.contentOf(mail.Content{HTML: strings.Repeat("x", 64<<10)})
	for range 6 {
		w.accept(2)
	}
	first := w.claim(w.db, 100)
	second := w.claim(w.db, 100)
	if len(first) < 2 || len(first) > 9 || len(first)+len(second) != 12 {
		t.Errorf("claimed %d, then %d of 12 messages of 64 kiB where 512 kiB may be taken", len(first), len(second))
	}
	for _, j := range append(first, second...) {
		if j.Attempt != 1 || len(j.Content.HTML) != 64<<10 {
			t.Errorf("attempt %d", j.Attempt)
		}
	}
	w.wantBooks()
}

// What is acknowledged is on disk, whatever the server is set to.
func TestAcknowledgedIsOnDisk(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Database(t)+"&synchronous_commit=off", "one")
	for _, name := range []string{"synchronous_commit", "fsync", "full_page_writes"} {
		var got string
		if _, err := one(t.Context(), db.work, "look", []any{&got}, `SELECT current_setting($1)`, name); err != nil || got != "on" {
			t.Errorf("%s is %q (%v)", name, got, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ url, want string }{
		"no URL":         {"postgres://%zz", "open database"},
		"another coding": {pgtest.Shared(t).Empty(t, "ENCODING 'SQL_ASCII' TEMPLATE template0"), "ENCODING 'UTF8'"},
	} {
		_, err := Open(t.Context(), Config{URL: test.url, Node: "one", Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
