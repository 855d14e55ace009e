package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"postyard/internal/limit"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// pathColumn scans the ids of the sub-accounts above one.
type pathColumn []int32

// Scan implements sql.Scanner.
func (p *pathColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("path of %T", src)
	}
	if *p = nil; text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), (*[]int32)(p))
}

func pathText(path []int32) string {
	if len(path) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(path) // numbers always can be
	return string(text)
}

// ArrangeSubAccount implements store.Hierarchy.
func (db *DB) ArrangeSubAccount(ctx context.Context, accountID, id int32, a store.Arrangement) error {
	return db.write(ctx, rest, func(t *tx) error {
		if a.PerHour != nil {
			if err := orMissing(t.changed(`UPDATE sub_account SET per_hour = ? WHERE account_id = ? AND id = ? AND deleted = 0`, *a.PerHour, accountID, id)); err != nil {
				return err
			}
			if err := t.endHolds([]int32{id}, a.Now); err != nil {
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
	tree := engine.Tree{}
	if _, err := each(t, func(rows *row) (none struct{}, err error) {
		var other int32
		var b engine.Branch
		err = rows.Scan(&other, (*pathColumn)(&b.Path), &b.Deleted)
		tree[other] = b
		return none, err
	}, `SELECT id, path, deleted > 0 FROM sub_account WHERE account_id = ?`, accountID); err != nil {
		return err
	}
	above := tree[id].Path
	changed, err := tree.Move(id, parent)
	if err != nil {
		return err
	}
	for _, other := range changed {
		if _, err := t.exec(`UPDATE sub_account SET path = ?, moved = ? WHERE id = ?`, pathText(tree[other].Path), engine.Stamp(now), other); err != nil {
			return err
		}
	}
	if len(changed) == 0 {
		return nil
	}
	for _, former := range above { // its messages were held by their limits
		if _, err := t.exec(`INSERT INTO sub_hold (sub_account_id, since, until) SELECT ?1, since, min(until, ?2) FROM sub_hold WHERE sub_account_id = ?3 AND since <= ?2
				ON CONFLICT DO UPDATE SET until = excluded.until WHERE excluded.until > until`, id, engine.Stamp(now), former); err != nil {
			return err
		}
	}
	return nil
}

// endHolds lets the messages of sub-accounts be looked at again although a limit was reached: it is another one, or permits came back.
func (t *tx) endHolds(ids []int32, now time.Time) error {
	for _, id := range ids {
		if _, err := t.exec(`UPDATE sub_hold SET until = max(since, ?1) WHERE sub_account_id = ?2 AND until > ?1`, engine.Stamp(now), id); err != nil {
			return err
		}
	}
	return nil
}

// BlockSubAccount implements store.Hierarchy.
func (db *DB) BlockSubAccount(ctx context.Context, accountID, id int32, b store.Block) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE sub_account SET blocked = CASE WHEN ?1 > 0 AND blocked > 0 THEN blocked ELSE ?1 END, block_reason = ?2
				WHERE account_id = ?3 AND id = ?4 AND deleted = 0`, engine.Stamp(b.At), b.Reason, accountID, id))
	})
}

// SenderPermits implements store.Hierarchy.
func (db *DB) SenderPermits(ctx context.Context, ids []int32, now time.Time, claim time.Duration) (map[int32][]limit.Use, error) {
	taken := map[int32][]limit.Use{}
	first := limit.First(now, claim)
	for _, id := range ids {
		rows, err := db.readPool.QueryContext(ctx, senderPermitsQuery, id, first)
		if err != nil {
			return nil, failed("read permits of a sub-account", err)
		}
		uses, err := collect(rows, scanUse[*sql.Rows])
		if err != nil {
			return nil, err
		}
		if len(uses) > 0 {
			taken[id] = uses
		}
	}
	return taken, nil
}

const senderPermitsQuery = `SELECT span, sum(n) FROM sub_permit WHERE sub_account_id = ? AND span >= ? GROUP BY span ORDER BY span`

func scanUse[R scanner](rows R) (u limit.Use, err error) {
	err = rows.Scan(&u.Span, &u.N)
	return u, err
}

// sender is what a claim knows of a sub-account.
type sender struct {
	chain   []int32   // itself and those above it
	stopped bool      // it, or one above it, is blocked
	until   time.Time // the limit of one of them is reached until then
}

// readStops notes which sub-accounts are blocked, and whose limits are reached.
func (t *tx) readStops(g *gate, c store.Claim) error {
	now := engine.Stamp(c.Now)
	_, err := each(t, func(rows *row) (none struct{}, err error) {
		var id int32
		var until int64
		err = rows.Scan(&id, &until)
		if g.stops == nil {
			g.stops = map[int32]int64{}
		}
		g.stops[id] = max(g.stops[id], until)
		return none, err
	}, `SELECT id, 9223372036854775807 FROM sub_account WHERE blocked > 0 UNION ALL SELECT sub_account_id, until FROM sub_hold WHERE until > ?`, now)
	return err
}

// forGood is until when blocked sub-accounts stop.
const forGood = 1<<63 - 1

// sender looks at the sub-account of a flow, once in a claim, and tells the limits of its chain to the senders.
func (t *tx) sender(g *gate, c store.Claim, id int32) (sender, error) {
	if s, known := g.known[id]; known {
		return s, nil
	}
	s := sender{chain: []int32{id}}
	var path []int32
	var perHour int
	if _, err := t.one([]any{(*pathColumn)(&path), &perHour}, `SELECT path, per_hour FROM sub_account WHERE id = ?`, id); err != nil {
		return s, err
	}
	s.chain = append(s.chain, path...)
	for _, one := range s.chain {
		switch until := g.stops[one]; {
		case until == forGood:
			s.stopped = true
		case until > 0 && engine.Time(until).After(s.until):
			s.until = engine.Time(until)
		}
	}
	if s.stopped || !s.until.IsZero() {
		g.known[id] = s
		return s, nil
	}
	for i, one := range s.chain {
		if i > 0 {
			var known bool
			if perHour, known = g.perHour[one]; !known {
				if _, err := t.one([]any{&perHour}, `SELECT per_hour FROM sub_account WHERE id = ?`, one); err != nil {
					return s, err
				}
				g.perHour[one] = perHour
			}
		}
		if perHour == 0 || g.senders.Known(one) {
			continue
		}
		if err := t.readSenderLimit(g, c, one, perHour); err != nil {
			return s, err
		}
	}
	g.known[id] = s
	return s, nil
}

// readSenderLimit tells the senders what the limit of a sub-account leaves.
func (t *tx) readSenderLimit(g *gate, c store.Claim, id int32, perHour int) error {
	var used int
	if _, err := t.one([]any{&used}, `SELECT coalesce(sum(n), 0) FROM sub_permit WHERE sub_account_id = ? AND span >= ?`, id, g.FirstSpan()); err != nil {
		return err
	}
	if used < perHour {
		g.senders.Limit(id, perHour-used, time.Time{})
		return nil
	}
	uses, err := each(t, scanUse[*row], senderPermitsQuery, id, g.FirstSpan())
	if err != nil {
		return err
	}
	room, free := limit.Room(perHour, uses, c.Now, c.LeaseUntil.Sub(c.Now))
	g.senders.Limit(id, room, free)
	return nil
}

// takeSenderPermits counts messages that are let go at the sub-accounts that they are of, and at those above them.
func (t *tx) takeSenderPermits(c store.Claim, g *gate, sent map[int32]int) error {
	total := map[int32]int{}
	for id, n := range sent {
		for _, one := range g.known[id].chain {
			total[one] += n
		}
	}
	for id, n := range total {
		if _, err := t.exec(`INSERT INTO sub_permit (sub_account_id, span, egress, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`,
			id, limit.SpanOf(c.Now), int32(c.Egress), n); err != nil {
			return err
		}
	}
	return nil
}

// rememberSenders records until when limits hold sub-accounts.
func (t *tx) rememberSenders(c store.Claim, s *engine.Senders) error {
	ids, until := s.Holds()
	now := engine.Stamp(c.Now)
	for _, id := range ids {
		if _, err := t.exec(`INSERT INTO sub_hold (sub_account_id, since, until) VALUES (?1, coalesce((SELECT since FROM sub_hold
				WHERE sub_account_id = ?1 AND until >= ?2 ORDER BY since DESC LIMIT 1), ?3), ?4)
				ON CONFLICT DO UPDATE SET until = excluded.until WHERE excluded.until > until`,
			id, now-int64(engine.HoldsJoin), now, engine.Stamp(until[id])); err != nil {
			return err
		}
	}
	return nil
}

// returnSenderPermit gives the permit of an attempt back at its sub-account, and at those above it unless they are others by now.
func (t *tx) returnSenderPermit(j *store.Job, now time.Time) error {
	var sub int32
	var path []int32
	var moved int64
	found, err := t.one([]any{&sub, (*pathColumn)(&path), &moved}, `SELECT q.sub_account_id, s.path, s.moved FROM queue q JOIN sub_account s ON s.id = q.sub_account_id
			WHERE q.id = ?`, j.ID[:])
	if err != nil || !found {
		return err
	}
	chain := []int32{sub}
	if moved < engine.Stamp(j.SentAt)-engine.MovedMargin {
		chain = append(chain, path...)
	}
	for _, id := range chain {
		if _, err := t.exec(`UPDATE sub_permit SET n = n - 1 WHERE sub_account_id = ? AND span = ? AND egress = ? AND n > 0`,
			id, limit.SpanOf(j.SentAt), int32(j.Egress)); err != nil {
			return err
		}
	}
	return t.endHolds(chain, now)
}
