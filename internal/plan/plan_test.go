package plan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// carrier is an adapter that is only asked what it can carry. The embedded interface is nil: any other call would panic.
type carrier struct {
	provider.Adapter
	templates bool // it carries nothing else, unless it may
}

func (c carrier) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark, Templates: c.templates}
}

func (c carrier) CanCarry(content *mail.Content, terms provider.Terms) *mail.FieldError {
	if c.templates && content.Template == "" && !terms.Raw {
		return mail.Invalid("missing_tpsp_template", "tpspTemplate", "templates only")
	}
	return nil
}

type contents directory.Contents

func (contents) DirectoryRevision(context.Context) (int64, error) { return 0, nil }
func (c contents) LoadDirectory(context.Context) (directory.Contents, error) {
	return directory.Contents(c), nil
}

// world has the TPSPs 1 to 4 (1 and 2 are Postmarks that carry templates only, 3 and 4 carry all), edited, and pools.
func world(t testing.TB, edit func([]directory.TPSP), pools ...route.Pool) *directory.Snapshot {
	t.Helper()
	tpsps := make([]directory.TPSP, 4)
	for i := range tpsps {
		tpsps[i] = directory.TPSP{ID: int32(i + 1), AccountID: 7, Name: fmt.Sprintf("tpsp %d", i+1), Type: provider.Postmark}
		if i >= 2 {
			tpsps[i].Type = provider.SendGrid
		}
	}
	if edit != nil {
		edit(tpsps)
	}
	for i := range pools {
		pools[i].AccountID = 7
		if pools[i].ID == 0 {
			pools[i].ID, pools[i].Name = int32(i+1), fmt.Sprintf("pool %d", i+1)
		}
	}
	d, err := directory.Open(t.Context(), contents{TPSPs: tpsps, Pools: pools})
	if err != nil {
		t.Fatal(err)
	}
	return d.Current()
}

func planner() *plan.Planner {
	return plan.New(provider.Registry{provider.Postmark: carrier{templates: true}, provider.SendGrid: carrier{}}, func() time.Time { return now })
}

func content(template string) *mail.Content {
	return &mail.Content{From: mail.Address{Email: "shop@Example.com"}, Template: template}
}

func TestStandings(t *testing.T) {
	t.Parallel()
	refused := directory.Refusal{Domain: "example.com", Reason: "not verified", ProbeAt: now.Add(time.Minute)}
	for name, test := range map[string]struct {
		edit    func(*directory.TPSP) // of TPSP 3
		want    []route.Egress
		skipped string
	}{
		"all work":           {func(*directory.TPSP) {}, []route.Egress{3, 4}, ""},
		"stopped":            {func(t *directory.TPSP) { t.Health = directory.Health{Stopped: true, Reason: "bad token"} }, []route.Egress{4, 3}, "bad token"},
		"in a drill":         {func(t *directory.TPSP) { t.Drill = now.Add(time.Second) }, []route.Egress{4, 3}, "rehearsed"},
		"after a drill":      {func(t *directory.TPSP) { t.Drill = now }, []route.Egress{3, 4}, ""},
		"refuses the sender": {func(t *directory.TPSP) { t.Refused = []directory.Refusal{refused} }, []route.Egress{4, 3}, "not verified"},
		"refuses another": {func(t *directory.TPSP) {
			t.Refused = []directory.Refusal{{Domain: "other.com", ProbeAt: now.Add(time.Minute)}}
		}, []route.Egress{3, 4}, ""},
		"paused":             {func(t *directory.TPSP) { t.Paused = true }, []route.Egress{4}, "paused"},
		"paused and stopped": {func(t *directory.TPSP) { t.Paused, t.Health.Stopped = true, true }, []route.Egress{4}, "paused"},
		"deleted":            {func(t *directory.TPSP) { t.Deleted = now }, []route.Egress{4}, "not connected"},
		"an IP that is gone": {func(t *directory.TPSP) { t.Missing = true }, []route.Egress{4, 3}, "not in the server's configuration"},
		"of another version": {func(t *directory.TPSP) { t.Type = 999 }, []route.Egress{4}, "does not know"},
	} {
		view := world(t, func(list []directory.TPSP) { test.edit(&list[2]) }, route.Pool{Members: []route.Egress{3, 4}})
		p := planner()
		for _, c := range []*mail.Content{content(""), nil} {
			course := p.Course(view, view.Pool(7, 1), c).From("example.com")
			prepared, bad := course.To(mailbox.Gmail)
			if bad != nil {
				t.Fatalf("%s: %v", name, bad)
			}
			got := course.Plan(prepared, 0)
			if diff := cmp.Diff(test.want, got.Egresses); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
			if test.skipped == "" && len(got.Skipped) > 0 || test.skipped != "" && (len(got.Skipped) != 1 || !strings.Contains(got.Skipped[0].Reason, test.skipped)) {
				t.Errorf("%s: skipped %+v", name, got.Skipped)
			}
		}
	}
}

