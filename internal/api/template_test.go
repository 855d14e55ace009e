package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	simulator "postyard/internal/sandbox/postmark"
)

const templatesPath = "/api/v1/account/templates"

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, method := range map[string]string{templatesPath: "GET", templatesPath + "/sync": "POST"} {
		if a := w.asAccount(method, path, "{}").ok(200, nil); string(a.body) != "[]\n" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	made := w.connect("Postmark", "outbound")
	var synced []syncedAnswer
	a := w.asAccount("POST", templatesPath+"/sync/", map[string]any{"tpspId": made.ID}).ok(200, &synced)
	wantKeys(t, []byte(strings.Trim(string(a.body), "[]\n")), "tpspId", "name", "templates", "unusable", "added", "changed", "removed", "error")
	if len(synced) != 1 || synced[0] != (syncedAnswer{TPSPID: made.ID, Name: "Postmark", Templates: 1, Added: 1}) {
		t.Errorf("%s", a.body)
	}
	var list []templateAnswer
	a = w.asAccount("GET", templatesPath+"/?search=WELC&limit=5", nil).ok(200, &list)
	wantKeys(t, []byte(strings.Trim(string(a.body), "[]\n")), "tpspId", "tpspName", "alias", "name", "type", "layout", "error", "changedAt", "syncedAt")
	if len(list) != 1 || list[0].Alias != simulator.DemoTemplateAlias || list[0].Type != "template" || list[0].TPSPID != made.ID ||
		list[0].Error != "" || list[0].SyncedAt == 0 {
		t.Errorf("%s", a.body)
	}
	for _, query := range []string{"?search=nothing", "?offset=1"} {
		if a := w.asAccount("GET", templatesPath+query, nil).ok(200, nil); string(a.body) != "[]\n" {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	w.asAccount("POST", templatesPath+"/sync", map[string]any{"tpspId": made.ID + 1}).refused(404, "not_found", "")
	w.asAccount("POST", templatesPath+"/sync", `{"tpspId":"x"}`).refused(422, "wrong_type", "tpspId")
	another := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	w.call("POST", templatesPath+"/sync", another, map[string]any{"tpspId": made.ID}).refused(404, "not_found", "")
	if a := w.call("GET", templatesPath, another, nil).ok(200, nil); string(a.body) != "[]\n" {
		t.Errorf("another account: %s", a.body)
	}

	if held, err := w.db.Lease(t.Context(), fmt.Sprintf("templates/%d", made.ID), "another node", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	w.asAccount("POST", templatesPath+"/sync", map[string]any{"tpspId": made.ID}).refused(http.StatusConflict, "templates_sync_running", "tpspId")
	if w.asAccount("POST", templatesPath+"/sync", "{}").ok(200, &synced); len(synced) != 1 || synced[0].Error == "" {
		t.Errorf("%+v", synced)
	}
}

func TestAllowRaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := w.postmark("Postmark", "outbound")
	body["allowRaw"] = true
	var made, got tpspAnswer
	if w.asAccount("POST", tpsps, body).ok(200, &made); !made.AllowRaw {
		t.Errorf("%+v", made)
	}
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	if w.asAccount("PUT", path, map[string]any{"name": "New"}).ok(200, &got); !got.AllowRaw {
		t.Error("what is absent does not stay")
	}
	raw := map[string]any{"from": map[string]any{"email": "a@example.com"}, "to": []any{map[string]any{"email": "b@example.com"}}, "textBody": "Hello"}
	w.asSub("POST", "/api/v1/subaccount/email/", raw).ok(200, nil)
	if w.asAccount("PUT", path, map[string]any{"allowRaw": false}).ok(200, &got); got.AllowRaw || w.dir.Current().TPSP(w.account.ID, made.ID).AllowRaw {
		t.Errorf("%+v", got)
	}
	w.asSub("POST", "/api/v1/subaccount/email/", raw).refused(422, "missing_tpsp_template", "tpspTemplate")
	w.asAccount("POST", tpsps, map[string]any{"type": 6, "name": "x", "key": "x", "allowRaw": true}).refused(422, "invalid_allow_raw", "allowRaw")
}
