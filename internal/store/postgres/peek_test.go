package postgres

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// conn is a connection of a test's own.
func (w *world) conn() *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	w.must(err)
	w.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.Context())) })
	return conn
}

func (w *world) exec(conn *pgx.Conn, sql string, args ...any) {
	w.Helper()
	_, err := conn.Exec(w.Context(), sql, args...)
	w.must(err)
}

func (w *world) limited(name string, perHour int) int32 {
	w.Helper()
	s := directory.SubAccount{AccountID: w.account.ID, Name: name, KeyHash: secret.Hash(name), SealedKey: []byte("x")}
	w.must(w.db.CreateSubAccount(w.Context(), &s))
	w.must(w.db.ArrangeSubAccount(w.Context(), w.account.ID, s.ID, store.Arrangement{PerHour: &perHour, Now: w.db.Now()}))
	return s.ID
}

// What a claim looks at it finds by keys, as does what looks for messages whose time is over: however many sub-accounts there are, and however many are stopped.
func TestPeekGoesByKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.accept(1)
	conn := w.conn()
	w.exec(conn, `INSERT INTO sub_account (account_id, name, is_default, key_hash, sealed_key, created, path, blocked)
		SELECT $1::int, g::text, false, decode(md5(g::text), 'hex'), '', 0, ARRAY[$2::int], g % 2 FROM generate_series(1, 1000) g`, w.account.ID, w.sub.ID)
	w.exec(conn, `INSERT INTO queue (id, egress, mailbox, status, rank, sub_account_id, pool_id) SELECT gen_random_uuid(), $1::int, 5, 0, 1, id, 3 FROM sub_account`, int32(w.tpsp.Egress()))
	w.exec(conn, `INSERT INTO sub_hold SELECT s.id, g, g + 1 FROM sub_account s, generate_series(1, 5) g`)
	w.exec(conn, `INSERT INTO sub_hold SELECT id, 1::bigint << 60, 3::bigint << 60 FROM sub_account WHERE id % 2 = 0`)
	w.exec(conn, `ANALYZE sub_account, queue, sub_hold`)
	bad := regexp.MustCompile(`Seq Scan on (sub_account|queue|sub_hold)|hashed SubPlan|sub_hold_until|sub_account_blocked|Hash Cond: .*sub`)
	plan := func(query string, args ...any) {
		t.Helper()
		rows, err := conn.Query(t.Context(), `EXPLAIN `+query, args...)
		w.must(err)
		steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.must(err)
		if step := slices.IndexFunc(steps, bad.MatchString); step >= 0 {
			t.Errorf("%s\n%s", steps[step], strings.Join(steps, "\n"))
		}
	}
	plan(peek, int32(w.tpsp.Egress()), 100, time.Now().UnixNano(), 8, mostSteps, mostLevels,
		[]int16{}, []int32{}, []int32{}, []int32{}, []int32{}, []bool{})
	plan(subHoldsQuery, []int32{w.sub.ID, w.sub.ID + 1, w.sub.ID + 2}, int64(1))
}

// However many lanes and priorities have mail that is held, one claim looks at few of it.
func TestPeekIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.conn()
	w.must(w.db.PausePool(t.Context(), w.account.ID, w.pool.ID, true))
	const lanes, priorities, subs = 5, 40, 60
	w.exec(conn, `INSERT INTO queue (id, egress, mailbox, status, priority, rank, sub_account_id, pool_id)
		SELECT gen_random_uuid(), $1::int, lane, 0, priority, 1, sub, $2::int FROM generate_series(1, $3::int) lane, generate_series(1, $4::int) priority, generate_series(1, $5::int) sub`,
		int32(w.tpsp.Egress()), w.pool.ID, lanes, priorities, subs)
	w.exec(conn, `ANALYZE queue`)
	tag, err := conn.Exec(t.Context(), peek, int32(w.tpsp.Egress()), 100, time.Now().UnixNano(), 8, mostSteps, mostLevels,
		[]int16{}, []int32{}, []int32{}, []int32{}, []int32{}, []bool{})
	w.must(err)
	if n := tag.RowsAffected(); n != lanes*priorities*(1+10) {
		t.Errorf("a claim takes %d steps in %d places", n, lanes*priorities)
	}
}

