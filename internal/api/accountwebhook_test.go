package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hookKeys are SendPost's keys of a Webhook.
var hookKeys = []string{"id", "enabled", "url", "processed", "delivered", "dropped", "softBounced", "hardBounced", "opened", "clicked", "unsubscribed", "spam", "sent",
	"smtpDropped", "uniqueOpen", "uniqueClick", "created", "created_by", "updated_by"}

// TestWebhooksAsSendPost walks through SendPost's operations on webhooks, in the wire form of its clients.
func TestWebhooksAsSendPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/account/webhook"
	if a := w.asAccount("GET", path, nil).ok(200, nil); string(a.body) != "[]\n" {
		t.Errorf("none: %s", a.body)
	}
	var made hookAnswer
	// The example flow, k.3: nine toggles, and the Python client's nulls.
	a := w.asAccount("POST", path, `{"url":"https://app.example.com/hook","enabled":true,"processed":true,"delivered":true,"dropped":true,"softBounced":true,"hardBounced":true,`+
		`"opened":true,"clicked":true,"unsubscribed":true,"spam":true,"sent":null,"smtpDropped":null}`).ok(200, &made)
	wantKeys(t, a.body, hookKeys...)
	if !made.Enabled || !made.Spam || made.Sent || made.UniqueOpen || made.Created == 0 || made.URL != "https://app.example.com/hook" || !strings.Contains(string(a.body), `"created_by":null`) {
		t.Errorf("%s", a.body)
	}
	w.asAccount("POST", path+"/", `{"url":"https://app.example.com/hook"}`).refused(403, "duplicate_webhook", "url")
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "missing_url", "url"}, {`{"url":""}`, "invalid_url", "url"}, {`{"url":"app.example.com"}`, "invalid_url", "url"}, {`{"url":7}`, "wrong_type", "url"},
		{`{"url":"https://x.example/","enabled":"yes"}`, "wrong_type", "enabled"}, {``, "missing_body", ""}, {`[]`, "wrong_type", ""},
	} {
		w.asAccount("POST", path, c.body).refused(422, c.code, c.field)
	}
	one := fmt.Sprintf("%s/%d", path, made.ID)
	var got hookAnswer
	w.asAccount("PUT", one, `{"sent":true,"spam":false}`).ok(200, &got)
	if want := made; got.Sent == want.Sent || got.Spam || !got.Delivered || got.URL != want.URL || !got.Enabled {
		t.Errorf("%+v", got)
	}
	w.asAccount("PUT", one, `{"url":"https://other.example.com/","enabled":false}`).ok(200, &got)
	w.asAccount("GET", one+"/", nil).ok(200, &made)
	if made != got || got.Enabled || got.URL != "https://other.example.com/" {
		t.Errorf("%+v, %+v", made, got)
	}
	var second hookAnswer
	w.asAccount("POST", path, `{"url":"https://app.example.com/second"}`).ok(200, &second)
	if !second.Enabled || second.Processed {
		t.Errorf("%+v", second)
	}
	w.asAccount("PUT", one, `{"url":"https://app.example.com/second"}`).refused(403, "duplicate_webhook", "url")
	for query, want := range map[string]int{"": 2, "?search=OTHER": 1, "?limit=1&offset=1": 1, "?search=nothing": 0} {
		var list []hookAnswer
		if w.asAccount("GET", path+query, nil).ok(200, &list); len(list) != want {
			t.Errorf("%q: %d", query, len(list))
		}
	}
	if a := w.asAccount("GET", path+"/count?search=second", nil).ok(200, nil); string(a.body) != `{"count":1}`+"\n" {
		t.Errorf("%s", a.body)
	}
	if a := w.asAccount("DELETE", one, nil).ok(200, nil); string(a.body) != fmt.Sprintf(`{"id":%d,"message":"Webhook (https://other.example.com/) has been deleted successfully."}`+"\n", made.ID) {
		t.Errorf("%s", a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		w.asAccount(method, one, nil).refused(404, "not_found", "")
	}
	w.asAccount("PUT", one, `{}`).refused(404, "not_found", "")
	w.asAccount("GET", path+"/9999999999999", nil).refused(404, "not_found", "")
}

