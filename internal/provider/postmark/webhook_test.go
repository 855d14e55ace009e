package postmark_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

const hookURL = "https://postyard.example/tpsp/postmark/account/11"

func ourHook() provider.Hook {
	return provider.Hook{
		URL:         hookURL,
		Credentials: provider.Credentials{Username: "postyard-33", Password: secret.NewString("hook-pass-word")},
	}
}

// hooks is a fake of Postmark's /webhooks.
type hooks struct {
	mu     sync.Mutex
	next   int64
	stored map[int64]map[string]any
	calls  []string // methods and paths that change something
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

func (h *hooks) add(fields map[string]any) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stored == nil {
		h.stored = make(map[int64]map[string]any)
	}
	h.next++
	hook := map[string]any{"ID": h.next, "MessageStream": "outbound", "Status": "verified"}
	maps.Copy(hook, fields)
	h.stored[h.next] = hook
	return h.next
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	id, _ := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/webhooks/"), 10, 64)
	if r.Method != http.MethodGet {
		h.mu.Lock()
		h.calls = append(h.calls, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
	}
	var fields map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
			reply(w, 422, map[string]any{"ErrorCode": 402, "Message": err.Error()})
			return
		}
		delete(fields, "Verify")
		fields["Status"] = "verified"
	}
	if r.Method == http.MethodPost {
		id = h.add(fields)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch hook, ok := h.stored[id]; {
	case r.Method == http.MethodGet:
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(h.stored)) {
			if s := r.URL.Query().Get("MessageStream"); s == "" || s == h.stored[id]["MessageStream"] {
				list = append(list, h.stored[id])
			}
		}
		reply(w, 200, map[string]any{"Webhooks": list})
	case !ok:
		reply(w, 422, map[string]any{"ErrorCode": 1352, "Message": "The webhook for the provided 'ID' was not found."})
	case r.Method == http.MethodDelete:
		delete(h.stored, id)
		reply(w, 200, map[string]any{"ErrorCode": 0, "Message": "Webhook removed."})
	default:
		maps.Copy(hook, fields)
		reply(w, 200, hook)
	}
}

func (h *hooks) ids() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.stored))
}

func (h *hooks) changes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// right are the fields of a webhook as we want it.
func right() map[string]any {
	return map[string]any{
		"Url": hookURL, "HttpAuth": map[string]any{"Username": "postyard-33", "Password": "hook-pass-word"},
		"Triggers": map[string]any{
			"Open":  map[string]any{"Enabled": true, "PostFirstOpenOnly": false},
			"Click": map[string]any{"Enabled": true}, "Delivery": map[string]any{"Enabled": true},
			"Bounce":             map[string]any{"Enabled": true, "IncludeContent": false},
			"SpamComplaint":      map[string]any{"Enabled": true, "IncludeContent": false},
			"SubscriptionChange": map[string]any{"Enabled": false},
		},
	}
}

func with(change map[string]any) map[string]any {
	fields := right()
	maps.Copy(fields, change)
	return fields
}