// A pool that is paused as a whole, or whose providers are, takes mail: it waits.
func TestPausesRefuseNothing(t *testing.T) {
	t.Parallel()
	view := world(t, func(list []directory.TPSP) {
		for i := range list {
			list[i].Paused = true
		}
	}, route.Pool{Members: []route.Egress{3, 4}, Paused: true})
	course := planner().Course(view, view.Pool(7, 1), content(""))
	prepared, bad := course.To(mailbox.Gmail)
	if course.Refusal() != nil || bad != nil || len(course.Plan(prepared, 0).Egresses) != 2 {
		t.Errorf("%v, %v, %+v", course.Refusal(), bad, course.Plan(prepared, 0))
	}
}

// The fault of the content is the answer, for all recipients or for those whose key names nobody who can.
func TestRefusals(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{1, 2}}, route.Pool{Members: []route.Egress{1, 3}, Strategy: route.MailboxProvider,
		RoutingMetaData: `{"0":"[\"TPSP_1\"]","others":"[\"TPSP_3\"]"}`}, route.Pool{}, route.Pool{Members: []route.Egress{1}, Overflow: 2})
	p := planner()
	for i, want := range []struct{ refusal, gmail, yahoo string }{
		{"missing_tpsp_template", "missing_tpsp_template", "missing_tpsp_template"},
		{"", "missing_tpsp_template", ""},
		{"empty_ippool", "empty_ippool", "empty_ippool"},
		{"", "missing_tpsp_template", ""},
	} {
		course := p.Course(view, view.Pool(7, int32(i+1)), content(""))
		_, gmail := course.To(mailbox.Gmail)
		_, yahoo := course.To(mailbox.Yahoo)
		for _, c := range []struct {
			got  *mail.FieldError
			want string
		}{{course.Refusal(), want.refusal}, {gmail, want.gmail}, {yahoo, want.yahoo}} {
			if c.got == nil && c.want != "" || c.got != nil && c.got.Code != c.want {
				t.Errorf("pool %d: %+v, want %q", i+1, c.got, c.want)
			}
		}
		if course := p.Course(view, view.Pool(7, int32(i+1)), content("t")); i != 2 && course.Refusal() != nil {
			t.Errorf("pool %d with a template: %v", i+1, course.Refusal())
		}
	}
}

// Mail that comes in a pattern is shared as any other: every second one to Gmail, every second one without a template.
func TestPatterns(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{3, 4}, Strategy: route.MailboxProvider, RoutingMetaData: `{"0":"[\"TPSP_3\",\"TPSP_4\"]","others":"[\"TPSP_4\",\"TPSP_3\"]"}`},
		route.Pool{Members: []route.Egress{1, 2, 3, 4}})
	p := planner()
	had := map[string]int{}
	for seq := range uint64(1000) {
		course := p.Course(view, view.Pool(7, 1), content(""))
		class := []mailbox.Class{mailbox.Gmail, mailbox.Yahoo}[seq%2]
		prepared, _ := course.To(class)
		had[fmt.Sprint(class, course.Plan(prepared, seq).First())]++

		template := []string{"", "t"}[seq%2]
		course = p.Course(view, view.Pool(7, 2), content(template))
		prepared, _ = course.To(mailbox.Gmail)
		if first := course.Plan(prepared, seq).First(); template == "" {
			had[fmt.Sprint("raw", first)]++
		}
	}
	want := map[string]int{"gmailTPSP_3": 250, "gmailTPSP_4": 250, "yahooTPSP_3": 250, "yahooTPSP_4": 250, "rawTPSP_3": 250, "rawTPSP_4": 250}
	if diff := cmp.Diff(want, had); diff != "" {
		t.Error(diff)
	}
}

// The pool's sequence alone decides where it counts all mail: on every node, and however often it is asked.
func TestTheSequenceDecides(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{3, 4}, Strategy: route.Volume, RoutingMetaData: `{"TPSP_3":"70","TPSP_4":"30"}`})
	here, there := planner(), planner()
	had := map[route.Egress]int{}
	for seq := uint64(123_456); seq < 133_456; seq++ {
		var plans []route.Plan
		for _, p := range []*plan.Planner{here, there, here} {
			course := p.Course(view, view.Pool(7, 1), content(""))
			prepared, _ := course.To(mailbox.Gmail)
			plans = append(plans, course.Plan(prepared, seq))
		}
		if diff := cmp.Diff(plans[0], plans[1]) + cmp.Diff(plans[0], plans[2]); diff != "" {
			t.Fatal(diff)
		}
		had[plans[0].First()]++
	}
	if had[3] != 7000 || had[4] != 3000 {
		t.Errorf("%v", had)
	}
}

