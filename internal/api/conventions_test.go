package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postyard/internal/accept"
	"postyard/internal/account"
	"postyard/internal/catchup"
	"postyard/internal/doctor"
	"postyard/internal/ingest"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/template"
	"postyard/internal/tpsp"
)

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/", "/api", "/api/v1/", "/api/v1/account/nothing", "/api/v2/account/stat", "//api/v1/account/stat", "/tpsp/postmark"} {
		w.asAccount("GET", path, nil).refused(http.StatusNotFound, "unknown_path", "")
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/api/v1/subaccount/email/", "POST"},
		{"PATCH", "/api/v1/account/subaccount/1", "GET, HEAD, PUT, DELETE"},
		{"DELETE", "/api/v1/account/tpsp", "GET, HEAD, POST"},
		{"POST", "/api/v1/account/stat/", "GET, HEAD"},
		{"OPTIONS", "/healthz", "GET, HEAD"},
	} {
		a := w.call(c.method, c.path, nil, nil)
		a.refused(http.StatusMethodNotAllowed, "method_not_allowed", "")
		if got := a.header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

// Clients differ in the slash, and none of them repeats a POST after a redirect.
func TestEveryPathWithAndWithoutSlash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, o := range (&server{}).operations() {
		path := strings.NewReplacer("{id}", "999999", "{provider}", "postmark").Replace(o.Path)
		header := map[string]string{"X-Account-ApiKey": w.accountKey, "X-SubAccount-ApiKey": w.subKey}
		with, without := w.call(o.Method, path+"/", header, "{}"), w.call(o.Method, path, header, "{}")
		if with.status != without.status || with.status == http.StatusMethodNotAllowed || with.status/100 == 3 {
			t.Errorf("%s %s: %d with, %d without the slash", o.Method, path, with.status, without.status)
		}
		if strings.Contains(string(with.body), "unknown_path") {
			t.Errorf("%s %s: %s", o.Method, path, with.body)
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.asAccount("HEAD", "/api/v1/account/subaccount/", nil)
	if a.status != 200 || len(a.body) != 0 || a.header.Get("Content-Length") == "0" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
}

func TestSupervision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got statusAnswer
	if w.call("GET", "/healthz", nil, nil).ok(200, &got); got.Status != "alive" {
		t.Errorf("%+v", got)
	}
	if w.call("GET", "/readyz", nil, nil).ok(200, &got); got.Status != "ready" {
		t.Errorf("%+v", got)
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	w.call("GET", "/healthz", nil, nil).ok(200, nil)
	w.call("GET", "/readyz", nil, nil).refused(http.StatusServiceUnavailable, "not_ready", "")
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for given, kept := range map[string]bool{
		"":                             false,
		"order-17_a.b":                 true,
		strings.Repeat("x", 128):       true,
		strings.Repeat("x", 129):       false,
		"with space":                   false,
		"<script>":                     false,
		"0193d7a2-7d8c-7000-8000-1234": true,
	} {
		got := w.call("GET", "/healthz", map[string]string{"X-Request-Id": given}, nil).header.Get("X-Request-Id")
		if kept && got != given || !kept && (got == given || got == "") {
			t.Errorf("given %q, got %q", given, got)
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	s := &server{Config: Config{Log: slog.New(slog.NewTextHandler(log, nil))}}
	early := s.observe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom 42") }))
	w := httptest.NewRecorder()
	early.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	answer{t: t, status: w.Code, header: w.Header(), body: w.Body.Bytes()}.refused(http.StatusInternalServerError, "internal_error", "")
	if strings.Contains(w.Body.String(), "boom 42") || !strings.Contains(log.String(), "boom 42") {
		t.Errorf("answer %s, log %s", w.Body, log)
	}

	// Half an answer must not look like a whole one.
	late := httptest.NewServer(s.observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
		panic("too late")
	})))
	defer late.Close()
	res, err := late.Client().Get(late.URL)
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("a broken answer was whole")
	}
}

func TestErrorsAndTheirStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     error
		status  int
		code    string
		secrecy string // must not be in the message
	}{
		{mail.Invalid("bad", "to[1]", "no good"), 422, "bad", ""},
		{&provider.SetupError{Code: "invalid_token", Field: "key", Message: "no"}, 422, "invalid_token", ""},
		{&provider.SetupError{Code: "provider_unreachable", Message: "no", Retry: true}, 502, "provider_unreachable", ""},
		{account.ErrNameTaken, 403, "name_taken", ""},
		{account.ErrNotFound, 404, "not_found", ""},
		{account.ErrNoLabel, 404, "not_found", ""},
		{account.ErrLabelTaken, 403, "name_taken", ""},
		{account.ErrDefault, 406, "default_sub_account", ""},
		{tpsp.ErrNotFound, 404, "not_found", ""},
		{&tpsp.DuplicateError{Name: "x"}, 403, "duplicate_provider", ""},
		{&tpsp.WaitingError{Name: "x", N: 3}, 409, "messages_waiting", ""},
		{&tpsp.PoolsError{Name: "x", Pools: []string{"y"}}, 409, "ippools_would_be_empty", ""},
		{doctor.ErrRunning, 409, "doctor_running", ""},
		{tpsp.ErrBusy, 409, "webhook_registration_running", ""},
		{tpsp.ErrNoWebhook, 422, "no_webhook", ""},
		{ippool.ErrNameTaken, 403, "name_taken", ""},
		{ippool.ErrNotFound, 404, "not_found", ""},
		{&ippool.UsedError{Name: "x", By: []string{"y"}}, 409, "ippool_in_use", ""},
		{&ippool.WaitingError{Name: "x"}, 409, "messages_waiting", ""},
		{catchup.ErrNotFound, 404, "not_found", ""},
		{catchup.ErrRunning, 409, "catch_up_running", ""},
		{catchup.ErrStopped, 503, "unavailable", "nothing was stored"},
		{template.ErrNotFound, 404, "not_found", ""},
		{template.ErrRunning, 409, "templates_sync_running", ""},
		{template.ErrNoSource, 422, "no_templates", ""},
		{template.ErrStopped, 503, "unavailable", "nothing was stored"},
		{store.ErrNotFound, 404, "not_found", ""},
		{store.ErrConflict, 403, "exists_already", ""},
		{fmt.Errorf("disk /var/x full: %w", store.ErrUnavailable), 503, "unavailable", "/var/x"},
		{&accept.OverloadedError{Reason: "7 wait", RetryAfter: 1500 * time.Millisecond}, 503, "overloaded", ""},
		{ingest.ErrUnauthorized, 401, "invalid_credentials", ""},
		{context.DeadlineExceeded, 503, "timeout", ""},
		{context.Canceled, 499, "client_gone", ""},
		{errors.New("SELECT secret FROM x"), 500, "internal_error", "SELECT"},
	} {
		w := httptest.NewRecorder()
		s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}}
		s.fail(w, httptest.NewRequest(http.MethodGet, "/x", nil), fmt.Errorf("operation: %w", c.err))
		if w.Code != c.status || !strings.Contains(w.Body.String(), `"`+c.code+`"`) {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
		if c.secrecy != "" && strings.Contains(w.Body.String(), c.secrecy) {
			t.Errorf("%v leaks: %s", c.err, w.Body)
		}
		if got := w.Header().Get("Retry-After"); (got != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After %q", c.err, got)
		}
	}
}