// What is blocked or paused while a claim is under way stays where it is, from the moment in which that is answered; and the claim has others
// look at what is behind it.
func TestBlockedDuringAClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.limited("limited", 9)
	batch, _ := w.submissions(3)
	for i := range batch {
		batch[i].SubAccountID = sub
	}
	w.must(w.db.Accept(t.Context(), batch))
	other, watch := w.conn(), w.conn()
	paused := w.tpsp
	paused.Paused = true
	for what, change := range map[string]struct{ hold, release func() error }{
		"the sub-account is blocked": {
			func() error { return w.db.BlockSubAccount(t.Context(), w.account.ID, sub, store.Block{At: w.db.Now()}) },
			func() error { return w.db.BlockSubAccount(t.Context(), w.account.ID, sub, store.Block{}) }},
		"the sub-account is paused": {
			func() error { return w.db.PauseSubAccount(t.Context(), w.account.ID, sub, true) },
			func() error { return w.db.PauseSubAccount(t.Context(), w.account.ID, sub, false) }},
		"the pool is paused": {
			func() error { return w.db.PausePool(t.Context(), w.account.ID, w.pool.ID, true) },
			func() error { return w.db.PausePool(t.Context(), w.account.ID, w.pool.ID, false) }},
		"the provider is paused": {
			func() error { return w.db.UpdateTPSP(t.Context(), &paused) },
			func() error { return w.db.UpdateTPSP(t.Context(), &w.tpsp) }},
	} {
		lock, err := other.Begin(t.Context())
		w.must(err)
		_, err = lock.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1, $2)`, int32(senderLock), sub%senderLocks)
		w.must(err)
		claimed := make(chan store.Claimed)
		go func() {
			defer close(claimed)
			now := w.db.Now()
			c, err := w.db.Claim(t.Context(), store.Claim{Egress: w.tpsp.Egress(), Limit: 10, Owner: store.OwnerOf(w.db.Node(), "run"), Now: now, LeaseUntil: now.Add(time.Minute)})
			if err != nil {
				t.Error(err)
			}
			claimed <- c
		}()
		for waits := false; !waits; { // it has looked, and waits to count permits
			w.must(watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND NOT granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`, uint32(senderLock)).Scan(&waits))
		}
		w.must(change.hold())
		w.must(lock.Commit(t.Context()))
		if c := <-claimed; len(c.Jobs) != 0 || !c.More {
			t.Errorf("%s, and %d go; more: %t", what, len(c.Jobs), c.More)
		}
		w.must(change.release())
	}
	if n := len(w.claim(w.db, 10)); n != 3 {
		t.Errorf("%d of 3 go when nothing holds them", n)
	}
}

// A claim needs few locks, of however many limited sub-accounts: the server has room for some thousands altogether.
func TestLocksOfSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.conn()
	w.exec(conn, `INSERT INTO sub_account (account_id, name, is_default, key_hash, sealed_key, created, per_hour)
		SELECT $1::int, g::text, false, decode(md5(g::text), 'hex'), '', 0, 7 FROM generate_series(1, 500) g`, w.account.ID)
	rows, err := conn.Query(t.Context(), `SELECT id FROM sub_account WHERE per_hour > 0 ORDER BY id`)
	w.must(err)
	subs, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	w.must(err)
	for what, lock := range map[string]func(*tx){
		"a claim": func(t *tx) { t.readSenders(store.Claim{}, nil, subs) },
		"permits that are given back": func(t *tx) {
			l := newLedger()
			l.senders = map[senderPermit]int{}
			for _, id := range subs {
				l.senders[senderPermit{sub: id}] = 1
			}
			l.endSenderHolds(t)
		},
	} {
		n := 0
		w.must(w.db.write(t.Context(), w.db.work, "lock", func(t *tx) error {
			lock(t)
			t.row([]any{&n}, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`)
			return t.flush()
		}))
		if n == 0 || n > 64 {
			t.Errorf("%s of %d limited sub-accounts takes %d locks", what, len(subs), n)
		}
	}
}
