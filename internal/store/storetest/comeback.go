package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// refusal is the report of a provider that takes a message back.
func (b *bench) refusal(id mail.ID, e route.Egress, identity string) provider.Report {
	r := b.report(id, event.Dropped, identity)
	r.TPSPID, r.Refused, r.ProviderMessageID = e.TPSPID(), provider.Account, "pm-"+id.String()
	r.Detail = event.Detail{SMTPDescription: "account under review"}
	return r
}

// two makes a second provider, and accepts a message that may leave through either.
func (b *bench) two() (id mail.ID, other route.Egress) {
	second, _ := b.newTPSP(b.account.ID, "Second", "token-2", "outbound")
	return b.acceptFor(b.egress(), second.Egress()), second.Egress()
}

func (b *bench) acceptFor(ways ...route.Egress) mail.ID {
	b.t.Helper()
	s, ids := b.submission("ana@gmail.com")
	s.Messages[0].Plan = plan(ways...)
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	return ids[0]
}

// claimOf takes the one message that waits for an egress.
func (b *bench) claimOf(e route.Egress) store.Job {
	b.t.Helper()
	claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: e, Limit: 9, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(time.Minute)})
	b.must(err)
	if len(claimed.Jobs) != 1 {
		b.t.Fatalf("%d messages wait for %s", len(claimed.Jobs), e)
	}
	return claimed.Jobs[0]
}

// tell ingests fresh reports, and says where a message goes that is taken back.
func (b *bench) tell(back func(*store.Comeback) (route.Egress, time.Time), reports ...provider.Report) store.IngestResult {
	b.t.Helper()
	res, err := b.store.Ingest(b.ctx(), []store.Parsed{{Fresh: true, Reports: reports, Sent: 70, Now: b.now, HoldTo: b.now.Add(time.Minute), Back: back,
		Receipt: store.Receipt{AccountID: b.account.ID, TPSPID: b.tpsp.ID, Body: []byte("{}"), ReceivedAt: b.now}}})
	b.must(err)
	return res
}

// takenBack: a message that was sent is queued for the next provider, as if it had just been accepted.
func takenBack(t *testing.T, b *bench) {
	id, other := b.two()
	first := b.claimOf(b.egress())
	began := b.now
	b.settle(accepted(&first, "pm-"+id.String()))
	b.now = b.now.Add(time.Minute)
	due := b.now.Add(5 * time.Second)
	var asked []store.Comeback
	refusal := b.refusal(id, b.egress(), "r1")
	res := b.tell(func(c *store.Comeback) (route.Egress, time.Time) {
		asked = append(asked, *c)
		return other, due
	}, refusal, refusal)
	want := store.Comeback{ID: id, Egress: b.egress(), Class: provider.Account, Sender: "example.com", Words: "account under review", SentAt: began, At: b.now,
		Plan: route.Plan{Egresses: []route.Egress{b.egress(), other}, Rule: "test"}, Now: b.now}
	if diff := cmp.Diff([]store.Comeback{want}, asked); diff != "" {
		t.Errorf("asked: %s", diff)
	}
	want.To = other
	if diff := cmp.Diff(store.IngestResult{Recorded: 1, Duplicates: 1, Back: []store.Comeback{want}}, res); diff != "" {
		t.Errorf("result: %s", diff)
	}
	m := b.message(id)
	if m.State != lifecycle.Queued || m.Egress != other || !m.DueAt.Equal(due) || m.Waiting != store.TakenBack+"account under review" || m.Attempts != 1 || m.ProviderID != "" {
		t.Errorf("message %+v", m)
	}
	list := b.attempts(id)
	if len(list) != 1 || list[0].Class != provider.Accepted || list[0].Refused != provider.Account || list[0].Refusal != "account under review" || list[0].HTTPStatus != 200 {
		t.Errorf("attempts %+v", list)
	}
	dropped := int(refusal.Type)
	b.wantTypes(id, 69, 70, dropped)
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: id, Types: []event.Type{refusal.Type}, Limit: 9})
	b.must(err)
	if len(events) != 1 || events[0].Detail.SMTPDescription != "taken back by the provider: account under review" {
		t.Errorf("events %+v", events)
	}
	if n := b.backlog(); n != 1 && !b.store.Shared() {
		t.Errorf("backlog %d", n)
	}
	b.wantBooks()

	b.now = due
	second := b.claimOf(other)
	if second.Attempt != 2 || second.Failures != 1 || !second.SubmittedAt.Equal(start) || second.SubAccountID != b.sub.ID || len(second.Plan.Egresses) != 2 {
		t.Errorf("job %+v", second)
	}
	s := accepted(&second, "pm-second")
	s.Sent = 14
	b.settle(s)
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != other || m.ProviderID != "pm-second" || m.Attempts != 2 {
		t.Errorf("message %+v", m)
	}
	b.wantTypes(id, 69, 70, dropped, 14)
	b.wantBooks()

	// What the first one says now changes no state, and finds the message all the same.
	late, opened := b.refusal(id, b.egress(), "r2"), b.report(id, event.Opened, "o1")
	late.ProviderMessageID = "another name"
	opened.MessageID = mail.ID{}
	if res := b.tell(nil, late, opened, refusal); res.Recorded != 2 || res.Duplicates != 1 || len(res.Back) != 0 {
		t.Errorf("result %+v", res)
	}
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != other || m.ProviderID != "pm-second" {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
	b.tell(nil, b.report(id, event.Delivered, "d1"))
	b.wantState(id, lifecycle.Delivered)
	if got := b.counts()[refusal.Type]; got != 2 {
		t.Errorf("%d dropped events are counted", got)
	}
	b.wantBooks()
}