// What is counted lives as long as the pool's revision, whatever else is configured anew.
func TestCountsLiveWithTheRevision(t *testing.T) {
	t.Parallel()
	p := planner()
	first := func(revision int64, stopped bool) route.Egress {
		view := world(t, func(list []directory.TPSP) { list[3].Health.Stopped = stopped }, route.Pool{Members: []route.Egress{2, 3, 4}, Revision: revision})
		course := p.Course(view, view.Pool(7, 1), content("t"))
		prepared, _ := course.To(mailbox.Gmail)
		return course.Plan(prepared, 0).First()
	}
	var got []route.Egress
	for _, revision := range []int64{1, 1, 1, 2} {
		got = append(got, first(revision, true))
	}
	if want := []route.Egress{2, 3, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{1}}, route.Pool{Members: []route.Egress{1}, Overflow: 1},
		route.Pool{Members: []route.Egress{1}, Overflow: 4}, route.Pool{Members: []route.Egress{2}})
	for i, want := range []bool{false, false, true, false} {
		if got := planner().Course(view, view.Pool(7, int32(i+1)), nil).Spread(); got != want {
			t.Errorf("pool %d: %t", i+1, got)
		}
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{1, 3}})
	p := planner()
	got, bad := p.Again(view, plan.Waiting{AccountID: 7, PoolID: 1, Content: content(""), Mailbox: mailbox.Gmail})
	if bad != nil || !slices.Equal(got.Egresses, []route.Egress{3}) || len(got.Skipped) != 1 {
		t.Errorf("%+v, %v", got, bad)
	}
	for _, w := range []plan.Waiting{{AccountID: 7, PoolID: 2}, {AccountID: 8, PoolID: 1}} {
		w.Content = content("")
		if _, bad := p.Again(view, w); bad == nil || bad.Code != "unknown_ippool" {
			t.Errorf("%+v: %v", w, bad)
		}
	}
	view = world(t, nil, route.Pool{Members: []route.Egress{1}})
	if got, bad := p.Again(view, plan.Waiting{AccountID: 7, PoolID: 1, Content: content("")}); bad == nil || len(got.Egresses) != 0 || len(got.Skipped) != 1 {
		t.Errorf("%+v, %v", got, bad)
	}
}

