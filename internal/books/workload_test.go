package books

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
)

// sender is what the offices of a store share: the clock, and the run of the node.
type sender struct {
	now time.Time
	run int
}

// office is an account of a real store. It has two providers, and mail that takes every turn there is.
type office struct {
	*sender
	tb      testing.TB
	db      store.Store
	rand    *rand.Rand
	account int32
	subs    []int32
	egress  []route.Egress
	ids     []mail.ID
	claimed []job // for sending; some of these claims are lost
	asked   []job // for asking
	reports int
	loyal   bool // no provider takes mail back
}

// job is a claim, with who has it.
type job struct {
	store.Job
	owner string
}

func newOffice(tb testing.TB, db store.Store, s *sender, name string, seed uint64) *office {
	tb.Helper()
	o := &office{sender: s, tb: tb, db: db, rand: rand.New(rand.NewPCG(seed, seed))}
	s.now = start
	a := directory.Account{Name: name, KeyHash: secret.Hash(name), SealedKey: []byte{1}, Created: start}
	sub := directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash(name + "/default"), SealedKey: []byte{1}, Created: start}
	o.must(db.CreateAccount(tb.Context(), &a, &sub))
	o.account, o.subs = a.ID, []int32{sub.ID, sub.ID + 100}
	for _, stream := range []string{"outbound", "broadcast"} {
		p := directory.TPSP{AccountID: a.ID, Name: stream, Type: provider.Postmark, SealedKey: []byte{1}, KeyHash: secret.Hash(name), Stream: stream,
			Created: start, Webhook: directory.Webhook{State: directory.WebhookPending, SealedPassword: []byte{1}}}
		pool := route.Pool{Name: stream, Created: start}
		o.must(db.CreateTPSP(tb.Context(), &p, &pool))
		o.egress = append(o.egress, p.Egress())
	}
	return o
}

func open(tb testing.TB, dir string) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func (o *office) must(err error) {
	o.tb.Helper()
	if err != nil {
		o.tb.Fatal(err)
	}
}

func pick[T any](o *office, list []T) T { return list[o.rand.IntN(len(list))] }

// take removes an entry of a list.
func take(o *office, list *[]job) job {
	i := o.rand.IntN(len(*list))
	j := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return j
}

func (o *office) owner() string { return store.OwnerOf(o.db.Node(), fmt.Sprint(o.run)) }

// step lets one thing happen.
func (o *office) step() {
	o.now = o.now.Add(time.Duration(o.rand.Int64N(int64(10 * time.Minute))))
	switch n := o.rand.IntN(100); {
	case n < 15:
		o.accept(1+o.rand.IntN(6), pick(o, [][]route.Egress{{o.egress[0]}, {o.egress[1]}, {o.egress[0], o.egress[1]}, {o.egress[1], o.egress[0]}}))
	case n < 30:
		o.claim(pick(o, o.egress))
	case n < 50 && len(o.claimed) > 0:
		o.outcome(take(o, &o.claimed))
	case n < 60:
		o.ask()
	case n < 70 && len(o.asked) > 0:
		o.answer(take(o, &o.asked))
	case n < 93 && len(o.ids) > 0:
		o.report()
	case n < 95:
		o.recover()
	case n < 97:
		o.rearrange(pick(o, o.egress))
	case n < 98:
		_, _, err := o.db.Expire(o.tb.Context(), store.Expiry{TTL: time.Until(o.now), Now: o.now, Limit: 1})
		o.must(err)
	}
}

// rearrange moves a message that waits for an egress, or drops it.
func (o *office) rearrange(e route.Egress) {
	list, _, err := o.db.Queued(o.tb.Context(), store.QueuedFilter{AccountID: o.account, Egress: e}, mail.ID{}, 1000)
	o.must(err)
	for _, q := range list[:min(len(list), 1)] {
		m := store.Move{ID: q.ID, From: e, Drop: "cancelled"}
		if len(q.Plan.Egresses) > 1 {
			to, _ := q.Plan.After(e, func(route.Egress) bool { return true })
			m = store.Move{ID: q.ID, From: e, To: to, Waiting: "moved"}
		}
		_, err := o.db.Rearrange(o.tb.Context(), []store.Move{m}, o.now)
		o.must(err)
	}
}

func (o *office) accept(n int, egresses []route.Egress) {
	s := store.Submission{AccountID: o.account, SubAccountID: pick(o, o.subs), Content: []byte("{}"), SubmittedAt: o.now,
		Groups: pick(o, [][]string{nil, {"welcome"}, {"welcome", "trial"}, {"invoices"}}), Domain: pick(o, []string{"", "example.com"})}
	for i := range n {
		to := fmt.Sprintf("u%d@%s", i, pick(o, []string{"gmail.com", "example.net", "yahoo.com"}))
		recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: to}})
		o.must(err)
		id := uuid.Must(uuid.NewV7())
		o.ids = append(o.ids, id)
		s.Messages = append(s.Messages, store.NewMessage{ID: id, Recipient: recipient, To: to, Mailbox: mailbox.ByDomain(mail.Domain(to)), PoolID: 1,
			Plan: func(uint64) store.Planned {
				return store.Planned{Plan: route.Plan{Egresses: egresses}, Processed: processed}
			}})
	}
	o.must(o.db.Accept(o.tb.Context(), []store.Submission{s}))
}

