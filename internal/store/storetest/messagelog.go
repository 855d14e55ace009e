package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// back looks through messages in pieces of a size, and returns what was found.
func (b *bench) back(f store.MessageFilter, look, limit int) (found []store.FoundMessage) {
	b.t.Helper()
	f.AccountID = max(f.AccountID, b.account.ID)
	var before store.MessagePlace
	for range 200 {
		some, next, done, err := b.store.MessagesBack(b.ctx(), f, before, look, limit)
		b.must(err)
		if len(some) > limit {
			b.t.Errorf("%d were found, %d wanted", len(some), limit)
		}
		found = append(found, some...)
		if done {
			return found
		}
		if next == before {
			b.t.Fatalf("%+v: it goes on from %+v again", f, next)
		}
		before = next
	}
	b.t.Fatal("it never ends")
	return nil
}

// messagesBack: in whatever pieces, what a filter selects is there once, the newest first.
func messagesBack(t *testing.T, b *bench) {
	b.dated = true
	names := map[mail.ID]string{}
	sent := func(to string) mail.ID {
		b.later(time.Minute)
		id := b.send(to)
		names[id] = strings.Split(to, "@")[0]
		return id
	}
	delivered, bounced, opened := sent("delivered@gmail.com"), sent("bounced@yahoo.com"), sent("opened@example.net")
	sent("sent@gmail.com")
	of := func(id mail.ID, kind event.Kind, to string) provider.Report {
		r := b.report(id, kind, to)
		r.Recipient = to
		return r
	}
	b.deliver(of(delivered, event.Delivered, "delivered@gmail.com"), of(bounced, event.HardBounced, "bounced@yahoo.com"), of(opened, event.Opened, "opened@example.net"))
	b.later(time.Minute)
	doubted := b.accept("doubt@Example.net")[0]
	names[doubted] = "doubt"
	b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Doubt, DueAt: b.now.Add(time.Hour), Waiting: "it timed out"})
	b.later(time.Minute)
	claimed := b.accept("claimed@gmail.com")[0]
	names[claimed] = "claimed"
	b.claim(1)
	b.later(time.Hour)
	sub := b.newSub("two")
	other, ids := b.submission("queued_1@example.net")
	other.SubAccountID, other.Groups = sub, []string{"g9"}
	b.must(b.store.Accept(b.ctx(), []store.Submission{other}))
	names[ids[0]] = "queued"
	account, accountSub := b.newAccount("other")
	foreign, _ := b.submission("x@gmail.com")
	foreign.AccountID, foreign.SubAccountID = account.ID, accountSub.ID
	b.must(b.store.Accept(b.ctx(), []store.Submission{foreign}))

	field := func(of store.MessageField, numbers ...int32) []store.MessageChoice {
		return []store.MessageChoice{{Field: of, Numbers: numbers}}
	}
	texts := func(of store.MessageField, how store.TextMatch, values ...string) []store.MessageChoice {
		c := store.MessageChoice{Field: of}
		for _, v := range values {
			c.Texts = append(c.Texts, store.Text{Value: v, How: how})
		}
		return []store.MessageChoice{c}
	}
	not := func(c []store.MessageChoice) []store.MessageChoice {
		c[0].Not = true
		return c
	}
	gmail := int32(mailbox.ByDomain("gmail.com").ID())
	for _, c := range []struct {
		f    store.MessageFilter
		want string
	}{
		{store.MessageFilter{}, "queued claimed doubt sent opened bounced delivered"},
		{store.MessageFilter{ID: bounced}, "bounced"},
		{store.MessageFilter{ID: bounced, States: []lifecycle.State{lifecycle.Sent}}, ""},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Bounced, lifecycle.Delivered}}, "bounced delivered"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Sent}}, "sent opened"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Queued}}, "queued"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Sending}}, "claimed"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Unknown}}, "doubt"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Queued, lifecycle.Sending, lifecycle.Unknown}}, "queued claimed doubt"},
		{store.MessageFilter{States: []lifecycle.State{lifecycle.Unknown, lifecycle.Sent}}, "doubt sent opened"},
		{store.MessageFilter{From: start.Add(4 * time.Minute)}, "queued claimed doubt sent"},
		{store.MessageFilter{To: start.Add(3 * time.Minute)}, "bounced delivered"},
		{store.MessageFilter{From: start.Add(2 * time.Minute), To: start.Add(4 * time.Minute)}, "opened bounced"},
		{store.MessageFilter{Choices: field(store.FieldMailbox, gmail)}, "claimed sent delivered"},
		{store.MessageFilter{Choices: not(field(store.FieldMailbox, gmail))}, "queued doubt opened bounced"},
		{store.MessageFilter{Choices: field(store.FieldSubAccount, sub)}, "queued"},
		{store.MessageFilter{Choices: field(store.FieldPool, b.pool.ID)}, "queued claimed doubt sent opened bounced delivered"},
		{store.MessageFilter{Choices: field(store.FieldEgress, int32(b.egress()), 77)}, "queued claimed doubt sent opened bounced delivered"},
		{store.MessageFilter{Choices: field(store.FieldEgress, 77)}, ""},
		{store.MessageFilter{Choices: field(store.FieldEgress)}, ""},
		{store.MessageFilter{Choices: field(store.FieldEngaged, int32(store.EngagedOpened))}, "opened"},
		{store.MessageFilter{Choices: not(field(store.FieldEngaged, int32(store.EngagedOpened), int32(store.EngagedClicked))), States: []lifecycle.State{lifecycle.Sent}}, "sent"},
		{store.MessageFilter{Choices: field(store.FieldMark, int32(store.MarkResent))}, ""},
		{store.MessageFilter{Choices: texts(store.FieldTo, store.AtEnd, "@GMAIL.com")}, "claimed sent delivered"},
		{store.MessageFilter{Choices: texts(store.FieldTo, store.Within, "ed@")}, "claimed opened bounced delivered"},
		{store.MessageFilter{Choices: texts(store.FieldTo, store.Within, "D_1", "%")}, "queued"},
		{store.MessageFilter{Choices: texts(store.FieldTo, store.Whole, "doubt@example.NET", "sent@gmail.com")}, "doubt sent"},
		{store.MessageFilter{Choices: not(texts(store.FieldTo, store.Within, "e"))}, ""},
		{store.MessageFilter{Choices: texts(store.FieldGroup, store.Whole, "g9")}, "queued"},
		{store.MessageFilter{Choices: texts(store.FieldGroup, store.Whole, "g")}, ""},
		{store.MessageFilter{Choices: not(texts(store.FieldGroup, store.Whole, "g9")), States: []lifecycle.State{lifecycle.Sending}}, "claimed"},
		{store.MessageFilter{Choices: slices.Concat(field(store.FieldMailbox, gmail), not(texts(store.FieldTo, store.Within, "sent")))}, "claimed delivered"},
		{store.MessageFilter{Recipient: "DOUBT@example.net"}, "doubt"},
		{store.MessageFilter{Recipient: "doubt@example.net", States: []lifecycle.State{lifecycle.Sent}}, ""},
		{store.MessageFilter{Recipient: "copy@example.net"}, ""},
	} {
		for _, look := range []int{1, 3, 50} {
			for _, limit := range []int{1, 2, 50} {
				var got []string
				for _, m := range b.back(c.f, look, limit) {
					got = append(got, names[m.ID])
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("%+v, %d of %d: %s, want %s", c.f, limit, look, got, c.want)
				}
			}
		}
	}
	if n := len(b.back(store.MessageFilter{AccountID: account.ID}, 2, 2)); n != 1 {
		t.Errorf("the other account has %d", n)
	}
	all := b.back(store.MessageFilter{}, 50, 50)
	for i := range all {
		m := b.message(all[i].ID)
		m.Content, m.Plan.Egresses, m.Plan.Rule, m.Plan.Skipped, m.ProviderID = nil, nil, "", nil, ""
		m.Plan = all[i].Plan
		if diff := cmp.Diff(*m, all[i].Message); diff != "" {
			t.Errorf("%s: %s", names[m.ID], diff)
		}
	}
	if all[2].Waiting != "it timed out" || all[4].Engaged != store.EngagedOpened {
		t.Errorf("%+v, %+v", all[2], all[4])
	}
}

