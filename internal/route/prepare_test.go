package route

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/mailbox"
)

var gmail = Message{Mailbox: mailbox.Gmail, Sender: "sendx.io"}

// prepare lays a message over one pool whose members are all ready but for some.
func prepare(p *Pool, m Message, not map[Egress]Standing) *Prepared {
	return prepareAll(m, not, p)
}

// prepareAll lays a message over the first pool, which may lead to the others.
func prepareAll(m Message, not map[Egress]Standing, pools ...*Pool) *Prepared {
	find := func(id int32) *Pool {
		if i := slices.IndexFunc(pools, func(p *Pool) bool { return p.ID == id }); i >= 0 {
			return pools[i]
		}
		return nil
	}
	return Prepare(Legs(pools[0], find, Compile), m, func(e Egress) (Standing, string) {
		return not[e], fmt.Sprintf("%s %d", e, not[e])
	})
}

// firsts counts the first choices of turns in a row.
func firsts(p *Prepared, start uint64, n int) map[Egress]int {
	had := map[Egress]int{}
	for i := range n {
		had[p.Plan(start+uint64(i), start+uint64(i)).First()]++
	}
	return had
}

// The examples of the reference.
func TestExamples(t *testing.T) {
	t.Parallel()
	aol, yahoo := Message{Mailbox: mailbox.AOL, Sender: "sendx.io"}, Message{Mailbox: mailbox.Yahoo, Sender: "other.com"}
	mailboxes := `{"0":"[\"IP_100\",\"IP_105\"]","1":"[\"TPSP_101\"]","others":"[\"IP_102\",\"TPSP_103\",\"IP_104\"]"}`
	domains := `{"sendx.io":"[\"TPSP_100\",\"IP_105\"]","others":"[\"IP_102\"]"}`
	for name, test := range map[string]struct {
		pool Pool
		m    Message
		n    int
		want map[Egress]int
	}{
		"RT-1":          {Pool{Members: []Egress{-1, 2, 3}}, gmail, 6, map[Egress]int{-1: 2, 2: 2, 3: 2}},
		"RT-2, a key":   {Pool{Strategy: 1, RoutingMetaData: mailboxes, Members: []Egress{-100, -105, 101, -102, 103, -104}}, gmail, 10, map[Egress]int{-100: 5, -105: 5}},
		"RT-2, another": {Pool{Strategy: 1, RoutingMetaData: mailboxes, Members: []Egress{-100, -105, 101, -102, 103, -104}}, yahoo, 10, map[Egress]int{101: 10}},
		"RT-4":          {Pool{Strategy: 1, RoutingMetaData: mailboxes, Members: []Egress{-100, -105, 101, -102, 103, -104}}, aol, 9, map[Egress]int{-102: 3, 103: 3, -104: 3}},
		"RT-5": {Pool{Strategy: 2, RoutingMetaData: `{"IP_100":"2","IP_101":"3","TPSP_102":"1","TPSP_103":"4"}`, Members: []Egress{-100, -101, 102, 103}},
			gmail, 20, map[Egress]int{-100: 4, -101: 6, 102: 2, 103: 8}},
		"RT-5b, a domain": {Pool{Strategy: 3, RoutingMetaData: domains, Members: []Egress{100, -105, -102}}, gmail, 4, map[Egress]int{100: 2, -105: 2}},
		"RT-5b, others":   {Pool{Strategy: 3, RoutingMetaData: domains, Members: []Egress{100, -105, -102}}, yahoo, 4, map[Egress]int{-102: 4}},
	} {
		if diff := cmp.Diff(test.want, firsts(prepare(&test.pool, test.m, nil), 0, test.n)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	three := []Egress{5, -3, 9}
	volumes := Pool{Name: "p", Strategy: Volume, RoutingMetaData: `{"TPSP_5":"70","TPSP_9":"30","TPSP_7":"0"}`, Members: []Egress{7, 5, 9, 8}}
	keyed := Pool{Name: "p", Strategy: MailboxProvider, RoutingMetaData: `{"0":"[\"TPSP_9\",\"TPSP_5\"]"}`, Members: three}
	for name, test := range map[string]struct {
		pool Pool
		m    Message
		turn uint64
		not  map[Egress]Standing
		want Plan
	}{
		"one": {Pool{Name: "p", Members: []Egress{5}}, gmail, 7, nil,
			Plan{Egresses: []Egress{5}, Rule: `pool "p", round robin over 1, turn 1`}},
		"an empty pool": {Pool{Name: "p"}, gmail, 7, nil, Plan{}},
		"first turn": {Pool{Name: "p", Members: three}, gmail, 0, nil,
			Plan{Egresses: []Egress{5, -3, 9}, Rule: `pool "p", round robin over 3, turn 1`}},
		"second turn": {Pool{Name: "p", Members: three}, gmail, 1, nil,
			Plan{Egresses: []Egress{-3, 5, 9}, Rule: `pool "p", round robin over 3, turn 2`}},
		"second round": {Pool{Name: "p", Members: three}, gmail, 3, nil,
			Plan{Egresses: []Egress{5, 9, -3}, Rule: `pool "p", round robin over 3, turn 1`}},
		"one cannot": {Pool{Name: "p", Members: three}, gmail, 1, map[Egress]Standing{-3: Unable},
			Plan{Egresses: []Egress{9, 5}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{-3, "IP_3 3"}}}},
		"one is away": {Pool{Name: "p", Members: three}, gmail, 1, map[Egress]Standing{-3: Away},
			Plan{Egresses: []Egress{9, 5, -3}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{-3, "IP_3 1"}}}},
		"one is paused": {Pool{Name: "p", Members: three}, gmail, 1, map[Egress]Standing{-3: Paused},
			Plan{Egresses: []Egress{9, 5}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{-3, "IP_3 2"}}}},
		"nobody can": {Pool{Name: "p", Members: three[:2]}, gmail, 1, map[Egress]Standing{5: Unable, -3: Unable},
			Plan{Skipped: []Skipped{{5, "TPSP_5 3"}, {-3, "IP_3 3"}}}},
		"all are away": {Pool{Name: "p", Members: three[:2]}, gmail, 1, map[Egress]Standing{5: Away, -3: Away},
			Plan{Egresses: []Egress{-3, 5}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{5, "TPSP_5 1"}, {-3, "IP_3 1"}}}},
		"all are paused": {Pool{Name: "p", Members: three[:2]}, gmail, 1, map[Egress]Standing{5: Paused, -3: Paused},
			Plan{Egresses: []Egress{-3, 5}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{5, "TPSP_5 2"}, {-3, "IP_3 2"}}}},
		"away is better than paused": {Pool{Name: "p", Members: three[:2]}, gmail, 1, map[Egress]Standing{5: Away, -3: Paused},
			Plan{Egresses: []Egress{5}, Rule: `pool "p", round robin over 1, turn 1`, Skipped: []Skipped{{5, "TPSP_5 1"}, {-3, "IP_3 2"}}}},
		"volumes, who has none is last": {volumes, gmail, 0, nil,
			Plan{Egresses: []Egress{5, 9, 7, 8}, Rule: `pool "p", by volume over 2, turn 1 of 10`}},
		"volumes, those are left": {volumes, gmail, 0, map[Egress]Standing{5: Away, 9: Unable},
			Plan{Egresses: []Egress{7, 8, 5}, Rule: `pool "p", by volume: only those of volume 0 are left, round robin over 2, turn 1`,
				Skipped: []Skipped{{5, "TPSP_5 1"}, {9, "TPSP_9 3"}}}},
		"a key": {keyed, gmail, 0, nil, Plan{Egresses: []Egress{9, 5}, Rule: `pool "p", by mailbox provider: gmail, round robin over 2, turn 1`,
			Skipped: []Skipped{{-3, `the pool "p" does not use it for gmail`}}}},
		"no key and no others": {keyed, Message{Mailbox: mailbox.AOL}, 0, nil,
			Plan{Egresses: []Egress{5, -3, 9}, Rule: `pool "p", by mailbox provider: no key for aol, all members, round robin over 3, turn 1`}},
	} {
		if diff := cmp.Diff(test.want, prepare(&test.pool, test.m, test.not).Plan(test.turn, test.turn)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// A plan goes on in the overflow pool, then in the targets; who is away comes after all who are not.
func TestPlansLeadOn(t *testing.T) {
	t.Parallel()
	all := []*Pool{
		{ID: 1, Name: "own", Members: []Egress{1, 2}, Overflow: 2, Targets: []int32{4, 99, 3}},
		{ID: 2, Name: "over", Members: []Egress{2, 3}, Targets: []int32{5}},
		{ID: 3, Name: "aim", Members: []Egress{4, 1}, Overflow: 1},
		{ID: 4, Name: "empty"},
		{ID: 5, Name: "far", Members: []Egress{5}, Overflow: 5, Targets: []int32{1, 2, 3}},
	}
	for name, test := range map[string]struct {
		not      map[Egress]Standing
		want     []Egress
		overflow int
		rule     string
	}{
		"all work":              {nil, []Egress{1, 2, 3, 5, 4}, 2, `pool "own", round robin over 2, turn 1`},
		"one is away":           {map[Egress]Standing{1: Away}, []Egress{2, 3, 5, 4, 1}, 1, `pool "own", round robin over 1, turn 1`},
		"the own ones are away": {map[Egress]Standing{1: Away, 2: Away}, []Egress{3, 5, 4, 1, 2}, 0, `pool "own" has nobody for it, overflow pool "over", round robin over 1, turn 1`},
		"the overflow is away":  {map[Egress]Standing{3: Away}, []Egress{1, 2, 5, 4, 3}, 4, `pool "own", round robin over 2, turn 1`},
		"all are away": {map[Egress]Standing{1: Away, 2: Away, 3: Away, 4: Away, 5: Away}, []Egress{1, 2, 3, 5, 4}, 2,
			`pool "own", round robin over 2, turn 1`},
		"only a target can": {map[Egress]Standing{1: Unable, 2: Unable, 3: Unable, 5: Unable}, []Egress{4}, 0,
			`pool "own" has nobody for it, target pool "aim", round robin over 1, turn 1`},
		"all are paused but one target": {map[Egress]Standing{1: Paused, 2: Paused, 3: Paused, 5: Paused}, []Egress{4}, 0,
			`pool "own" has nobody for it, target pool "aim", round robin over 1, turn 1`},
	} {
		got := prepareAll(gmail, test.not, all...).Plan(0, 0)
		if diff := cmp.Diff(test.want, got.Egresses); diff != "" || got.Overflow != test.overflow || got.Rule != test.rule {
			t.Errorf("%s: overflow %d, rule %s\n%s", name, got.Overflow, got.Rule, diff)
		}
	}
}

// drawPools draws pools that lead anywhere, circles and missing ones included.
func drawPools(t *rapid.T) []*Pool {
	pools := make([]*Pool, rapid.IntRange(1, 4).Draw(t, "pools"))
	id := rapid.Int32Range(0, int32(len(pools))+1)
	for i := range pools {
		p := &Pool{ID: int32(i + 1), Name: "p" + strconv.Itoa(i), Strategy: Strategy(rapid.IntRange(0, 3).Draw(t, "strategy")), Overflow: id.Draw(t, "overflow"),
			Targets: rapid.SliceOfN(id, 0, 3).Draw(t, "targets")}
		p.Members = rapid.SliceOfNDistinct(rapid.SampledFrom([]Egress{1, 2, 3, 4, 5, 6, 7, -1, -2}), 1, 6, rapid.ID).Draw(t, "members")
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(p.Members), 1, -1, rapid.ID).Draw(t, "named")
		var names, volumes []string
		for j, e := range some {
			names = append(names, fmt.Sprintf(`\"%s\"`, e))
			volumes = append(volumes, fmt.Sprintf(`"%s":"%d"`, e, rapid.IntRange(max(1-j, 0), 40).Draw(t, "volume")))
		}
		value := `"[` + strings.Join(names, ",") + `]"`
		switch p.Strategy {
		case MailboxProvider:
			p.RoutingMetaData = fmt.Sprintf(`{"%s":%s}`, rapid.SampledFrom([]string{"0", "1", Others}).Draw(t, "key"), value)
		case SendingDomain:
			p.RoutingMetaData = fmt.Sprintf(`{"%s":%s}`, rapid.SampledFrom([]string{"sendx.io", "b.com", Others}).Draw(t, "key"), value)
		case Volume:
			p.RoutingMetaData = "{" + strings.Join(volumes, ",") + "}"
		}
		if bad := Check(p.Strategy, p.RoutingMetaData, p.Members); bad != nil {
			t.Fatalf("%s: %v", p.RoutingMetaData, bad)
		}
		pools[i] = p
	}
	return pools
}

// Whatever leads where: every egress that is reached stands once in the plan or was skipped with its reason, whoever works
// comes before whoever is away, a turn always gives the same plan, and nothing of the pools is changed.
func TestPlansForgetNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pools := drawPools(t)
		before := fmt.Sprintf("%+v", *pools[0])
		not := map[Egress]Standing{}
		for _, e := range []Egress{1, 2, 3, 4, 5, 6, 7, -1, -2} {
			not[e] = Standing(rapid.IntRange(0, 3).Draw(t, "standing"))
		}
		p := prepareAll(gmail, not, pools...)
		turn, seq := rapid.Uint64().Draw(t, "turn"), rapid.Uint64().Draw(t, "seq")
		plan := p.Plan(turn, seq)
		if diff := cmp.Diff(plan, prepareAll(gmail, not, pools...).Plan(turn, seq)); diff != "" {
			t.Fatalf("the same turn again:\n%s", diff)
		}
		if first := p.First(turn); first != plan.First() {
			t.Fatalf("First is %s, the plan's is %s", first, plan.First())
		}
		reached := map[Egress]bool{}
		for _, l := range Legs(pools[0], func(id int32) *Pool {
			if id < 1 || int(id) > len(pools) {
				return nil
			}
			return pools[id-1]
		}, Compile) {
			for _, e := range l.Pool.Members {
				reached[e] = true
			}
		}
		skipped := map[Egress]string{}
		for _, s := range plan.Skipped {
			if _, twice := skipped[s.Egress]; twice || s.Reason == "" {
				t.Fatalf("skipped %+v", plan.Skipped)
			}
			skipped[s.Egress] = s.Reason
		}
		planned := map[Egress]bool{}
		worst := Ready
		for i, e := range plan.Egresses {
			standing := not[e]
			if planned[e] || standing == Unable || standing < worst || standing == Paused && worst != Paused && i > 0 {
				t.Fatalf("%s, which is %d, stands at %d in %v", e, standing, i, plan.Egresses)
			}
			if planned[e], worst = true, standing; standing != Ready && skipped[e] == "" {
				t.Fatalf("%s is %d without a reason", e, standing)
			}
		}
		for e := range reached {
			if !planned[e] && skipped[e] == "" {
				t.Fatalf("%s is neither in %v nor in %+v", e, plan.Egresses, plan.Skipped)
			}
		}
		for e := range planned {
			if !reached[e] {
				t.Fatalf("%s is planned and nowhere", e)
			}
		}
		if plan.Overflow < 0 || plan.Overflow >= max(len(plan.Egresses), 1) {
			t.Fatalf("the overflow begins at %d of %v", plan.Overflow, plan.Egresses)
		}
		if after := fmt.Sprintf("%+v", *pools[0]); after != before {
			t.Fatalf("the pool was changed: %s", after)
		}
	})
}

