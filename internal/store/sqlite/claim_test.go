package sqlite

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// filledDB is a database with one account, one provider and n pending messages with bodies of the given size.
func filledDB(t *testing.T, n, size int) (*DB, []mail.ID) {
	t.Helper()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	a, s := directory.Account{Name: "a", SealedKey: []byte("k")}, directory.SubAccount{Name: "s", KeyHash: directory.KeyHash{1}, SealedKey: []byte("k")}
	if err := db.CreateAccount(t.Context(), &a, &s); err != nil {
		t.Fatal(err)
	}
	p := directory.TPSP{AccountID: a.ID, Name: "p", Type: provider.Postmark, SealedKey: []byte("k")}
	if err := db.CreateTPSP(t.Context(), &p, &route.Pool{Name: "pool"}); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(mail.Content{From: mail.Address{Email: "a@b.example"}, HTML: strings.Repeat("x", size)})
	if err != nil {
		t.Fatal(err)
	}
	var ids []mail.ID
	for range n {
		id := uuid.Must(uuid.NewV7())
		ids = append(ids, id)
		if err := db.Accept(t.Context(), []store.Submission{{AccountID: a.ID, SubAccountID: s.ID, Content: content, SubmittedAt: time.Now(),
			Messages: []store.NewMessage{{ID: id, Recipient: []byte(`{"email":"c@d.example"}`), To: "c@d.example", Mailbox: mailbox.Default,
				Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{p.Egress()}}, Processed: 69}
				}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	return db, ids
}

func claimAll(ctx context.Context, t *testing.T, db *DB, now time.Time) []store.Job {
	t.Helper()
	claimed, err := db.Claim(ctx, store.Claim{Egress: 1, Limit: 100, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return claimed.Jobs
}

// A message that cannot be read does not hold the others up; it waits, and says why.
func TestAMessageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	db, ids := filledDB(t, 5, 10)
	if err := db.write(t.Context(), rest, func(tx *tx) error {
		_, err := tx.exec(`UPDATE message SET recipient = x'6e6f' WHERE id = ?`, ids[2][:])
		return err
	}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if jobs := claimAll(t.Context(), t, db, now); len(jobs) != 4 {
		t.Errorf("claimed %d of the 4 good ones", len(jobs))
	}
	var waiting string
	var attempts int
	if err := db.readPool.QueryRowContext(t.Context(), `SELECT waiting, attempts FROM queue WHERE id = ? AND status = 1`, ids[2][:]).Scan(&waiting, &attempts); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(waiting, "it cannot be read") || attempts != 0 {
		t.Errorf("waiting %q after %d attempts", waiting, attempts)
	}
}

// A claim takes no more into memory than it may; what exceeds it is claimed next.
func TestAClaimIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	db, _ := filledDB(t, 12, 8<<20)
	first := claimAll(t.Context(), t, db, time.Now())
	second := claimAll(t.Context(), t, db, time.Now())
	if len(first) < 2 || len(first) > 9 || len(first)+len(second) != 12 {
		t.Errorf("claimed %d, then %d of 12 messages of 8 MiB", len(first), len(second))
	}
	for _, j := range append(first, second...) {
		if j.Attempt != 1 {
			t.Errorf("attempt %d", j.Attempt)
		}
	}
}

// A claim that the context's end overtakes is not left behind.
func TestAClaimAtTheEnd(t *testing.T) {
	t.Parallel()
	db, _ := filledDB(t, 3, 10)
	ctx, cancel := context.WithCancel(t.Context())
	if err := db.write(ctx, rest, func(*tx) error { cancel(); return nil }); err != nil {
		t.Fatal(err)
	}
	jobs, err := db.filled(ctx, nil, "o", time.Now())
	if err != nil || len(jobs) != 0 {
		t.Errorf("nothing to fill: %v, %v", jobs, err)
	}
	claimed := claimAll(t.Context(), t, db, time.Now())
	if filled, err := db.filled(ctx, claimed, "o", time.Now()); err != nil || len(filled) != 3 {
		t.Errorf("filled %d after the end: %v", len(filled), err)
	}
}

// However many lanes and priorities have mail that is held, one claim looks at few of it: nobody else writes meanwhile.
func TestAClaimIsBoundedInLooks(t *testing.T) {
	t.Parallel()
	db, _ := filledDB(t, 0, 10)
	const lanes, priorities, subs = 5, 40, 60
	var rows int
	if err := db.write(t.Context(), rest, func(tx *tx) error {
		if _, err := tx.exec(`UPDATE pool SET paused = 1`); err != nil {
			return err
		}
		_, err := tx.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 * ?2 * ?3)
			INSERT INTO queue (id, egress, mailbox, status, priority, rank, sub_account_id, pool_id)
			SELECT randomblob(16), 1, i % ?1, 0, i / ?1 % ?2, 1, i / ?1 / ?2 + 1, (SELECT id FROM pool) FROM n`, lanes, priorities, subs)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.readPool.QueryRowContext(t.Context(), `SELECT count(*) FROM queue`).Scan(&rows); err != nil || rows != lanes*priorities*subs {
		t.Fatalf("%d rows (%v)", rows, err)
	}
	now := time.Now()
	c := store.Claim{Egress: 1, Limit: 1000, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)}
	if err := db.write(t.Context(), rest, func(tx *tx) error {
		g, ids, err := tx.openLanes(c)
		if err != nil {
			return err
		}
		if _, _, err := tx.claimLanes(db, c, g, ids, &store.Claimed{}); err != nil {
			return err
		}
		if n := mostProbes - g.probes; len(g.looked) != lanes*priorities || n > mostProbes+lanes*priorities*leastVain {
			t.Errorf("a claim looked at %d flows in %d places", n, len(g.looked))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// The keeper empties a log that grew too long.
func TestKeeper(t *testing.T) {
	t.Parallel()
	db, _ := filledDB(t, 20, 100<<10)
	ctx, end := db.keeper.query(t.Context())
	if _, err := db.Backlog(ctx); err != nil {
		t.Fatal(err)
	}
	end()
	db.keeper.truncate()
	var busy, log, moved int
	if err := db.readPool.QueryRowContext(t.Context(), `SELECT count(*), 0, 0 FROM queue`).Scan(&busy, &log, &moved); err != nil || busy != 20 {
		t.Errorf("after the checkpoint: %d messages (%v)", busy, err)
	}
	if size := fileSize(t, db.keeper.wal); size != 0 {
		t.Errorf("the log has %d bytes after the checkpoint", size)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
