package api

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// under makes a request of the sub-account under an idempotency key.
func (w *world) under(key, path string, body any) answer {
	w.t.Helper()
	return w.call("POST", path, map[string]string{"X-SubAccount-ApiKey": w.subKey, "Idempotency-Key": key}, body)
}

func TestARepeatedSendIsAnsweredAsTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	body := email("gavin@example.com", "nobody")
	first := w.under("order 7", sendPath, body).ok(200, nil)
	if first.header.Get("Idempotent-Replayed") != "" || !strings.Contains(string(first.body), `"errorCode":1`) {
		t.Fatalf("first: %s, %v", first.body, first.header)
	}
	for _, path := range []string{sendPath, strings.TrimRight(sendPath, "/")} {
		again := w.under("order 7", path, body).ok(200, nil)
		if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s again: %s, %v; want %s", path, again.body, again.header, first.body)
		}
		ignored := map[string]bool{"Date": true, "X-Request-Id": true, "Idempotent-Replayed": true}
		maps.DeleteFunc(again.header, func(name string, _ []string) bool { return ignored[name] })
		maps.DeleteFunc(first.header, func(name string, _ []string) bool { return ignored[name] })
		if !maps.EqualFunc(first.header, again.header, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
			t.Errorf("headers %v, want %v", again.header, first.header)
		}
	}
	w.under("order 7", sendPath, email("erlich@example.com")).refused(http.StatusConflict, "idempotency_key_reused", "Idempotency-Key")
	w.under("order 8", sendPath, body).ok(200, nil)
	w.asSub("POST", sendPath, body).ok(200, nil)
	if n := w.eventCount(""); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// A refused request does not keep its key.
func TestARefusalKeepsNoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	bad := email("gavin@example.com")
	delete(bad, "from")
	w.under("k", sendPath, bad).refused(422, "missing_from", "from.email")
	w.under("k", sendPath, `{`).refused(422, "malformed_json", "")
	good := w.under("k", sendPath, email("gavin@example.com")).ok(200, nil)
	if good.header.Get("Idempotent-Replayed") != "" {
		t.Error("it was never answered before")
	}
}

func TestIdempotencyKeysThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	for _, key := range []string{"", " ", strings.Repeat("k", 256), "k\tk", "kéy"} {
		w.under(key, sendPath, email("gavin@example.com")).refused(422, "invalid_idempotency_key", "Idempotency-Key")
	}
	w.under(strings.Repeat("k", 255), sendPath, email("gavin@example.com")).ok(200, nil)
	if n := w.eventCount(""); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// Of many equal requests at once one is taken, and the others get its answer or are asked to come again.
func TestOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	answers := make([]answer, 12)
	var running sync.WaitGroup
	for i := range answers {
		running.Go(func() { answers[i] = w.under("same", sendPath, email("gavin@example.com")) })
	}
	running.Wait()
	bodies := map[string]int{}
	for _, a := range answers {
		if a.status == http.StatusConflict {
			if p := a.refused(http.StatusConflict, "idempotency_key_in_use", "Idempotency-Key"); a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q: %+v", a.header.Get("Retry-After"), p)
			}
			continue
		}
		a.ok(200, nil)
		bodies[string(a.body)]++
	}
	if n := w.eventCount(""); n != 1 || len(bodies) != 1 {
		t.Errorf("%d messages, answers %v", n, bodies)
	}
}

// A key belongs to one sub-account.
func TestKeysOfTwoSubAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var other struct{ APIKey string }
	w.asAccount("POST", "/api/v1/account/subaccount", map[string]any{"name": "other"}).ok(201, &other)
	w.under("k", sendPath, email("gavin@example.com")).ok(200, nil)
	w.call("POST", sendPath, map[string]string{"X-SubAccount-ApiKey": other.APIKey, "Idempotency-Key": "k"}, email("erlich@example.com")).ok(200, nil)
	if n := w.eventCount(""); n != 2 {
		t.Errorf("%d messages", n)
	}
}
