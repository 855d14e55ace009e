package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestEveryOperationWantsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, o := range (&server{}).operations() {
		other, otherKey := subAccountKey, w.subKey
		switch o.Auth {
		case accountKey:
		case subAccountKey:
			other, otherKey = accountKey, w.accountKey
		default:
			continue
		}
		for _, slash := range []string{"", "/"} {
			path := strings.ReplaceAll(o.Path, "{id}", "1") + slash
			t.Run(o.Method+" "+path, func(t *testing.T) {
				own := string(o.Auth)
				for _, c := range []struct {
					name   string
					header map[string]string
					code   string
					words  string
				}{
					{"none", nil, "missing_api_key", "is missing"},
					{"blank", map[string]string{own: " "}, "missing_api_key", "is missing"},
					{"unknown", map[string]string{own: "AAAAAAAAAAAAAAAAAAAA"}, "invalid_api_key", "is not the API key"},
					{"of the other kind", map[string]string{own: otherKey}, "wrong_kind_of_api_key", "this operation needs"},
					{"other header", map[string]string{string(other): otherKey}, "missing_api_key", string(other) + " only"},
				} {
					a := w.call(o.Method, path, c.header, "{}")
					a.t = t
					if o.foreign {
						if a.status != http.StatusUnauthorized || !strings.Contains(string(a.body), c.words) {
							t.Errorf("key %s: %d %s", c.name, a.status, a.body)
						}
						continue
					}
					if p := a.refused(http.StatusUnauthorized, c.code, own); !strings.Contains(p.Message, c.words) {
						t.Errorf("key %s: message %q", c.name, p.Message)
					}
				}
			})
		}
	}
}

// A stranger's key reaches nothing: not by id, not in a list, and not by a filter.
func TestAnotherAccountSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	provider := w.connect("Postmark", "outbound")
	message := w.mail("gavin@example.com")[0]
	var events []eventAnswer
	w.asAccount("GET", "/api/v1/account/event/", nil).ok(200, &events)
	var pools []poolAnswer
	w.asAccount("GET", "/api/v1/account/ippool", nil).ok(200, &pools)
	if len(events) != 1 || len(pools) != 1 {
		t.Fatalf("%d events, %d pools", len(events), len(pools))
	}
	var hook hookAnswer
	w.asAccount("POST", "/api/v1/account/webhook", map[string]any{"url": "http://127.0.0.1:9/hook"}).ok(200, &hook)
	var member memberAnswer
	w.asAccount("POST", "/api/v1/account/member", map[string]any{"email": "somebody@example.com", "name": "Somebody", "role": "viewer"}).ok(200, &member)
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}

	ids := map[string]string{
		"subaccount": fmt.Sprint(w.subAccount.ID), "tpsp": fmt.Sprint(provider.ID), "ippool": fmt.Sprint(pools[0].ID),
		"ip": fmt.Sprint(w.takeIPs("203.0.113.7")[0].ID), "message": message, "event": events[0].EventID, "domain": fmt.Sprint(w.whitelist("example.com").ID),
		"label":    fmt.Sprint(w.label("VIP").ID),
		"template": fmt.Sprint(w.store(map[string]any{"name": "Hello"}).ID),
		"webhook":  fmt.Sprint(hook.ID),
		"member":   fmt.Sprint(member.ID),
	}
	walked := map[string]bool{}
	for _, o := range (&server{}).operations() {
		if o.Auth != accountKey || !strings.Contains(o.Path, "{id}") {
			continue
		}
		resource := strings.Split(o.Path, "/")[4]
		if ids[resource] == "" {
			t.Errorf("%s: this test makes no %s", o.Path, resource)
		}
		walked[resource] = true
		path := strings.ReplaceAll(o.Path, "{id}", ids[resource]) + "?from=2020-01-01&to=2020-01-02"
		a := w.call(o.Method, path, stranger, `{"name":"mine now"}`)
		if a.status != http.StatusNotFound {
			t.Errorf("%s %s: status %d, %s", o.Method, path, a.status, a.body)
		}
	}
	if len(walked) != len(ids) {
		t.Errorf("walked %v", walked)
	}
	for _, path := range []string{
		"/api/v1/account/tpsp/", "/api/v1/account/ippool", "/api/v1/account/event/", "/api/v1/account/template", "/api/v1/account/webhook", "/api/v1/account/webhookendpoint",
		"/api/v1/account/event/?messageId=" + message, "/api/v1/account/event/?tpspId=" + ids["tpsp"],
		"/api/v1/account/event/?subAccountId=" + ids["subaccount"], "/api/v1/account/event/?provider=postmark",
		"/api/v1/account/stat?from=2020-01-01&to=2020-01-02",
	} {
		if a := w.call("GET", path, stranger, nil); a.status != 200 || string(a.body) != "[]\n" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	// And nothing was changed.
	w.asAccount("GET", "/api/v1/account/tpsp/"+ids["tpsp"], nil).ok(200, nil)
	var sub subAccountAnswer
	w.asAccount("GET", "/api/v1/account/subaccount/"+ids["subaccount"], nil).ok(200, &sub)
	if sub.Name != "default" {
		t.Errorf("name %q", sub.Name)
	}
	var pool poolAnswer
	w.asAccount("GET", "/api/v1/account/ippool/"+ids["ippool"], nil).ok(200, &pool)
	if pool.Name != pools[0].Name {
		t.Errorf("the pool's name is %q", pool.Name)
	}
}

func TestKeysNeverReachTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("gavin@example.com")
	w.asAccount("GET", "/api/v1/account/tpsp/", nil).ok(200, nil)
	log := w.log.String()
	if !strings.Contains(log, "path=/api/v1/account/tpsp/") {
		t.Fatalf("no access log: %s", log)
	}
	for _, key := range []string{w.accountKey, w.subKey, "sandbox-server-token"} {
		if strings.Contains(log, key) {
			t.Errorf("a key is in the log: %s", log)
		}
	}
}
