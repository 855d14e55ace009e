package sendgrid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

const (
	hookURL  = "https://postyard.example/tpsp/sendgrid/account/11"
	hookName = "postyard-33"
	ourURL   = hookURL + "?hook=" + hookName
)

func ourHook() provider.Hook {
	return provider.Hook{URL: hookURL, Credentials: provider.Credentials{Username: hookName, Password: secret.NewString("hook-pass-word")}}
}

// all are the events that a webhook of ours reports.
var all = []string{"processed", "delivered", "deferred", "bounce", "dropped", "open", "click", "spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe"}

// asOurs returns the settings of a webhook of ours.
func asOurs(changes map[string]any) map[string]any {
	hook := map[string]any{"enabled": true, "url": ourURL, "friendly_name": hookName}
	for _, kind := range all {
		hook[kind] = true
	}
	maps.Copy(hook, changes)
	return hook
}

// hooks is a fake of SendGrid's Event Webhooks.
type hooks struct {
	mu      sync.Mutex
	next    int
	stored  map[string]map[string]any
	calls   []string // all of them, in order
	secret  bool     // the list does not show public keys
	bare    bool     // the list is one, without an object around it
	numbers bool     // ids are numbers
	max     int
	refuse  func(w http.ResponseWriter, r *http.Request) bool
}

// add stores a webhook; its public key is as given, "" for one that is not signed.
func (h *hooks) add(fields map[string]any) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stored == nil {
		h.stored = make(map[string]map[string]any)
	}
	h.next++
	id := fmt.Sprintf("hook-%d", h.next)
	if h.numbers {
		id = fmt.Sprint(h.next)
	}
	hook := map[string]any{"id": id, "public_key": "", "oauth_client_id": nil, "created_date": "2026-03-01T00:00:00Z"}
	if h.numbers {
		hook["id"] = h.next
	}
	maps.Copy(hook, fields)
	h.stored[id] = hook
	return id
}

// shown returns a stored webhook as the list has it.
func (h *hooks) shown(id string) map[string]any {
	hook := maps.Clone(h.stored[id])
	if h.secret {
		delete(hook, "public_key")
	}
	return hook
}

const settingsPath = "/v3/user/webhooks/event/settings"

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	var fields map[string]any
	if len(body) > 0 && json.Unmarshal(body, &fields) != nil {
		refuse(w, http.StatusBadRequest, "invalid JSON", "")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, settingsPath)
	for id, s := range h.standing() {
		if s["url"] == fields["url"] && fields["url"] != nil && path != "/"+id {
			refuse(w, http.StatusBadRequest, "Please provide a unique URL.", "")
			return
		}
	}
	h.mu.Lock()
	h.calls = append(h.calls, strings.TrimSpace(r.Method+" "+path))
	h.mu.Unlock()
	if r.Method == http.MethodPost && path == "" {
		id := h.add(fields)
		h.mu.Lock()
		defer h.mu.Unlock()
		reply(w, http.StatusCreated, h.shown(id))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := strings.TrimPrefix(strings.TrimPrefix(path, "/signed"), "/")
	hook := h.stored[id]
	switch {
	case r.Method == http.MethodGet && path == "/all":
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(h.stored)) {
			list = append(list, h.shown(id))
		}
		if h.bare {
			reply(w, http.StatusOK, list)
			return
		}
		reply(w, http.StatusOK, map[string]any{"max_allowed": h.max, "webhooks": list})
	case hook == nil:
		refuse(w, http.StatusNotFound, "webhook not found", "")
	case strings.HasPrefix(path, "/signed/"):
		if r.Method == http.MethodPatch {
			hook["public_key"] = ""
			if fields["enabled"] == true {
				hook["public_key"] = publicKeyOf(id)
			}
		}
		reply(w, http.StatusOK, map[string]any{"id": id, "public_key": hook["public_key"]})
	case r.Method == http.MethodPatch:
		maps.Copy(hook, fields)
		reply(w, http.StatusOK, h.shown(id))
	case r.Method == http.MethodDelete:
		delete(h.stored, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "method not allowed", "")
	}
}

// standing returns what stands at SendGrid, by id.
func (h *hooks) standing() map[string]map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]map[string]any{}
	for id, hook := range h.stored {
		all[id] = maps.Clone(hook)
	}
	return all
}

