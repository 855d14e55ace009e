package fault_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"postyard/internal/sandbox/fault"
)

// Any body is a list of rules that can be used, or an error; none panic.
func FuzzParseRules(f *testing.F) {
	f.Add(`[{"kind":"status","status":503,"probability":0.5,"count":3,"path":"/email"}]`)
	f.Add(`[{"kind":"hang"},null]`)
	f.Fuzz(func(t *testing.T, raw string) {
		rules, err := fault.ParseRules([]byte(raw), []string{"p"})
		if err != nil {
			return
		}
		injector := fault.New(rand.NewPCG(1, 2))
		injector.Set(rules)
		if got := injector.Rules(); len(got) != len(rules) {
			t.Errorf("%d of %d rules", len(got), len(rules))
		}
	})
}

// The first rule that matches and fires wins; one that is spent makes way for the next.
func TestRulesInOrder(t *testing.T) {
	t.Parallel()
	rules, err := fault.ParseRules([]byte(`[{"kind":"status","status":500,"path":"/a","count":1},{"kind":"status","status":503,"path":"/A/b"}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	injector := fault.New(rand.NewPCG(1, 2))
	injector.Set(rules)
	handler := injector.Wrap("p", func(*http.Request) [2]string { return [2]string{} }, func(*http.Request, fault.Rule) (http.Header, []byte) { return http.Header{}, nil },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for i, want := range []int{500, 503, 503, 200} {
		path := "/a/b/c"
		if want == 200 {
			path = "/x"
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
}

// Retry-After goes with a status, and nothing else.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	rules, err := fault.ParseRules([]byte(`[{"kind":"status","status":429,"retryAfter":7}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	injector := fault.New(rand.NewPCG(1, 2))
	injector.Set(rules)
	w := httptest.NewRecorder()
	injector.Wrap("p", func(*http.Request) [2]string { return [2]string{} }, func(*http.Request, fault.Rule) (http.Header, []byte) { return http.Header{}, nil }, http.NotFoundHandler()).
		ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/email", nil))
	if got := w.Result().Header.Get("Retry-After"); w.Code != http.StatusTooManyRequests || got != "7" {
		t.Errorf("%d, Retry-After %q", w.Code, got)
	}
	for _, bad := range []string{`[{"kind":"hang","retryAfter":1}]`, `[{"kind":"status","status":429,"retryAfter":-1}]`} {
		if _, err := fault.ParseRules([]byte(bad), nil); err == nil {
			t.Errorf("%s is a rule", bad)
		}
	}
}