// TestWebhookOperations walks through our own operations, with a receiver that takes and refuses.
func TestWebhookOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var status atomic.Int64
	status.Store(200)
	var calls atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		rw.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(receiver.Close)
	var made hookAnswer
	w.asAccount("POST", "/api/v1/account/webhook", map[string]any{"url": receiver.URL + "/hook", "processed": true}).ok(200, &made)
	one := fmt.Sprintf("/api/v1/account/webhook/%d", made.ID)
	status.Store(410)
	w.mail("ann@example.com")
	var s webhookStatus
	w.eventually("the webhook is paused", func() bool {
		w.asAccount("GET", one+"/status", nil).ok(200, &s)
		return s.State == "paused"
	})
	if s.Queued != 1 || s.OldestQueued == 0 || s.LastStatus != 410 || !strings.Contains(s.Reason, "410") || s.PausedSince == 0 {
		t.Errorf("%+v", s)
	}
	status.Store(200)
	w.asAccount("POST", one+"/resume", nil).ok(200, &s)
	if s.State != "ok" || s.ConsecutiveFailures != 0 {
		t.Errorf("%+v", s)
	}
	w.eventually("the queue is empty", func() bool {
		w.asAccount("GET", one+"/status", nil).ok(200, &s)
		return s.Queued == 0 && s.LastSuccess != 0
	})
	var attempts []webhookAttempt
	a := w.asAccount("GET", one+"/attempts", nil).ok(200, &attempts)
	if len(attempts) != 2 || attempts[0].Outcome != "delivered" || attempts[0].Attempt != 2 || attempts[1].Outcome != "kept" || attempts[1].Status != 410 {
		t.Errorf("%s", a.body)
	}
	event := attempts[0].EventID
	if w.asAccount("GET", one+"/attempts?eventId="+event+"&limit=1", nil).ok(200, &attempts); len(attempts) != 1 {
		t.Errorf("%+v", attempts)
	}
	if w.asAccount("GET", fmt.Sprintf("%s/attempts?before=%d", one, attempts[0].ID), nil).ok(200, &attempts); len(attempts) != 1 || attempts[0].Status != 410 {
		t.Errorf("%+v", attempts)
	}
	w.asAccount("GET", one+"/attempts?eventId=x", nil).refused(400, "invalid_parameter", "eventId")
	w.asAccount("GET", one+"/attempts?before=x", nil).refused(400, "invalid_parameter", "before")

	var key, rotated secretAnswer
	w.asAccount("GET", one+"/secret", nil).ok(200, &key)
	w.asAccount("POST", one+"/secret/rotate", nil).ok(200, &rotated)
	if !strings.HasPrefix(key.Secret, "whsec_") || key.FormerValidTo != 0 || rotated.Secret == key.Secret || rotated.FormerValidTo < time.Now().Add(23*time.Hour).UnixNano() {
		t.Errorf("%+v, %+v", key, rotated)
	}
	for _, body := range []string{`{"event":"delivered"}`, `{"event":"smtpDropped"}`, `{"type":71}`, `{"type":0}`} {
		before := calls.Load()
		var tested webhookTested
		if w.asAccount("POST", one+"/test", body).ok(200, &tested); !tested.OK || tested.Status != 200 || calls.Load() != before+1 {
			t.Errorf("%s: %+v", body, tested)
		}
	}
	w.asAccount("POST", one+"/test", `{}`).refused(422, "missing_event", "event")
	w.asAccount("POST", one+"/test", `{"event":"x"}`).refused(422, "unknown_event", "event")
	w.asAccount("POST", one+"/test", `{"type":999}`).refused(422, "unknown_type", "type")

	for body, want := range map[string]int{`{"eventId":"` + event + `"}`: 1, `{"from":"2020-01-01"}`: 1, `{"from":"2020-01-01","to":"2020-01-02"}`: 0, `{"missing":true}`: 0} {
		var n webhookReplayed
		if w.asAccount("POST", one+"/replay", body).ok(200, &n); n.Queued != want {
			t.Errorf("%s: %d, want %d", body, n.Queued, want)
		}
	}
	for body, code := range map[string]string{`{}`: "what_to_replay", `{"eventId":"x","missing":true}`: "what_to_replay", `{"eventId":"x"}`: "unknown_event",
		`{"to":"2020-01-01"}`: "missing_from", `{"from":"soon"}`: "invalid_range"} {
		if a := w.asAccount("POST", one+"/replay", body); a.status != 422 || !strings.Contains(string(a.body), code) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	w.asAccount("POST", one+"/pause", nil).ok(200, &s)
	if s.State != "paused" || s.Reason == "" {
		t.Errorf("%+v", s)
	}
	w.asAccount("PUT", one, `{"enabled":false}`).ok(200, nil)
	w.asAccount("POST", one+"/resume", nil).ok(200, &s)
	if s.State != "disabled" {
		t.Errorf("%+v", s)
	}
	if strings.Contains(w.log.String(), key.Secret) || strings.Contains(w.log.String(), rotated.Secret) {
		t.Error("a secret is in the log")
	}
	// A URL that a message names.
	body := email("bob@example.com")
	body["webhookEndpoint"] = receiver.URL + "/named"
	w.asSub("POST", "/api/v1/subaccount/email/", body).ok(200, nil)
	var named []namedWebhookAnswer
	w.eventually("the named URL is listed", func() bool {
		w.asAccount("GET", "/api/v1/account/webhookendpoint", nil).ok(200, &named)
		return len(named) == 1
	})
	w.asAccount("GET", fmt.Sprintf("/api/v1/account/webhook/%d/status", named[0].ID), nil).ok(200, &s)
	w.asAccount("GET", fmt.Sprintf("/api/v1/account/webhook/%d", named[0].ID), nil).refused(404, "not_found", "")
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/webhook/%d", named[0].ID), `{"url":"https://x.example/"}`).refused(404, "not_found", "")
	body["webhookEndpoint"] = "ftp://x.example/"
	w.asSub("POST", "/api/v1/subaccount/email/", body).refused(422, "invalid_webhook_endpoint", "webhookEndpoint")
	var raw []map[string]json.RawMessage
	w.asAccount("GET", "/api/v1/account/webhook", nil).ok(200, &raw)
	if len(raw) != 1 {
		t.Errorf("named URLs are among the webhooks: %v", raw)
	}
}

// eventually asks until the condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	end := time.After(20 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-end:
			w.t.Fatalf("not within 20 s: %s", what)
		}
	}
}