// takenBackAgain: without another provider a message goes round, and every round counts as a failure.
func takenBackAgain(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	stay := func(*store.Comeback) (route.Egress, time.Time) { return 0, b.now.Add(time.Second) }
	for round := range 3 {
		j := b.claimOf(b.egress())
		if j.Failures != round || j.Attempt != round+1 {
			t.Fatalf("round %d: %+v", round, j)
		}
		name := "pm-" + string(rune('a'+round))
		b.settle(accepted(&j, name))
		b.wantState(id, lifecycle.Sent)
		b.wantBooks()
		r := b.refusal(id, b.egress(), name)
		r.ProviderMessageID = name
		again := r
		again.Identity += " in other words"
		res := b.tell(stay, r, again)
		if len(res.Back) != 1 || res.Back[0].Failures != round || res.Back[0].To != b.egress() {
			t.Errorf("round %d: %+v", round, res)
		}
		b.wantState(id, lifecycle.Queued)
		b.wantBooks()
		b.now = b.now.Add(time.Second)
	}
	if types := b.types(id); strings.Count(types, "70") != 1 {
		t.Errorf("event types %s", types)
	}
	// Left as sent by a policy, it is taken back as well.
	j := b.claimOf(b.egress())
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
	asked := b.question()[0]
	b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Accept, Mark: store.MarkUnconfirmed, Sent: 70, Answer: "left as sent"})
	b.wantState(id, lifecycle.Sent)
	b.wantBooks()
	r := b.refusal(id, b.egress(), "last")
	r.ProviderMessageID = "pm-z"
	b.tell(nil, r)
	if m := b.message(id); m.State != lifecycle.Queued || m.Mark != store.MarkNone {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
	// It expires as others do.
	_, _, err := b.store.Expire(b.ctx(), store.Expiry{TTL: time.Hour, Now: time.Now().Add(48 * time.Hour), Limit: 10})
	b.must(err)
	b.wantState(id, lifecycle.Dropped)
	b.wantBooks()
}

