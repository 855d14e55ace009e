package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/compare"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// checkFigures looks for facets, firsts and labels of a day that are not those of its events.
func checkFigures(ctx context.Context, s store.Books, accountID int32, day int64) error {
	stored, upTo, err := s.CountedFacets(ctx, accountID, day)
	if err != nil {
		return err
	}
	counted := store.NewFigures()
	for from, done := (store.TallyPlace{}), false; !done; {
		var some store.Figures
		if some, from, done, err = s.TallyFacets(ctx, accountID, day, upTo, from, pageSize); err != nil {
			return err
		}
		counted.Add(some)
	}
	if diff := cmp.Diff(stored, counted); diff != "" {
		return fmt.Errorf("day %d: facets (-) and events (+) differ: %s", day, diff)
	}
	return nil
}

// stats reads sums as "key type: n/firsts".
func (b *bench) stats(f store.StatFilter) (list []string) {
	b.t.Helper()
	f.AccountID, f.Limit = b.account.ID, 1000
	if f.From.IsZero() {
		f.From, f.To = start.AddDate(0, 0, -1), start.AddDate(0, 0, 60)
	}
	sums, err := b.store.Stats(b.ctx(), f)
	b.must(err)
	for _, s := range sums {
		key := s.Value
		if f.By != store.ByValue {
			key = fmt.Sprint(s.Key)
		}
		text := fmt.Sprintf("%s %d: %d", key, s.Type, s.N)
		if s.Firsts != 0 {
			text += fmt.Sprintf("/%d", s.Firsts)
		}
		if s.Millis != 0 {
			text += fmt.Sprintf(" %dms", s.Millis)
		}
		list = append(list, text)
	}
	return list
}

func (b *bench) wantStats(f store.StatFilter, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.stats(f)); diff != "" {
		b.t.Errorf("%+v: %s", f, diff)
	}
}

// opened is an open with all that a provider may tell of it.
func (b *bench) opened(id mail.ID, kind event.Kind, identity string) provider.Report {
	r := b.report(id, kind, identity)
	r.Detail = event.Detail{UserAgent: &event.UserAgent{Family: "Chrome 120"}, OS: &event.OperatingSystem{Family: "OS X 10"},
		Device: &event.Device{Family: "Desktop"}, Geo: &event.Geo{CountryCode: "de"}}
	return r
}

func facets(t *testing.T, b *bench) {
	one, two := b.send("ana@gmail.com"), b.send("ana@gmail.com")
	b.now = start.Add(4200 * time.Millisecond)
	bounce := b.report(two, event.HardBounced, "b1")
	bounce.Detail = event.Detail{SMTPDescription: "550 5.1.1 no such user"}
	named := b.report(two, event.SoftBounced, "b2")
	named.Detail = event.Detail{Provider: map[string]string{"Type": "dnserror"}}
	b.deliver(b.report(one, event.Delivered, "d1"), bounce, named)
	copied := b.opened(one, event.Opened, "o-copy")
	copied.Recipient = "copy@example.net"
	b.deliver(copied, b.opened(one, event.Opened, "o1"), b.opened(one, event.Opened, "o2"), b.opened(one, event.Clicked, "c1"))
	b.now = start.AddDate(0, 0, 3)
	odd := b.report(one, event.Opened, "o3") // without any detail
	b.deliver(odd, b.opened(one, event.Clicked, "c2"), b.opened(two, event.Opened, "o4"))

	by := func(d store.Dimension) store.StatFilter { return store.StatFilter{Dimension: d, By: store.ByValue} }
	b.wantStats(by(store.DimensionGroup), "g1 69: 2", "g1 70: 2", "g1 71: 1", "g1 72: 1", "g1 73: 1", "g1 75: 4/2", "g1 76: 2/1",
		"g2 69: 2", "g2 70: 2", "g2 71: 1", "g2 72: 1", "g2 73: 1", "g2 75: 4/2", "g2 76: 2/1")
	b.wantStats(by(store.DimensionDomain))
	b.wantStats(by(store.DimensionReason), "5.1.1 72: 1", "DnsError 73: 1")
	b.wantStats(by(store.DimensionDevice), "(unknown) 75: 1", "Desktop 75: 3/2", "Desktop 76: 2/1")
	b.wantStats(by(store.DimensionClient), "(unknown) 75: 1", "Chrome 75: 3/2", "Chrome 76: 2/1")
	b.wantStats(by(store.DimensionOS), "(unknown) 75: 1", "OS X 75: 3/2", "OS X 76: 2/1")
	b.wantStats(by(store.DimensionCountry), "(unknown) 75: 1", "DE 75: 3/2", "DE 76: 2/1")
	b.wantStats(by(store.DimensionDelay), compare.SpanOf(4200*time.Millisecond)+" 71: 1 4200ms")
	b.wantStats(store.StatFilter{Types: []event.Type{75, 76}}, "0 75: 4/2", "0 76: 2/1")
	b.wantStats(store.StatFilter{Dimension: store.DimensionGroup, Value: "g1", By: store.ByDay, Types: []event.Type{75}},
		fmt.Sprintf("%d 75: 2/1", start.Unix()/86400), fmt.Sprintf("%d 75: 2/1", start.Unix()/86400+3))
	b.wantBooks()
}

