package api

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/plan"
)

// pool is the body that creates a pool of TPSPs.
func pool(name string, tpsps ...int32) map[string]any {
	return map[string]any{"name": name, "tpsps": tpsps, "routingStrategy": 0, "routingMetaData": "", "overflowPool": false, "warmupInterval": 24,
		"overflowStrategy": 0, "overflowPoolName": ""}
}

// with returns a body with some keys set.
func with(body map[string]any, pairs ...any) map[string]any {
	for i := 0; i < len(pairs); i += 2 {
		body[pairs[i].(string)] = pairs[i+1]
	}
	return body
}

// makePool creates a pool and returns its path.
func (w *world) makePool(body map[string]any) (poolAnswer, string) {
	w.t.Helper()
	var got poolAnswer
	w.asAccount("POST", "/api/v1/account/ippool", body).ok(200, &got)
	return got, fmt.Sprintf("/api/v1/account/ippool/%d", got.ID)
}

func TestPools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.connect("One", "outbound").ID, w.connect("Two", "broadcast").ID

	_, overPath := w.makePool(pool("Overflow", two))
	body := with(pool(" Marketing Promotional ", one, two), "routingStrategy", 2, "routingMetaData", fmt.Sprintf(`{"TPSP_%d":"70","TPSP_%d":"30"}`, one, two),
		"overflowStrategy", 1, "overflowPoolName", "Overflow", "toAccountIPPools", []string{"one-pool"}, "priority", 5, "ttl", 3600)
	a := w.asAccount("POST", "/api/v1/account/ippool/", body)
	var made poolAnswer
	a.ok(200, &made)
	wantKeys(t, a.body, poolKeys...)
	if made.Name != "Marketing Promotional" || made.RoutingStrategy != 2 || made.RoutingMetaData != body["routingMetaData"] || made.WarmupInterval != 24 ||
		!made.ShouldOverflow || made.OverflowPoolName != "Overflow" || len(made.ThirdPartySendingProviders) != 2 || made.Created == 0 ||
		len(made.ToAccountIPPools) != 1 || made.ToAccountIPPools[0].Name != "one-pool" || len(made.ToAccountIPPools[0].ThirdPartySendingProviders) != 1 {
		t.Errorf("%s", a.body)
	}
	var nested struct {
		Targets []json.RawMessage `json:"toAccountIPPools"`
	}
	a.ok(200, &nested)
	wantKeys(t, nested.Targets[0], poolKeys...)
	path := fmt.Sprintf("/api/v1/account/ippool/%d", made.ID)
	if read := w.asAccount("GET", path, nil).ok(200, nil); string(read.body) != string(a.body) {
		t.Errorf("read: %s\nmade: %s", read.body, a.body)
	}
	settings := w.asAccount("GET", path+"/settings", nil).ok(200, nil)
	if string(settings.body) != `{"priority":5,"paused":false,"ttlSeconds":3600}`+"\n" {
		t.Errorf("settings %s", settings.body)
	}

	// A change by what the official client sends, and the answer to it.
	var changed poolAnswer
	w.asAccount("PUT", path+"/", map[string]any{"name": "Marketing", "routingStrategy": 0, "routingMetaData": "{}"}).ok(200, &changed)
	want := made
	want.Name, want.RoutingStrategy, want.RoutingMetaData = "Marketing", 0, "{}"
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
	w.asAccount("PUT", path, map[string]any{}).ok(200, nil)

	// Deletion is refused while others lead to it.
	p := w.asAccount("DELETE", overPath, nil).refused(409, "ippool_in_use", "")
	if !strings.Contains(p.Message, `"Marketing"`) {
		t.Errorf("%s", p.Message)
	}
	gone := w.asAccount("DELETE", path, nil).ok(200, nil)
	if string(gone.body) != fmt.Sprintf(`{"id":%d,"message":"IPPool (Marketing) has been deleted successfully"}`+"\n", made.ID) {
		t.Errorf("%s", gone.body)
	}
	w.asAccount("DELETE", overPath, nil).ok(200, nil)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		w.asAccount(method, path, "{}").refused(404, "not_found", "")
	}
	var left []poolAnswer
	w.asAccount("GET", "/api/v1/account/ippool?search=POOL&limit=1&offset=1", nil).ok(200, &left)
	if len(left) != 1 || left[0].Name != "two-pool" {
		t.Errorf("%+v", left)
	}
}

func TestPoolRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.connect("One", "outbound").ID
	mine, path := w.makePool(pool("mine", one))
	for _, c := range []struct {
		body        any
		status      int
		code, field string
		words       string
	}{
		{pool("mine ", one), 403, "name_taken", "name", ""},
		{pool("", one), 422, "missing_name", "name", ""},
		{"", 422, "missing_body", "", ""},
		{with(pool("p", one), "warmupInterval", 0), 422, "invalid_warmup_interval", "warmupInterval", ""},
		{pool("p", one, 4711), 422, "unknown_tpsp", "tpsps", "4711"},
		{with(pool("p"), "ips", []map[string]any{{"publicIP": "52.13.11.14"}}), 422, "unknown_ip", "ips", "52.13.11.14"},
		{with(pool("p", one), "tpsps", []any{"1"}), 422, "wrong_type", "tpsps[0]", ""},
		{with(pool("p", one), "routingMetaData", map[string]any{}), 422, "wrong_type", "routingMetaData", ""},
		{with(pool("p", one), "routingStrategy", 1), 422, "missing_metadata", "routingMetaData", ""},
		{with(pool("p", one), "routingStrategy", 2, "routingMetaData", `{"TPSP_4711":"1"}`), 422, "unknown_egress", "routingMetaData", "TPSP_4711"},
		{with(pool("p", one), "overflowStrategy", 1, "overflowPoolName", "nowhere"), 422, "unknown_ippool", "overflowPoolName", "nowhere"},
		{with(pool("p", one), "toAccountIPPools", []string{"nowhere"}), 422, "unknown_ippool", "toAccountIPPools", "nowhere"},
	} {
		if p := w.asAccount("POST", "/api/v1/account/ippool", c.body).refused(c.status, c.code, c.field); !strings.Contains(p.Message, c.words) {
			t.Errorf("%s: %s", c.code, p.Message)
		}
	}
	w.makePool(with(pool("other", one), "overflowStrategy", 1, "overflowPoolName", "mine"))
	w.asAccount("PUT", path, map[string]any{"toAccountIPPools": []string{"other"}}).refused(400, "circular_ippool", "toAccountIPPools")
	w.asAccount("PUT", path, map[string]any{"name": "other"}).refused(403, "name_taken", "name")

	// Nothing of another account can be named, nor its names be found out.
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	call := func(body map[string]any) answer { return w.call("POST", "/api/v1/account/ippool", stranger, body) }
	call(pool("mine", one)).refused(422, "unknown_tpsp", "tpsps")
	call(with(pool("p"), "overflowStrategy", 1, "overflowPoolName", "mine")).refused(422, "unknown_ippool", "overflowPoolName")
	call(with(pool("p"), "toAccountIPPools", []string{"mine"})).refused(422, "unknown_ippool", "toAccountIPPools")
	for _, key := range []string{"", "AAAAAAAAAAAAAAAAAAAA"} {
		if a := w.call("POST", path+"/pause", map[string]string{"X-Account-ApiKey": key}, nil); a.status != 401 {
			t.Errorf("pause without a key: %d", a.status)
		}
	}
	var got poolAnswer
	if w.asAccount("GET", path, nil).ok(200, &got); !cmp.Equal(got, mine) {
		t.Errorf("%s", cmp.Diff(mine, got))
	}
}

func TestPoolsArePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, path := w.makePool(pool("mine", w.connect("One", "outbound").ID))
	for i, c := range []struct {
		action string
		paused bool
	}{{"pause", true}, {"pause", true}, {"resume", false}} {
		var got poolSettings
		w.asAccount("POST", path+"/"+c.action, nil).ok(200, &got)
		if got.Paused != c.paused || w.changed.Load() != int64(i+1) {
			t.Errorf("%s: %+v, told of %d changes", c.action, got, w.changed.Load())
		}
	}
	w.asAccount("POST", path+"/pause", nil).ok(200, nil)
	var sent []emailResponse
	w.asSub("POST", "/api/v1/subaccount/email", with(email("ada@example.org"), "ippool", "mine")).ok(200, &sent)
	if len(sent) != 1 || sent[0].ErrorCode != 0 {
		t.Errorf("a paused pool takes no mail: %+v", sent)
	}
	w.asAccount("DELETE", path, nil).refused(409, "messages_waiting", "force")
	w.asAccount("DELETE", path+"?force=perhaps", nil).refused(400, "invalid_parameter", "force")
	w.asAccount("DELETE", path+"?force=true", nil).ok(200, nil)
}

// Mail of a pool at 70/30, through the API and a store: the shares are exact, and each message says why.
func TestMailIsSharedByVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.connect("One", "outbound").ID, w.connect("Two", "broadcast").ID
	w.makePool(with(pool("shared", one, two), "routingStrategy", 2, "routingMetaData", fmt.Sprintf(`{"TPSP_%d":"70","TPSP_%d":"30"}`, one, two)))
	had := map[int32]int{}
	for range 4 { // requests
		var sent []emailResponse
		w.asSub("POST", "/api/v1/subaccount/email", with(email(slices.Repeat([]string{"ada@gmail.com", "bob@example.org"}, 5)...), "ippool", "shared")).ok(200, &sent)
		for _, m := range sent {
			var x explainAnswer
			w.asAccount("GET", "/api/v1/account/message/"+m.MessageID+"/explain", nil).ok(200, &x)
			had[x.TPSPID]++
			if len(x.Plan.Egresses) != 2 || !strings.HasPrefix(x.Plan.Rule, `pool "shared", by volume over 2, turn `) {
				t.Errorf("%+v", x.Plan)
			}
		}
	}
	if diff := cmp.Diff(map[int32]int{one: 28, two: 12}, had); diff != "" {
		t.Error(diff)
	}
}

func TestExplainPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.connect("One", "outbound").ID, w.connect("Two", "broadcast").ID
	_, path := w.makePool(with(pool("mine", one, two), "routingStrategy", 1, "overflowStrategy", 1, "overflowPoolName", "two-pool",
		"routingMetaData", fmt.Sprintf(`{"0":"[\"TPSP_%d\"]","others":"[\"TPSP_%d\",\"TPSP_%d\"]"}`, one, one, two)))
	explain := func(query string) (x routeAnswer) {
		t.Helper()
		w.asAccount("GET", path+"/explain?"+query, nil).ok(200, &x)
		return x
	}
	named := func(id int32, name string) namedEgress {
		return namedEgress{Egress: fmt.Sprintf("TPSP_%d", id), TPSPID: id, Name: name}
	}
	embedded := cmp.AllowUnexported(wayAnswer{}, firstChoiceAnswer{})
	want := routeAnswer{Mailbox: "gmail", Sender: "example.com", Rule: `pool "mine", by mailbox provider: gmail, round robin over 1, turn 1`,
		Egresses: []wayAnswer{{named(one, "One"), "mine", "its turn"}, {named(two, "Two"), "two-pool", "by overflow, when those before it cannot or have reached a limit"}},
		Overflow: 1, Skipped: []passedOverAnswer{}, Sample: []firstChoiceAnswer{}}
	if diff := cmp.Diff(want, explain("to=ada@gmail.com&from=shop@Example.com"), embedded); diff != "" {
		t.Error(diff)
	}
	got := explain("to=bob@example.org&sample=101&seq=1")
	if diff := cmp.Diff([]firstChoiceAnswer{{named(two, "Two"), 51, 51.0 / 101}, {named(one, "One"), 50, 50.0 / 101}}, got.Sample, embedded); diff != "" || got.Seq != 1 || got.Egresses[0].TPSPID != two {
		t.Errorf("%+v\n%s", got, diff)
	}
	if got := explain("to=bob@example.org&subject=Hi"); got.Refusal == "" || len(got.Egresses) != 0 || len(got.Skipped) != 2 || got.Skipped[0].Name != "One" {
		t.Errorf("without a template: %+v", got)
	}
	if got := explain("to=bob@example.org&tpspTemplate=welcome"); got.Refusal != "" || len(got.Egresses) != 2 {
		t.Errorf("with a template: %+v", got)
	}
	for query, field := range map[string]string{"": "to", "to=ada": "to", "to=a@gmail.com&from=b": "from", "to=a@gmail.com&seq=-1": "seq",
		"to=a@gmail.com&sample=0": "sample", "to=a@gmail.com&sample=100001": "sample"} {
		w.asAccount("GET", path+"/explain?"+query, nil).refused(400, "invalid_parameter", field)
	}
	if got := explain("to=bob@example.org&sample=100000"); got.Sample[0].Messages != 50_000 {
		t.Errorf("%+v", got.Sample)
	}
}

func TestPoolWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.connect("One", "outbound").ID
	_, path := w.makePool(pool("mine", one))
	var got []warningAnswer
	a := w.asAccount("GET", path+"/warnings", nil).ok(200, &got)
	if len(got) != 2 || got[0].Code != plan.NoFallback || got[0].TPSPID != one || got[0].Egress != fmt.Sprintf("TPSP_%d", one) ||
		!strings.Contains(got[0].Message, `"One"`) || got[1].Code != plan.NotCarried || got[1].Egress != "" {
		t.Errorf("%s", a.body)
	}
	docs, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{plan.PoolPaused, plan.Empty, plan.NoFallback, plan.CannotCarry, plan.NotCarried, plan.CarriedByOne, plan.ProviderPaused, plan.ProviderAway,
		plan.SenderRefused, plan.NotConnected, plan.UnreadableMetaData, plan.GoneEgress, plan.NeverUsed, plan.FallbackOnly, plan.KeyWithoutFallback, plan.NoOthers} {
		if !strings.Contains(string(docs), "`"+code+"`") {
			t.Errorf("docs/api.md does not know the warning %s", code)
		}
	}
}

// A deleted provider leaves its pools usable, and they can be renamed although their metadata still names it.
func TestAProviderOfAPoolIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.connect("One", "outbound").ID, w.connect("Two", "broadcast").ID
	_, path := w.makePool(with(pool("mine", one, two), "routingStrategy", 2, "routingMetaData", fmt.Sprintf(`{"TPSP_%d":"1","TPSP_%d":"0"}`, one, two)))
	w.asAccount("DELETE", fmt.Sprintf("/api/v1/account/tpsp/%d", one), nil).ok(200, nil)
	w.asAccount("PUT", path, map[string]any{"name": "renamed"}).ok(200, nil)
	var x routeAnswer
	w.asAccount("GET", path+"/explain?to=a@gmail.com", nil).ok(200, &x)
	if len(x.Egresses) != 1 || x.Egresses[0].TPSPID != two {
		t.Errorf("%+v", x)
	}
	w.asAccount("PUT", path, map[string]any{"tpsps": []int32{two}}).refused(400, "unknown_egress", "routingMetaData")
}

// The pool that is made for a provider can be sent back as it was read.
func TestAPoolOfAProviderIsSentBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := fmt.Sprintf("/api/v1/account/ippool/%d", w.connect("One", "outbound").IPPool.ID)
	var read, got poolAnswer
	w.asAccount("GET", path, nil).ok(200, &read)
	w.asAccount("PUT", path, map[string]any{"name": read.Name, "routingStrategy": read.RoutingStrategy, "routingMetaData": read.RoutingMetaData,
		"warmupInterval": read.WarmupInterval}).ok(200, &got)
	if read.WarmupInterval != 24 || got.WarmupInterval != 24 {
		t.Errorf("%+v, then %+v", read, got)
	}
	w.asAccount("PUT", path, map[string]any{"warmupInterval": 0}).refused(400, "invalid_warmup_interval", "warmupInterval")
}