// messagesApart: in whatever pieces, an account's messages are there once, and no place to go on from names another account's, also where
// theirs are of the same millisecond.
func messagesApart(t *testing.T, b *bench) {
	b.dated = true
	account, sub := b.newAccount("other")
	owner := map[mail.ID]int32{}
	want := map[int32]int{}
	for i := range 12 {
		s, ids := b.submission("a@gmail.com", "b@gmail.com", "c@gmail.com")
		if i%3 != 1 {
			s.AccountID, s.SubAccountID = account.ID, sub.ID
		}
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
		for _, id := range ids {
			owner[id] = s.AccountID
		}
		if want[s.AccountID] += 3; i%4 == 3 {
			b.later(time.Millisecond)
		}
	}
	for _, states := range [][]lifecycle.State{nil, {lifecycle.Queued}} {
		for _, look := range []int{1, 2, 5} {
			for _, limit := range []int{1, 4, 50} {
				for of, n := range want {
					seen := map[mail.ID]bool{}
					var before store.MessagePlace
					for done := false; !done; {
						var some []store.FoundMessage
						var err error
						some, before, done, err = b.store.MessagesBack(b.ctx(), store.MessageFilter{AccountID: of, States: states}, before, look, limit)
						b.must(err)
						for i := range some {
							if seen[some[i].ID] || owner[some[i].ID] != of {
								t.Errorf("%v, %d of %d: %s again, or of another account", states, limit, look, some[i].ID)
							}
							seen[some[i].ID] = true
						}
						if who, known := owner[before.ID]; known && who != of {
							t.Errorf("%v, %d of %d: the place names a message of another account", states, limit, look)
						}
					}
					if len(seen) != n {
						t.Errorf("%v, %d of %d: %d of %d messages", states, limit, look, len(seen), n)
					}
				}
			}
		}
	}
}

