package client

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postyard/internal/secret"
)

// A verification and a catch-up last as long as they last, whatever other calls are given.
func TestLongCallsAreNotHurried(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		if r.URL.Path == "/api/v1/account/catch-up" {
			_, _ = w.Write([]byte(`[{"tpspId": 7}]`))
			return
		}
		if r.URL.Path != "/api/v1/account/verify" || r.URL.Query().Get("awaiting") != "1h30m0s" || r.Header.Get("X-Account-ApiKey") != "key" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(`{"ok": true}`))
	}))
	t.Cleanup(server.Close)
	hurried := &http.Client{Timeout: 20 * time.Millisecond}
	c := &Client{URL: server.URL, AccountKey: secret.NewString("key"), HTTP: hurried}
	if v, err := c.Verify(t.Context(), 90*time.Minute); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if list, err := c.CatchUp(t.Context(), CatchUp{}); err != nil || len(list) != 1 || list[0].TPSPID != 7 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := c.Ready(t.Context()); err == nil || hurried.Timeout == 0 || c.HTTP != hurried {
		t.Errorf("other calls are not hurried any more (%v)", err)
	}
}

// A cancellation goes on until the server is done, and tells what was done when it fails.
func TestCancelGoesOn(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"":     `{"matched": 3, "cancelled": 2, "more": true, "next": "one"}`,
		"one":  `{"matched": 1, "cancelled": 1, "more": true, "next": "two"}`,
		"two":  `{"matched": 4, "cancelled": 4, "more": false}`,
		"fail": `{"matched": 1, "cancelled": 1, "more": true, "next": "none"}`,
		"same": `{"matched": 1, "cancelled": 1, "more": true, "next": "same"}`,
		"mute": `{"matched": 1, "cancelled": 1, "more": true}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in Cancel
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Group != "news" || r.URL.Path != "/api/v1/account/message/cancel" || answers[in.Next] == "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(answers[in.Next]))
	}))
	t.Cleanup(server.Close)
	c := &Client{URL: server.URL, AccountKey: secret.NewString("key")}
	for from, want := range map[string]Cancelled{"": {Matched: 8, Cancelled: 7}, "fail": {Matched: 1, Cancelled: 1}, "same": {Matched: 1, Cancelled: 1},
		"mute": {Matched: 1, Cancelled: 1}} {
		got, err := c.Cancel(t.Context(), Cancel{Group: "news", Next: from})
		if got != want || (err == nil) != (from == "") {
			t.Errorf("from %q: %+v, %v", from, got, err)
		}
	}
}

// Without a client of its own, it waits as long and follows no redirection either.
func TestUnhurried(t *testing.T) {
	t.Parallel()
	c := (&Client{}).Unhurried()
	if c.HTTP.Timeout != 0 || c.HTTP.CheckRedirect(nil, nil) != http.ErrUseLastResponse { //nolint:errorlint // net/http compares it so, too
		t.Errorf("%+v", c.HTTP)
	}
}
