package dispatch

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
)

// Times of the model. A provider shows what it has before the last question; were it later, a second copy could not be avoided.
const (
	modelTimeout = time.Minute
	modelTTL     = 40 * time.Minute
	modelLag     = 90 * time.Second
)

var modelRules = Rules{AskAfter: []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute}, AmbiguousWait: 15 * time.Minute}

// world is an account with two providers, two nodes, and what each of them knows.
type world struct {
	ctx     context.Context
	db      *sqlite.DB
	account int32
	sub     int32
	pool    int32
	began   time.Time
	now     time.Time
	houses  [2]house
	nodes   [2]node
	ids     []mail.ID
	to      map[mail.ID]string
	states  map[mail.ID]store.Entry // as last seen
	resent  map[mail.ID]bool        // decided to be sent again without an answer
	back    map[mail.ID]int         // how often it was taken back

	draining bool
	pending  int
}

// node is a process that claims.
type node struct {
	name  string
	run   int
	trips []*trip
}

func (n *node) owner() string { return store.OwnerOf(n.name, fmt.Sprint(n.run)) }

func (n *node) drop(c *trip) {
	n.trips = slices.DeleteFunc(n.trips, func(other *trip) bool { return other == c })
}

// trip is what a node has claimed: for a call, or for a question.
type trip struct {
	house    *house
	jobs     []store.Job
	until    time.Time
	outcomes []provider.Outcome // once the call was made
	question bool
}

// house is a provider: what it has, and what it can tell.
type house struct {
	egress  route.Egress
	capable provider.Capabilities
	policy  directory.Policy
	deleted bool
	has     map[mail.ID]*parcel
	order   []mail.ID // the keys of has
	past    []past
}

// past is a message that a provider had and took back.
type past struct {
	id   mail.ID
	name string
}

// parcel is a message at a provider.
type parcel struct {
	name   string
	at     time.Time
	times  int
	copies bool // taken for its copies only
	ended  bool // something final was reported of it
}

// outcomes that a provider can give. The mail is taken by those that say so.
var modelOutcomes = []struct {
	taken   bool
	outcome provider.Outcome
}{
	{true, provider.Outcome{Class: provider.Accepted}},
	{true, provider.Outcome{Class: provider.Accepted}},
	{true, provider.Outcome{Class: provider.Accepted, InactiveAddresses: []string{"to"}}},
	{true, provider.Outcome{Class: provider.Ambiguous, Text: "time-out"}},
	{true, provider.Outcome{Class: provider.Ambiguous, Text: "reset"}},
	{false, provider.Outcome{Class: provider.Ambiguous, Text: "HTTP 502"}},
	{false, provider.Outcome{Class: provider.Transient, HTTPStatus: 503}},
	{false, provider.Outcome{Class: provider.Transient, Own: true}},
	{false, provider.Outcome{Class: provider.Throttled, RetryAfter: time.Minute}},
	{false, provider.Outcome{Class: provider.Account, Text: "suspended"}},
	{false, provider.Outcome{Class: provider.Account, SenderOnly: true}},
	{false, provider.Outcome{Class: provider.Rejected, Code: "300"}},
	{false, provider.Outcome{Class: provider.Rejected, Elsewhere: true}},
	{false, provider.Outcome{Class: provider.Inactive}},
}

// take is the provider's side of a call for one message.
func (h *house) take(t *rapid.T, w *world, j *store.Job) provider.Outcome {
	drawn := modelOutcomes[0]
	if !w.draining {
		drawn = rapid.SampledFrom(modelOutcomes).Draw(t, "outcome")
	}
	o := drawn.outcome
	if o.InactiveAddresses != nil {
		o.InactiveAddresses = []string{j.Recipient.Email}
	}
	if !drawn.taken {
		return o
	}
	p := h.has[j.ID]
	if p == nil {
		p = &parcel{name: fmt.Sprintf("pm-%d-%d-%s", h.egress, len(h.past), j.ID), at: w.now, copies: o.InactiveAddresses != nil}
		h.has[j.ID], h.order = p, append(h.order, j.ID)
	}
	p.times++
	if o.Class == provider.Accepted {
		o.ProviderMessageID = p.name
	}
	return o
}

// show is the provider's answer about one message.
func (h *house) show(id mail.ID, now time.Time) *provider.Found {
	p := h.has[id]
	if p == nil || now.Sub(p.at) < modelLag {
		return nil
	}
	return &provider.Found{ID: id, ProviderMessageID: p.name}
}

