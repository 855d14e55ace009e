package sqlite

import (
	"context"
	"database/sql"
	"time"

	"postyard/internal/limit"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// gate is what a claim of an egress may take.
type gate struct {
	*engine.Gate
	pools, subAccounts map[int32]bool // whose mail waits

	senders *engine.Senders
	stops   map[int32]int64  // blocked sub-accounts, and until when the limits of others are reached
	known   map[int32]sender // those of flows that were looked at
	perHour map[int32]int    // the limits of those above them

	probes, left int // how many flows may still be looked at, and how many of the lane
	part         int // of every lane
	looked       []engine.Looked
}

// openGate reads the limits of a claim's egress and what is taken of them. It is nil when the operator has stopped the egress.
func (t *tx) openGate(c store.Claim) (*gate, error) {
	g := &gate{Gate: engine.NewGate(c), senders: engine.NewSenders(c), known: map[int32]sender{}, perHour: map[int32]int{}}
	var perHour int
	var stopped bool
	if _, err := t.one([]any{&perHour, &stopped}, `SELECT per_hour, paused OR drill_until > ? FROM tpsp WHERE id = ?`,
		engine.Stamp(c.Now), int32(c.Egress)); err != nil || stopped {
		return nil, err
	}
	if perHour > 0 {
		g.Limit(engine.WholeEgress, perHour)
	}
	if _, err := each(t, func(rows *row) (none struct{}, err error) {
		var lane int
		err = rows.Scan(&lane, &perHour)
		g.Limit(lane, perHour)
		return none, err
	}, `SELECT mailbox, per_hour FROM tpsp_limit WHERE tpsp_id = ?`, int32(c.Egress)); err != nil {
		return nil, err
	}
	for _, lane := range g.Limited() {
		if _, err := each(t, func(rows *row) (none struct{}, err error) {
			var u limit.Use
			err = rows.Scan(&u.Span, &u.N)
			g.Taken(int(lane), u)
			return none, err
		}, `SELECT span, n FROM permit WHERE egress = ? + 0 AND mailbox = ? + 0 AND span >= ? ORDER BY span`, int32(c.Egress), lane, g.FirstSpan()); err != nil {
			return nil, err
		}
	}
	var err error
	if g.pools, err = t.pausedIDs(`SELECT id FROM pool WHERE paused`); err == nil {
		g.subAccounts, err = t.pausedIDs(`SELECT id FROM sub_account WHERE paused`)
	}
	if err == nil {
		err = t.readStops(g, c)
	}
	return g, err
}

func (t *tx) pausedIDs(query string) (map[int32]bool, error) {
	ids, err := each(t, func(rows *row) (id int32, err error) { err = rows.Scan(&id); return id, err }, query)
	held := make(map[int32]bool, len(ids))
	for _, id := range ids {
		held[id] = true
	}
	return held, err
}

// takePermits counts messages that are let go.
func (t *tx) takePermits(c store.Claim, lane, n int) error {
	if n == 0 {
		return nil
	}
	_, err := t.exec(`INSERT INTO permit (egress, mailbox, span, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`,
		int32(c.Egress), lane, limit.SpanOf(c.Now), n)
	return err
}

// remember records until when limits hold lanes, for Expire.
func (t *tx) remember(c store.Claim, g *gate) error {
	for lane, until := range g.Holds() {
		now := engine.Stamp(c.Now)
		if _, err := t.exec(`INSERT INTO hold (egress, mailbox, since, until) VALUES (?1, ?2, coalesce((SELECT since FROM hold
				WHERE egress = ?1 AND mailbox = ?2 AND until >= ?3 ORDER BY since DESC LIMIT 1), ?4), ?5)
				ON CONFLICT DO UPDATE SET until = excluded.until WHERE excluded.until > until`,
			int32(c.Egress), lane, now-int64(engine.HoldsJoin), now, engine.Stamp(until)); err != nil {
			return err
		}
	}
	return nil
}

// returnPermit gives the permits of an attempt back that the provider has seen nothing of.
func (t *tx) returnPermit(j *store.Job, now time.Time) error {
	if _, err := t.exec(`UPDATE permit SET n = n - 1 WHERE egress = ? AND mailbox IN (-1, (SELECT mailbox FROM queue WHERE id = ?)) AND span = ? AND n > 0`,
		int32(j.Egress), j.ID[:], limit.SpanOf(j.SentAt)); err != nil {
		return err
	}
	return t.returnSenderPermit(j, now)
}

// mostProbes bounds how many flows one claim looks at, by which the lanes have equal parts. When those are spent, a claim still looks at
// leastProbes in every lane and priority, and ends there with leastVain that are held: those are passed over, but cost a look: some 10
// microseconds, in which nobody else writes.
const (
	mostProbes  = 500
	leastProbes = 30
	leastVain   = 3
)

// flows returns a lane with the flows that are to be served, of so many sub-accounts at most in a priority: of the highest one first. It
// ends when they have what is wanted.
func (t *tx) flows(db *DB, c store.Claim, g *gate, id, most int) (l engine.Lane, err error) {
	l = engine.Lane{ID: id, Room: g.Room(id)}
	wanted := max(min(l.Room, c.Limit), 1) // that something waits is of interest in any case
	g.left = g.part
	ready := 0
	for f := (engine.Flow{Lane: id, Priority: noPriority}); ready < wanted && most > 0; {
		found, err := t.one([]any{&f.Priority}, `SELECT priority FROM queue WHERE egress = ? + 0 AND status = 0 AND mailbox = ? + 0 AND priority > ?
				ORDER BY priority LIMIT 1`, int32(c.Egress), id, f.Priority)
		if err != nil || !found {
			return l, err
		}
		n := len(l.Flows)
		subs, err := t.look(db, c, g, f, &l, most, wanted)
		if err != nil {
			return l, err
		}
		most -= subs
		for i := range l.Flows[n:] {
			ready += l.Flows[n+i].Ready
		}
	}
	return l, nil
}

// look adds flows of a lane and priority that are not held to l, in turn, until it has all of so many sub-accounts, or has looked at as many
// as it may. It returns of how many sub-accounts it has some.
func (t *tx) look(db *DB, c store.Claim, g *gate, f engine.Flow, l *engine.Lane, most, wanted int) (subs int, err error) {
	at := engine.Looked{Lane: f.Lane, Priority: f.Priority, Look: db.turns.Look(c.Egress, f.Lane, f.Priority)}
	f.SubAccount, f.Pool = at.Sub, at.Pool
	left := min(g.probes, g.left)
	for left, vain := max(left, leastProbes), max(left, leastVain); left > 0 && vain > 0; left-- {
		found, err := t.nextFlow(c, &f)
		if err == nil && !found && !at.Wrapped {
			at.Wrapped, f.SubAccount, f.Pool = true, -1, engine.NoMore
			found, err = t.nextFlow(c, &f)
		}
		if err != nil {
			return subs, err
		}
		if !found || at.Wrapped && f.SubAccount > at.Until {
			at.Whole, at.Found = true, subs > 0
			g.looked = append(g.looked, at)
			return subs, nil
		}
		another := subs == 0 || l.Flows[len(l.Flows)-1].SubAccount != f.SubAccount
		if another && subs == most {
			return subs, nil
		}
		g.probes, g.left = g.probes-1, g.left-1
		room, err := t.room(g, c, &f)
		if err != nil {
			return subs, err
		}
		if room == 0 {
			vain--
			continue
		}
		if _, err := t.one([]any{&f.Ready}, `SELECT count(*) FROM (SELECT 1 FROM queue WHERE egress = ? AND status = 0 AND mailbox = ?
				AND priority = ? AND sub_account_id = ? AND pool_id = ? LIMIT ?)`,
			int32(c.Egress), f.Lane, f.Priority, f.SubAccount, f.Pool, min(wanted, room)); err != nil {
			return subs, err
		}
		if l.Flows = append(l.Flows, f); another {
			subs++
		}
	}
	at.Sub, at.Pool, at.Found = f.SubAccount, f.Pool, subs > 0
	g.looked = append(g.looked, at)
	return subs, nil
}

// room returns how many messages of a flow may go. When its sub-account is held, f moves on behind all its pools.
func (t *tx) room(g *gate, c store.Claim, f *engine.Flow) (room int, err error) {
	if g.pools[f.Pool] {
		return 0, nil
	}
	if !g.subAccounts[f.SubAccount] {
		if room, err = t.senderRoom(g, c, f); err != nil {
			return 0, err
		}
	}
	if room == 0 {
		f.Pool = engine.NoMore // its other pools wait as well
	}
	return room, nil
}

// senderRoom returns how many messages of a flow its sub-account, and those above it, let go.
func (t *tx) senderRoom(g *gate, c store.Claim, f *engine.Flow) (int, error) {
	s, err := t.sender(g, c, f.SubAccount)
	if err != nil || s.stopped {
		return 0, err
	}
	if !s.until.IsZero() {
		g.senders.Wait(s.until)
		return 0, nil
	}
	f.Chain = s.chain
	room := g.senders.Room(s.chain)
	if room == 0 {
		g.senders.Hold(s.chain)
	}
	return room, nil
}

// nextFlow moves f on to the next flow of its lane and priority. It takes two questions: for a pair of columns after another pair
// SQLite would walk through all rows of the flow before.
func (t *tx) nextFlow(c store.Claim, f *engine.Flow) (found bool, err error) {
	if f.Pool < engine.NoMore {
		found, err = t.one([]any{&f.Pool}, `SELECT pool_id FROM queue WHERE egress = ? + 0 AND status = 0 AND mailbox = ? + 0 AND priority = ? + 0 AND sub_account_id = ? + 0
				AND pool_id > ? ORDER BY pool_id LIMIT 1`, int32(c.Egress), f.Lane, f.Priority, f.SubAccount, f.Pool)
		if err != nil || found {
			return found, err
		}
	}
	return t.one([]any{&f.SubAccount, &f.Pool}, `SELECT sub_account_id, pool_id FROM queue WHERE egress = ? + 0 AND status = 0 AND mailbox = ? + 0 AND priority = ? + 0
			AND sub_account_id > ? ORDER BY sub_account_id, pool_id LIMIT 1`, int32(c.Egress), f.Lane, f.Priority, f.SubAccount)
}

// noPriority is below every priority.
const noPriority = -1 << 31

// Permits implements store.Queue.
func (db *DB) Permits(ctx context.Context, egress route.Egress, now time.Time, claim time.Duration) (p store.Permits, err error) {
	rows, err := db.readPool.QueryContext(ctx, permitsQuery, int32(egress), limit.First(now, claim))
	if err != nil {
		return p, failed("read permits", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var lane int
		var u limit.Use
		if err := rows.Scan(&lane, &u.Span, &u.N); err != nil {
			return none, err
		}
		return none, engine.AddUse(&p, lane, u)
	})
	return p, err
}

const permitsQuery = `SELECT mailbox, span, n FROM permit WHERE egress = ? AND span >= ? ORDER BY mailbox, span`
