package api

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreviewPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.connect("One", "outbound").ID, w.connect("Two", "broadcast").ID
	stored, path := w.makePool(pool("mine", one))
	preview := func(body map[string]any) (x previewAnswer) {
		t.Helper()
		w.asAccount("POST", "/api/v1/account/ippool/preview", body).ok(200, &x)
		return x
	}
	type share struct {
		Key string
		Of  map[int32]int
	}
	shares := func(x previewAnswer) (list []share) {
		for _, s := range x.Shares {
			of := map[int32]int{}
			for _, c := range s.Sample {
				of[c.TPSPID] = c.Messages
			}
			list = append(list, share{s.Key, of})
		}
		return list
	}
	volumes := fmt.Sprintf(`{"TPSP_%d":"70","TPSP_%d":"30"}`, one, two)
	lists := func(key string) string {
		return fmt.Sprintf(`{%q:"[\"TPSP_%d\"]","others":"[\"TPSP_%d\",\"TPSP_%d\"]"}`, key, one, one, two)
	}
	for name, c := range map[string]struct {
		body map[string]any
		want []share
	}{
		"a new one, without a name": {map[string]any{"tpsps": []int32{one, two}}, []share{{"", map[int32]int{one: 500, two: 500}}}},
		"a change of what is stored": {map[string]any{"id": stored.ID, "tpsps": []int32{one, two}, "routingStrategy": 2, "routingMetaData": volumes, "sample": 10},
			[]share{{"", map[int32]int{one: 7, two: 3}}}},
		"by mailbox provider": {map[string]any{"tpsps": []int32{one, two}, "routingStrategy": 1, "routingMetaData": lists("0"), "sample": 4},
			[]share{{"0", map[int32]int{one: 4}}, {"others", map[int32]int{one: 2, two: 2}}}},
		"by sending domain": {map[string]any{"tpsps": []int32{one, two}, "routingStrategy": 3, "routingMetaData": lists("Shop.Example"), "sample": 4},
			[]share{{"shop.example", map[int32]int{one: 4}}, {"others", map[int32]int{one: 2, two: 2}}}},
	} {
		if diff := cmp.Diff(c.want, shares(preview(c.body))); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}

	got := preview(map[string]any{"id": stored.ID, "name": "renamed", "tpsps": []int32{two}, "to": "ada@gmail.com", "from": "shop@example.com", "sample": 5})
	if got.Route == nil || got.Route.Mailbox != "gmail" || len(got.Route.Egresses) != 1 || got.Route.Egresses[0].TPSPID != two ||
		got.Route.Egresses[0].IPPool != "renamed" || got.Route.Sample[0].Messages != 5 || len(got.Warnings) == 0 {
		t.Errorf("%+v", got)
	}
	if got := preview(map[string]any{"tpsps": []int32{one}, "to": "ada@gmail.com", "subject": "Hi"}); got.Route.Refusal == "" {
		t.Errorf("without a template: %+v", got.Route)
	}

	// What would be refused when it is stored is refused alike, and nothing is stored.
	for _, c := range []struct {
		body        map[string]any
		status      int
		code, field string
	}{
		{map[string]any{}, 422, "empty_ippool", "tpsps"},
		{map[string]any{"tpsps": []int32{one}, "routingStrategy": 2}, 422, "missing_metadata", "routingMetaData"},
		{map[string]any{"tpsps": []int32{one}, "to": "ada"}, 400, "invalid_parameter", "to"},
		{map[string]any{"tpsps": []int32{one}, "sample": maxSample + 1}, 400, "invalid_parameter", "sample"},
		{map[string]any{"tpsps": []int32{one}, "name": "mine"}, 403, "name_taken", "name"},
		{map[string]any{"id": 4711}, 404, "not_found", ""},
	} {
		w.asAccount("POST", "/api/v1/account/ippool/preview", c.body).refused(c.status, c.code, c.field)
	}
	var after poolAnswer
	if w.asAccount("GET", path, nil).ok(200, &after); !cmp.Equal(stored, after) {
		t.Error(cmp.Diff(stored, after))
	}
	w.call("POST", "/api/v1/account/ippool/preview", map[string]string{"X-Account-ApiKey": w.secondAccount()}, map[string]any{"id": stored.ID}).refused(404, "not_found", "")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var kinds []kindAnswer
	w.asAccount("GET", "/api/v1/account/tpsp/kinds", nil).ok(200, &kinds)
	if len(kinds) != 2 || kinds[0].Title != "Postmark" || !kinds[0].Streams || !kinds[0].Reports || kinds[1].Type != 6 || kinds[1].Reports || kinds[1].RatePerHour != 100 {
		t.Fatalf("%+v", kinds)
	}
	if f := kinds[0].Fields[0]; f.Name != "key" || !f.Required || f.Holds == "" {
		t.Errorf("%+v", f)
	}
}
