package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

func (b *bench) attempts(id mail.ID) []store.Attempt {
	b.t.Helper()
	list, err := b.store.Attempts(b.ctx(), b.account.ID, id)
	b.must(err)
	return list
}

func (b *bench) wantAttempts(id mail.ID, want ...store.Attempt) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.attempts(id)); diff != "" {
		b.t.Errorf("attempts: %s", diff)
	}
}

// question claims what is to be asked for.
func (b *bench) question() []store.Job {
	b.t.Helper()
	jobs, err := b.store.ClaimUnknown(b.ctx(), store.Claim{Egress: b.egress(), Limit: 10, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(time.Minute)})
	b.must(err)
	return jobs
}

func attempts(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	b.wantAttempts(id)
	jobs := b.claim(1)
	first := store.Attempt{N: 1, Egress: b.egress(), Began: b.now}
	b.wantAttempts(id, first)

	b.now = b.now.Add(time.Second)
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Doubt, DueAt: b.now,
		Outcome: &provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 502, Code: "17", Text: "reset by peer"}})
	first.Finished, first.Class, first.HTTPStatus, first.Code, first.Text = b.now, provider.Ambiguous, 502, "17", "reset by peer"
	b.wantAttempts(id, first)

	jobs = b.question()
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Doubt, Asked: true, DueAt: b.now, Answer: "it does not show it"})
	first.Answer = "it does not show it"
	b.wantAttempts(id, first)
	jobs = b.question()
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Requeue, Failed: true, Answer: "it does not have it",
		Outcome: &provider.Outcome{Class: provider.Transient, Text: "not the call's words"}})
	first.Answer, first.Class = "it does not have it", provider.Transient
	b.wantAttempts(id, first)

	b.now = b.now.Add(time.Second)
	jobs = b.claim(1)
	second := store.Attempt{N: 2, Egress: b.egress(), Began: b.now}
	b.wantAttempts(id, first, second)
	b.settle(accepted(&jobs[0], "pm-1"))
	second.Finished, second.HTTPStatus = b.now, 200
	b.wantAttempts(id, first, second)

	if list, err := b.store.Attempts(b.ctx(), b.account.ID+1, id); err != nil || len(list) != 0 {
		t.Errorf("another account reads attempts: %v, %v", list, err)
	}
	if list, err := b.store.Attempts(b.ctx(), b.account.ID, mail.ID{1}); err != nil || len(list) != 0 {
		t.Errorf("attempts of no message: %v, %v", list, err)
	}
	b.wantBooks()
}

// recoveredAttempts: whoever takes a claim over closes its attempt; what the claimer says later counts more.
func recoveredAttempts(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	began := b.now
	b.now = b.now.Add(2 * time.Minute)
	n, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("one"), Now: b.now, AskAt: b.now})
	b.must(err)
	list := b.attempts(id)
	if n != 1 || len(list) != 1 || list[0].Class != provider.Ambiguous || list[0].Text == "" || !list[0].Began.Equal(began) || !list[0].Finished.Equal(b.now) {
		t.Errorf("recovered %d; attempts %+v", n, list)
	}
	b.wantBooks()
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Requeue, Outcome: &provider.Outcome{Class: provider.Transient, Text: "refused"}})
	if list = b.attempts(id); len(list) != 1 || list[0].Class != provider.Transient || list[0].Text != "refused" {
		t.Errorf("attempts after the late outcome: %+v", list)
	}
	b.wantState(id, lifecycle.Unknown)
	jobs := b.question()
	if len(jobs) != 1 || jobs[0].Attempt != 1 || !jobs[0].SentAt.Equal(began) || !jobs[0].UnknownSince.Equal(b.now) {
		t.Errorf("claimed for asking: %+v", jobs)
	}
	b.wantBooks()
}

// overtakenAttempts: a report ends the open attempt, and the outcome of the call still comes.
func overtakenAttempts(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	b.deliver(b.report(id, event.Delivered, "d1"))
	if list := b.attempts(id); len(list) != 1 || list[0].Class != provider.Accepted || list[0].Text == "" || !list[0].Finished.Equal(b.now) {
		t.Errorf("attempts after the report: %+v", list)
	}
	b.wantBooks()
	b.settle(accepted(&j, "pm-"+id.String()))
	if list := b.attempts(id); len(list) != 1 || list[0].HTTPStatus != 200 || list[0].Text != "" {
		t.Errorf("attempts after the outcome: %+v", list)
	}
	b.wantBooks()
}

// lateProof: an earlier call turns out to have been accepted while the message is being sent again.
func lateProof(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	first := b.claim(1)[0]
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	asked := b.question()[0]
	b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Requeue, Failed: true})
	second := b.claim(1)[0]
	b.settle(accepted(&first, "pm-1"))
	b.wantState(id, lifecycle.Sent)
	b.wantBooks()
	b.settle(accepted(&second, "pm-2"))
	b.wantTypes(id, 69, 70)
	if m := b.message(id); m.Attempts != 2 || m.ProviderID != "pm-1" {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
}

// provenForGood: a call that the provider is known to have accepted stays accepted, whatever its own end says later.
func provenForGood(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	lost := b.claim(1)[0]
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	asked := b.question()[0]
	s := accepted(&asked, "pm-1")
	s.Answer = "it has it"
	b.settle(s)
	b.settle(store.Settlement{Job: &lost, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
	b.wantState(id, lifecycle.Sent)
	if list := b.attempts(id); len(list) != 1 || list[0].Class != provider.Accepted || list[0].Answer != "it has it" {
		t.Errorf("attempts %+v", list)
	}
	b.wantBooks()
}

// policyIsNoProof: a claim that was lost cannot leave a message as sent by a policy.
func policyIsNoProof(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	b.claim(1)
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	asked := b.question()[0]
	b.now = b.now.Add(time.Hour)
	_, err = b.store.Recover(b.ctx(), store.Recovery{Now: b.now, AskAt: b.now})
	b.must(err)
	b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Accept, Mark: store.MarkUnconfirmed, Sent: 70, Answer: "left as sent"})
	b.wantState(id, lifecycle.Unknown)
	b.wantTypes(id, 69)
	b.wantBooks()
}

// namedLater: a message that was left as sent gets the provider's id from the first report about it.
func namedLater(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	b.claim(1)
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	asked := b.question()[0]
	b.settle(store.Settlement{Job: &asked, Trigger: lifecycle.Accept, Mark: store.MarkUnconfirmed, Sent: 70, Answer: "left as sent"})
	opened := b.report(id, event.Opened, "o1")
	opened.MessageID = mail.ID{}
	b.deliver(b.report(id, event.Delivered, "d1"))
	if res := b.deliver(opened); res.Recorded != 1 {
		t.Errorf("a report with the provider's id only: %+v", res)
	}
	if m := b.message(id); m.ProviderID != "pm-"+id.String() || m.State != lifecycle.Delivered {
		t.Errorf("message %+v", m)
	}
	b.wantBooks()
}