// When some cannot, the shares of the others keep their proportions; and when the first choice fails, its messages are shared
// by the others in theirs.
func TestSharesKeepTheirProportions(t *testing.T) {
	t.Parallel()
	p := &Pool{Name: "p", Strategy: Volume, RoutingMetaData: `{"TPSP_1":"50","TPSP_2":"30","TPSP_3":"15","TPSP_4":"5"}`, Members: []Egress{1, 2, 3, 4}}
	if diff := cmp.Diff(map[Egress]int{2: 600, 3: 300, 4: 100}, firsts(prepare(p, gmail, map[Egress]Standing{1: Away}), 12_345, 1000)); diff != "" {
		t.Errorf("without the first:\n%s", diff)
	}
	second := map[Egress]int{}
	prepared := prepare(p, gmail, nil)
	for turn := range uint64(2000) {
		if plan := prepared.Plan(turn, turn); plan.First() == 1 {
			second[plan.Egresses[1]]++
		}
	}
	if diff := cmp.Diff(map[Egress]int{2: 600, 3: 300, 4: 100}, second); diff != "" {
		t.Errorf("when the first fails:\n%s", diff)
	}
}

func TestTurnsAreExactForAllMessagesOnly(t *testing.T) {
	t.Parallel()
	two := []Egress{1, 2}
	for name, test := range map[string]struct {
		pool Pool
		not  map[Egress]Standing
		want bool
	}{
		"round robin":           {Pool{Members: two}, nil, true},
		"one is away":           {Pool{Members: two}, map[Egress]Standing{1: Away}, false},
		"volumes":               {Pool{Members: two, Strategy: Volume, RoutingMetaData: `{"TPSP_1":"1","TPSP_2":"0"}`}, nil, true},
		"who has none is away":  {Pool{Members: two, Strategy: Volume, RoutingMetaData: `{"TPSP_1":"1","TPSP_2":"0"}`}, map[Egress]Standing{2: Away}, true},
		"only who has none":     {Pool{Members: two, Strategy: Volume, RoutingMetaData: `{"TPSP_1":"1","TPSP_2":"0"}`}, map[Egress]Standing{1: Away}, false},
		"a key":                 {Pool{Members: two, Strategy: MailboxProvider, RoutingMetaData: `{"0":"[\"TPSP_1\",\"TPSP_2\"]"}`}, nil, false},
		"no key":                {Pool{Members: two, Strategy: MailboxProvider, RoutingMetaData: `{"1":"[\"TPSP_1\",\"TPSP_2\"]"}`}, nil, false},
		"nobody, and no choice": {Pool{}, nil, true},
	} {
		if _, _, _, exact := prepare(&test.pool, gmail, test.not).Turns(); exact != test.want {
			t.Errorf("%s: exact is %t", name, exact)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	for name, p := range map[string]*Pool{
		"round robin of 3": {Name: "p", Members: []Egress{1, 2, 3}},
		"volumes 70/30":    {Name: "p", Strategy: Volume, RoutingMetaData: `{"TPSP_1":"70","TPSP_2":"30"}`, Members: []Egress{1, 2}},
		"volumes of 9999":  {Name: "p", Strategy: Volume, RoutingMetaData: `{"TPSP_1":"9000","TPSP_2":"998","TPSP_3":"1"}`, Members: []Egress{1, 2, 3}},
	} {
		b.Run(name, func(b *testing.B) {
			prepared, seq := prepare(p, gmail, nil), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				prepared.Plan(seq, seq)
			}
		})
	}
}

// Plans are made within a transaction: the schedules of all legs are there by then.
func TestSchedulesAreMadeBefore(t *testing.T) {
	t.Parallel()
	all := []*Pool{
		{ID: 1, Name: "own", Members: []Egress{1, 2, 3, 4}, Overflow: 2, Targets: []int32{3}},
		{ID: 2, Name: "over", Members: []Egress{5, 6, 7, 8}},
		{ID: 3, Name: "aim", Strategy: Volume, RoutingMetaData: `{"TPSP_9":"7","TPSP_10":"2","TPSP_11":"1"}`, Members: []Egress{9, 10, 11}},
	}
	p := prepareAll(gmail, map[Egress]Standing{3: Away, 6: Away}, all...)
	made := func() (n int) {
		for _, k := range p.picks {
			n += len(k.group.schedules)
		}
		return n
	}
	before := made()
	for turn := range uint64(100) {
		p.Plan(turn, turn)
	}
	if after := made(); before == 0 || after != before {
		t.Errorf("%d schedules, then %d", before, after)
	}
}
