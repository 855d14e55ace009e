package client

import (
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

// Without a client of its own, it waits as long and follows no redirection either.
func TestUnhurried(t *testing.T) {
	t.Parallel()
	c := (&Client{}).Unhurried()
	if c.HTTP.Timeout != 0 || c.HTTP.CheckRedirect(nil, nil) != http.ErrUseLastResponse { //nolint:errorlint // net/http compares it so, too
		t.Errorf("%+v", c.HTTP)
	}
}
