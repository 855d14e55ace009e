package postgres

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// ledger holds the locked rows of the messages of a batch. Operations change them in memory; write puts back what changed.
type ledger struct {
	places     map[mail.ID]*place
	messages   map[mail.ID]*message
	calls      map[call]*closing
	returned   map[permit]int // permits that are given back
	senders    map[senderPermit]int
	returnedAt time.Time // the last of them
	refused    []refused
	tookBack   map[call]bool // outcomes of calls that come too late: the provider took the message back

	confirmed []confirmed
}

// permit is the primary key of a number of permits.
type permit struct {
	egress route.Egress
	lane   int16
	span   int64
}

// giveBack returns the permits of an attempt that the provider has seen nothing of.
func (l *ledger) giveBack(p *place, j *store.Job, now time.Time) {
	if l.returned == nil {
		l.returned, l.senders = map[permit]int{}, map[senderPermit]int{}
	}
	l.senders[senderPermit{p.subAccount, j.Egress, limit.SpanOf(j.SentAt)}]++
	if now.After(l.returnedAt) {
		l.returnedAt = now
	}
	for _, lane := range []int16{p.mailbox, engine.WholeEgress} {
		l.returned[permit{j.Egress, lane, limit.SpanOf(j.SentAt)}]++
	}
}

func (l *ledger) writePermits(t *tx) {
	if len(l.returned) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(l.returned), func(a, b permit) int {
		return cmp.Or(cmp.Compare(a.egress, b.egress), cmp.Compare(a.lane, b.lane), cmp.Compare(a.span, b.span))
	})
	t.exec(`WITH back AS MATERIALIZED (SELECT p.egress, p.mailbox, p.span, u.n FROM unnest($1::int[], $2::smallint[], $3::bigint[], $4::int[])
				AS u (egress, mailbox, span, n) JOIN permit p USING (egress, mailbox, span) ORDER BY 1, 2, 3 FOR UPDATE OF p)
			UPDATE permit p SET n = greatest(p.n - back.n, 0) FROM back
			WHERE p.egress = back.egress AND p.mailbox = back.mailbox AND p.span = back.span`,
		column(keys, func(k *permit) int32 { return int32(k.egress) }),
		column(keys, func(k *permit) int16 { return k.lane }),
		column(keys, func(k *permit) int64 { return k.span }),
		column(keys, func(k *permit) int32 { return int32(l.returned[*k]) }))
}

// place is a queue row.
type place struct {
	id           mail.ID
	egress       route.Egress
	mailbox      int16
	subAccount   int32
	status       engine.Status
	dueAt        int64
	owner        string
	attempts     int
	failures     int32
	asks         int32
	unknownSince int64
	waiting      string
	priority     int32 // as stored: the lower goes first
	ways         int16 // egresses of the plan
	changed      bool  // what is changed has no lease any more
	gone         bool
	fresh        bool // the row is still to be made
}

// message is a message row. The state is only right for messages that have left the queue.
type message struct {
	owner
	state      lifecycle.State
	egress     route.Egress
	attempts   int
	mark       store.Mark
	providerID string
	families   int64  // of its sent events, see engine.FamilyBit
	plan       []byte // while it is pending, and when a provider took it back
	refusals   int    // how often a provider took it back
	changed    bool
	named      bool // by the provider, just now
	replanned  bool
}

// call is the primary key of an attempt.
type call struct {
	id mail.ID
	n  int
}

func callIDs(list []call) []pgtype.UUID {
	return column(list, func(c *call) pgtype.UUID { return uuidOf(c.id) })
}

func callNumbers(list []call) []int32 { return column(list, func(c *call) int32 { return int32(c.n) }) }

// closing is how a call ended, and what the provider said when it was asked about it later.
type closing struct {
	call
	at       time.Time
	outcome  provider.Outcome
	ends     bool
	onlyOpen bool // the outcome is not the provider's: one that is recorded already stays
	answer   string
	class    *provider.Class // that the answer gives the call, nil when it says nothing
}

const placeColumns = `id, egress, mailbox, status, due_at, lease_owner, attempts, failures, asks, unknown_since, waiting, priority, ways, sub_account_id`

func scanPlace(rows pgx.Rows) (*place, error) {
	p := &place{}
	return p, rows.Scan(idInto(&p.id), &p.egress, &p.mailbox, &p.status, &p.dueAt, &p.owner, &p.attempts, &p.failures, &p.asks, &p.unknownSince, &p.waiting, &p.priority, &p.ways, &p.subAccount)
}

func newLedger() *ledger {
	return &ledger{places: map[mail.ID]*place{}, messages: map[mail.ID]*message{}, calls: map[call]*closing{}}
}

// lock locks the rows of messages, those in the queue first. They are there after the next flush.
func (t *tx) lock(ids []mail.ID) *ledger {
	l := t.lockPlaces(ids)
	t.lockMessages(l, ids)
	return l
}