// takenBackEarly: the report comes before our own record of the call.
func takenBackEarly(t *testing.T, b *bench) {
	id, other := b.two()
	j := b.claimOf(b.egress())
	res := b.tell(nil, b.refusal(id, b.egress(), "r1"))
	if len(res.Back) != 1 || res.Back[0].To != other || res.Back[0].Failures != 0 {
		t.Errorf("result %+v", res)
	}
	if m := b.message(id); m.State != lifecycle.Queued || m.Egress != other || m.Attempts != 1 {
		t.Errorf("message %+v", m)
	}
	if list := b.attempts(id); len(list) != 1 || list[0].Class != provider.Accepted || list[0].Refused != provider.Account || list[0].Finished.IsZero() {
		t.Errorf("attempts %+v", list)
	}
	b.wantBooks()
	b.settle(accepted(&j, "pm-"+id.String()))
	b.wantState(id, lifecycle.Queued)
	if list := b.attempts(id); list[0].HTTPStatus != 200 || list[0].Refused != provider.Account {
		t.Errorf("attempts %+v", list)
	}
	b.wantTypes(id, 69, 70, int(b.refusal(id, 0, "").Type))
	b.wantBooks()
	second := b.claimOf(other)
	b.settle(accepted(&j, "pm-"+id.String())) // once more, while the other one is called
	b.wantState(id, lifecycle.Sending)
	b.settle(accepted(&second, "pm-2"))
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != other || m.ProviderID != "pm-2" || m.Attempts != 2 || second.Failures != 1 {
		t.Errorf("message %+v", m)
	}
	b.settle(accepted(&j, "pm-"+id.String()))
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != other || m.ProviderID != "pm-2" {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()

	// While nobody knew whether the provider has it, and while it is being asked.
	for _, ask := range []bool{false, true} {
		id := b.acceptFor(b.egress(), other)
		j := b.claimOf(b.egress())
		b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
		var asked []store.Job
		if ask {
			asked = b.question()
		}
		b.tell(nil, b.refusal(id, b.egress(), id.String()))
		if m := b.message(id); m.State != lifecycle.Queued || m.Egress != other {
			t.Errorf("message %+v", m)
		}
		b.wantBooks()
		for i := range asked {
			s := accepted(&asked[i], "pm-"+id.String())
			s.Answer = "has it"
			b.settle(s)
		}
		b.wantState(id, lifecycle.Queued)
		b.wantBooks()
		j = b.claimOf(other)
		b.settle(accepted(&j, "pm-2-"+id.String()))
	}
}

// takenBackMeanwhile: the message waits for, or is with, another provider, because nobody knew that the first one had it.
func takenBackMeanwhile(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Second", "token-2", "outbound")
	other := second.Egress()
	doubted := func() mail.ID {
		id := b.acceptFor(b.egress(), other)
		j := b.claimOf(b.egress())
		b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
		asked := b.question()[0]
		b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Requeue, Egress: other, Failed: true, Mark: store.MarkResent, Answer: "sent again"})
		return id
	}
	// It waits: it goes on waiting there.
	id := doubted()
	if res := b.tell(nil, b.refusal(id, b.egress(), "r1")); len(res.Back) != 0 {
		t.Errorf("result %+v", res)
	}
	if m := b.message(id); m.State != lifecycle.Queued || m.Egress != other {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
	j := b.claimOf(other)
	b.settle(accepted(&j, "pm-2"))

	// It is on the wire, and then sent: that stays so.
	id = doubted()
	j = b.claimOf(other)
	b.tell(nil, b.refusal(id, b.egress(), "r2"))
	b.wantState(id, lifecycle.Sending)
	b.wantBooks()
	b.settle(accepted(&j, "pm-3"))
	b.wantState(id, lifecycle.Sent)
	b.wantBooks()
	id = doubted()
	j = b.claimOf(other)
	b.settle(accepted(&j, "pm-4"))
	b.tell(nil, b.refusal(id, b.egress(), "r3"))
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != other {
		t.Errorf("message %+v", m)
	}
	if list := b.attempts(id); list[0].Refused != provider.Account || list[0].Class != provider.Accepted || list[1].Refused != provider.Accepted {
		t.Errorf("attempts %+v", list)
	}
	b.wantBooks()
}

// takenBackLate: a message that has come to its end stays, and so does one of which a copy is taken back.
func takenBackLate(t *testing.T, b *bench) {
	for i, kind := range []event.Kind{event.Delivered, event.HardBounced, event.Dropped, event.Opened} {
		id := b.send("ana@gmail.com")
		b.tell(nil, b.report(id, kind, id.String()))
		was := b.message(id).State
		r := b.refusal(id, b.egress(), "r"+id.String())
		if kind == event.Opened {
			r.Recipient = "copy@example.net"
		}
		if res := b.tell(nil, r); res.Recorded != 1 || len(res.Back) != 0 {
			t.Errorf("%d: %+v", i, res)
		}
		b.wantState(id, was)
		if list := b.attempts(id); list[0].Refused != provider.Accepted {
			t.Errorf("%d: attempts %+v", i, list)
		}
	}
	b.wantBooks()

	// Something else that the provider says of what it took back does not bring it back; that it was delivered, does.
	id := b.send("ana@gmail.com")
	b.tell(nil, b.refusal(id, b.egress(), "r1"), b.report(id, event.Opened, "o1"), b.report(id, event.Dropped, "x1"))
	b.wantState(id, lifecycle.Queued)
	b.tell(nil, b.report(id, event.SoftBounced, "s1"), b.refusal(id, b.egress(), "r2"))
	b.wantState(id, lifecycle.Queued)
	b.wantBooks()
	b.tell(nil, b.report(id, event.Delivered, "d1"))
	b.wantState(id, lifecycle.Delivered)
	b.wantBooks()
	both := b.send("ana@gmail.com")
	b.tell(nil, b.refusal(both, b.egress(), "r3"), b.report(both, event.Delivered, "d3"))
	b.wantState(both, lifecycle.Delivered)
	overtaken := b.accept("ana@gmail.com")[0]
	j := b.claimOf(b.egress())
	b.tell(nil, b.report(overtaken, event.Opened, "o4"), b.refusal(overtaken, b.egress(), "r4"))
	b.wantState(overtaken, lifecycle.Queued)
	b.settle(accepted(&j, "pm-4"))
	b.wantState(overtaken, lifecycle.Queued)
	b.wantBooks()
	if n := b.backlog(); n != 1 && !b.store.Shared() {
		t.Errorf("backlog %d", n)
	}
	b.restart()
	b.wantState(overtaken, lifecycle.Queued)
	b.wantBooks()
}

