package postmark_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/provider/providertest"
	"postyard/internal/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, dial providertest.Dial) provider.Adapter {
			a := postmark.New(postmark.Config{Transport: providertest.Transport(t, dial), Now: func() time.Time { return testNow }})
			a.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
			return a
		},
		Connection: func(conn provider.Connection) provider.Connection {
			conn.Stream = "outbound"
			return conn
		},
		Content:  templated,
		Wire:     providertest.OverHTTP(playSend, nil, nil),
		Replies:  replies(),
		Search:   playSearch,
		Past:     playPast,
		Told:     told,
		Fixtures: webhookFixtures(t),
		Hooks:    func(*testing.T) providertest.Hooks { return basicHooks() },
		SetUp:    setUp,
	})
}

// replies are Postmark's answers to one message; classify_test.go has all codes.
func replies() (list []providertest.Reply) {
	for _, r := range []struct {
		name    string
		status  int
		code    int
		message string
		want    provider.Outcome
	}{
		{"invalid", 422, 300, "Invalid 'To' address", provider.Outcome{Class: provider.Rejected}},
		{"no such template", 422, 1101, "The Template's 'TemplateId' or 'TemplateAlias' is not valid", provider.Outcome{Class: provider.Rejected, Elsewhere: true}},
		{"suppressed", 422, 406, "You tried to send to recipients that have been marked as inactive. Found inactive addresses: user0@recipient.example. Inactive recipients are ...",
			provider.Outcome{Class: provider.Inactive, InactiveAddresses: []string{"user0@recipient.example"}}},
		{"maintenance", 503, 100, "Maintenance", provider.Outcome{Class: provider.Transient}},
		{"too much", 429, 429, "Rate limit", provider.Outcome{Class: provider.Throttled}},
		{"bad token", 401, 10, "No valid token " + providertest.Key, provider.Outcome{Class: provider.Account}},
		{"sender not known", 422, 400, "The 'From' address is not a Sender Signature", provider.Outcome{Class: provider.Account, SenderOnly: true}},
		{"out of credit", 422, 405, "Not allowed to send", provider.Outcome{Class: provider.Account}},
		{"a fault inside", 500, 101, "Error", provider.Outcome{Class: provider.Ambiguous}},
	} {
		body, err := json.Marshal(map[string]any{"ErrorCode": r.code, "Message": r.message})
		if err != nil {
			panic(err)
		}
		r.want.Code, r.want.HTTPStatus = strconv.Itoa(r.code), r.status
		list = append(list, providertest.Reply{Name: r.name, Bytes: providertest.HTTPAnswer(r.status, string(body)), Want: r.want})
	}
	return list
}

// basicHooks are two webhooks with Basic credentials, which are all that Postmark proves itself by.
func basicHooks() providertest.Hooks {
	hook := func(user, password, ref string) provider.Hook {
		return provider.Hook{URL: hookURL, Ref: ref, Credentials: provider.Credentials{Username: user, Password: secret.NewString(password)}}
	}
	ours := hook("postyard-33", "right-password", "1")
	as := func(user, password string) func([]byte) provider.Delivery {
		return func(body []byte) provider.Delivery { return basic(hook(user, password, ""), body) }
	}
	with := func(value string) func([]byte) provider.Delivery {
		return func(body []byte) provider.Delivery {
			return provider.Delivery{Header: http.Header{"Authorization": {value}}, Body: body}
		}
	}
	return providertest.Hooks{
		Conn: connection("https://api.postmark.example"), Ours: ours, Others: hook("postyard-44", "other-password", "2"), Deliver: basic,
		Forged: map[string]func([]byte) provider.Delivery{
			"wrong password": as("postyard-33", "wrong-password"), "prefix": as("postyard-33", "right-passwor"), "empty password": as("postyard-33", ""),
			"wrong user": as("someone", "right-password"), "swapped": as("right-password", "postyard-33"), "differs in a case": as("postyard-33", "RIGHT-password"),
			"garbage": with("Basic !!!"), "another scheme": with("Bearer right-password"),
		},
	}
}

func basic(hook provider.Hook, body []byte) provider.Delivery {
	r := http.Request{Header: make(http.Header)}
	r.SetBasicAuth(hook.Credentials.Username, hook.Credentials.Password.Reveal())
	return provider.Delivery{Header: r.Header, Body: body}
}