func (o *office) question(e route.Egress) store.Claim {
	return store.Claim{Egress: e, Limit: 4, Owner: o.owner(), Now: o.now, LeaseUntil: o.now.Add(time.Hour)}
}

func (o *office) claim(e route.Egress) {
	claimed, err := o.db.Claim(o.tb.Context(), o.question(e))
	o.must(err)
	o.claimed = o.hold(o.claimed, claimed.Jobs)
}

func (o *office) hold(list []job, jobs []store.Job) []job {
	for _, j := range jobs {
		list = append(list, job{j, o.owner()})
	}
	return list
}

func (o *office) ask() {
	jobs, err := o.db.ClaimUnknown(o.tb.Context(), o.question(pick(o, o.egress)))
	o.must(err)
	o.asked = o.hold(o.asked, jobs)
}

// recover is a new run of the sender. What the last one claimed may still end, and be recorded.
func (o *office) recover() {
	o.run++
	_, err := o.db.Recover(o.tb.Context(), store.Recovery{Node: o.db.Node(), Owner: o.owner(), Now: o.now, AskAt: o.now})
	o.must(err)
}

func (o *office) settle(s store.Settlement) {
	s.At = o.now
	o.must(o.db.Settle(o.tb.Context(), []store.Settlement{s}))
}

// outcome records how a call ended.
func (o *office) outcome(j job) {
	drop := dropped
	s := store.Settlement{Job: &j.Job, Owner: j.owner, Egress: pick(o, o.egress), Sent: sent, Drop: &drop, Failed: true,
		Outcome: &provider.Outcome{Class: pick(o, []provider.Class{provider.Accepted, provider.Accepted, provider.Accepted, provider.Rejected,
			provider.Transient, provider.Throttled, provider.Ambiguous})}}
	switch s.Outcome.Class {
	case provider.Accepted:
		s.Trigger, s.Outcome.ProviderMessageID = lifecycle.Accept, "pm-"+j.ID.String()
	case provider.Rejected:
		s.Trigger = lifecycle.Drop
	case provider.Ambiguous:
		s.Trigger, s.DueAt = lifecycle.Doubt, o.now.Add(time.Minute)
	default:
		s.Trigger, s.DueAt = lifecycle.Requeue, pick(o, []time.Time{{}, o.now.Add(time.Minute)})
	}
	o.settle(s)
}

// answer records what the provider said of a message in doubt, or could not say.
func (o *office) answer(j job) {
	s := store.Settlement{Job: &j.Job, Owner: j.owner, Egress: j.Egress, Sent: sent, Trigger: lifecycle.Requeue, Failed: true}
	switch o.rand.IntN(5) {
	case 0:
		s.Trigger, s.Answer, s.Outcome = lifecycle.Accept, "it has it", &provider.Outcome{Class: provider.Accepted, ProviderMessageID: "pm-" + j.ID.String()}
	case 1:
		s.Trigger, s.Answer, s.Asked, s.DueAt = lifecycle.Doubt, "it does not show it", true, o.now.Add(time.Minute)
	case 2:
		s.Answer = "it does not have it"
	case 3:
		s.Mark = store.MarkResent
	case 4:
		s.Trigger, s.Mark = lifecycle.Accept, store.MarkUnconfirmed
	}
	o.settle(s)
}

// typesOf returns the types of a kind in all families.
func typesOf(k event.Kind) (list []event.Type) {
	for _, family := range []event.Family{event.SendGrid, event.AmazonSES} {
		if t, ok := event.TypeOf(family, k); ok {
			list = append(list, t)
		}
	}
	return list
}

var reported = []event.Kind{event.Delivered, event.Delivered, event.Delivered, event.HardBounced, event.SoftBounced, event.Dropped, event.Dropped, event.Opened, event.Clicked, event.Spam,
	event.Sent, event.RenderingFailure, event.GroupUnsubscribe}