// messagesOfRecipient: those to one address are found by it, in pieces of its events.
func messagesOfRecipient(t *testing.T, b *bench) {
	var want []string
	for i := range 5 {
		id := b.send("ana@gmail.com")
		b.deliver(b.report(id, event.Opened, fmt.Sprint("o", i)), b.report(id, event.Delivered, fmt.Sprint("d", i)))
		want = append([]string{id.String()}, want...)
		b.accept("bob@gmail.com")
		b.claim(1)
	}
	for _, look := range []int{1, 2, 7, 100} {
		for _, limit := range []int{1, 3, 100} {
			var got []string
			for _, m := range b.back(store.MessageFilter{Recipient: "Ana@Gmail.com"}, look, limit) {
				got = append(got, m.ID.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d of %d: %s", limit, look, diff)
			}
		}
	}
}

func headsAndLast(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	b.deliver(b.report(id, event.Opened, "o"))
	late := b.report(id, event.SoftBounced, "s")
	late.OccurredAt, late.SMTPDescription = b.now.Add(-time.Minute), "mailbox full"
	late.Detail.SMTPDescription = late.SMTPDescription
	b.deliver(late)
	bare, ids := b.submission("bob@gmail.com")
	content, err := json.Marshal(mail.Content{From: mail.Address{Email: "x@example.com"}, HTML: "<p>\u05e9</p>"})
	b.must(err)
	bare.Content = content
	b.must(b.store.Accept(b.ctx(), []store.Submission{bare}))
	found := b.back(store.MessageFilter{}, 10, 10)
	if len(found) != 2 {
		t.Fatalf("%d messages", len(found))
	}
	ref := map[mail.ID]string{found[0].ID: found[0].ContentRef, found[1].ID: found[1].ContentRef}
	heads, err := b.store.Heads(b.ctx(), []string{ref[id], ref[ids[0]]})
	b.must(err)
	if diff := cmp.Diff(store.Head{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello", Groups: []string{"g1", "g2"}}, heads[ref[id]]); diff != "" {
		t.Error(diff)
	}
	if h := heads[ref[ids[0]]]; h.From.Email != "x@example.com" || h.Subject != "" || len(h.Groups) != 0 {
		t.Errorf("of a bare one: %+v", h)
	}
	contents, err := b.store.OutContents(b.ctx(), []string{ref[id]})
	b.must(err)
	if contents[ref[id]] == nil || contents[ref[id]].Template != "welcome" {
		t.Errorf("contents by the same refs: %+v", contents)
	}
	if _, err := b.store.Heads(b.ctx(), []string{"x"}); err == nil {
		t.Error("what names no content is taken")
	}
	account, _ := b.newAccount("other")
	if last, err := b.store.LastEvents(b.ctx(), account.ID, []mail.ID{id}); err != nil || len(last) != 0 {
		t.Errorf("another account sees %+v, %v", last, err)
	}
	last, err := b.store.LastEvents(b.ctx(), b.account.ID, []mail.ID{id, ids[0], {1}})
	b.must(err)
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: id, Newest: true, Limit: 1})
	b.must(err)
	want := store.LastEvent{Seq: events[0].Seq, Type: late.Type, OccurredAt: late.OccurredAt, Words: events[0].Detail.SMTPDescription}
	if diff := cmp.Diff(want, last[id]); diff != "" || len(last) != 2 || last[ids[0]].Type != 69 || want.Words == "" {
		t.Errorf("%s %+v", diff, last)
	}
}

