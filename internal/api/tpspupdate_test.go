package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

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
		map[string]any{"secret": "", "domain": " ", "port": 0}, map[string]any{"key": strings.ToUpper(simulator.DemoServerToken)},
		map[string]any{"metadata": "{}", "memberId": 7, "oauthToken": "", "retryTime": 3},
		map[string]any{"secret": "new", "domain": "mx.example.com", "port": 99}} { // which Postmark has no use for

		if w.asAccount("PUT", path+"/", same).ok(200, &got); got.Name != "Postmark (EU)" || got.AmbiguousPolicy != "at-least-once" {
			t.Errorf("%+v", got)
		}
	}
	for _, c := range []struct {
		field       string
		value       any
		code, blame string
	}{
		{"type", 1, "cannot_be_changed", "type"},
		{"key", "another", "invalid_token", "key"},
		{"key", "", "missing_key", "key"},
		{"key", "****abcd", "masked_key", "key"},
		{"messageStream", "nope", "unknown_stream", "messageStream"},
		{"messageStream", "inbound", "inbound_stream", "messageStream"},
		{"messageStream", "", "missing_message_stream", "messageStream"},
		{"endpoint", "https://other.example", "missing_key", "key"}, // which whoever listens there would get to see
	} {
		w.asAccount("PUT", path, map[string]any{"name": "x", c.field: c.value}).refused(422, c.code, c.blame)
	}
	before := got.WebhookStatus
	for field, value := range map[string]any{"secret": 1, "domain": true, "port": "99"} {
		w.asAccount("PUT", path, map[string]any{field: value}).refused(422, "wrong_type", field)
	}
	w.asAccount("PUT", path, map[string]any{"name": " "}).refused(422, "missing_name", "name")
	for _, policy := range []string{"", "exactly-once"} {
		w.asAccount("PUT", path, map[string]any{"ambiguousPolicy": policy}).refused(422, "unknown_policy", "ambiguousPolicy")
	}
	if w.asAccount("GET", path, nil).ok(200, &got); got.Name != "Postmark (EU)" || got.MessageStream != "outbound" || !reflect.DeepEqual(got.WebhookStatus, before) {
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

// streams lists the streams of the webhooks at the simulated Postmark.
func (w *world) hookStreams() (streams []string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.sandbox+"/webhooks", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", simulator.DemoServerToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var list struct {
		Webhooks []struct{ MessageStream string }
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		w.t.Fatal(err)
	}
	for _, h := range list.Webhooks {
		streams = append(streams, h.MessageStream)
	}
	return streams
}

// The webhook moves with the stream, and back.
func TestChangingAStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	other := w.connect("Other", "broadcast")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	w.asAccount("PUT", path, map[string]any{"messageStream": "broadcast"}).refused(403, "duplicate_provider", "key")
	w.asAccount("DELETE", fmt.Sprintf("%s%d", tpsps, other.ID), nil).ok(200, nil)
	var got tpspAnswer
	for _, stream := range []string{"broadcast", "outbound"} {
		a := w.asAccount("PUT", path, map[string]any{"messageStream": stream, "name": "On " + stream}).ok(200, &got)
		wantKeys(t, a.body, append(tpspKeys, "catchUp")...)
		if got.MessageStream != stream || got.Name != "On "+stream || got.WebhookStatus.State != "registered" || got.ID != made.ID {
			t.Errorf("%s", a.body)
		}
		if streams := w.hookStreams(); len(streams) != 1 || streams[0] != stream {
			t.Errorf("webhooks on %q, want one on %s", streams, stream)
		}
	}
}

func TestCountingProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.connect("Newsletters", "broadcast")
	for query, want := range map[string]string{"": "2", "?search=post": "1", "?search=nothing": "0"} {
		if a := w.asAccount("GET", tpsps+"count"+query, nil).ok(200, nil); string(a.body) != `{"count":`+want+"}\n" {
			t.Errorf("%q: %s", query, a.body)
		}
	}
}

func TestRegisteringAWebhookAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path := fmt.Sprintf("%s%d/webhook", tpsps, made.ID)
	// Somebody removes it at the provider.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.sandbox+"/webhooks/"+w.dir.Current().AnyTPSP(made.ID).Webhook.Ref, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", simulator.DemoServerToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if streams := w.hookStreams(); len(streams) != 0 {
		t.Fatalf("webhooks on %q", streams)
	}
	var got tpspAnswer
	a := w.asAccount("POST", path, nil).ok(200, &got)
	wantKeys(t, a.body, append(tpspKeys, "catchUp")...) // what happened meanwhile is read back
	if streams := w.hookStreams(); got.WebhookStatus.State != "registered" || len(streams) != 1 {
		t.Errorf("%s, webhooks on %q", a.body, streams)
	}
	if held, err := w.db.Lease(t.Context(), fmt.Sprintf("webhook/%d", made.ID), "another node", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	w.asAccount("POST", path, nil).refused(409, "webhook_registration_running", "")
	w.asAccount("POST", fmt.Sprintf("%s999/webhook", tpsps), nil).refused(404, "not_found", "")
}

func TestDeletingTheOnlyMemberOfPools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	for _, name := range []string{"promo", "alerts"} {
		w.asAccount("POST", "/api/v1/account/ippool", map[string]any{"name": name, "tpsps": []int32{made.ID}, "routingStrategy": 0, "warmupInterval": 24}).ok(200, nil)
	}
	p := w.asAccount("DELETE", path, nil).refused(409, "ippools_would_be_empty", "force")
	if !strings.Contains(p.Message, `["alerts" "promo"]`) {
		t.Error(p.Message)
	}
	w.asAccount("GET", path, nil).ok(200, nil)
	w.asAccount("DELETE", path+"?force=true", nil).ok(200, nil)
}