// report ingests a provider's report about a message that has been tried, or one that it gave before.
func (o *office) report() {
	id := pick(o, o.ids)
	m, err := o.db.Message(o.tb.Context(), o.account, id)
	o.must(err)
	if m.Attempts == 0 {
		return
	}
	kind := pick(o, reported)
	typ, known := event.TypeOf(event.Postmark, kind)
	if !known {
		typ = pick(o, typesOf(kind))
	}
	o.reports++
	r := provider.Report{Kind: kind, Type: typ, MessageID: id, Recipient: pick(o, []string{m.Recipient.Email, m.Recipient.Email, m.Recipient.Email, "copy@example.net"}),
		Identity: fmt.Sprint(o.account, "/", o.rand.IntN(o.reports)), Final: o.rand.IntN(2) == 0, OccurredAt: o.now.Add(-time.Duration(o.rand.Int64N(int64(48 * time.Hour)))),
		ProviderMessageID: pick(o, []string{"", m.ProviderID, "pm-" + id.String(), fmt.Sprint("other-", o.rand.IntN(3))}),
		Refused:           pick(o, []provider.Class{provider.Accepted, provider.Account, provider.Throttled, provider.Transient}),
		Detail:            event.Detail{SMTPDescription: pick(o, []string{"", "550 5.1.1 unknown", "452 4.2.2 full"}), UserAgent: &event.UserAgent{Family: pick(o, []string{"Chrome", "Gmail", "??"})}}}
	if o.loyal {
		r.Refused = provider.Accepted
	}
	by, first := pick(o, []route.Egress{m.Egress, m.Egress, pick(o, o.egress)}), pick(o, []event.Type{sent, sent, gridSent})
	if kind == event.Sent { // it comes from whoever was called, and means what Postyard's own event does
		calls, err := o.db.Attempts(o.tb.Context(), o.account, id)
		o.must(err)
		by, r.Type = pick(o, calls).Egress, first
	}
	_, err = o.db.Ingest(o.tb.Context(), []store.Parsed{{Receipt: store.Receipt{AccountID: o.account, TPSPID: by.TPSPID()},
		Reports: []provider.Report{r}, Sent: first, Now: o.now}})
	o.must(err)
}

// lastMessages are accepted at the end, so that some are queued and sending.
const lastMessages = 5

// poor tells what the mail so far has not come to; "" when every turn was taken.
func (o *office) poor() string {
	r := o.verify()
	if made := r.Messages + lastMessages; r.Days < 3 || r.AwaitingCount == 0 || r.Attempts < made/2 {
		return fmt.Sprintf("%d messages, %d days, %d attempts, %d awaiting", r.Messages, r.Days, r.Attempts, r.AwaitingCount)
	}
	for state, n := range r.States {
		if s := lifecycle.State(state); n == 0 && s != lifecycle.Queued && s != lifecycle.Sending {
			return "no message is " + s.String()
		}
	}
	entries, err := o.db.Entries(o.tb.Context(), o.account, mail.ID{}, 100_000)
	o.must(err)
	if !slices.ContainsFunc(entries, func(e store.Entry) bool { return e.CameBack() }) {
		return "no message was taken back"
	}
	return ""
}

func (o *office) verify() *Report {
	o.tb.Helper()
	r, err := Verify(o.tb.Context(), Options{AccountID: o.account, Awaiting: time.Hour, Now: func() time.Time { return o.now }}, o.db)
	o.must(err)
	return r
}

// TestRandomMailBalances lets mail take every turn there is, for two accounts in one store, while their books are checked
// again and again.
func TestRandomMailBalances(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	db := open(t, t.TempDir())
	defer func() { _ = db.Close() }()
	both := &sender{}
	one, two := newOffice(t, db, both, "one", seed), newOffice(t, db, both, "two", seed+1)
	due := make(chan struct{}, 1)
	var auditing sync.WaitGroup
	audits := 0
	auditing.Go(func() {
		for range due {
			r, err := Verify(context.Background(), Options{AccountID: one.account, Awaiting: time.Hour, Now: time.Now}, db)
			if err != nil || !r.OK() {
				t.Errorf("while mail flows: %v %q", err, lines(r))
			}
			audits++
		}
	})
	const least, most = 400, 4000 // steps: chance alone leaves something out now and then
	for i := range most {
		if i >= least && i%100 == 0 && one.poor() == "" && two.poor() == "" {
			break
		}
		one.step()
		two.step()
		if i%40 == 0 {
			select {
			case due <- struct{}{}:
			default: // the last one still runs
			}
		}
	}
	close(due)
	auditing.Wait()
	for _, o := range []*office{one, two} {
		if missing := o.poor(); missing != "" {
			t.Errorf("%s: the workload is poor", missing)
		}
		o.accept(lastMessages, o.egress)
		o.claim(o.egress[0])
		r := o.verify()
		if !r.OK() || r.Messages != int64(len(o.ids)) || audits == 0 {
			t.Errorf("%d messages of %d, %d audits: %q", r.Messages, len(o.ids), audits, lines(r))
		}
		for state, n := range r.States {
			if n == 0 {
				t.Errorf("no message is %s: the workload is poor", lifecycle.State(state))
			}
		}
		if r.Days < 3 || r.AwaitingCount == 0 || r.Attempts < r.Messages/2 {
			t.Errorf("the workload is poor: %d days, %d attempts, %d awaiting", r.Days, r.Attempts, r.AwaitingCount)
		}
	}
}
