package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
)

func (b *bench) endpoint(accountID int32, url string) store.Endpoint {
	b.t.Helper()
	e := store.Endpoint{AccountID: accountID, URL: url, Enabled: true, Kinds: store.HookOpened | store.HookUniqueClick, Secret: []byte("sealed"), Created: b.now, Updated: b.now}
	b.must(b.store.CreateEndpoint(b.ctx(), &e))
	e.Standing.EndpointID = e.ID
	return e
}

func (b *bench) listEndpoints(f store.EndpointFilter) []store.Endpoint {
	b.t.Helper()
	list, err := b.store.Endpoints(b.ctx(), f)
	b.must(err)
	f.Limit, f.Offset = 0, 0
	if n, err := b.store.CountEndpoints(b.ctx(), f); err != nil || n < len(list) {
		b.t.Errorf("%d counted, %d listed (%v)", n, len(list), err)
	}
	return list
}

func (b *bench) outbound(after int64, limit int) store.Outbound {
	b.t.Helper()
	o, err := b.store.Outbound(b.ctx(), after, limit)
	b.must(err)
	return o
}

func endpoints(t *testing.T, b *bench) {
	b.accept("first@gmail.com")
	revision := b.outbound(0, 10).Revision
	account, _ := b.newAccount("other")
	one, two := b.endpoint(b.account.ID, "https://One.example/a"), b.endpoint(b.account.ID, "https://two.example/")
	other := b.endpoint(account.ID, "https://one.example/a")
	if one.Since == 0 || one.ID == two.ID {
		t.Errorf("%+v, %+v", one, two)
	}
	again := store.Endpoint{AccountID: b.account.ID, URL: one.URL, Secret: []byte("x")}
	if err := b.store.CreateEndpoint(b.ctx(), &again); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same URL twice: %v", err)
	}
	named, err := b.store.NamedEndpoints(b.ctx(), []store.Endpoint{
		{AccountID: b.account.ID, URL: one.URL, Named: true, Enabled: true, Secret: []byte("n"), Created: b.now, Updated: b.now},
		{AccountID: account.ID, URL: one.URL, Named: true, Enabled: true, Secret: []byte("n"), Created: b.now, Updated: b.now}})
	b.must(err)
	found, err := b.store.NamedEndpoints(b.ctx(), named)
	b.must(err)
	if diff := cmp.Diff(named, found); diff != "" || len(named) != 2 {
		t.Error(diff, named)
	}
	if diff := cmp.Diff([]store.Endpoint{one, two}, b.listEndpoints(store.EndpointFilter{AccountID: b.account.ID})); diff != "" {
		t.Error(diff)
	}
	number := map[int32]int{one.ID: 1, two.ID: 2, other.ID: 3, named[0].ID: 4, named[1].ID: 5}
	for what, f := range map[string]store.EndpointFilter{
		"[1]": {AccountID: b.account.ID, Search: "ONE.example"}, "[2]": {AccountID: b.account.ID, Offset: 1, Limit: 5}, "[1 2 3]": {},
		"[4]": {AccountID: b.account.ID, Named: true}, "[4 5]": {After: other.ID, AllKinds: true}, "[2 5]": {IDs: []int32{two.ID, named[1].ID, 77}, AllKinds: true},
	} {
		var ids []int
		for _, e := range b.listEndpoints(f) {
			ids = append(ids, number[e.ID])
		}
		if fmt.Sprint(ids) != what {
			t.Errorf("%+v: %v, want %s", f, ids, what)
		}
	}
	later := b.now.Add(time.Hour)
	changed, err := b.store.ChangeEndpoint(b.ctx(), b.account.ID, one.ID, func(e *store.Endpoint) error {
		e.URL, e.Enabled, e.Kinds, e.Secret, e.Former, e.FormerTo = "https://three.example/", false, store.HookSpam, []byte("new"), e.Secret, later
		e.Paused, e.PausedAt, e.Updated, e.Standing.Failures, e.Standing.NextTry = "gone", later, later, 3, later
		return nil
	})
	b.must(err)
	if diff := cmp.Diff([]store.Endpoint{*changed, two}, b.listEndpoints(store.EndpointFilter{AccountID: b.account.ID})); diff != "" || changed.Kinds != store.HookSpam {
		t.Error(diff)
	}
	refuse := errors.New("no")
	for _, c := range []struct {
		account int32
		change  func(*store.Endpoint) error
		want    error
	}{
		{account.ID, func(*store.Endpoint) error { return nil }, store.ErrNotFound},
		{b.account.ID, func(*store.Endpoint) error { return refuse }, refuse},
		{b.account.ID, func(e *store.Endpoint) error { e.URL = two.URL; return nil }, store.ErrConflict},
	} {
		if _, err := b.store.ChangeEndpoint(b.ctx(), c.account, one.ID, c.change); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	if err := b.store.DeleteEndpoint(b.ctx(), account.ID, two.ID, later); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account deletes it: %v", err)
	}
	b.must(b.store.DeleteEndpoint(b.ctx(), b.account.ID, two.ID, later))
	if err := b.store.DeleteEndpoint(b.ctx(), b.account.ID, two.ID, later); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	b.endpoint(b.account.ID, two.URL)
	if now := b.outbound(0, 10).Revision; now == revision {
		t.Error("the revision stays")
	}
	b.restart()
	if n := len(b.listEndpoints(store.EndpointFilter{AllKinds: true})); n != 5 {
		t.Errorf("%d endpoints after a restart", n)
	}
}

