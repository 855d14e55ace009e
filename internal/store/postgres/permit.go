package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/limit"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// claimLock is the class of the advisory locks under which the permits of a limited egress are counted and taken.
const claimLock = 0x70657266

// readLimits asks for the limits of a claim's egress; they are there after the next flush.
func (t *tx) readLimits(c store.Claim) *engine.Gate {
	g := engine.NewGate(c)
	t.each(func(rows pgx.Rows) error {
		var lane, perHour int
		err := rows.Scan(&lane, &perHour)
		g.Limit(lane, perHour)
		return err
	}, `SELECT -1, per_hour FROM tpsp WHERE id = $1 AND per_hour > 0 UNION ALL SELECT mailbox, per_hour FROM tpsp_limit WHERE tpsp_id = $1`,
		int32(c.Egress))
	return g
}

// readPermits counts what is taken of the limits; it is there after the next flush. From here to the commit no other node takes a permit
// of the egress.
func (t *tx) readPermits(c store.Claim, g *engine.Gate) {
	t.exec(`SELECT pg_advisory_xact_lock($1, $2)`, int32(claimLock), int32(c.Egress))
	t.each(func(rows pgx.Rows) error {
		var lane int
		var u limit.Use
		err := rows.Scan(&lane, &u.Span, &u.N)
		g.Taken(lane, u)
		return err
	}, `SELECT mailbox, span, n FROM permit WHERE egress = $1 AND mailbox = ANY ($2::smallint[]) AND span >= $3 ORDER BY mailbox, span`,
		int32(c.Egress), g.Limited(), g.FirstSpan())
}

// remember records until when limits hold lanes, for Expire.
func (t *tx) remember(c store.Claim, g *engine.Gate) {
	now := engine.Stamp(c.Now)
	for lane, until := range g.Holds() {
		t.exec(`INSERT INTO hold AS h (egress, mailbox, since, until) VALUES ($1, $2, coalesce((SELECT since FROM hold
				WHERE egress = $1 AND mailbox = $2 AND until >= $3 ORDER BY since DESC LIMIT 1), $4), $5)
				ON CONFLICT (egress, mailbox, since) DO UPDATE SET until = excluded.until WHERE excluded.until > h.until`,
			int32(c.Egress), int16(lane), now-int64(engine.HoldsJoin), now, engine.Stamp(until))
	}
}

// Permits implements store.Queue.
func (db *DB) Permits(ctx context.Context, egress route.Egress, now time.Time, claim time.Duration) (p store.Permits, err error) {
	type row struct {
		lane int
		use  limit.Use
	}
	rows, err := list(ctx, db.work, "read permits", func(rows pgx.Rows) (r row, err error) {
		err = rows.Scan(&r.lane, &r.use.Span, &r.use.N)
		return r, err
	}, `SELECT mailbox, span, n FROM permit WHERE egress = $1 AND span >= $2 ORDER BY mailbox, span`, int32(egress), limit.First(now, claim))
	for _, r := range rows {
		if err == nil {
			err = engine.AddUse(&p, r.lane, r.use)
		}
	}
	return p, err
}
