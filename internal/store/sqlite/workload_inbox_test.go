package sqlite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

func (l *workload) receive() {
	var batch []store.Receipt
	var bodies []string
	for range 1 + l.rng.IntN(3) {
		body := l.name("body") + strings.Repeat(".", l.rng.IntN(3)*l.rng.IntN(5000))
		bodies = append(bodies, body)
		batch = append(batch, store.Receipt{AccountID: l.account.ID, TPSPID: l.tpsp.ID, Body: []byte(body), ReceivedAt: l.now})
	}
	l.do("receive", func(w *world) {
		w.Receipts = append(w.Receipts, bodies...)
		slices.Sort(w.Receipts)
	}, func() error { return l.db.Receive(l.ctx(), batch) })
}

// ingest reads what was received, and what comes fresh, as reports about messages, as garbage, and as mail of others.
func (l *workload) ingest() {
	receipts, err := l.db.Received(l.ctx(), l.now, 1+l.rng.IntN(5))
	l.must(err)
	for range l.rng.IntN(4) {
		receipts = append(receipts, store.Receipt{AccountID: l.account.ID, TPSPID: l.tpsp.ID, Body: []byte(l.name("body")), ReceivedAt: l.now})
	}
	var batch []store.Parsed
	var effects []func(*world)
	for _, r := range receipts {
		p := store.Parsed{Receipt: r, Fresh: r.ID == 0, Sent: sent, Now: l.now}
		switch l.rng.IntN(6) {
		case 0:
			p.Garbage = "unreadable"
			effects = append(effects, func(w *world) {
				w.Garbage = append(w.Garbage, string(r.Body))
				slices.Sort(w.Garbage)
			})
		case 1:
			p.Reports = []provider.Report{{MessageID: mail.ID{1}, Identity: l.name("foreign")}}
			if p.Fresh {
				p.HoldTo = l.now
				effects = append(effects, func(w *world) {
					w.Receipts = append(w.Receipts, string(r.Body))
					slices.Sort(w.Receipts)
				})
				break
			}
			effects = append(effects, func(w *world) { w.Foreign++ })
		default:
			for range l.rng.IntN(4) {
				if report, effect, ok := l.report(); ok {
					p.Reports = append(p.Reports, report)
					effects = append(effects, effect)
				}
			}
		}
		if !p.Fresh {
			effects = append(effects, func(w *world) {
				i := slices.Index(w.Receipts, string(r.Body))
				w.Receipts = slices.Delete(w.Receipts, i, i+1)
			})
		}
		batch = append(batch, p)
	}
	gone := map[mail.ID]bool{}
	for _, p := range batch {
		for _, r := range p.Reports {
			gone[r.MessageID] = true
		}
	}
	ok := l.do("ingest", func(w *world) {
		for _, f := range effects {
			f(w)
		}
	}, func() error {
		_, err := l.db.Ingest(l.ctx(), batch)
		return err
	})
	if ok { // the provider was faster than our record of the call
		l.jobs = slices.DeleteFunc(l.jobs, func(j store.Job) bool { return gone[j.ID] })
	}
}

// report invents a report about a message, now and then one that was made before, and says what it does.
func (l *workload) report() (provider.Report, func(*world), bool) {
	messages := l.world().Messages
	if len(messages) == 0 {
		return provider.Report{}, nil, false
	}
	ids := slices.SortedFunc(maps.Keys(messages), func(a, b mail.ID) int { return strings.Compare(messages[a].To, messages[b].To) })
	id := ids[l.rng.IntN(len(ids))]
	r := provider.Report{Kind: event.Delivered, Type: delivered, MessageID: id, ProviderMessageID: "pm-of-" + messages[id].To,
		Identity: fmt.Sprintf("%s-%d", id, l.rng.IntN(2)), Recipient: messages[id].To, OccurredAt: l.now}
	trigger := lifecycle.Deliver
	if strings.HasSuffix(r.Identity, "1") {
		r.Kind, r.Type, trigger = event.HardBounced, bounced, lifecycle.Bounce
	}
	return r, func(w *world) {
		if w.Seen[r.Identity] {
			return
		}
		w.Seen[r.Identity] = true
		w.update(id, func(m *message) {
			m.ProviderID = cmp.Or(m.ProviderID, r.ProviderMessageID)
			if m.State.Pending() {
				m.Waiting = ""
				m.Events = append(m.Events, sent)
			}
			m.State, _ = lifecycle.Next(m.State, trigger)
			m.Events = append(m.Events, r.Type)
		})
	}, true
}
