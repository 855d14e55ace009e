package sqlite

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Event types of the model.
const (
	processed = event.Type(69)
	sent      = event.Type(70)
	delivered = event.Type(71)
	bounced   = event.Type(72)
	dropped   = event.Type(74)
)

func (l *workload) accept() {
	batch := make([]store.Submission, 1+l.rng.IntN(3))
	fresh := map[mail.ID]message{}
	for i := range batch {
		content := mail.Content{From: mail.Address{Email: "a@b.example"}, Subject: l.name("subject"),
			Text: strings.Repeat(l.name("text "), l.rng.IntN(5)*l.rng.IntN(700))}
		body, err := json.Marshal(content)
		l.must(err)
		batch[i] = store.Submission{AccountID: l.account.ID, SubAccountID: l.sub.ID, Content: body, SubmittedAt: l.now}
		for range 1 + l.rng.IntN(3) {
			var id mail.ID
			for k := range id {
				id[k] = byte(l.rng.Uint32())
			}
			to := l.name("to") + "@d.example"
			batch[i].Messages = append(batch[i].Messages, store.NewMessage{ID: id, Recipient: []byte(`{"email":"` + to + `"}`), To: to,
				Mailbox: mailbox.Default, PoolID: l.pool.ID, Plan: func(uint64) store.Planned {
					return store.Planned{Plan: route.Plan{Egresses: []route.Egress{l.tpsp.Egress()}}, Processed: processed}
				}})
			fresh[id] = message{To: to, Subject: content.Subject, Text: content.Text, Events: []event.Type{processed}}
		}
	}
	l.do("accept", func(w *world) { maps.Copy(w.Messages, fresh) }, func() error { return l.db.Accept(l.ctx(), batch) })
}

// claim takes all that waits.
func (l *workload) claim() {
	var waiting []mail.ID
	for id, m := range l.world().Messages {
		if m.State == lifecycle.Queued {
			waiting = append(waiting, id)
		}
	}
	var jobs []store.Job
	ok := l.do("claim", func(w *world) {
		for _, id := range waiting {
			w.update(id, func(m *message) { m.State, m.Attempts, m.Waiting = lifecycle.Sending, m.Attempts+1, "" })
		}
	}, func() (err error) {
		claimed, err := l.db.Claim(l.ctx(), l.request())
		jobs = claimed.Jobs
		return err
	})
	if ok && len(jobs) != len(waiting) {
		l.t.Fatalf("claimed %d of %d", len(jobs), len(waiting))
	}
	l.jobs = append(l.jobs, jobs...)
}

// ask takes all that is unknown. No reader of the store sees that.
func (l *workload) ask() {
	l.do("claim unknown", func(*world) {}, func() error {
		jobs, err := l.db.ClaimUnknown(l.ctx(), l.request())
		l.jobs = append(l.jobs, jobs...)
		return err
	})
}

func (l *workload) request() store.Claim {
	return store.Claim{Egress: l.tpsp.Egress(), Limit: 1000, Owner: "one", Now: l.now, LeaseUntil: l.now.Add(time.Hour)}
}

// settle settles n of the claimed messages.
func (l *workload) settle(n int) {
	slices.SortFunc(l.jobs, func(a, b store.Job) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	l.rng.Shuffle(len(l.jobs), func(i, j int) { l.jobs[i], l.jobs[j] = l.jobs[j], l.jobs[i] })
	jobs := slices.Clone(l.jobs[:n])
	batch := make([]store.Settlement, n)
	changes := make([]func(*message), n)
	for i := range jobs {
		batch[i], changes[i] = l.settlement(&jobs[i])
	}
	ok := l.do("settle", func(w *world) {
		for i := range jobs {
			w.update(jobs[i].ID, changes[i])
		}
	}, func() error { return l.db.Settle(l.ctx(), batch) })
	if ok {
		l.jobs = slices.Clone(l.jobs[n:])
	}
}

// settlement invents an outcome, and says what it does to the message.
func (l *workload) settlement(j *store.Job) (store.Settlement, func(*message)) {
	s := store.Settlement{Job: j, Owner: "one", At: l.now, Egress: j.Egress, Sent: sent, Waiting: l.name("because ")}
	switch l.rng.IntN(6) {
	case 0:
		s.Trigger, s.Outcome = lifecycle.Requeue, &provider.Outcome{Class: provider.Transient}
		return s, func(m *message) { m.State, m.Waiting = lifecycle.Queued, s.Waiting }
	case 1:
		s.Trigger, s.DueAt, s.Outcome = lifecycle.Doubt, l.now, &provider.Outcome{Class: provider.Ambiguous}
		return s, func(m *message) { m.State, m.Waiting = lifecycle.Unknown, s.Waiting }
	case 2:
		typ := dropped
		s.Trigger, s.Drop, s.Outcome = lifecycle.Drop, &typ, &provider.Outcome{Class: provider.Rejected}
		return s, func(m *message) {
			m.State, m.Waiting, m.Events = lifecycle.Dropped, "", append(m.Events, dropped)
		}
	default:
		id := l.name("pm-")
		s.Trigger, s.Outcome = lifecycle.Accept, &provider.Outcome{Class: provider.Accepted, ProviderMessageID: id}
		return s, func(m *message) {
			m.State, m.Waiting, m.ProviderID, m.Events = lifecycle.Sent, "", id, append(m.Events, sent)
		}
	}
}