// setUp plays a server of Postmark's with its webhooks.
func setUp(t *testing.T) *providertest.Account {
	t.Helper()
	h := &hooks{}
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/server":
			reply(w, http.StatusOK, map[string]any{"ID": 1, "Name": "Demo"})
		case "/message-streams":
			_, _ = w.Write([]byte(streamsAnswer))
		default:
			h.ServeHTTP(w, r)
		}
	}))
	change := func(fields map[string]any) func() {
		return func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			maps.Copy(h.ours(), fields)
		}
	}
	return &providertest.Account{
		Conn: conn, Hook: ourHook(), State: h.state, Writes: func() int { return len(h.changes()) },
		Live: func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ours() != nil
		},
		Spoil:  change(map[string]any{"Triggers": map[string]any{}}),
		Remove: func() { h.remove() },
		Double: func() { h.add(right()) },
		Foreign: func() {
			h.add(with(map[string]any{"Url": "https://other.example/", "HttpAuth": map[string]any{"Username": "somebody", "Password": "else"}}))
			h.add(with(map[string]any{"HttpAuth": nil}))
			h.add(with(map[string]any{"MessageStream": "news", "HttpAuth": map[string]any{"Username": "postyard-99", "Password": "hook-pass-word"}}))
		},
	}
}

// ours returns the webhook that has our user's name, nil when there is none.
func (h *hooks) ours() map[string]any {
	for _, id := range slices.Sorted(maps.Keys(h.stored)) {
		if auth, ok := h.stored[id]["HttpAuth"].(map[string]any); ok && auth["Username"] == "postyard-33" {
			return h.stored[id]
		}
	}
	return nil
}

func (h *hooks) remove() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.ours()["ID"].(int64); ok {
		delete(h.stored, id)
	}
}

// state lists the webhooks without their ids.
func (h *hooks) state() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, hook := range h.stored {
		hook = maps.Clone(hook)
		delete(hook, "ID")
		text, err := json.Marshal(hook)
		if err != nil {
			panic(err)
		}
		list = append(list, string(text))
	}
	slices.Sort(list)
	return list
}

func playSearch(w http.ResponseWriter, r *http.Request, has map[mail.ID]string) {
	messages := []map[string]any{}
	wanted := r.URL.Query().Get("metadata_messageId")
	for id, providerID := range has {
		if wanted == "" || wanted == id.String() {
			messages = append(messages, map[string]any{
				"MessageID": providerID, "ReceivedAt": "2026-03-02T12:00:00Z",
				"Metadata": map[string]string{"messageId": id.String(), "tpspId": "3"},
			})
		}
	}
	reply(w, http.StatusOK, map[string]any{"TotalCount": len(messages), "Messages": messages})
}

func webhookFixtures(t *testing.T) []providertest.Fixture {
	t.Helper()
	fixture := func(name string, body []byte, suppresses []provider.Reason, want ...event.Type) providertest.Fixture {
		return providertest.Fixture{Name: name, Body: []byte(strings.TrimSpace(string(body))), Want: want, Suppresses: suppresses}
	}
	return []providertest.Fixture{
		fixture("delivery", readFixture(t, "delivery"), nil, 71),
		fixture("hardbounce", readFixture(t, "hardbounce"), []provider.Reason{provider.HardBounce}, 72),
		fixture("softbounce", readFixture(t, "softbounce"), nil, 73),
		fixture("open", readFixture(t, "open"), nil, 75),
		fixture("click", readFixture(t, "click"), nil, 76),
		fixture("spamcomplaint", readFixture(t, "spamcomplaint"), []provider.Reason{provider.SpamComplaint}, 77),
		fixture("unsubscribe", change(t, "softbounce", map[string]any{"ID": 7, "Type": "Unsubscribe", "TypeCode": 16}), []provider.Reason{provider.Unsubscribed}, 78),
		fixture("deactivated", change(t, "softbounce", map[string]any{"ID": 8, "Type": "ManuallyDeactivated", "TypeCode": 100002, "Inactive": true}),
			[]provider.Reason{provider.Manual}, 73),
		fixture("subscriptionchange", readFixture(t, "subscriptionchange"), nil),
		fixture("inbound", readFixture(t, "inbound"), nil),
	}
}