// hooked is a request whose messages name a URL.
func (b *bench) hooked(url string, to ...string) []mail.ID {
	b.t.Helper()
	s, ids := b.submission(to...)
	var c mail.Content
	b.must(json.Unmarshal(s.Content, &c))
	c.WebhookEndpoint, c.HTML, c.CustomFields = url, "<p>long</p>", json.RawMessage(`{"a":1}`)
	c.Attachments = []mail.Attachment{{Filename: "a", Content: "AAAA"}}
	content, err := c.Encode()
	b.must(err)
	s.Content, s.Hook = content, url
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	return ids
}

func outbound(t *testing.T, b *bench) {
	place, err := b.store.OutboxPlace(b.ctx())
	b.must(err)
	plain := b.accept("ana@gmail.com", "bob@yahoo.com")
	if o := b.outbound(place, 1); len(o.Events) != 0 || o.More || o.Last < 2 {
		t.Errorf("nobody wants events: %+v", o)
	}
	named := b.hooked("https://named.example/", "cyd@gmail.com")[0]
	all := b.outbound(place, 100)
	if len(all.Events) != 3 || all.More || all.Last != all.Events[2].Seq {
		t.Fatalf("%+v", all)
	}
	first := b.outbound(place, 2)
	if len(first.Events) != 2 || !first.More || first.Last != all.Events[1].Seq {
		t.Errorf("a page: %+v", first)
	}
	if rest := b.outbound(first.Last, 2); len(rest.Events) != 1 || rest.More {
		t.Errorf("the rest: %+v", rest)
	}
	got := all.Events[2]
	var to mail.Recipient
	b.must(json.Unmarshal(got.To, &to))
	content := got.Content
	got.To, got.Content = nil, ""
	want := store.OutEvent{Seq: all.Last, AccountID: b.account.ID, SubAccountID: b.sub.ID, MessageID: named, PoolID: b.pool.ID, Egress: b.egress(), Type: 69,
		Marks: got.Marks, Mailbox: "gmail", Recipient: "cyd@gmail.com", OccurredAt: b.now, RecordedAt: b.now, Detail: []byte("{}"), SubmittedAt: b.now, Hook: "https://named.example/"}
	if diff := cmp.Diff(want, got); diff != "" || to.Email != "cyd@gmail.com" || len(to.CC) != 1 {
		t.Error(diff, to)
	}
	if all.Events[0].Hook != "" || all.Events[0].MessageID != plain[0] {
		t.Errorf("%+v", all.Events[0])
	}
	contents, err := b.store.OutContents(b.ctx(), []string{content, all.Events[0].Content})
	b.must(err)
	if c := contents[content]; len(contents) != 2 || c == nil || c.WebhookEndpoint != "https://named.example/" || c.HTML != "" || c.Attachments != nil ||
		string(c.CustomFields) != `{"a":1}` || c.Subject != "Hello" {
		t.Errorf("%+v", contents)
	}
	if all.Events[0].Content != all.Events[1].Content || contents[all.Events[0].Content] == nil {
		t.Error("messages of a request have one content")
	}
	some, err := b.store.OutEvents(b.ctx(), []int64{all.Events[2].Seq, all.Events[0].Seq, 1 << 40})
	b.must(err)
	if diff := cmp.Diff([]store.OutEvent{all.Events[0], all.Events[2]}, some); diff != "" {
		t.Error(diff)
	}
	// A report later, of another time.
	b.now = b.now.Add(time.Hour)
	b.deliver(b.report(plain[0], event.Opened, "1"), b.report(plain[0], event.Opened, "2"))
	o := b.outbound(all.Last, 100)
	if len(o.Events) != 3 || o.Events[1].Marks&store.MarkFirst == 0 || o.Events[2].Marks&store.MarkFirst != 0 {
		t.Errorf("%+v", o.Events)
	}
	window := func(account int32, from, to time.Time) int {
		t.Helper()
		o, err := b.store.OutboundOf(b.ctx(), account, from, to, 0, 100)
		b.must(err)
		return len(o.Events)
	}
	pages, seen := 0, map[int64]bool{}
	for at, last, more := start, int64(0), true; more; pages++ {
		o, err := b.store.OutboundOf(b.ctx(), b.account.ID, at, b.now.Add(1), last, 2)
		b.must(err)
		for _, e := range o.Events {
			if seen[e.Seq] {
				t.Errorf("%d comes twice", e.Seq)
			}
			seen[e.Seq] = true
		}
		at, last, more = o.LastAt, o.Last, o.More
	}
	if len(seen) != 6 || pages != 4 {
		t.Errorf("%d events in %d pages", len(seen), pages)
	}
	stranger, _ := b.newAccount("stranger")
	if early, late, none, others := window(b.account.ID, start, b.now), window(b.account.ID, b.now, b.now.Add(1)), window(b.account.ID, b.now.Add(1), b.now.Add(9)),
		window(stranger.ID, start, b.now.Add(9)); early != 3 || late != 3 || none != 0 || others != 0 {
		t.Errorf("windows of %d, %d, %d, %d events", early, late, none, others)
	}
}