// took returns the calls since the last time.
func (h *hooks) took() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := h.calls
	h.calls = nil
	return calls
}

// right checks that a webhook stands as it should.
func (h *hooks) right(t *testing.T, id string) {
	t.Helper()
	want := asOurs(map[string]any{"public_key": publicKeyOf(id)})
	got := h.standing()[id]
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s of %s is %v, want %v", key, id, got[key], value)
		}
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*hooks{"as published": {max: 5}, "keys not listed": {secret: true}, "bare list": {bare: true}, "numbers for ids": {numbers: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, adapter := connection(serve(t, h.ServeHTTP)), newAdapter(t)
			hook := ourHook()
			kept, broken := "", false
			hook.Keep = func(ref string) error {
				kept = ref
				for id, s := range h.standing() {
					if s["enabled"] != false || s["public_key"] != publicKeyOf(id) {
						t.Errorf("the key is not kept before the webhook is enabled: %v", s)
					}
				}
				return nil
			}
			hook.Broken = func() error {
				broken = true
				if len(h.standing()) > 0 {
					t.Error("Broken comes late")
				}
				return nil
			}
			ref, changed, err := adapter.Register(t.Context(), conn, hook)
			if err != nil || !changed || ref != kept || !broken {
				t.Fatalf("%q, %t, %v; kept %q, broken %t", ref, changed, err, kept, broken)
			}
			id, key, _ := strings.Cut(ref, " ")
			if key != publicKeyOf(id) || len(h.standing()) != 1 {
				t.Fatalf("ref %q, standing %v", ref, h.standing())
			}
			h.right(t, id)
			h.took()

			hook.Ref = ref
			hook.Broken = func() error { t.Error("a webhook that is right is called broken"); return nil }
			hook.Keep = func(string) error { t.Error("kept twice"); return nil }
			again, changed, err := adapter.Register(t.Context(), conn, hook)
			if again != ref || changed || err != nil {
				t.Errorf("again: %q, %t, %v", again, changed, err)
			}
			for _, c := range h.took() {
				if !strings.HasPrefix(c, "GET ") {
					t.Errorf("a check that only had to read made the call %q", c)
				}
			}
			if err := adapter.Unregister(t.Context(), conn, hook); err != nil || len(h.standing()) != 0 {
				t.Errorf("Unregister: %v, %v", err, h.standing())
			}
			if err := adapter.Unregister(t.Context(), conn, hook); err != nil {
				t.Errorf("Unregister what is gone: %v", err)
			}
		})
	}
}

// Whatever is wrong with a webhook of ours is put right; its key stays unless signing was switched off.
func TestRegisterRepairs(t *testing.T) {
	t.Parallel()
	changes := map[string]map[string]any{
		"disabled": {"enabled": false}, "another URL": {"url": "https://old.example/hook"}, "another name": {"friendly_name": "renamed"},
		"not signed": {"public_key": ""}, "signed anew": {"public_key": publicKeyOf("another")}, "key in PEM": {"public_key": pemOf("hook-1"), "open": false},
	}
	for _, kind := range all {
		changes["without "+kind] = map[string]any{kind: false}
	}
	for name, change := range changes {
		h := &hooks{}
		id := h.add(asOurs(map[string]any{"public_key": publicKeyOf("hook-1")}))
		maps.Copy(h.stored[id], change)
		hook := ourHook()
		hook.Ref = id + " " + publicKeyOf("hook-1")
		broken, kept := 0, ""
		hook.Broken = func() error { broken++; return nil }
		hook.Keep = func(ref string) error { kept = ref; return nil }
		adapter, conn := newAdapter(t), connection(serve(t, h.ServeHTTP))
		ref, changed, err := adapter.Register(t.Context(), conn, hook)
		if err != nil || !changed || broken != 1 || ref != kept {
			t.Errorf("%s: %q, %t, %v, broken %d", name, ref, changed, err, broken)
			continue
		}
		_, key, _ := strings.Cut(ref, " ")
		if name == "signed anew" {
			if key != publicKeyOf("another") {
				t.Errorf("%s: the new key is not learnt", name)
			}
			continue
		}
		if key != publicKeyOf("hook-1") || len(h.standing()) != 1 {
			t.Errorf("%s: ref %q", name, ref)
		}
		if name != "key in PEM" {
			h.right(t, id)
		}
		hook.Ref = ref
		if _, changed, err := adapter.Register(t.Context(), conn, hook); changed || err != nil {
			t.Errorf("%s: it does not stand afterwards: %v", name, err)
		}
	}
}