// facetsOnce: whatever the order, and however often a report comes, alone or in a batch with its copy, each counts once.
func facetsOnce(t *testing.T, b *bench) {
	a, c := b.send("ana@gmail.com"), b.send("ana@gmail.com")
	reports := []provider.Report{b.report(a, event.Delivered, "d1"), b.opened(a, event.Opened, "o1"), b.opened(a, event.Opened, "o2"),
		b.opened(a, event.Clicked, "c1"), b.opened(c, event.Clicked, "c2"), b.opened(c, event.Opened, "o3")}
	var all []provider.Report
	for range 3 {
		all = append(all, reports...)
	}
	rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for len(all) > 0 {
		n := 1 + rand.IntN(min(len(all), 7))
		b.deliver(all[:n]...)
		all = all[n:]
	}
	b.wantStats(store.StatFilter{Types: []event.Type{71, 75, 76}}, "0 71: 1", "0 75: 3/2", "0 76: 2/2")
	b.wantStats(store.StatFilter{Dimension: store.DimensionCountry, By: store.ByValue}, "DE 75: 3/2", "DE 76: 2/2")
	b.restart()
	b.deliver(reports...)
	b.wantStats(store.StatFilter{Types: []event.Type{71, 75, 76}}, "0 71: 1", "0 75: 3/2", "0 76: 2/2")
	b.wantBooks()
}

// labelled is a submission with groups.
func (b *bench) labelled(groups ...string) store.Submission {
	s, _ := b.submission("ana@gmail.com")
	s.Groups = groups
	return s
}

func labelCap(t *testing.T, b *bench) {
	var batch []store.Submission
	for i := range store.MaxLabels/100 + 1 {
		groups := make([]string, 100)
		for k := range groups {
			groups[k] = fmt.Sprintf("n%04d", i*100+k-1) // the first one begins before zero
		}
		batch = append(batch, b.labelled(groups...))
	}
	b.must(b.store.Accept(b.ctx(), batch[:5]))
	b.restart() // what it remembers is no more than a memory
	b.must(b.store.Accept(b.ctx(), batch[5:]))
	b.must(b.store.Accept(b.ctx(), []store.Submission{b.labelled("n0500", "late", "later", strings.Repeat("x", 300), "", "n0500")}))
	sums, err := b.store.Stats(b.ctx(), store.StatFilter{AccountID: b.account.ID, Dimension: store.DimensionGroup, By: store.ByValue, From: start, To: start, Limit: 5000})
	b.must(err)
	names := 0
	for _, s := range sums {
		want := int64(1)
		switch s.Value {
		case store.OtherValue:
			want = 2 // of the batch's last one, and the last one
		case "n0500":
			want = 2
		default:
			names++
		}
		if s.N != want {
			t.Errorf("%s: %d, want %d", s.Value, s.N, want)
		}
	}
	if names+1 != store.MaxLabels {
		t.Errorf("%d names", names+1)
	}
	b.wantBooks()

	// Another dimension, another sub-account and another day have their own.
	s := b.labelled("late")
	s.Domain = "example.com"
	other := b.labelled("late")
	other.SubAccountID += 100
	b.now = b.now.AddDate(0, 0, 1)
	next := b.labelled("late")
	b.must(b.store.Accept(b.ctx(), []store.Submission{s, other, next}))
	b.wantStats(store.StatFilter{Dimension: store.DimensionGroup, Value: "late", By: store.BySubAccount}, fmt.Sprintf("%d 69: 1", b.sub.ID),
		fmt.Sprintf("%d 69: 1", b.sub.ID+100))
	b.wantStats(store.StatFilter{Dimension: store.DimensionDomain, By: store.ByValue}, "example.com 69: 1")
	b.wantBooks()

	// What was decided holds for what happens later.
	b.now = b.now.AddDate(0, 0, 1)
	for len(b.claim(1)) > 0 { // take what waits
	}
	b.wantBooks()
}

