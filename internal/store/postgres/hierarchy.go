package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/limit"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// senderLock is the class of the advisory locks under which the permits of limited sub-accounts are counted and taken. Several sub-accounts
// share one, for the server has room for some thousands of locks altogether. They are taken after that of the egress, in their order.
const (
	senderLock  = 0x7065726d
	senderLocks = 64
)

// ArrangeSubAccount implements store.Hierarchy.
func (db *DB) ArrangeSubAccount(ctx context.Context, accountID, id int32, a store.Arrangement) error {
	return db.configure(ctx, "arrange sub-account", func(t *tx) error {
		if a.PerHour != nil {
			t.exec(`SELECT pg_advisory_xact_lock($1, $2)`, int32(senderLock), id%senderLocks) // a claim that has read the former limit would hold it anew
			t.exec(`UPDATE sub_hold SET until = greatest(since, $2) WHERE sub_account_id = $1 AND until > $2`, id, engine.Stamp(a.Now))
			if err := t.touch(`UPDATE sub_account SET per_hour = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, int32(*a.PerHour)); err != nil {
				return err
			}
		}
		if a.Parent == nil {
			return nil
		}
		return t.moveSubAccount(accountID, id, *a.Parent, a.Now)
	})
}

func (t *tx) moveSubAccount(accountID, id, parent int32, now time.Time) error {
	if err := t.flush(); err != nil { // it begins with what lets no other change be made
		return err
	}
	tree := engine.Tree{}
	t.each(func(rows pgx.Rows) error {
		var other int32
		var b engine.Branch
		err := rows.Scan(&other, &b.Path, &b.Deleted)
		tree[other] = b
		return err
	}, `SELECT id, path, deleted > 0 FROM sub_account WHERE account_id = $1`, accountID)
	if err := t.flush(); err != nil {
		return err
	}
	above := tree[id].Path
	changed, err := tree.Move(id, parent)
	if err != nil || len(changed) == 0 {
		return err
	}
	for _, other := range changed {
		t.exec(`UPDATE sub_account SET path = $2, moved = $3 WHERE id = $1`, other, append([]int32{}, tree[other].Path...), engine.Stamp(now))
	}
	// Its messages were held by the limits of those that it stood under.
	t.exec(`INSERT INTO sub_hold AS h (sub_account_id, since, until) SELECT $1, since, max(least(until, $2)) FROM sub_hold
			WHERE sub_account_id = ANY ($3::int[]) AND since <= $2 GROUP BY since ORDER BY since
			ON CONFLICT (sub_account_id, since) DO UPDATE SET until = excluded.until WHERE excluded.until > h.until`, id, engine.Stamp(now), above)
	return nil
}

// BlockSubAccount implements store.Hierarchy.
func (db *DB) BlockSubAccount(ctx context.Context, accountID, id int32, b store.Block) error {
	return db.configure(ctx, "block sub-account", func(t *tx) error {
		return t.touch(`UPDATE sub_account SET blocked = CASE WHEN $3::bigint > 0 AND blocked > 0 THEN blocked ELSE $3 END, block_reason = $4
			WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(b.At), text(b.Reason))
	})
}

// SenderPermits implements store.Hierarchy.
func (db *DB) SenderPermits(ctx context.Context, ids []int32, now time.Time, claim time.Duration) (map[int32][]limit.Use, error) {
	type row struct {
		id  int32
		use limit.Use
	}
	rows, err := list(ctx, db.work, "read permits of sub-accounts", func(rows pgx.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.use.Span, &r.use.N)
		return r, err
	}, `SELECT sub_account_id, span, sum(n)::int FROM sub_permit WHERE sub_account_id = ANY ($1::int[]) AND span >= $2 GROUP BY 1, 2 ORDER BY 1, 2`,
		ids, limit.First(now, claim))
	taken := map[int32][]limit.Use{}
	for _, r := range rows {
		taken[r.id] = append(taken[r.id], r.use)
	}
	return taken, err
}

// readSenders counts what is taken of the limits of sub-accounts; it is there after the next flush, by which told is to be called. From
// here to the commit no other claim takes a permit of them.
func (t *tx) readSenders(c store.Claim, s *engine.Senders, limited []int32) (told func()) {
	locks := map[int32]bool{}
	for _, id := range limited {
		locks[id%senderLocks] = true
	}
	for _, lock := range slices.Sorted(maps.Keys(locks)) {
		t.exec(`SELECT pg_advisory_xact_lock($1, $2)`, int32(senderLock), lock)
	}
	perHour, taken := map[int32]int{}, map[int32][]limit.Use{}
	length := c.LeaseUntil.Sub(c.Now)
	t.each(func(rows pgx.Rows) error {
		var id int32
		var most int
		var u limit.Use
		err := rows.Scan(&id, &most, &u.Span, &u.N)
		perHour[id], taken[id] = most, append(taken[id], u)
		return err
	}, `SELECT s.id, s.per_hour, coalesce(p.span, 0), coalesce(p.n, 0) FROM sub_account s
		LEFT JOIN LATERAL (SELECT span, sum(n)::int AS n FROM sub_permit WHERE sub_account_id = s.id AND span >= $2 GROUP BY span) p ON true
		WHERE s.id = ANY ($1::int[]) AND s.per_hour > 0 ORDER BY s.id, p.span`, limited, limit.First(c.Now, length))
	return func() {
		for id, most := range perHour {
			room, free := limit.Room(most, taken[id], c.Now, length)
			s.Limit(id, room, free)
		}
	}
}