func TestRegisterCreates(t *testing.T) {
	t.Parallel()
	var h hooks
	var rec recorder
	conn := connection(serve(t, rec.wrap(h.ServeHTTP)))
	ref, changed, err := newAdapter(t).Register(t.Context(), conn, ourHook())
	if err != nil || ref != "1" || !changed {
		t.Fatalf("Register = %q, %v", ref, err)
	}
	requests := rec.all()
	if len(requests) != 2 || requests[0].path != "/webhooks?MessageStream=outbound" {
		t.Fatalf("%d requests, first %s", len(requests), requests[0].path)
	}
	golden(t, "register", requests[1].body)
	// Again, with and without the id: nothing changes.
	for _, ref := range []string{"1", "", "77", "not-a-number"} {
		hook := ourHook()
		hook.Ref = ref
		got, changed, err := newAdapter(t).Register(t.Context(), conn, hook)
		if err != nil || got != "1" || changed {
			t.Errorf("Register again with %q = %q, %v", ref, got, err)
		}
	}
	if diff := cmp.Diff([]string{"POST /webhooks"}, h.changes()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestRegisterRepairs(t *testing.T) {
	t.Parallel()
	auth := func(username, password string) map[string]any {
		return map[string]any{"HttpAuth": map[string]any{"Username": username, "Password": password}}
	}
	for name, tc := range map[string]struct {
		ref    string
		stored []map[string]any
		want   []string // changes
		left   []int64
	}{
		"right":            {"1", []map[string]any{right()}, nil, []int64{1}},
		"absent status":    {"1", []map[string]any{with(map[string]any{"Status": ""})}, nil, []int64{1}},
		"moved":            {"1", []map[string]any{with(map[string]any{"Url": "https://old.example/"})}, []string{"PUT /webhooks/1"}, []int64{1}},
		"rotated password": {"", []map[string]any{with(auth("postyard-33", "old"))}, []string{"PUT /webhooks/1"}, []int64{1}},
		"rotated user":     {"1", []map[string]any{with(auth("old", "old"))}, []string{"PUT /webhooks/1"}, []int64{1}},
		"unverified":       {"1", []map[string]any{with(map[string]any{"Status": "unverified"})}, []string{"PUT /webhooks/1"}, []int64{1}},
		"wrong triggers":   {"1", []map[string]any{with(map[string]any{"Triggers": map[string]any{}})}, []string{"PUT /webhooks/1"}, []int64{1}},
		"odd triggers":     {"1", []map[string]any{with(map[string]any{"Triggers": "all"})}, []string{"PUT /webhooks/1"}, []int64{1}},
		"copies":           {"2", []map[string]any{right(), right(), right()}, []string{"DELETE /webhooks/3", "DELETE /webhooks/1"}, []int64{2}},
		"copies, no ref": {"", []map[string]any{with(auth("postyard-33", "old")), right()},
			[]string{"DELETE /webhooks/1"}, []int64{2}},
		"others": {"", []map[string]any{
			with(auth("somebody", "else")), with(map[string]any{"HttpAuth": nil}), with(map[string]any{"Url": "https://other.example/"}),
		}, []string{"POST /webhooks"}, []int64{1, 2, 3, 4}},
		"other stream":          {"", []map[string]any{with(map[string]any{"MessageStream": "news"})}, []string{"POST /webhooks"}, []int64{1, 2}},
		"our id, now another's": {"1", []map[string]any{{"Url": "https://other.example/"}}, []string{"POST /webhooks"}, []int64{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			for _, fields := range tc.stored {
				h.add(fields)
			}
			hook := ourHook()
			hook.Ref = tc.ref
			conn := connection(serve(t, h.ServeHTTP))
			repairs := func() int {
				return len(slices.DeleteFunc(h.changes(), func(c string) bool { return strings.HasPrefix(c, "DELETE") }))
			}
			broken, full := 0, errors.New("the disk is full")
			hook.Broken = func() error {
				broken++
				if broken == 1 {
					return full
				}
				return nil
			}
			if _, _, err := newAdapter(t).Register(t.Context(), conn, hook); broken > 0 && (!errors.Is(err, full) || repairs() != 0) {
				t.Errorf("put right before that was recorded: %v, changes %v", err, h.changes())
			}
			ref, changed, err := newAdapter(t).Register(t.Context(), conn, hook)
			if err != nil {
				t.Fatal(err)
			}
			if repaired := repairs() > 0; changed != repaired || repaired != (broken == 2) {
				t.Errorf("changed = %t, said to be broken %d times", changed, broken)
			}
			if diff := cmp.Diff(tc.want, h.changes()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.left, h.ids()); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
			// It is right now: once more changes nothing.
			hook.Ref = ref
			if again, changed, err := newAdapter(t).Register(t.Context(), conn, hook); err != nil || again != ref || changed ||
				len(h.changes()) != len(tc.want) {
				t.Errorf("again: %q, %v, changes %v", again, err, h.changes())
			}
		})
	}
}

// TestRegisterAfterRemoval: somebody removed the webhook between our look and our change.
func TestRegisterAfterRemoval(t *testing.T) {
	t.Parallel()
	var h hooks
	id := h.add(with(map[string]any{"Status": "unverified"}))
	h.refuse = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			h.mu.Lock()
			delete(h.stored, id)
			h.mu.Unlock()
		}
		return false
	}
	ref, _, err := newAdapter(t).Register(t.Context(), connection(serve(t, h.ServeHTTP)), ourHook())
	if err != nil || ref != "2" {
		t.Errorf("Register = %q, %v", ref, err)
	}
}

func TestRegisterRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header string
		body   string
		code   string
		retry  bool
		words  []string
	}{
		"unverified": {"1364", `{"Id":354118,"Url":"` + hookURL + `","Success":false,"Results":[
			{"TriggerType":"Delivery","Success":true,"StatusCode":200,"Message":"OK"},
			{"TriggerType":"Bounce","Success":false,"StatusCode":500,"Message":"Remote server returned an HTTP status code of 500."},
			{"TriggerType":"Open","Success":false,"StatusCode":0,"Message":"timed out"}],"Message":"1/3 triggers verified successfully"}`,
			"webhook_unverified", true, []string{"Bounce HTTP 500", "Open (timed out)"}},
		"unverified, no list": {"", `{"ErrorCode":1364,"Message":"Verification failed"}`, "webhook_unverified", true, nil},
		"too many":            {"", `{"ErrorCode":1359,"Message":"x"}`, "too_many_webhooks", false, []string{"outbound"}},
		"URL":                 {"", `{"ErrorCode":1354,"Message":"Url hook-pass-word is invalid"}`, "invalid_webhook_url", false, []string{"[redacted]"}},
		"archived":            {"", `{"ErrorCode":1350,"Message":"x"}`, "archived_stream", false, nil},
		"inbound":             {"", `{"ErrorCode":1351,"Message":"x"}`, "inbound_stream", false, nil},
		"no stream":           {"", `{"ErrorCode":1226,"Message":"x"}`, "unknown_stream", false, nil},
		"another":             {"", `{"ErrorCode":1353,"Message":"Trigger not supported"}`, "provider_refused", false, []string{"Trigger not supported"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hooks{refuse: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet {
					return false
				}
				if tc.header != "" {
					w.Header().Set("X-PM-ApiErrorCode", tc.header)
				}
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = io.WriteString(w, tc.body)
				return true
			}}
			ref, _, err := newAdapter(t).Register(t.Context(), connection(serve(t, h.ServeHTTP)), ourHook())
			got := setupError(t, err)
			if ref != "" || got.Code != tc.code || got.Retry != tc.retry {
				t.Errorf("ref %q, %+v", ref, got)
			}
			for _, words := range tc.words {
				if !strings.Contains(got.Message, words) {
					t.Errorf("%q is not in: %s", words, got.Message)
				}
			}
			if strings.Contains(got.Message, "Delivery") || strings.Contains(got.Message, "hook-pass-word") {
				t.Errorf("the message says too much: %s", got.Message)
			}
		})
	}
}

// TestRegisterSavedUnverified: the webhook stands but is silent, so its id comes with the error.
func TestRegisterSavedUnverified(t *testing.T) {
	t.Parallel()
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			reply(w, 200, map[string]any{"Webhooks": []any{}})
			return
		}
		reply(w, 200, map[string]any{"ID": 5, "Url": hookURL, "Status": "unverified"})
	}))
	ref, _, err := newAdapter(t).Register(t.Context(), conn, ourHook())
	if got := setupError(t, err); ref != "5" || got.Code != "webhook_unverified" || !got.Retry {
		t.Errorf("ref %q, %+v", ref, got)
	}
}