func deliveriesOf(t *testing.T, b *bench) {
	one, two := b.endpoint(b.account.ID, "https://one.example/"), b.endpoint(b.account.ID, "https://two.example/")
	b.accept("a@gmail.com", "b@gmail.com")
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, Limit: 10})
	b.must(err)
	place, err := b.store.OutboxPlace(b.ctx())
	b.must(err)
	first, second := events[0].Seq, events[1].Seq
	key := func(e store.Endpoint, seq int64) store.DeliveryKey {
		return store.DeliveryKey{EndpointID: e.ID, Seq: seq}
	}
	b.must(b.store.Enqueue(b.ctx(), place, second, []store.DeliveryKey{key(one, first), key(one, second), key(two, first), key(two, second)}))
	b.must(b.store.RecordTries(b.ctx(), []store.Try{
		{DeliveryKey: key(one, first), Call: 1, At: b.now, Took: time.Millisecond, Status: 204, Fate: store.Delivered},
		{DeliveryKey: key(one, second), Call: 1, At: b.now, Status: 500, Error: "HTTP 500", Fate: store.Retry, Tries: 1, Next: b.now.Add(time.Minute)},
		{DeliveryKey: key(two, first), Call: 1, At: b.now, Status: 400, Error: "HTTP 400", Fate: store.GivenUp, Tries: 1},
	}, nil))
	standing, tries, err := b.store.DeliveriesOf(b.ctx(), []int32{one.ID, two.ID}, []int64{first, second}, 10)
	b.must(err)
	got := map[store.DeliveryKey]string{}
	for _, d := range standing {
		got[d.DeliveryKey] = fmt.Sprint(d.Tries, d.GivenUp, d.DueAt.Equal(b.now.Add(time.Minute)))
	}
	want := map[store.DeliveryKey]string{key(one, second): "1 false true", key(two, first): "1 true false", key(two, second): "0 false false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(tries) != 3 || tries[0].ID < tries[2].ID || tries[2].Status != 204 {
		t.Errorf("%+v", tries)
	}
	if standing, tries, err = b.store.DeliveriesOf(b.ctx(), []int32{two.ID}, []int64{second}, 10); err != nil || len(standing) != 1 || len(tries) != 0 {
		t.Errorf("%+v, %+v, %v", standing, tries, err)
	}
	if standing, tries, err = b.store.DeliveriesOf(b.ctx(), nil, []int64{second}, 10); err != nil || len(standing)+len(tries) != 0 {
		t.Errorf("%+v, %+v, %v", standing, tries, err)
	}
	if _, tries, err = b.store.DeliveriesOf(b.ctx(), []int32{one.ID, two.ID}, []int64{first, second}, 2); err != nil || len(tries) != 2 {
		t.Errorf("%+v, %v", tries, err)
	}
}