// takenBackElsewhere: the first provider had the message as well, as is known by the time that the second one takes it back.
func takenBackElsewhere(t *testing.T, b *bench) {
	id, other := b.two()
	lost := b.claimOf(b.egress())
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	asked := b.question()[0]
	b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Requeue, Egress: other, Failed: true, Mark: store.MarkResent, Answer: "sent again"})
	j := b.claimOf(other)
	b.settle(accepted(&j, "pm-2"))
	b.settle(accepted(&lost, "pm-1"))
	r := b.refusal(id, other, "r1")
	r.ProviderMessageID = "pm-2"
	b.tell(nil, r)
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != b.egress() {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
	r = b.refusal(id, b.egress(), "r2")
	r.ProviderMessageID = "pm-1"
	if res := b.tell(nil, r); len(res.Back) != 1 {
		t.Errorf("result %+v", res)
	}
	b.wantState(id, lifecycle.Queued)
	b.wantBooks()
}

// confirmedCall: a provider that cannot be asked reports that it has a message of which nobody knew. The attempt says so, as no event of its
// own does, and what the other provider says of its copy then brings nothing back.
func confirmedCall(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Second", "token-2", "outbound")
	other := second.Egress()
	doubted := func() mail.ID {
		id := b.acceptFor(b.egress(), other)
		j := b.claimOf(b.egress())
		b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
		return id
	}
	confirmed := func(id mail.ID) {
		t.Helper()
		a := b.attempts(id)[0]
		if !a.Stands() || a.Text != "reset" || a.Answer != store.AnswerReported {
			t.Errorf("attempt %+v", a)
		}
		b.wantBooks()
	}
	id := doubted()
	b.tell(nil, b.report(id, event.Sent, "s1"))
	b.wantState(id, lifecycle.Sent)
	confirmed(id)

	sentAgain := func() mail.ID {
		id := doubted()
		asked := b.question()[0]
		b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Requeue, Egress: other, Failed: true, Mark: store.MarkResent, Answer: "sent again"})
		j := b.claimOf(other)
		s := accepted(&j, "sg-"+id.String())
		s.Sent = 14
		b.settle(s)
		return id
	}
	back := func(id mail.ID) provider.Report {
		r := b.refusal(id, other, "r"+id.String())
		r.ProviderMessageID = "sg-" + id.String()
		return r
	}
	id = sentAgain()
	b.tell(nil, b.report(id, event.Sent, "s2"))
	if res := b.tell(nil, back(id)); len(res.Back) != 0 {
		t.Errorf("%+v", res)
	}
	id = sentAgain()
	if res := b.tell(nil, b.report(id, event.Sent, "s3"), back(id)); len(res.Back) != 0 { // at once
		t.Errorf("%+v", res)
	}
	if m := b.message(id); m.State != lifecycle.Sent || m.Egress != b.egress() {
		t.Errorf("%+v", m)
	}
	b.wantBooks()
}

// namedOnlyByRefusal: a provider's later reports carry its own id alone, of which nobody knew when it took the message back.
func namedOnlyByRefusal(t *testing.T, b *bench) {
	id, _ := b.two()
	b.claimOf(b.egress())
	b.tell(nil, b.refusal(id, b.egress(), "r1"))
	late := b.report(id, event.Opened, "o1")
	late.MessageID, late.ProviderMessageID = mail.ID{}, "pm-"+id.String()
	if res := b.tell(nil, late); res.Recorded != 1 {
		t.Errorf("%+v", res)
	}
	b.wantState(id, lifecycle.Queued)
	b.wantBooks()
}