// limitedSenders returns the limited sub-accounts of flows, in the order of ids.
func limitedSenders(flows []flow) []int32 {
	found := map[int32]bool{}
	for i := range flows {
		for _, id := range flows[i].limited {
			found[id] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// withRoom leaves out the flows whose sub-accounts have no room, and notes those; of the others it is ready what may go.
func withRoom(flows []flow, s *engine.Senders) (open []engine.Flow) {
	for i := range flows {
		f := flows[i].Flow
		room := s.Room(f.Chain)
		if room == 0 {
			s.Hold(f.Chain)
			continue
		}
		f.Ready = min(f.Ready, room)
		open = append(open, f)
	}
	return open
}

// rememberSenders records until when limits hold sub-accounts.
func (t *tx) rememberSenders(c store.Claim, s *engine.Senders) {
	ids, until := s.Holds()
	now := engine.Stamp(c.Now)
	for _, id := range ids {
		t.exec(`INSERT INTO sub_hold AS h (sub_account_id, since, until) VALUES ($1, coalesce((SELECT since FROM sub_hold
				WHERE sub_account_id = $1 AND until >= $2 ORDER BY since DESC LIMIT 1), $3), $4)
				ON CONFLICT (sub_account_id, since) DO UPDATE SET until = excluded.until WHERE excluded.until > h.until`,
			id, now-int64(engine.HoldsJoin), now, engine.Stamp(until[id]))
	}
}

// chains returns every pair of a sub-account of flows and of one of its chain, once.
func chains(flows []engine.Flow) (subs, above []int32) {
	seen := map[int32]bool{}
	for i := range flows {
		f := &flows[i]
		if seen[f.SubAccount] {
			continue
		}
		seen[f.SubAccount] = true
		for _, id := range f.Chain {
			subs, above = append(subs, f.SubAccount), append(above, id)
		}
	}
	return subs, above
}

// senderPermit is whose permits are given back.
type senderPermit struct {
	sub    int32
	egress route.Egress
	span   int64
}

// givenUp are the permits of sub-accounts that come back: each is also of those above it, unless they are others by now.
const givenUp = `WITH up AS (SELECT u.sub, u.egress, u.span, u.n, CASE WHEN s.moved < u.span * $5 - $6 THEN s.id || s.path ELSE ARRAY[s.id] END AS chain
		FROM unnest($1::int[], $2::int[], $3::bigint[], $4::int[]) AS u (sub, egress, span, n) JOIN sub_account s ON s.id = u.sub),
	given AS MATERIALIZED (SELECT one AS sub_account_id, span, egress, sum(n)::int AS n FROM up CROSS JOIN unnest(up.chain) AS one GROUP BY 1, 2, 3)`

// writeSenderPermits gives permits back. The limits that were reached let messages go again.
func (l *ledger) writeSenderPermits(t *tx) {
	if len(l.senders) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(l.senders), func(a, b senderPermit) int {
		return cmp.Or(cmp.Compare(a.sub, b.sub), cmp.Compare(a.span, b.span), cmp.Compare(a.egress, b.egress))
	})
	args := []any{
		column(keys, func(k *senderPermit) int32 { return k.sub }),
		column(keys, func(k *senderPermit) int32 { return int32(k.egress) }),
		column(keys, func(k *senderPermit) int64 { return k.span }),
		column(keys, func(k *senderPermit) int32 { return int32(l.senders[*k]) }),
		int64(limit.Span), int64(engine.MovedMargin),
	}
	t.exec(givenUp+`, back AS MATERIALIZED (SELECT p.sub_account_id, p.span, p.egress, given.n FROM given JOIN sub_permit p USING (sub_account_id, span, egress)
			ORDER BY 1, 2, 3 FOR UPDATE OF p)
		UPDATE sub_permit p SET n = greatest(p.n - back.n, 0) FROM back
		WHERE p.sub_account_id = back.sub_account_id AND p.span = back.span AND p.egress = back.egress`, args...)
}

// endSenderHolds comes before permits are locked, as in a claim. It takes the locks that claims count under: one that has counted what is given
// back here would write a hold after this ended it.
func (l *ledger) endSenderHolds(t *tx) {
	if len(l.senders) == 0 {
		return
	}
	var subs []int32
	for k := range l.senders {
		subs = append(subs, k.sub)
	}
	t.exec(`SELECT pg_advisory_xact_lock($2::int, lock) FROM (SELECT DISTINCT l.id % $3::int AS lock FROM sub_account s JOIN sub_account l ON l.id = ANY (s.id || s.path)
		WHERE s.id = ANY ($1::int[]) AND l.per_hour > 0 ORDER BY 1) limited`, subs, int32(senderLock), int32(senderLocks))
	t.exec(`WITH ended AS MATERIALIZED (SELECT h.sub_account_id, h.since FROM sub_hold h WHERE h.until > $2 AND h.sub_account_id IN
				(SELECT unnest(s.id || s.path) FROM sub_account s WHERE s.id = ANY ($1::int[])) ORDER BY 1, 2 FOR UPDATE)
			UPDATE sub_hold h SET until = greatest(h.since, $2) FROM ended WHERE h.sub_account_id = ended.sub_account_id AND h.since = ended.since`,
		subs, engine.Stamp(l.returnedAt))
}