// labelsShared: a request that fails leaves no label behind, and requests of one batch see each other's.
func labelsShared(t *testing.T, b *bench) {
	bad := b.labelled("lost")
	bad.Messages[0].Plan = plan(b.egress() + 100)
	if err := b.store.Accept(b.ctx(), []store.Submission{bad}); err == nil {
		t.Fatal("a deleted egress took mail")
	}
	b.must(b.store.Accept(b.ctx(), []store.Submission{b.labelled("a", "b"), b.labelled("b", "b\x00"), b.labelled("lost")}))
	b.wantStats(store.StatFilter{Dimension: store.DimensionGroup, By: store.ByValue}, "a 69: 1", "b 69: 2", "lost 69: 1")
	b.wantBooks()
}

func statistics(t *testing.T, b *bench) {
	b.send("ana@gmail.com")
	b.now = start.AddDate(0, 0, 1)
	b.send("ana@example.com")
	other := b.labelled("g1")
	other.SubAccountID = b.sub.ID + 7
	b.must(b.store.Accept(b.ctx(), []store.Submission{other}))
	day := start.Unix() / 86400
	b.wantStats(store.StatFilter{}, "0 69: 3", "0 70: 2")
	b.wantStats(store.StatFilter{By: store.ByDay}, fmt.Sprintf("%d 69: 1", day), fmt.Sprintf("%d 70: 1", day),
		fmt.Sprintf("%d 69: 2", day+1), fmt.Sprintf("%d 70: 1", day+1))
	b.wantStats(store.StatFilter{By: store.ByDay, From: start, To: start}, fmt.Sprintf("%d 69: 1", day), fmt.Sprintf("%d 70: 1", day))
	b.wantStats(store.StatFilter{By: store.ByEgress, Types: []event.Type{69}}, fmt.Sprintf("%d 69: 3", int32(b.egress())))
	b.wantStats(store.StatFilter{Egress: b.egress() + 1})
	b.wantStats(store.StatFilter{By: store.BySubAccount}, fmt.Sprintf("%d 69: 2", b.sub.ID), fmt.Sprintf("%d 70: 2", b.sub.ID), fmt.Sprintf("%d 69: 1", b.sub.ID+7))
	b.wantStats(store.StatFilter{By: store.ByMailbox, SubAccountID: b.sub.ID}, "0 69: 1", "0 70: 1", "11 69: 1", "11 70: 1")
	b.wantStats(store.StatFilter{By: store.ByMailbox, SubAccountID: b.sub.ID, Under: []int32{b.sub.ID + 7, b.sub.ID + 8}}, "0 69: 2", "0 70: 1", "11 69: 1", "11 70: 1")
	b.wantStats(store.StatFilter{Dimension: store.DimensionGroup, Value: "g1", By: store.BySubAccount, SubAccountID: b.sub.ID + 8, Under: []int32{b.sub.ID + 7}},
		fmt.Sprintf("%d 69: 1", b.sub.ID+7))
	b.wantStats(store.StatFilter{Mailbox: mailbox.Gmail, Egress: b.egress(), SubAccountID: b.sub.ID, Types: []event.Type{70}}, "0 70: 1")
	b.wantStats(store.StatFilter{Dimension: store.DimensionGroup, Value: "g1", Mailbox: mailbox.Default}, "0 69: 1", "0 70: 1")
	if list, err := b.store.Stats(b.ctx(), store.StatFilter{AccountID: b.account.ID, By: store.ByDay, From: start, To: start.AddDate(0, 0, 9), Limit: 3}); err != nil || len(list) != 3 {
		t.Errorf("%d of at most 3 (%v)", len(list), err)
	}
	if list, err := b.store.Stats(b.ctx(), store.StatFilter{AccountID: b.account.ID + 1, From: start, To: start.AddDate(0, 0, 9), Limit: 3}); err != nil || len(list) != 0 {
		t.Errorf("another account reads %v (%v)", list, err)
	}
}