// What is not ours stays as it is; copies of ours go.
func TestRegisterLeavesOthers(t *testing.T) {
	t.Parallel()
	h := &hooks{}
	others := map[string]map[string]any{
		"of somebody":     {"url": "https://somebody.example/hook", "friendly_name": "theirs", "enabled": true},
		"another of ours": asOurs(map[string]any{"friendly_name": "postyard-44", "url": hookURL + "?hook=postyard-44"}),
		"our name":        asOurs(map[string]any{"url": "https://elsewhere.example/hook"}),
		"no name":         {"url": hookURL, "enabled": false},
		"odd":             {"url": 7, "friendly_name": []int{1}, "enabled": "yes"},
	}
	ids := map[string]string{}
	for name, hook := range others {
		ids[name] = h.add(hook)
	}
	before := h.standing()
	first := h.add(asOurs(map[string]any{"public_key": publicKeyOf("x")}))
	second := h.add(asOurs(map[string]any{"enabled": false}))
	hook := ourHook()
	hook.Ref = second + " gone"
	adapter, conn := newAdapter(t), connection(serve(t, h.ServeHTTP))
	ref, changed, err := adapter.Register(t.Context(), conn, hook)
	if err != nil || !changed || !strings.HasPrefix(ref, second+" ") {
		t.Fatalf("%q, %t, %v", ref, changed, err)
	}
	if h.standing()[first] != nil {
		t.Error("the copy stays")
	}
	h.right(t, second)
	hook.Ref = ref
	if err := adapter.Unregister(t.Context(), conn, hook); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, h.standing()); diff != "" {
		t.Errorf("others (-before +after):\n%s", diff)
	}
	// The id alone proves nothing: it may be that of another account's webhook.
	hook.Ref = ids["of somebody"] + " " + publicKeyOf("y")
	if err := adapter.Unregister(t.Context(), conn, hook); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, h.standing()); diff != "" {
		t.Errorf("others (-before +after):\n%s", diff)
	}
}

// Two connections to one SendGrid account have a webhook each, and so have an old key and the one that replaces it.
func TestRegisterTwice(t *testing.T) {
	t.Parallel()
	h := &hooks{}
	adapter, conn := newAdapter(t), connection(serve(t, h.ServeHTTP))
	first, second := ourHook(), ourHook()
	second.Credentials.Username = "postyard-44"
	for _, hook := range []*provider.Hook{&first, &second} {
		ref, changed, err := adapter.Register(t.Context(), conn, *hook)
		if err != nil || !changed {
			t.Fatalf("%q, %t, %v", ref, changed, err)
		}
		hook.Ref = ref
	}
	if err := adapter.Unregister(t.Context(), conn, first); err != nil {
		t.Error(err)
	}
	if _, changed, err := adapter.Register(t.Context(), conn, second); changed || err != nil || len(h.standing()) != 1 {
		t.Errorf("the other one: %t, %v, %v", changed, err, h.standing())
	}
}

// A webhook that goes away while it is put right is made anew.
func TestRegisterGoneMeanwhile(t *testing.T) {
	t.Parallel()
	h := &hooks{}
	id := h.add(asOurs(map[string]any{"open": false, "public_key": publicKeyOf("hook-1")}))
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || !strings.HasSuffix(r.URL.Path, "/"+id) {
			return false
		}
		h.mu.Lock()
		delete(h.stored, id)
		h.mu.Unlock()
		return false
	}
	hook := ourHook()
	hook.Ref = id + " " + publicKeyOf("hook-1")
	ref, changed, err := newAdapter(t).Register(t.Context(), connection(serve(t, h.ServeHTTP)), hook)
	if err != nil || !changed || !strings.HasPrefix(ref, "hook-2 ") {
		t.Fatalf("%q, %t, %v", ref, changed, err)
	}
	h.right(t, "hook-2")
}