func (t *tx) lockPlaces(ids []mail.ID) *ledger {
	l := newLedger()
	t.each(l.addPlace, `SELECT `+placeColumns+` FROM queue WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, uuids(ids))
	return l
}

func (l *ledger) addPlace(rows pgx.Rows) error {
	p, err := scanPlace(rows)
	l.places[p.id] = p
	return err
}

func (t *tx) lockMessages(l *ledger, ids []mail.ID) {
	t.each(func(rows pgx.Rows) error {
		m := &message{}
		err := rows.Scan(idInto(&m.id), &m.accountID, &m.subAccountID, &m.poolID, &m.mailbox, &m.to, &m.state, &m.egress,
			&m.attempts, &m.mark, &m.providerID, &m.families, &m.labels, &m.submittedAt, &m.engaged, &m.refusals, &m.plan)
		l.messages[m.id] = m
		return err
	}, `SELECT id, account_id, sub_account_id, pool_id, mailbox, to_addr, state, egress, attempts, mark, provider_id, sent_families, labels,
			submitted_at, engaged, refusals, CASE WHEN state = 0 OR refusals > 0 THEN plan END FROM message WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, uuids(ids))
}

// lockAgain locks queue rows that were made while their messages were waited for: a provider took them back.
func (t *tx) lockAgain(l *ledger) error {
	var made []mail.ID
	for id, m := range l.messages {
		if m.state.Pending() && l.places[id] == nil {
			made = append(made, id)
		}
	}
	if len(made) == 0 {
		return nil
	}
	t.each(l.addPlace, `SELECT `+placeColumns+` FROM queue WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, uuids(sorted(made)))
	return t.flush()
}

// pending returns the queue row of a message, nil when it has left the queue.
func (l *ledger) pending(id mail.ID) *place {
	if p := l.places[id]; p != nil && !p.gone {
		return p
	}
	return nil
}

// of returns what is to be written about a call.
func (l *ledger) of(c call) *closing {
	if l.calls[c] == nil {
		l.calls[c] = &closing{call: c}
	}
	return l.calls[c]
}

// close records the outcome of a call.
func (l *ledger) close(c call, outcome provider.Outcome, at time.Time) {
	o := l.of(c)
	o.at, o.outcome, o.ends, o.onlyOpen = at, outcome, true, false
}

// answer records what the provider said when it was asked about a call; it stands beside the outcome of the call.
func (l *ledger) answer(c call, words string, outcome *provider.Outcome) {
	o := l.of(c)
	o.answer = words
	if outcome != nil {
		o.class = &outcome.Class
	}
}

// endCall closes a call that is open and will not be any more, by what is known of it; an outcome that is recorded stays.
func (l *ledger) endCall(p *place, known provider.Outcome, at time.Time) {
	if p.status != engine.Leased {
		return
	}
	if o := l.of(call{p.id, p.attempts}); !o.ends {
		o.at, o.outcome, o.ends, o.onlyOpen = at, known, true, true
	}
}

// leave takes a message out of the queue that a provider has, or that nobody will try any more; known is what that says of a call that is
// open.
func (l *ledger) leave(p *place, known provider.Outcome, at time.Time) {
	l.endCall(p, known, at)
	p.gone = true
}

// write puts back what changed.
func (l *ledger) write(t *tx) error {
	l.writeCalls(t)
	l.writeConfirmed(t)
	l.writeRefused(t)
	l.writePlaces(t)
	l.endSenderHolds(t)
	l.writePermits(t)
	l.writeSenderPermits(t)
	return l.writeMessages(t)
}

func (l *ledger) writeCalls(t *tx) {
	var ended, answered []*closing
	for _, c := range l.calls {
		if c.ends {
			ended = append(ended, c)
		}
		if c.answer != "" {
			answered = append(answered, c)
		}
	}
	if len(ended) > 0 {
		t.exec(`UPDATE attempt a SET finished = u.finished, class = u.class, http = u.http, code = u.code, text = u.text
			FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::smallint[], $5::int[], $6::text[], $7::text[], $8::bool[])
				AS u (id, n, finished, class, http, code, text, only_open)
			WHERE a.message_id = u.id AND a.n = u.n AND (a.finished = 0 OR NOT u.only_open)
				AND (u.class = 0 OR NOT (`+proven+`))`,
			column(ended, func(c **closing) pgtype.UUID { return uuidOf((*c).id) }),
			column(ended, func(c **closing) int32 { return int32((*c).n) }),
			column(ended, func(c **closing) int64 { return engine.Stamp((*c).at) }),
			column(ended, func(c **closing) int16 { return int16((*c).outcome.Class) }),
			column(ended, func(c **closing) int32 { return int32((*c).outcome.HTTPStatus) }),
			column(ended, func(c **closing) string { return text((*c).outcome.Code) }),
			column(ended, func(c **closing) string { return text((*c).outcome.Text) }),
			column(ended, func(c **closing) bool { return (*c).onlyOpen }))
	}
	if len(answered) > 0 {
		t.exec(`UPDATE attempt a SET answer = u.answer, class = CASE WHEN `+proven+` THEN a.class ELSE coalesce(u.class, a.class) END
			FROM unnest($1::uuid[], $2::int[], $3::text[], $4::smallint[]) AS u (id, n, answer, class) WHERE a.message_id = u.id AND a.n = u.n`,
			column(answered, func(c **closing) pgtype.UUID { return uuidOf((*c).id) }),
			column(answered, func(c **closing) int32 { return int32((*c).n) }),
			column(answered, func(c **closing) string { return text((*c).answer) }),
			column(answered, func(c **closing) pgtype.Int2 { return (*c).classColumn() }))
	}
}

// proven is the condition of an attempt that the provider is known to have accepted (0 is provider.Accepted): an outcome that
// comes after that and says less changes nothing.
const proven = `a.finished <> 0 AND a.class = 0`

func (c *closing) classColumn() pgtype.Int2 {
	if c.class == nil {
		return pgtype.Int2{}
	}
	return pgtype.Int2{Int16: int16(*c.class), Valid: true}
}

func (l *ledger) writePlaces(t *tx) {
	var gone []mail.ID
	var moved []*place
	for _, p := range l.places {
		switch {
		case p.gone && p.fresh:
		case p.fresh:
			l.makePlace(t, p)
		case p.gone:
			gone = append(gone, p.id)
		case p.changed:
			moved = append(moved, p)
		}
	}
	if len(gone) > 0 {
		t.exec(`DELETE FROM queue WHERE id = ANY ($1)`, uuids(gone))
	}
	if len(moved) > 0 {
		t.exec(`UPDATE queue q SET egress = u.egress, status = u.status, due_at = u.due_at, attempts = u.attempts, failures = u.failures,
				asks = u.asks, unknown_since = u.unknown_since, waiting = u.waiting, priority = u.priority, ways = u.ways, lease_owner = '', lease_until = 0
			FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::bigint[], $5::int[], $6::int[], $7::int[], $8::bigint[], $9::text[], $10::int[],
				$11::smallint[]) AS u (id, egress, status, due_at, attempts, failures, asks, unknown_since, waiting, priority, ways)
			WHERE q.id = u.id`,
			column(moved, func(p **place) pgtype.UUID { return uuidOf((*p).id) }),
			column(moved, func(p **place) int32 { return int32((*p).egress) }),
			column(moved, func(p **place) int16 { return int16((*p).status) }),
			column(moved, func(p **place) int64 { return (*p).dueAt }),
			column(moved, func(p **place) int32 { return int32((*p).attempts) }),
			column(moved, func(p **place) int32 { return (*p).failures }),
			column(moved, func(p **place) int32 { return (*p).asks }),
			column(moved, func(p **place) int64 { return (*p).unknownSince }),
			column(moved, func(p **place) string { return text((*p).waiting) }),
			column(moved, func(p **place) int32 { return (*p).priority }),
			column(moved, func(p **place) int16 { return (*p).ways }))
	}
}

func (l *ledger) writeMessages(t *tx) error {
	var changed, named, replanned []*message
	for _, m := range l.messages {
		if m.state.Pending() && l.pending(m.id) == nil {
			return fmt.Errorf("message %s would be pending without a place in the queue", m.id)
		}
		if m.changed {
			changed = append(changed, m)
		}
		if m.named {
			named = append(named, m)
		}
		if m.replanned {
			replanned = append(replanned, m)
		}
	}
	if len(changed) > 0 {
		t.exec(`UPDATE message m SET state = u.state, egress = u.egress, attempts = u.attempts, mark = u.mark, provider_id = u.provider_id,
				sent_families = u.sent_families, engaged = u.engaged
			FROM unnest($1::uuid[], $2::smallint[], $3::int[], $4::int[], $5::smallint[], $6::text[], $7::bigint[], $8::smallint[])
				AS u (id, state, egress, attempts, mark, provider_id, sent_families, engaged)
			WHERE m.id = u.id`,
			column(changed, func(m **message) pgtype.UUID { return uuidOf((*m).id) }),
			column(changed, func(m **message) int16 { return int16((*m).state) }),
			column(changed, func(m **message) int32 { return int32((*m).egress) }),
			column(changed, func(m **message) int32 { return int32((*m).attempts) }),
			column(changed, func(m **message) int16 { return int16((*m).mark) }),
			column(changed, func(m **message) string { return (*m).providerID }),
			column(changed, func(m **message) int64 { return (*m).families }),
			column(changed, func(m **message) int16 { return int16((*m).engaged) }))
	}
	if len(named) > 0 {
		t.exec(`INSERT INTO provider_message (provider_id, message_id) SELECT * FROM unnest($1::text[], $2::uuid[]) ON CONFLICT DO NOTHING`,
			column(named, func(m **message) string { return (*m).providerID }),
			column(named, func(m **message) pgtype.UUID { return uuidOf((*m).id) }))
	}
	if len(replanned) > 0 {
		t.exec(`UPDATE message m SET plan = u.plan FROM unnest($1::uuid[], $2::bytea[]) AS u (id, plan) WHERE m.id = u.id`,
			column(replanned, func(m **message) pgtype.UUID { return uuidOf((*m).id) }),
			column(replanned, func(m **message) []byte { return (*m).plan }))
	}
	return nil
}
