package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/audit"
	"postyard/internal/store"
)

const auditPath = "/api/v1/account/audit"

// audited are the newest entries of an account.
func (w *world) audited(key, query string) (list []auditAnswer) {
	w.t.Helper()
	w.call("GET", auditPath+query, map[string]string{"X-Account-ApiKey": key}, nil).ok(200, &list)
	return list
}

// TestEverythingIsRecorded calls every operation that could change something: each leaves an entry with its status, or is known to change nothing.
func TestEverythingIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.settle(w.accountKey, "mine.example.com", "203.0.113.7")
	keys := map[string]string{"X-Account-ApiKey": mine.key, "X-SubAccount-ApiKey": mine.subKey}
	quiet := map[string]bool{
		"/api/v1/subaccount/email": true, "/api/v1/subaccount/email/template": true, "/v1/sendgrid/v3/mail/send": true, "/api/v1/subaccount/email/ses/v1": true,
		"/api/v1/subaccount/email/ses/v2": true, "/api/v1/subaccount/email/ses/v2/v2/email/outbound-emails": true, // mail
		"/api/v1/account/tpsp/streams": true, "/api/v1/tpsp/test/custom-smtp": true, "/api/v1/account/event/export": true, "/api/v1/account/ippool/preview": true,
		"/api/v1/subaccount/suppression/export": true,                                          // questions
		"/tpsp/{provider}/account/{id}":         true, "/track/tpsp/unsubscribe/{token}": true, // of others
	}
	recorded := 0
	for _, o := range (&server{}).operations() {
		if o.Method == http.MethodGet { // some never end
			if o.recorded() {
				t.Errorf("%s %s is recorded", o.Method, o.Path)
			}
			continue
		}
		before := w.audited(mine.key, "?limit=1")[0].ID
		path := strings.NewReplacer("{id}", "2147483647", "{provider}", "postmark", "{token}", "x").Replace(o.Path)
		a := w.call(o.Method, path, keys, nil)
		added := w.audited(mine.key, "?limit=1")[0]
		switch {
		case quiet[o.Path]:
			if added.ID != before {
				t.Errorf("%s %s is recorded: %+v", o.Method, o.Path, added)
			}
		case added.ID == before:
			t.Errorf("%s %s changes something and is not recorded", o.Method, o.Path)
		default:
			recorded++
			if added.Operation != o.Summary || added.Status != a.status || added.Method != o.Method || added.Address != "127.0.0.1" ||
				added.Path != path {
				t.Errorf("%s %s (%d): %+v", o.Method, o.Path, a.status, added)
			}
		}
	}
	const least = 40
	if recorded < least {
		t.Errorf("%d operations are recorded", recorded)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.settle(w.accountKey, "mine.example.com", "203.0.113.7")
	last := func() auditAnswer {
		w.t.Helper()
		return w.audited(mine.key, "?limit=1")[0]
	}
	want := func(e auditAnswer, operation, target, changes, before string, status int) {
		t.Helper()
		if diff := cmp.Diff([]any{operation, target, changes, before, status}, []any{e.Operation, e.Target, string(e.Changes), string(e.Before), e.Status}); diff != "" {
			t.Errorf("%s: %s", operation, diff)
		}
	}
	tpsp := fmt.Sprintf("/api/v1/account/tpsp/%d", mine.tpsp)
	named := fmt.Sprintf("Postmark (%d)", mine.tpsp)
	w.asAccount("PUT", tpsp, map[string]any{"name": "Primary", "active": true, "key": "other-key"}).refused(422, "invalid_token", "key")
	want(last(), "change a provider: its name, key, stream, limits, ...; pause it", named, `{"active":true,"key":"[hidden]","name":"Primary"}`, `{"name":"Postmark"}`, 422)
	w.asAccount("PUT", tpsp, map[string]any{"name": "Primary"}).ok(200, nil)
	e := last()
	want(e, "change a provider: its name, key, stream, limits, ...; pause it", named, `{"name":"Primary"}`, `{"name":"Postmark"}`, 200)
	if e.Actor.Kind != "account-key" || e.Actor.ID == 0 || e.Role != "" || e.At == 0 {
		t.Errorf("%+v", e)
	}
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/ippool/%d", mine.pool), map[string]any{"name": "pool-2"}).ok(200, nil)
	want(last(), "change an IP pool", fmt.Sprintf("%s (%d)", mine.poolName, mine.pool), `{"name":"pool-2"}`, `{"name":"`+mine.poolName+`"}`, 200)
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/subaccount/%d", mine.sub), map[string]any{"name": "shop"}).ok(200, nil)
	want(last(), "rename and label a sub-account", fmt.Sprintf("mine.example.com (%d)", mine.sub), `{"name":"shop"}`, `{"name":"mine.example.com"}`, 200)
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/webhook/%d", mine.webhook), map[string]any{"clicked": true, "enabled": true}).ok(200, nil)
	want(last(), "change a webhook", fmt.Sprintf("https://mine.example.com/hook?t=[hidden] (%d)", mine.webhook), `{"clicked":true,"enabled":true}`, `{"clicked":false}`, 200)
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/member/%d", mine.member), map[string]any{"role": "admin"}).ok(200, nil)
	want(last(), "change a member's name or role; another role ends their sessions", fmt.Sprintf("Somebody (%d)", mine.member), `{"role":"admin"}`, `{"role":"viewer"}`, 200)
	w.asAccount("POST", "/api/v1/account/catch-up", map[string]any{"tpspId": mine.tpsp}).ok(200, nil)
	want(last(), "read back what providers' webhooks did not bring", fmt.Sprintf("Primary (%d)", mine.tpsp), fmt.Sprintf(`{"tpspId":%d}`, mine.tpsp), `{}`, 200)
	w.asAccount("DELETE", fmt.Sprintf("/api/v1/account/webhook/%d", mine.webhook), nil).ok(200, nil)
	want(last(), "delete a webhook, and what waits for it", fmt.Sprintf("https://mine.example.com/hook?t=[hidden] (%d)", mine.webhook), `{}`, `{}`, 200)
	w.asAccount("DELETE", tpsp+"?force=true", nil).ok(200, nil)
	e = last()
	want(e, "delete a provider", fmt.Sprintf("Primary (%d)", mine.tpsp), `{}`, `{}`, 200)
	if !strings.HasSuffix(e.Path, "?force=true") {
		t.Errorf("path %q", e.Path)
	}

	own := map[string]string{"X-SubAccount-ApiKey": mine.subKey, "Content-Type": "text/csv"}
	w.call("POST", "/api/v1/subaccount/suppression/bulk", own, "email\na@example.com\n").ok(200, nil)
	e = last()
	want(e, "suppress the addresses of a CSV file", fmt.Sprintf("sub-account shop (%d)", mine.sub), `{"file":{"bytes":20,"contentType":"text/csv"}}`, `{}`, 200)
	if e.Actor != (auditActor{"sub-account-key", mine.sub, "shop"}) {
		t.Errorf("actor %+v", e.Actor)
	}
	w.call("DELETE", fmt.Sprintf("/api/v1/subaccount/domain/%d", mine.domain), own, nil).ok(200, nil)
	want(last(), "delete a whitelisted domain", fmt.Sprintf("mine.example.com (%d), sub-account shop (%d)", mine.domain, mine.sub), `{}`, `{}`, 200)

	// What the operation makes of its body is what it would be without the log.
	w.asAccount("POST", "/api/v1/account/label", `{"name":`).refused(422, "malformed_json", "")
	want(last(), "create a label", "", `{}`, `{}`, 422)
	w.asAccount("POST", "/api/v1/account/label", `{"name":"`+strings.Repeat("x", maxBody)+`"}`).refused(413, "body_too_large", "")
	if got := last().Status; got != 413 {
		t.Errorf("status %d", got)
	}

	// Nobody else sees it, and what never was let in is not in it.
	n := len(w.audited(mine.key, ""))
	w.call("POST", "/api/v1/account/label", map[string]string{"X-Account-ApiKey": "wrong"}, map[string]any{"name": "x"}).refused(401, "invalid_api_key", "X-Account-ApiKey")
	if got := len(w.audited(mine.key, "")); got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
	if list := w.audited(w.secondAccount(), ""); list == nil || len(list) != 0 {
		t.Errorf("another account sees %v", list)
	}

	all := w.audited(mine.key, "")
	for query, find := range map[string]func(e auditAnswer) bool{
		"?actor=sub-account-key":                             func(e auditAnswer) bool { return e.Actor.Kind == "sub-account-key" },
		fmt.Sprintf("?actor=sub-account-key:%d", mine.sub):   func(e auditAnswer) bool { return e.Actor.Kind == "sub-account-key" },
		fmt.Sprintf("?actor=sub-account-key:%d", mine.sub+9): func(auditAnswer) bool { return false },
		"?actor=SHO":                     func(e auditAnswer) bool { return e.Actor.Name == "shop" },
		"?operation=Webhook":             func(e auditAnswer) bool { return strings.Contains(e.Operation, "webhook") },
		"?search=postmark%20(":           func(e auditAnswer) bool { return strings.Contains(e.Target, "Postmark (") },
		"?from=2020-01-01&to=2020-01-02": func(auditAnswer) bool { return false },
		"?from=2020-01-01":               func(auditAnswer) bool { return true },
		fmt.Sprintf("?before=%d", e.ID):  func(other auditAnswer) bool { return other.ID < e.ID },
	} {
		var list []auditAnswer
		for _, e := range all {
			if find(e) {
				list = append(list, e)
			}
		}
		if diff := cmp.Diff(list, w.audited(mine.key, query), cmp.Transformer("empty", func(l []auditAnswer) []auditAnswer { return append([]auditAnswer{}, l...) })); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for query, field := range map[string]string{"?limit=0": "limit", "?limit=1001": "limit", "?before=x": "before", "?actor=member:x": "actor", "?from=x": "from"} {
		w.asAccount("GET", auditPath+query, nil).refused(400, "invalid_parameter", field)
	}
}

// failingAudit writes nothing.
type failingAudit struct{ Audit }

func (failingAudit) Begin(context.Context, store.AuditEntry) (*audit.Pending, error) {
	return nil, errors.New("the disk is full")
}

func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *Config) { c.Audit = failingAudit{} })
	a := w.asAccount("POST", "/api/v1/account/label", map[string]any{"name": "x"})
	a.refused(503, "unavailable", "")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	var list []json.RawMessage
	w.asAccount("GET", "/api/v1/account/label", nil).ok(200, &list)
	if len(list) != 0 {
		t.Errorf("labels: %s", list)
	}
	w.asAccount("GET", "/api/v1/account/tpsp", nil).ok(200, nil)
}