// lanes reads the sums of lanes as "egress mailbox value type: n/firsts".
func (b *bench) lanes(f store.StatFilter) (list []string) {
	b.t.Helper()
	f.AccountID, f.From, f.To = b.account.ID, start.AddDate(0, 0, -1), start.AddDate(0, 0, 60)
	if f.Limit == 0 {
		f.Limit = 1000
	}
	sums, err := b.store.Lanes(b.ctx(), f)
	b.must(err)
	for _, s := range sums {
		list = append(list, fmt.Sprintf("%d %d %s %d: %d/%d %dms", s.Egress, s.Mailbox, s.Value, s.Type, s.N, s.Firsts, s.Millis))
	}
	return list
}

func (b *bench) wantLanes(f store.StatFilter, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.lanes(f)); diff != "" {
		b.t.Errorf("%+v: %s", f, diff)
	}
}

// lanes: what egresses are compared by is counted once, whoever tells first that another egress than the first choice has a message.
func lanes(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Second", "other-token", "outbound")
	one, two := b.egress(), second.Egress()
	moved := func(to string) *store.Job {
		t.Helper()
		s, _ := b.submission(to)
		s.Messages[0].Plan = plan(one, two)
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
		jobs := b.claim(9)
		if len(jobs) != 1 {
			t.Fatalf("%d claimed", len(jobs))
		}
		b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Requeue, At: b.now, Egress: two, Failed: true,
			Outcome: &provider.Outcome{Class: provider.Transient}})
		taken, err := b.store.Claim(b.ctx(), store.Claim{Egress: two, Limit: 9, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(time.Minute)})
		b.must(err)
		if len(taken.Jobs) != 1 {
			t.Fatalf("%d claimed by the second", len(taken.Jobs))
		}
		return &taken.Jobs[0]
	}
	accept := func(j *store.Job) {
		t.Helper()
		s := accepted(j, "id-"+j.ID.String())
		s.Detail = event.Detail{SMTPCode: 250}
		b.settle(s)
	}
	by := func(id mail.ID, kind event.Kind, identity string) {
		t.Helper()
		res, err := b.store.Ingest(b.ctx(), []store.Parsed{{Receipt: store.Receipt{AccountID: b.account.ID, TPSPID: second.ID},
			Reports: []provider.Report{b.report(id, kind, identity)}, Sent: 70, Now: b.now}})
		b.must(err)
		if res.Recorded != 1 {
			t.Fatalf("%+v", res)
		}
	}
	told := moved("ana@gmail.com") // settled, then reported
	accept(told)
	overtaken := moved("ana@gmail.com") // reported, then settled
	b.now = b.now.Add(1500 * time.Millisecond)
	by(overtaken.ID, event.Delivered, "d1")
	accept(overtaken)
	accept(told) // again
	by(told.ID, event.Delivered, "d2")
	by(told.ID, event.Opened, "o1")
	by(told.ID, event.Opened, "o2")
	b.send("dan@example.com") // by the first choice

	b.wantLanes(store.StatFilter{Dimension: store.DimensionFailover}, fmt.Sprintf("%d 0 %d 70: 2/0 0ms", two, one))
	b.wantLanes(store.StatFilter{Types: []event.Type{70, 75}}, fmt.Sprintf("%d 11  70: 1/0 0ms", one), fmt.Sprintf("%d 0  70: 2/0 0ms", two), fmt.Sprintf("%d 0  75: 2/1 0ms", two))
	b.wantLanes(store.StatFilter{Dimension: store.DimensionDelay}, fmt.Sprintf("%d 0 %s 71: 2/0 3000ms", two, compare.SpanOf(1500*time.Millisecond)))
	b.wantLanes(store.StatFilter{Dimension: store.DimensionGroup, Value: "g2", Mailbox: mailbox.Default, Types: []event.Type{70}}, fmt.Sprintf("%d 11 g2 70: 1/0 0ms", one))
	b.wantLanes(store.StatFilter{Dimension: store.DimensionFailover, Egress: one})
	b.wantLanes(store.StatFilter{Dimension: store.DimensionFailover, SubAccountID: b.sub.ID + 1})
	if list := b.lanes(store.StatFilter{Limit: 2}); len(list) != 2 {
		t.Errorf("%q of at most 2", list)
	}
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: told.ID, Types: []event.Type{70}, Limit: 9})
	b.must(err)
	if len(events) != 1 {
		t.Errorf("%d sent events", len(events))
	}
	for _, e := range events {
		if diff := cmp.Diff(event.Detail{SMTPCode: 250}, e.Detail); diff != "" {
			t.Errorf("users see: %s", diff)
		}
	}
	b.wantBooks()
}