func TestUnregister(t *testing.T) {
	t.Parallel()
	var h hooks
	conn := connection(serve(t, h.ServeHTTP))
	h.add(right())                                                      // 1: a copy of ours
	h.add(with(map[string]any{"HttpAuth": nil}))                        // 2: somebody else's
	h.add(with(map[string]any{"MessageStream": "news"}))                // 3: another provider of the same account
	moved := h.add(with(map[string]any{"Url": "https://old.example/"})) // 4: ours by id
	other := h.add(with(map[string]any{"MessageStream": "news"}))       // 5
	hook := ourHook()
	hook.Ref = strconv.FormatInt(moved, 10)
	for range 2 { // the second time there is nothing left to remove
		if err := newAdapter(t).Unregister(t.Context(), conn, hook); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{2, 3, 5}, h.ids()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	// By id alone, on whatever stream.
	if err := newAdapter(t).Unregister(t.Context(), conn, provider.Hook{Ref: strconv.FormatInt(other, 10)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{2, 3}, h.ids()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUnregisterGone: it is no error when somebody else was faster.
func TestUnregisterGone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{404, 422} {
		h := hooks{refuse: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete {
				reply(w, status, map[string]any{"ErrorCode": 1352, "Message": "gone"})
			}
			return r.Method == http.MethodDelete
		}}
		h.add(right())
		if err := newAdapter(t).Unregister(t.Context(), connection(serve(t, h.ServeHTTP)), ourHook()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// pausing is a fake whose webhook has paused triggers, until it is verified in one of the ways.
func pausing(h *hooks, how string, answers int) http.HandlerFunc {
	paused := map[string]string{"Bounce": "unverified", "Click": "Unverified", "Delivery": "verified", "SubscriptionChange": "unverified"}
	failed := map[string]any{"Id": 1, "Success": false, "Message": "1/2", "Results": []any{
		map[string]any{"TriggerType": "Delivery", "Success": true, "StatusCode": 200, "Message": "OK"},
		map[string]any{"TriggerType": "Bounce", "Success": false, "StatusCode": 502, "Message": "bad " + testKey}}}
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/statistics"):
			reply(w, answers, map[string]any{"WebhookId": 1, "Statuses": paused, "TimeRange": map[string]any{"Hours": 24}})
			return
		case strings.HasSuffix(r.URL.Path, "/verify"):
			h.mu.Lock()
			h.calls = append(h.calls, r.Method+" "+r.URL.Path)
			h.mu.Unlock()
			if how == "verify" {
				paused = nil
				reply(w, 200, map[string]any{"Id": 1, "Success": true})
				return
			}
			reply(w, 200, failed)
			return
		case r.Method == http.MethodPut && how == "unreachable":
			w.Header().Set("X-PM-ApiErrorCode", "1364")
			reply(w, 422, failed)
			return
		case r.Method == http.MethodPut && how == "save":
			paused = nil
		}
		h.ServeHTTP(w, r)
	}
}

// Postmark pauses single kinds of events by themselves. The webhook looks as wanted then.
func TestPausedTriggers(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		calls  []string
		paused bool
	}{
		"save":        {[]string{"PUT /webhooks/1"}, false},
		"verify":      {[]string{"PUT /webhooks/1", "POST /webhooks/1/verify"}, false},
		"nothing":     {[]string{"PUT /webhooks/1", "POST /webhooks/1/verify"}, true},
		"unreachable": {nil, true}, // verifying what cannot be reached would end what still works
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var h hooks
			h.add(right())
			broken := false
			hook := ourHook()
			hook.Ref, hook.Broken = "1", func() error { broken = true; return nil }
			ref, changed, err := newAdapter(t).Register(t.Context(), connection(serve(t, pausing(&h, how, 200))), hook)
			if ref != "1" || !broken || changed == (how == "unreachable") || (err != nil) != c.paused {
				t.Errorf("%q, changed %t, broken %t, %v", ref, changed, broken, err)
			}
			if got := h.changes(); !slices.Equal(got, c.calls) {
				t.Errorf("%q", got)
			}
			if !c.paused {
				return
			}
			refused := setupError(t, err)
			if refused.Code != provider.CodeHookPaused || !slices.Equal(refused.Paused, []string{"Click", "Bounce"}) || !refused.Retry {
				t.Errorf("%+v", refused)
			}
			want := []provider.Probe{{Trigger: "Delivery", Success: true, StatusCode: 200, Message: "OK"}, {Trigger: "Bounce", StatusCode: 502, Message: refused.Probes[1].Message}}
			if diff := cmp.Diff(want, refused.Probes); diff != "" || strings.Contains(refused.Probes[1].Message, testKey) {
				t.Errorf("%+v", refused.Probes)
			}
		})
	}
}

// A Postmark that does not tell what it paused has paused nothing.
func TestNoStatistics(t *testing.T) {
	t.Parallel()
	for _, status := range []int{404, 500, 422} {
		var h hooks
		h.add(right())
		ref, changed, err := newAdapter(t).Register(t.Context(), connection(serve(t, pausing(&h, "nothing", status))), ourHook())
		if ref != "1" || changed || err != nil || len(h.changes()) != 0 {
			t.Errorf("%d: %q, %t, %v", status, ref, changed, err)
		}
	}
}

// What is at Postmark and cannot be verified keeps its id; one that is verified, and other than wanted, is just not registered.
func TestUnverifiedAndUnreachable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]any
		ref    string
	}{
		"unverified":     {map[string]any{"Status": "unverified"}, "1"},
		"with other URL": {map[string]any{"Url": "https://elsewhere.example/"}, ""},
	} {
		var h hooks
		h.add(with(c.change))
		hook := ourHook()
		hook.Ref = "1"
		ref, _, err := newAdapter(t).Register(t.Context(), connection(serve(t, pausing(&h, "unreachable", 200))), hook)
		refused := setupError(t, err)
		if ref != c.ref || refused.Code != provider.CodeHookUnverified || len(refused.Probes) != 2 || len(refused.Paused) != 0 {
			t.Errorf("%s: %q, %+v", name, ref, refused)
		}
	}
}
