package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postyard/internal/provider"
	simulator "postyard/internal/sandbox/postmark"
)

const tpsps = "/api/v1/account/tpsp/"

// What SendPost's public schemas have, and what we add in operations of our own.
var (
	officialTPSPKeys = []string{"id", "name", "type", "domain", "endpoint", "key", "secret", "port", "oauthToken", "retryTime", "created"}
	tpspKeys         = append([]string{"messageStream", "ambiguousPolicy", "allowRaw", "active", "suppressionSync", "ratePerHour", "mailboxLimits", "webhookStatus", "health"}, officialTPSPKeys...)
	poolKeys         = []string{"id", "name", "type", "created", "ips", "thirdPartySendingProviders", "toAccountIPPools", "routingStrategy",
		"routingMetaData", "autoWarmupEnabled", "infraMonitor", "ipDomainWarmupStatus", "shouldOverflow", "overflowPoolName", "warmupInterval"}
)

// standing is a webhook at the simulated Postmark.
type standing struct {
	URL           string `json:"Url"`
	MessageStream string
}

// hooks lists the webhooks that stand at the simulated Postmark.
func (w *world) hooks() []standing {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.sandbox+"/webhooks", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", simulator.DemoServerToken)
	r.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var got struct{ Webhooks []standing }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		w.t.Fatal(err)
	}
	return got.Webhooks
}

func TestStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := map[string]any{"type": 4, "key": simulator.DemoServerToken, "endpoint": w.sandbox}
	var got []provider.Stream
	w.asAccount("POST", tpsps+"streams", body).ok(200, &got)
	if len(got) != 2 || got[0].ID == "inbound" || got[1].ID == "inbound" {
		t.Errorf("%+v", got)
	}
	for name, c := range map[string]struct {
		key, value  string
		code, field string
	}{
		"wrong token":   {"key", "nonsense", "invalid_token", "key"},
		"account token": {"key", simulator.DemoAccountToken, "", "key"},
		"no token":      {"key", "", "missing_key", "key"},
		"masked token":  {"key", "****oken", "masked_key", "key"},
		"spaces inside": {"key", "a b", "invalid_key", "key"},
		"bad endpoint":  {"endpoint", "ftp://example.com", "invalid_endpoint", "endpoint"},
		"user in it":    {"endpoint", "http://a:b@127.0.0.1/", "invalid_endpoint", "endpoint"},
		"query in it":   {"endpoint", "http://127.0.0.1/?a=b", "invalid_endpoint", "endpoint"},
	} {
		one := map[string]any{"type": 4, "key": body["key"], "endpoint": w.sandbox}
		one[c.key] = c.value
		a := w.asAccount("POST", tpsps+"streams/", one)
		var p problem
		a.ok(422, &p)
		if c.code != "" && p.Code != c.code || p.Field != c.field {
			t.Errorf("%s: %s", name, a.body)
		}
		if strings.Contains(string(a.body), simulator.DemoServerToken) || strings.Contains(string(a.body), simulator.DemoAccountToken) {
			t.Errorf("%s: a token is in %s", name, a.body)
		}
		if name == "account token" && !strings.Contains(p.Message, "ccount") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	w.asAccount("POST", tpsps+"streams", `{"type":"4"}`).refused(422, "wrong_type", "type")
	w.asAccount("POST", tpsps+"streams", `{"type":77,"key":"x"}`).refused(422, "unknown_provider_type", "type")
	w.asAccount("POST", tpsps+"streams", map[string]any{"type": 4, "key": "x", "endpoint": "http://127.0.0.1:1"}).
		refused(http.StatusBadGateway, "provider_unreachable", "")
}

func TestProviderLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made tpspAnswer
	a := w.asAccount("POST", tpsps, w.postmark("Postmark (Live)", "outbound")).ok(200, &made)
	wantKeys(t, a.body, append([]string{"ipPool"}, tpspKeys...)...)
	if made.Name != "Postmark (Live)" || made.Type != 4 || made.Key != "****oken" || made.MessageStream != "outbound" || !made.Active {
		t.Errorf("%+v", made)
	}
	hookURL := fmt.Sprintf("%s/tpsp/postmark/account/%d", w.url, w.account.ID)
	if s := made.WebhookStatus; s.State != "registered" || s.URL != hookURL || s.Message != "" || s.NextTry != 0 {
		t.Errorf("%+v", s)
	}
	if made.IPPool.Name != "postmark-live-pool" || made.Health.State != "ok" || made.Health.RefusedSenders == nil || made.RatePerHour != 0 {
		t.Errorf("%+v", made)
	}
	if hooks := w.hooks(); len(hooks) != 1 || hooks[0].URL != hookURL || hooks[0].MessageStream != "outbound" {
		t.Errorf("%+v", hooks)
	}

	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	a = w.asAccount("GET", path, nil).ok(200, nil)
	wantKeys(t, a.body, append([]string{"usage"}, tpspKeys...)...)
	var list []json.RawMessage
	w.asAccount("GET", tpsps+"?search=LIVE", nil).ok(200, &list)
	if len(list) != 1 {
		t.Fatalf("%s", list)
	}
	wantKeys(t, list[0], tpspKeys...)

	w.wantPool(made)
	var deleted deletedAnswer
	if w.asAccount("DELETE", path, nil).ok(200, &deleted); deleted.ID != made.ID || !strings.Contains(deleted.Message, "Postmark (Live)") {
		t.Errorf("%+v", deleted)
	}
	if hooks := w.hooks(); len(hooks) != 0 {
		t.Errorf("%+v", hooks)
	}
	w.asAccount("GET", path, nil).refused(404, "not_found", "")
	w.asAccount("DELETE", path, nil).refused(404, "not_found", "")
	w.asAccount("GET", fmt.Sprintf("/api/v1/account/ippool/%d", made.IPPool.ID), nil).refused(404, "not_found", "")
	w.connect("Postmark (Live)", "outbound") // the same token and stream are free again
}

