package api

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"postyard/internal/directory"
	simulator "postyard/internal/sandbox/postmark"
)

func TestChangingAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := w.postmark("Postmark", "outbound")
	body["ambiguousPolicy"] = "at-most-once"
	var made, got tpspAnswer
	w.asAccount("POST", tpsps, body).ok(200, &made)
	if made.AmbiguousPolicy != "at-most-once" {
		t.Errorf("%+v", made)
	}
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	a := w.asAccount("PUT", path, map[string]any{"name": " Postmark (EU) ", "ambiguousPolicy": "at-least-once"}).ok(200, &got)
	wantKeys(t, a.body, tpspKeys...)
	if got.Name != "Postmark (EU)" || got.AmbiguousPolicy != "at-least-once" || got.WebhookStatus.State != "registered" {
		t.Errorf("%s", a.body)
	}
	if at := w.dir.Current().TPSP(w.account.ID, made.ID); at.Name != "Postmark (EU)" || at.Policy != directory.AtLeastOnce {
		t.Errorf("%+v", at)
	}
	// All that was read may be sent back, and what is absent stays.
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &whole); err != nil {
		t.Fatal(err)
	}
	for _, same := range []any{whole, map[string]any{}, map[string]any{"key": simulator.DemoServerToken, "endpoint": w.sandbox + "/", "active": true},
		map[string]any{"secret": "", "domain": " ", "port": 0}} {
		if w.asAccount("PUT", path+"/", same).ok(200, &got); got.Name != "Postmark (EU)" || got.AmbiguousPolicy != "at-least-once" {
			t.Errorf("%+v", got)
		}
	}
	for field, value := range map[string]any{"type": 1, "key": "another", "endpoint": "https://other.example", "messageStream": "broadcast",
		"secret": "new", "domain": "mx.example.com", "port": 99} {
		w.asAccount("PUT", path, map[string]any{"name": "x", field: value}).refused(422, "cannot_be_changed", field)
	}
	for field, value := range map[string]any{"secret": 1, "domain": true, "port": "99"} {
		w.asAccount("PUT", path, map[string]any{field: value}).refused(422, "wrong_type", field)
	}
	w.asAccount("PUT", path, map[string]any{"name": " "}).refused(422, "missing_name", "name")
	for _, policy := range []string{"", "exactly-once"} {
		w.asAccount("PUT", path, map[string]any{"ambiguousPolicy": policy}).refused(422, "unknown_policy", "ambiguousPolicy")
	}
	if w.asAccount("GET", path, nil).ok(200, &got); got.Name != "Postmark (EU)" {
		t.Errorf("a refused change left something: %+v", got)
	}
	w.asAccount("PUT", path+"9", map[string]any{"name": "x"}).refused(404, "not_found", "")
}

// Changes of different fields at one time are all kept.
func TestChangingAProviderAtOneTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := fmt.Sprintf("%s%d", tpsps, w.connect("Postmark", "outbound").ID)
	for round := range 8 {
		active, limit := round%2 == 0, round+1
		bodies := []map[string]any{{"active": active}, {"ratePerHour": limit}, {"mailboxLimits": map[string]int{"gmail": limit}},
			{"name": fmt.Sprint("Postmark ", round)}, {"allowRaw": active}}
		answers := make([]answer, len(bodies))
		var calls sync.WaitGroup
		for i, body := range bodies {
			calls.Go(func() { answers[i] = w.asAccount("PUT", path, body) })
		}
		calls.Wait()
		for _, a := range answers {
			a.ok(200, nil)
		}
		var got tpspAnswer
		w.asAccount("GET", path, nil).ok(200, &got)
		if got.Active != active || got.RatePerHour != limit || got.MailboxLimits["gmail"] != limit || got.Name != fmt.Sprint("Postmark ", round) ||
			got.AllowRaw != active {
			t.Errorf("round %d: %+v", round, got)
		}
	}
}