// Looking changes nothing.
func TestExplanationsCountNothing(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Members: []route.Egress{3, 4}, Strategy: route.SendingDomain, RoutingMetaData: `{"example.com":"[\"TPSP_3\",\"TPSP_4\"]"}`, Overflow: 2},
		route.Pool{Members: []route.Egress{1}})
	p := planner()
	next := func() route.Egress {
		course := p.Course(view, view.Pool(7, 1), content(""))
		prepared, _ := course.To(mailbox.Gmail)
		return course.Plan(prepared, 0).First()
	}
	before := next()
	course := p.Course(view, view.Pool(7, 1), content("t"))
	for range 3 {
		x := course.Explain(mailbox.Gmail, 1)
		if x.First() != 4 || len(x.Ways) != 3 || x.Ways[2].Pool != "pool 2" || x.Overflow != 2 || x.Refusal != "" {
			t.Errorf("%+v", x)
		}
		if diff := cmp.Diff(map[route.Egress]int{3: 51, 4: 50}, course.Sample(mailbox.Gmail, 2, 101)); diff != "" {
			t.Error(diff)
		}
	}
	if after := next(); before != 3 || after != 4 {
		t.Errorf("first %s, then %s", before, after)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	keyed := func(text string) route.Pool {
		return route.Pool{Members: []route.Egress{3, 4}, Strategy: route.MailboxProvider, RoutingMetaData: text}
	}
	for name, test := range map[string]struct {
		edit func([]directory.TPSP)
		pool route.Pool
		want string // codes with whom they are about
	}{
		"nothing":                {nil, route.Pool{Members: []route.Egress{3, 4}}, ""},
		"paused":                 {nil, route.Pool{Members: []route.Egress{3, 4}, Paused: true}, "pool_paused:0"},
		"nobody":                 {nil, route.Pool{}, "empty:0"},
		"one":                    {nil, route.Pool{Members: []route.Egress{3}}, "no_fallback:3"},
		"one, and the overflow":  {nil, route.Pool{Members: []route.Egress{3}, Overflow: 2}, ""},
		"a fallback of less":     {nil, route.Pool{Members: []route.Egress{3, 1}}, "carried_by_one:3 cannot_carry:1"},
		"one that may":           {func(l []directory.TPSP) { l[0].AllowRaw = true }, route.Pool{Members: []route.Egress{3, 1}}, ""},
		"templates only":         {nil, route.Pool{Members: []route.Egress{1, 2}}, "not_carried:0"},
		"paused, stopped":        {func(l []directory.TPSP) { l[2].Paused, l[3].Health.Stopped = true, true }, route.Pool{Members: []route.Egress{3, 4}}, "provider_paused:3 provider_away:4"},
		"deleted":                {func(l []directory.TPSP) { l[0].Deleted = now }, route.Pool{Members: []route.Egress{1, 3, 4}}, "not_connected:1"},
		"unreadable":             {nil, keyed("{"), "unreadable_metadata:0"},
		"a key alone":            {nil, keyed(`{"0":"[\"TPSP_3\"]","others":"[\"TPSP_3\",\"TPSP_4\"]"}`), "key_without_fallback:0"},
		"no others":              {nil, keyed(`{"0":"[\"TPSP_3\",\"TPSP_4\"]"}`), "no_others:0"},
		"somebody is never used": {nil, keyed(`{"others":"[\"TPSP_3\"]"}`), "never_used:4 key_without_fallback:0"},
		"somebody is gone":       {nil, keyed(`{"others":"[\"TPSP_3\",\"TPSP_4\",\"TPSP_9\"]"}`), "gone_egress:9"},
		"volume 0, meant so":     {nil, route.Pool{Members: []route.Egress{3, 4}, Strategy: route.Volume, RoutingMetaData: `{"TPSP_3":"1","TPSP_4":"0"}`}, ""},
		"without a volume":       {nil, route.Pool{Members: []route.Egress{3, 4}, Strategy: route.Volume, RoutingMetaData: `{"TPSP_3":"1"}`}, "fallback_only:4"},
		"a refused sender": {func(l []directory.TPSP) {
			l[2].Refused = []directory.Refusal{{Domain: "a.com", Reason: "no", ProbeAt: now.Add(1)}, {Domain: "b.com", ProbeAt: now}}
		}, route.Pool{Members: []route.Egress{3, 4}}, "sender_refused:3"},
	} {
		view := world(t, test.edit, test.pool, route.Pool{Members: []route.Egress{4}})
		var got []string
		for _, w := range planner().Warnings(view, view.Pool(7, 1)) {
			got = append(got, fmt.Sprintf("%s:%d", w.Code, w.Egress))
			if w.Message == "" {
				t.Errorf("%s: %s has no words", name, w.Code)
			}
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

// Many plan at once while the configuration changes; the race detector watches.
func TestPlannersShare(t *testing.T) {
	t.Parallel()
	p := planner()
	var views []*directory.Snapshot
	for revision := range int64(4) {
		views = append(views, world(t, nil, route.Pool{Members: []route.Egress{1, 3, 4}, Revision: revision}))
	}
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for seq := range uint64(200) {
				view := views[(seq+uint64(i))%4]
				course := p.Course(view, view.Pool(7, 1), content(""))
				prepared, bad := course.To(mailbox.Gmail)
				if got := course.Plan(prepared, seq); bad != nil || len(got.Egresses) != 2 {
					t.Errorf("%+v, %v", got, bad)
				}
			}
		})
	}
	running.Wait()
}

func BenchmarkRequest(b *testing.B) {
	view := world(b, nil, route.Pool{Members: []route.Egress{1, 2, 3}, Strategy: route.Volume, RoutingMetaData: `{"TPSP_1":"70","TPSP_2":"20","TPSP_3":"10"}`})
	p, c := planner(), content("t")
	b.Run("of one message", func(b *testing.B) {
		b.ReportAllocs()
		seq := uint64(0)
		for b.Loop() {
			course := p.Course(view, view.Pool(7, 1), c)
			prepared, _ := course.To(mailbox.Gmail)
			course.Plan(prepared, seq)
			seq++
		}
	})
	b.Run("each further message", func(b *testing.B) {
		b.ReportAllocs()
		course := p.Course(view, view.Pool(7, 1), c)
		prepared, _ := course.To(mailbox.Gmail)
		seq := uint64(0)
		for b.Loop() {
			course.Plan(prepared, seq)
			seq++
		}
	})
}