// A registration that stops half-way is finished by the next one, and nothing reports before its key is kept.
func TestRegisterInPieces(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	for name, fail := range map[string]struct {
		refuse func(r *http.Request) bool
		keep   error
		broken error
		want   string // code
	}{
		"made and not signed": {refuse: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/signed/") }, want: "provider_unavailable"},
		"signed and not kept": {keep: full},
		"not enabled": {refuse: func(r *http.Request) bool {
			return r.Method == http.MethodPatch && !strings.Contains(r.URL.Path, "/signed/")
		}, want: "provider_unavailable"},
		"not recorded": {broken: full},
	} {
		h := &hooks{}
		failing := true
		h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if failing && fail.refuse != nil && fail.refuse(r) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}
		hook := ourHook()
		hook.Keep = func(string) error { return fail.keep }
		hook.Broken = func() error { return fail.broken }
		adapter, conn := newAdapter(t), connection(serve(t, h.ServeHTTP))
		ref, changed, err := adapter.Register(t.Context(), conn, hook)
		refusal, isRefusal := errors.AsType[*provider.SetupError](err)
		switch {
		case ref != "" || changed || err == nil:
			t.Errorf("%s: %q, %t, %v", name, ref, changed, err)
		case fail.want == "" && !errors.Is(err, full):
			t.Errorf("%s: %v", name, err)
		case fail.want != "" && (!isRefusal || refusal.Code != fail.want || !refusal.Retry):
			t.Errorf("%s: %#v", name, err)
		}
		for _, s := range h.standing() {
			if s["enabled"] != false {
				t.Errorf("%s: it is enabled: %v", name, s)
			}
		}
		if fail.broken != nil && len(h.standing()) > 0 {
			t.Errorf("%s: something was changed", name)
		}
		failing, hook.Keep, hook.Broken = false, nil, nil
		ref, _, err = adapter.Register(t.Context(), conn, hook)
		if err != nil || len(h.standing()) != 1 {
			t.Errorf("%s, finished: %v, %v", name, err, h.standing())
			continue
		}
		id, _, _ := strings.Cut(ref, " ")
		h.right(t, id)
	}
}

// What SendGrid refuses of the set-up comes with words for the user.
func TestSetupErrors(t *testing.T) {
	t.Parallel()
	type want struct {
		code, field, words string
		retry              bool
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   want
	}{
		"key":         {refusing(401, "The provided authorization grant is invalid, expired, or revoked", ""), want{"invalid_token", "key", "authorization grant", false}},
		"credits":     {refusing(401, "Maximum credits exceeded", ""), want{"out_of_credits", "", "used up", false}},
		"forbidden":   {refusing(403, "access forbidden", ""), want{"forbidden", "key", "access forbidden", false}},
		"blocked":     {refusing(403, "too many bad requests, temporary block", ""), want{"provider_unavailable", "", "too many", true}},
		"throttled":   {refusing(429, "too many requests", ""), want{"provider_unavailable", "", "too many", true}},
		"down":        {refusing(503, "", ""), want{"provider_unavailable", "", "503", true}},
		"wrong place": {refusing(404, "Not Found", ""), want{"unexpected_answer", "endpoint", "endpoint", false}},
		"html":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, want{"unexpected_answer", "endpoint", "not SendGrid's", false}},
		"null":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") }, want{"unexpected_answer", "endpoint", "not SendGrid's", false}},
		"the key":     {refusing(400, "no "+testKey, ""), want{"provider_refused", "", "HTTP 400", false}},
	} {
		conn, adapter := connection(serve(t, test.answer)), newAdapter(t)
		_, _, registerErr := adapter.Register(t.Context(), conn, ourHook())
		for step, err := range map[string]error{
			"check": adapter.Check(t.Context(), conn), "register": registerErr, "unregister": adapter.Unregister(t.Context(), conn, ourHook()),
		} {
			refusal, ok := errors.AsType[*provider.SetupError](err)
			if !ok {
				t.Errorf("%s, %s: %v", name, step, err)
				continue
			}
			got := want{refusal.Code, refusal.Field, test.want.words, refusal.Retry}
			if got != test.want || !strings.Contains(refusal.Message, test.want.words) || strings.Contains(refusal.Message, testKey) {
				t.Errorf("%s, %s: %+v", name, step, refusal)
			}
		}
	}
}