// newWorld makes an account of its own, so that one database serves many histories.
func newWorld(t rapid.TB, db *sqlite.DB, name string) *world {
	w := &world{ctx: context.Background(), db: db, began: clock, now: clock, to: map[mail.ID]string{}, states: map[mail.ID]store.Entry{}, resent: map[mail.ID]bool{},
		back: map[mail.ID]int{}}
	w.nodes = [2]node{{name: name + "/n1"}, {name: name + "/n2"}}
	a := directory.Account{Name: name, KeyHash: secret.Hash(name), SealedKey: []byte("k"), Created: clock}
	s := directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash(name + "/default"), SealedKey: []byte("k"), Created: clock}
	must(t, db.CreateAccount(w.ctx, &a, &s))
	w.account, w.sub = a.ID, s.ID
	for i := range w.houses {
		key := fmt.Sprintf("%s/%d", name, i)
		tpsp := directory.TPSP{AccountID: a.ID, Name: key, Type: provider.Postmark, SealedKey: []byte(key), KeyHash: secret.Hash(key), Stream: "outbound", Created: clock}
		pool := route.Pool{Name: "pool", Created: clock}
		must(t, db.CreateTPSP(w.ctx, &tpsp, &pool))
		w.pool = pool.ID
		w.houses[i] = house{egress: tpsp.Egress(), has: map[mail.ID]*parcel{}, capable: capable}
	}
	return w
}

// plan is one of the ways over the providers that are in use.
func (w *world) plan(kind int) route.Plan {
	first, second := w.houses[0].egress, w.houses[1].egress
	switch {
	case kind == 0 || w.houses[1].deleted:
		return route.Plan{Egresses: []route.Egress{first}}
	case kind == 1:
		return route.Plan{Egresses: []route.Egress{second}}
	case kind == 2:
		return route.Plan{Egresses: []route.Egress{second, first}}
	default:
		return route.Plan{Egresses: []route.Egress{first, second}}
	}
}

func (w *world) submit(t rapid.TB, n int, plan route.Plan) {
	s := store.Submission{AccountID: w.account, SubAccountID: w.sub, Content: []byte(`{"from":{"email":"shop@example.com"}}`), SubmittedAt: w.now}
	for range n {
		id := w.newID()
		to := fmt.Sprintf("u%d@%s", len(w.ids), []string{"gmail.com", "example.net"}[len(w.ids)%2])
		w.ids, w.to[id] = append(w.ids, id), to
		recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: to}})
		must(t, err)
		s.Messages = append(s.Messages, store.NewMessage{ID: id, Recipient: recipient, To: to, Mailbox: mailbox.ByDomain(mail.Domain(to)), PoolID: w.pool,
			Plan: func(uint64) store.Planned { return store.Planned{Plan: plan, Processed: 69} }})
	}
	must(t, w.db.Accept(w.ctx, []store.Submission{s}))
}

// newID makes a UUIDv7 of the model's time, so that a history can be repeated.
func (w *world) newID() (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(w.now.UnixMilli())<<16)
	binary.BigEndian.PutUint32(id[8:12], uint32(w.account))
	binary.BigEndian.PutUint32(id[12:], uint32(len(w.ids)))
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f
	return id
}

// ingest stores a webhook and turns it into an event.
func (w *world) ingest(t *rapid.T, h *house, r provider.Report) {
	back := func(c *store.Comeback) (route.Egress, time.Time) { return comeback(c, 0.5, always) }
	must(t, w.db.Receive(w.ctx, []store.Receipt{{AccountID: w.account, TPSPID: h.egress.TPSPID(), Body: []byte("{}"), ReceivedAt: w.now}}))
	receipts, err := w.db.Received(w.ctx, w.now, 100)
	must(t, err)
	for _, receipt := range receipts {
		if receipt.AccountID == w.account {
			_, err := w.db.Ingest(w.ctx, []store.Parsed{{Receipt: receipt, Reports: []provider.Report{r}, Sent: 70, Now: w.now, Back: back}})
			must(t, err)
		}
	}
}

func (w *world) node(t *rapid.T) *node   { return &w.nodes[rapid.IntRange(0, 1).Draw(t, "node")] }
func (w *world) house(t *rapid.T) *house { return &w.houses[rapid.IntRange(0, 1).Draw(t, "provider")] }

// pick draws one of the trips under way that fit.
func (w *world) pick(t *rapid.T, fits func(*trip) bool) (*node, *trip) {
	type choice struct {
		node *node
		trip *trip
	}
	var list []choice
	for i := range w.nodes {
		for _, c := range w.nodes[i].trips {
			if fits == nil || fits(c) {
				list = append(list, choice{&w.nodes[i], c})
			}
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	c := list[rapid.IntRange(0, len(list)-1).Draw(t, "which")]
	return c.node, c.trip
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%+v", err)
	}
}