func deliveries(t *testing.T, b *bench) {
	one, two := b.endpoint(b.account.ID, "https://one.example/"), b.endpoint(b.account.ID, "https://two.example/")
	b.accept("a@gmail.com", "b@gmail.com", "c@gmail.com", "d@gmail.com")
	place, err := b.store.OutboxPlace(b.ctx())
	b.must(err)
	o := b.outbound(place, 100)
	var seqs []int64
	var keys []store.DeliveryKey
	for _, e := range o.Events {
		seqs = append(seqs, e.Seq)
		keys = append(keys, store.DeliveryKey{EndpointID: one.ID, Seq: e.Seq})
	}
	keys = append(keys, store.DeliveryKey{EndpointID: two.ID, Seq: seqs[0]})
	if err := b.store.Enqueue(b.ctx(), place+7, o.Last, keys); !errors.Is(err, store.ErrConflict) {
		t.Errorf("from another place: %v", err)
	}
	b.must(b.store.Enqueue(b.ctx(), place, o.Last, keys))
	if now, err := b.store.OutboxPlace(b.ctx()); err != nil || now != o.Last {
		t.Errorf("place %d, want %d (%v)", now, o.Last, err)
	}
	b.must(b.store.Enqueue(b.ctx(), o.Last, o.Last, keys)) // what is there stays
	b.restart()
	ready := func(after int64, limit int) (list []int64) {
		t.Helper()
		found, err := b.store.Ready(b.ctx(), one.ID, after, limit)
		b.must(err)
		for _, d := range found {
			list = append(list, d.Seq)
		}
		return list
	}
	if diff := cmp.Diff(seqs, ready(0, 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(seqs[1:3], ready(seqs[0], 2)); diff != "" {
		t.Error(diff)
	}
	ids, err := b.store.Backlogged(b.ctx(), 0, 10)
	b.must(err)
	if diff := cmp.Diff([]int32{one.ID, two.ID}, ids); diff != "" {
		t.Error(diff)
	}
	if ids, err = b.store.Backlogged(b.ctx(), one.ID, 10); err != nil || len(ids) != 1 {
		t.Errorf("%v (%v)", ids, err)
	}
	try := func(i int, fate store.Fate) store.Try {
		r := store.Try{DeliveryKey: store.DeliveryKey{EndpointID: one.ID, Seq: seqs[i]}, Call: 1, At: b.now.Add(time.Duration(i)), Took: time.Millisecond, Status: 200, Fate: fate}
		if fate != store.Delivered {
			r.Status, r.Error, r.Tries = 500, "HTTP 500", 1
		}
		return r
	}
	again := try(1, store.Retry)
	again.Next = b.now.Add(time.Minute)
	standing := store.EndpointStanding{EndpointID: one.ID, Failures: 2, FailingAt: b.now, NextTry: b.now.Add(1), LastAt: b.now, LastStatus: 500, LastError: "HTTP 500", WorkedAt: b.now.Add(-1)}
	b.must(b.store.RecordTries(b.ctx(), []store.Try{try(0, store.Delivered), again, try(2, store.Kept), try(3, store.GivenUp)}, []store.EndpointStanding{standing}))
	if diff := cmp.Diff(seqs[2:3], ready(0, 10)); diff != "" {
		t.Error(diff)
	}
	delayed, err := b.store.Delayed(b.ctx(), one.ID, 10)
	b.must(err)
	if diff := cmp.Diff([]store.Delivery{{DeliveryKey: again.DeliveryKey, Calls: 1, Tries: 1, DueAt: again.Next}}, delayed); diff != "" {
		t.Error(diff)
	}
	count, err := b.store.Standing(b.ctx(), one.ID)
	b.must(err)
	if diff := cmp.Diff(store.DeliveryCount{Waiting: 2, GivenUp: 1, Oldest: b.now}, count); diff != "" {
		t.Error(diff)
	}
	if e := b.listEndpoints(store.EndpointFilter{IDs: []int32{one.ID}})[0]; e.Standing != standing {
		t.Errorf("%+v", e.Standing)
	}
	tries := func(f store.TryFilter) []store.Try {
		t.Helper()
		f.EndpointID = one.ID
		list, err := b.store.Tries(b.ctx(), f)
		b.must(err)
		return list
	}
	list := tries(store.TryFilter{Limit: 10})
	if len(list) != 4 || list[0].Seq != seqs[3] || list[0].Fate != store.GivenUp || list[0].Error != "HTTP 500" || list[3].Status != 200 || list[3].Took != time.Millisecond ||
		!list[3].At.Equal(b.now) {
		t.Errorf("%+v", list)
	}
	if l := tries(store.TryFilter{Limit: 2, Before: list[1].ID}); len(l) != 2 || l[0].ID != list[2].ID {
		t.Errorf("%+v", l)
	}
	if l := tries(store.TryFilter{Limit: 9, Seq: seqs[1]}); len(l) != 1 || l[0].ID != list[2].ID {
		t.Errorf("%+v", l)
	}
}

func replays(t *testing.T, b *bench) {
	e := b.endpoint(b.account.ID, "https://one.example/")
	b.accept("a@gmail.com", "b@gmail.com", "c@gmail.com")
	place, err := b.store.OutboxPlace(b.ctx())
	b.must(err)
	o := b.outbound(place, 100)
	keys := make([]store.DeliveryKey, len(o.Events))
	tries := make([]store.Try, len(keys))
	for i := range keys {
		keys[i] = store.DeliveryKey{EndpointID: e.ID, Seq: o.Events[i].Seq}
		tries[i] = store.Try{DeliveryKey: keys[i], Call: 4, At: b.now, Status: 500, Error: "no", Tries: 3}
	}
	b.must(b.store.Enqueue(b.ctx(), place, o.Last, keys))
	tries[0].Fate, tries[1].Fate, tries[1].Next, tries[2].Fate = store.GivenUp, store.Retry, b.now.Add(time.Hour), store.Delivered
	b.must(b.store.RecordTries(b.ctx(), tries, nil))
	due := func() (list []store.Delivery) {
		t.Helper()
		list, err := b.store.Delayed(b.ctx(), e.ID, 10)
		b.must(err)
		return list
	}
	later := b.now.Add(time.Minute)
	if n, err := b.store.RequeueMissing(b.ctx(), e.ID, later, 10); err != nil || n != 2 {
		t.Errorf("%d are missing (%v)", n, err)
	}
	if n, err := b.store.RequeueMissing(b.ctx(), e.ID, later, 10); err != nil || n != 0 {
		t.Errorf("%d are missing then (%v)", n, err)
	}
	for _, d := range due() {
		if d.Tries != 0 || d.Calls != 4 || !d.DueAt.Equal(later) {
			t.Errorf("%+v", d)
		}
	}
	b.must(b.store.Requeue(b.ctx(), e.ID, []int64{keys[2].Seq, keys[0].Seq}, later.Add(1)))
	got := map[int64]time.Time{}
	for _, d := range due() {
		got[d.Seq] = d.DueAt
	}
	if diff := cmp.Diff(map[int64]time.Time{keys[0].Seq: later.Add(1), keys[1].Seq: later, keys[2].Seq: later.Add(1)}, got); diff != "" {
		t.Error(diff)
	}
	revision := b.outbound(0, 1).Revision
	b.must(b.store.Changed(b.ctx()))
	if b.outbound(0, 1).Revision == revision {
		t.Error("the revision stays")
	}
}

func sweptOutbox(t *testing.T, b *bench) {
	dead, alive := b.endpoint(b.account.ID, "https://one.example/"), b.endpoint(b.account.ID, "https://two.example/")
	b.accept("a@gmail.com", "b@gmail.com", "c@gmail.com")
	place, err := b.store.OutboxPlace(b.ctx())
	b.must(err)
	o := b.outbound(place, 100)
	var keys []store.DeliveryKey
	var tries []store.Try
	for i, e := range o.Events {
		for _, id := range []int32{dead.ID, alive.ID} {
			k := store.DeliveryKey{EndpointID: id, Seq: e.Seq}
			keys = append(keys, k)
			tries = append(tries, store.Try{DeliveryKey: k, Call: 1, At: b.now.Add(time.Duration(i) * time.Hour), Error: "no", Fate: store.Kept})
		}
	}
	b.must(b.store.Enqueue(b.ctx(), place, o.Last, keys))
	b.must(b.store.RecordTries(b.ctx(), tries, nil))
	b.must(b.store.DeleteEndpoint(b.ctx(), b.account.ID, dead.ID, b.now))
	for range 20 {
		n, err := b.store.SweepOutbox(b.ctx(), b.now.Add(2*time.Hour), 2)
		b.must(err)
		if n == 0 {
			break
		}
	}
	left := func(id int32) (waiting int64, tries int) {
		count, err := b.store.Standing(b.ctx(), id)
		b.must(err)
		list, err := b.store.Tries(b.ctx(), store.TryFilter{EndpointID: id, Limit: 100})
		b.must(err)
		return count.Waiting, len(list)
	}
	if waiting, tries := left(dead.ID); waiting != 0 || tries != 0 {
		t.Errorf("of the deleted one %d and %d are left", waiting, tries)
	}
	if waiting, tries := left(alive.ID); waiting != 3 || tries != 1 {
		t.Errorf("of the other one %d and %d are left", waiting, tries)
	}
	if n, err := b.store.SweepOutbox(b.ctx(), b.now.Add(2*time.Hour), 2); err != nil || n != 0 {
		t.Errorf("%d are swept then (%v)", n, err)
	}
}