func refusing(status int, message, field string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, message, field) }
}

// Refusals of the webhook itself say what to do about them.
func TestRegisterRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		max     int
		field   string
		message string
		want    string
	}{
		"no room": {1, "", "max_allowed webhooks already registered", "too_many_webhooks"},
		"url":     {5, "url", "invalid url", "invalid_webhook_url"},
		"other":   {5, "", "no", "provider_refused"},
	} {
		h := &hooks{max: test.max}
		h.add(map[string]any{"url": "https://somebody.example", "enabled": true})
		h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				refuse(w, http.StatusBadRequest, test.message, test.field)
			}
			return r.Method == http.MethodPost
		}
		_, _, err := newAdapter(t).Register(t.Context(), connection(serve(t, h.ServeHTTP)), ourHook())
		if refusal, ok := errors.AsType[*provider.SetupError](err); !ok || refusal.Code != test.want || !strings.Contains(refusal.Message, test.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that cannot prove anything is no key.
func TestRegisterBadKey(t *testing.T) {
	t.Parallel()
	h := &hooks{}
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/signed/") {
			return false
		}
		reply(w, http.StatusOK, map[string]any{"id": "x", "public_key": "bm90IGEga2V5"})
		return true
	}
	hook := ourHook()
	hook.Keep = func(string) error { t.Error("kept"); return nil }
	_, _, err := newAdapter(t).Register(t.Context(), connection(serve(t, h.ServeHTTP)), hook)
	if refusal, ok := errors.AsType[*provider.SetupError](err); !ok || refusal.Code != "unexpected_answer" {
		t.Errorf("%v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"first_name": "Ada"}) })))
	if err := newAdapter(t).Check(t.Context(), conn); err != nil {
		t.Error(err)
	}
	if r := rec.all()[0]; r.method != "GET" || r.path != "/v3/user/profile" || r.header.Get("Authorization") != "Bearer "+testKey {
		t.Errorf("%+v", r)
	}
}

// Where a plan has no room for a further webhook, the one that ours replaces becomes ours: with its key, so that nothing is missed. Others
// stay as they are, and what removes the one before finds none.
func TestRegisterNoRoom(t *testing.T) {
	t.Parallel()
	for name, making := range map[string]bool{"none is made": false, "one is made and not enabled": true} {
		h := &hooks{max: 2}
		h.add(map[string]any{"url": "https://somebody.example", "enabled": true})
		before := ourHook()
		before.Credentials.Username = "postyard-32"
		id := h.add(asOurs(map[string]any{"url": hookURL + "?hook=postyard-32", "friendly_name": "postyard-32"}))
		h.stored[id]["public_key"] = publicKeyOf(id)
		before.Ref = id + " " + publicKeyOf(id)
		h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			made := r.Method == http.MethodPost && !making ||
				r.Method == http.MethodPatch && !strings.Contains(r.URL.Path, "/signed/") && !strings.HasSuffix(r.URL.Path, "/"+id)
			if made {
				refuse(w, http.StatusBadRequest, "max_allowed webhooks already registered", "")
			}
			return made
		}
		adapter, conn, hook := newAdapter(t), connection(serve(t, h.ServeHTTP)), ourHook()
		if _, _, err := adapter.Register(t.Context(), conn, hook); err == nil {
			t.Errorf("%s: one of another connection was taken", name)
		}
		kept := ""
		hook.Before, hook.Keep = []string{"gone key", before.Ref}, func(ref string) error { kept = ref; return nil }
		ref, changed, err := adapter.Register(t.Context(), conn, hook)
		if err != nil || !changed || ref != before.Ref || kept != ref {
			t.Errorf("%s: %q, %t, %v; kept %q", name, ref, changed, err, kept)
			continue
		}
		h.right(t, id)
		hook.Ref = ref
		if _, changed, err := adapter.Register(t.Context(), conn, hook); err != nil || changed {
			t.Errorf("%s, again: %t, %v", name, changed, err)
		}
		if err := adapter.Unregister(t.Context(), conn, before); err != nil || len(h.standing()) != 2 {
			t.Errorf("%s: %v; %v", name, err, h.standing())
		}
		h.right(t, id)
	}
}