// wantPool checks the pool that was made for a provider, in SendPost's shape.
func (w *world) wantPool(of tpspAnswer) {
	w.t.Helper()
	a := w.asAccount("GET", fmt.Sprintf("/api/v1/account/ippool/%d/", of.IPPool.ID), nil)
	var pool struct {
		poolAnswer
		Providers []json.RawMessage `json:"thirdPartySendingProviders"`
	}
	a.ok(200, &pool)
	wantKeys(w.t, a.body, poolKeys...)
	if pool.Name != of.IPPool.Name || pool.RoutingStrategy != 0 || pool.RoutingMetaData != "{}" || len(pool.Providers) != 1 {
		w.t.Fatalf("%s", a.body)
	}
	wantKeys(w.t, pool.Providers[0], officialTPSPKeys...)
	for _, part := range []string{`"ips":[]`, `"toAccountIPPools":[]`, `"key":"****oken"`, `"ipDomainWarmupStatus":null`} {
		if !strings.Contains(string(a.body), part) {
			w.t.Errorf("no %s in %s", part, a.body)
		}
	}
	var pools []json.RawMessage
	w.asAccount("GET", "/api/v1/account/ippool?search="+of.IPPool.Name, nil).ok(200, &pools)
	if len(pools) != 1 {
		w.t.Fatalf("%d pools", len(pools))
	}
	wantKeys(w.t, pools[0], poolKeys...)
}

func TestProviderRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		key         string
		value       any
		code, field string
	}{
		"no name":         {"name", " ", "missing_name", "name"},
		"long name":       {"name", strings.Repeat("x", 256), "name_too_long", "name"},
		"control in name": {"name", "a\nb", "invalid_name", "name"},
		"unknown type":    {"type", 1, "unknown_provider_type", "type"},
		"no key":          {"key", "", "missing_key", "key"},
		"wrong key":       {"key", "nonsense", "invalid_token", "key"},
		"no stream":       {"messageStream", "", "missing_message_stream", "messageStream"},
		"unknown stream":  {"messageStream", "nowhere", "unknown_stream", "messageStream"},
		"inbound stream":  {"messageStream", "inbound", "inbound_stream", "messageStream"},
		"a limit below 0": {"ratePerHour", -1, "invalid_limit", "ratePerHour"},
		"a mailbox limit": {"mailboxLimits", map[string]int{"gmail": 100_001}, "invalid_limit", "mailboxLimits.gmail"},
		"active a word":   {"active", "no", "wrong_type", "active"},
		"unknown policy":  {"ambiguousPolicy", "hopefully", "unknown_policy", "ambiguousPolicy"},
		"stream a number": {"messageStream", 7, "wrong_type", "messageStream"},
	} {
		body := w.postmark("Postmark", "outbound")
		body[c.key] = c.value
		t.Run(name, func(t *testing.T) {
			a := w.asAccount("POST", tpsps, body)
			a.t = t
			a.refused(422, c.code, c.field)
		})
	}
	if a := w.asAccount("GET", tpsps, nil); string(a.body) != "[]\n" {
		t.Errorf("something was stored: %s", a.body)
	}
	if hooks := w.hooks(); len(hooks) != 0 {
		t.Errorf("%+v", hooks)
	}
	body := w.postmark("Postmark", "outbound")
	body["ratePerHour"], body["mailboxLimits"], body["active"] = 0, map[string]int{}, true // no limits are no refusal
	w.asAccount("POST", tpsps, body).ok(200, nil)
	w.asAccount("POST", tpsps, w.postmark("Again", "outbound")).refused(403, "duplicate_provider", "key")
	if other := w.connect("Postmark", "broadcast"); other.IPPool.Name != "postmark-pool-2" {
		t.Errorf("%+v", other.IPPool)
	}
}

func TestDeletingAProviderThatMailWaitsFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	w.mail("a@example.com", "b@example.com")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	if p := w.asAccount("DELETE", path, nil).refused(409, "messages_waiting", "force"); !strings.Contains(p.Message, "2 messages") {
		t.Errorf("%s", p.Message)
	}
	w.asAccount("DELETE", path+"?force=perhaps", nil).refused(400, "invalid_parameter", "force")
	told := w.changed.Load()
	w.asAccount("DELETE", path+"?force=true", nil).ok(200, nil)
	if w.changed.Load() == told {
		t.Error("the dispatcher was not told that mail has to go elsewhere")
	}
	w.asAccount("GET", path, nil).refused(404, "not_found", "")
}
