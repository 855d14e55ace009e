package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tenant is an account with everything that one can have, and its keys.
type tenant struct {
	key, subKey             string
	tpsp, pool, sub, domain int32
	label, template         int32
	ip, webhook, member     int32
	poolName                string
	message, event          string
}

// settle gives an account everything that one can have.
// Tokens in the URLs of webhooks of tenants.
const (
	hookToken  = "Tok-8d1qHook"
	namedToken = "Tok-5s2kNamed"
)

func (w *world) settle(key, domain, address string) (a tenant) {
	w.t.Helper()
	a.key = key
	as := func(method, path string, body any) answer {
		w.t.Helper()
		return w.call(method, path, map[string]string{"X-Account-ApiKey": key}, body)
	}
	var provider tpspAnswer
	as("POST", "/api/v1/account/tpsp", w.postmark("Postmark", "outbound")).ok(200, &provider)
	var sub subAccountAnswer
	as("POST", "/api/v1/account/subaccount", map[string]any{"name": domain}).ok(201, &sub)
	var pools []poolAnswer
	as("GET", "/api/v1/account/ippool", nil).ok(200, &pools)
	a.tpsp, a.sub, a.subKey, a.pool, a.poolName = provider.ID, sub.ID, sub.APIKey, pools[0].ID, pools[0].Name
	own := map[string]string{"X-SubAccount-ApiKey": a.subKey}
	var made domainAnswer
	w.call("POST", "/api/v1/subaccount/domain", own, map[string]any{"name": domain}).ok(200, &made)
	var sent []emailResponse
	letter := email("gavin@" + domain)
	letter["webhookEndpoint"] = "https://" + domain + "/named?t=" + namedToken
	letter["attachments"] = []any{map[string]any{"filename": "terms.txt", "content": "VGVybXM="}}
	w.call("POST", sendPath, own, letter).ok(200, &sent)
	w.call("POST", "/api/v1/subaccount/suppression", own, map[string]any{"manual": []any{map[string]any{"email": "no@" + domain}}}).ok(200, nil)
	var events []eventAnswer
	as("GET", "/api/v1/account/event", nil).ok(200, &events)
	var label labelAnswer
	as("POST", "/api/v1/account/label", map[string]any{"name": domain}).ok(200, &label)
	var stored storedAnswer
	as("POST", "/api/v1/account/template", map[string]any{"name": domain}).ok(200, &stored)
	as("PUT", ipPath+"/allocate", map[string]any{"ips": []string{address}, "overflowPool": false}).ok(200, nil)
	var ips []ipAnswer
	as("GET", ipPath, nil).ok(200, &ips)
	var hook struct{ ID int32 }
	as("POST", "/api/v1/account/webhook", map[string]any{"url": "https://" + domain + "/hook?t=" + hookToken, "enabled": true}).ok(200, &hook)
	var member memberAnswer
	as("POST", "/api/v1/account/member", map[string]any{"email": "somebody@" + domain, "name": "Somebody", "role": "viewer"}).ok(200, &member)
	a.member = member.ID
	a.label, a.template, a.ip, a.webhook = label.ID, stored.ID, ips[0].ID, hook.ID
	a.domain, a.message, a.event = made.ID, sent[0].MessageID, events[0].EventID
	return a
}

// snapshot is what an account sees of itself.
func (w *world) snapshot(a tenant) string {
	w.t.Helper()
	var all strings.Builder
	for _, path := range []string{"/account/tpsp", fmt.Sprintf("/account/subaccount/%d", a.sub), "/account/ippool", "/account/event", "/account/verify",
		"/account/label", "/account/template", "/account/ip", "/account/webhook", "/account/member",
		"/account/message/" + a.message, fmt.Sprintf("/account/ippool/%d/settings", a.pool)} {
		got := w.call("GET", "/api/v1"+path, map[string]string{"X-Account-ApiKey": a.key}, nil).ok(200, nil)
		var body any
		if err := json.Unmarshal(got.body, &body); err != nil {
			w.t.Fatal(err)
		}
		if verified, ok := body.(map[string]any); ok {
			delete(verified, "checkedAt")
			delete(verified, "tookMs")
		}
		text, err := json.MarshalIndent(body, "", " ")
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(append(text, '\n'))
	}
	for _, path := range []string{"/subaccount/domain", "/subaccount/suppression?from=2026-01-01&to=2026-01-02"} {
		all.Write(w.call("GET", "/api/v1"+path, map[string]string{"X-SubAccount-ApiKey": a.subKey}, nil).body)
	}
	return all.String()
}

// Two accounts that have everything: with the keys of one, the ids of the other open nothing, whether they stand in the path, the query or the
// body, and change nothing. Neither do they with the session of an owner of one.
func TestTwoAccountsAreStrangers(t *testing.T) {
	t.Parallel()
	for name, credentials := range map[string]func(*world, tenant) map[string]string{
		"keys": func(_ *world, mine tenant) map[string]string {
			return map[string]string{"X-Account-ApiKey": mine.key, "X-SubAccount-ApiKey": mine.subKey}
		},
		"session": func(w *world, mine tenant) map[string]string {
			owner := w.signIn(mine.key, "owner@mine.example.com", "owner")
			owner.sub = mine.sub
			return owner.headers()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantStrangers(t, credentials)
		})
	}
}

func wantStrangers(t *testing.T, credentials func(*world, tenant) map[string]string) {
	w := newWorld(t)
	mine, theirs := w.settle(w.accountKey, "mine.example.com", "203.0.113.7"), w.settle(w.secondAccount(), "theirs.example.com", "203.0.113.8")
	before := w.snapshot(theirs)
	keys := credentials(w, mine)
	ids := map[string]string{"subaccount": fmt.Sprint(theirs.sub), "tpsp": fmt.Sprint(theirs.tpsp), "ippool": fmt.Sprint(theirs.pool), "message": theirs.message,
		"event": theirs.event, "domain": fmt.Sprint(theirs.domain),
		"label": fmt.Sprint(theirs.label), "template": fmt.Sprint(theirs.template), "ip": fmt.Sprint(theirs.ip), "webhook": fmt.Sprint(theirs.webhook),
		"member": fmt.Sprint(theirs.member)}
	walked := map[string]int{}
	for _, o := range (&server{}).operations() {
		parts := strings.Split(o.Path, "/")
		if !strings.Contains(o.Path, "{id}") || o.Auth != accountKey && o.Auth != subAccountKey {
			continue
		}
		id, known := ids[parts[4]]
		if !known {
			t.Errorf("%s: this test makes no %s of another account", o.Path, parts[4])
			id = "2147483647"
		}
		walked[parts[4]]++
		path := strings.ReplaceAll(o.Path, "{id}", id) + "?from=2020-01-01&to=2020-01-02&to=x&force=true"
		a := w.call(o.Method, path, keys, `{"name":"mine now","role":"owner","active":false,"autoWarmupEnabled":true,"warmupInterval":1}`)
		if a.status != http.StatusNotFound && a.status != http.StatusNotAcceptable {
			t.Errorf("%s %s: %d %s", o.Method, path, a.status, a.body)
		}
		if strings.Contains(string(a.body), "theirs") {
			t.Errorf("%s %s tells: %s", o.Method, path, a.body)
		}
	}
	for resource := range ids {
		if walked[resource] == 0 {
			t.Errorf("no operation with the id of a %s", resource)
		}
	}
	const v1 = "/api/v1/account"
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", v1 + "/ippool", map[string]any{"name": "x", "warmupInterval": 1, "tpsps": []any{theirs.tpsp}}},
		{"PUT", fmt.Sprintf("%s/ippool/%d", v1, mine.pool), map[string]any{"tpsps": []any{theirs.tpsp}}},
		{"POST", v1 + "/message/cancel", map[string]any{"subAccountId": theirs.sub}},
		{"POST", v1 + "/catch-up", map[string]any{"tpspId": theirs.tpsp}},
		{"POST", v1 + "/templates/sync", map[string]any{"tpspId": theirs.tpsp}},
		{"POST", v1 + "/suppression/sync", map[string]any{"tpspId": theirs.tpsp}},
	} {
		if a := w.call(c.method, c.path, keys, c.body); a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	for _, query := range []string{"/event?tpspId=" + ids["tpsp"], "/event?subAccountId=" + ids["subaccount"], "/event?messageId=" + ids["message"],
		"/event?recipient=gavin@theirs.example.com", "/stat?from=2020-01-01&to=2020-01-02&tpspId=" + ids["tpsp"],
		"/stat?from=2020-01-01&to=2020-01-02&subAccountId=" + ids["subaccount"]} {
		if a := w.call("GET", v1+query, keys, nil); a.status == http.StatusOK && string(a.body) != "[]\n" || a.status >= 500 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	// Reactivating an address of theirs, which is none of mine, is no error, and nothing happens.
	w.call("DELETE", "/api/v1/subaccount/suppression", keys, map[string]any{"suppressions": []any{map[string]any{"email": "no@theirs.example.com"}}}).ok(200, nil)
	if diff := cmp.Diff(before, w.snapshot(theirs)); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
}

// The keys of an account open what is of its sub-accounts by id; the key of one sub-account opens nothing of another one.
func TestTwoSubAccountsAreStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.settle(w.accountKey, "one.example.com", "203.0.113.7")
	var second subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount", map[string]any{"name": "second"}).ok(201, &second)
	keys := map[string]string{"X-SubAccount-ApiKey": second.APIKey}
	before := w.snapshot(first)
	for _, o := range (&server{}).operations() {
		if o.Auth != subAccountKey || o.Method == http.MethodPost && !strings.Contains(o.Path, "{id}") {
			continue
		}
		path := strings.ReplaceAll(o.Path, "{id}", fmt.Sprint(first.domain))
		if slices.ContainsFunc(o.query, func(p parameter) bool { return p.Name == "from" }) {
			path += "?from=2026-01-01&to=2026-01-02"
		}
		body := `{"suppressions":[{"email":"no@one.example.com"}]}`
		a := w.call(o.Method, path, keys, body)
		if strings.Contains(string(a.body), "one.example.com") && o.Path != "/api/v1/subaccount/suppression" || a.status >= 500 ||
			strings.Contains(o.Path, "{id}") && a.status < 400 {
			t.Errorf("%s %s: %d %s", o.Method, path, a.status, a.body)
		}
	}
	if diff := cmp.Diff(before, w.snapshot(first)); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
}
