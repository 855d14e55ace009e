package toy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/providertest"
	"postyard/internal/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	reply := func(name string, status int, body string, want provider.Outcome) providertest.Reply {
		return providertest.Reply{Name: name, Bytes: providertest.HTTPAnswer(status, body), Want: want}
	}
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, dial providertest.Dial) provider.Adapter {
			return New(Config{Transport: providertest.Transport(t, dial), AllowPrivate: true})
		},
		Connection: func(conn provider.Connection) provider.Connection { return conn },
		Content: func() *mail.Content {
			return &mail.Content{From: mail.Address{Email: "shop@example.com"}, Subject: "Hello", Text: "Hello"}
		},
		Wire: providertest.OverHTTP(func(w http.ResponseWriter, r *http.Request, refused map[string]bool) {
			(&Server{Key: providertest.Key, Refused: refused}).ServeHTTP(w, r)
		}, nil, nil),
		SharedIDs: true, // each call has a server of its own here, which begins to count anew
		Replies: []providertest.Reply{
			reply("refused", 200, `[{"error":"no such recipient"}]`, provider.Outcome{Class: provider.Rejected}),
			reply("suppressed", 200, `[{"error":"suppressed"}]`, provider.Outcome{Class: provider.Inactive, Code: "suppressed", InactiveAddresses: []string{"user0@recipient.example"}}),
			reply("no list", 400, `that is no list`, provider.Outcome{Class: provider.Rejected}),
			reply("no result", 200, `[{}]`, provider.Outcome{Class: provider.Ambiguous}),
		},
		Given: []providertest.Given{
			{Name: "tidied", Conn: provider.Connection{Endpoint: " https://toy.example/v1/ ", Key: secret.NewString("k"), Domain: "nothing", Port: 7, Stream: "none"},
				Want: provider.Connection{Endpoint: "https://toy.example/v1", Key: secret.NewString("k")}},
			{Name: "no key", Conn: provider.Connection{Endpoint: "https://toy.example"}, Field: provider.FieldKey},
		},
		Fixtures: fixtures(),
		Join: func(bodies [][]byte) []byte {
			all := []json.RawMessage{}
			for _, b := range bodies {
				var list []json.RawMessage
				if json.Unmarshal(b, &list) != nil {
					list = []json.RawMessage{b}
				}
				all = append(all, list...)
			}
			return encoded(all)
		},
		Hooks: func(*testing.T) providertest.Hooks {
			hook := func(name string) provider.Hook {
				return provider.Hook{URL: "https://postyard.example/tpsp/toy/account/1", Ref: name, Credentials: provider.Credentials{Username: name, Password: secret.NewString("secret of " + name)}}
			}
			deliver := func(hook provider.Hook, body []byte) provider.Delivery {
				return provider.Delivery{Header: http.Header{signatureHeader: {sign(hook.Credentials.Password.Reveal(), body)}}, Body: body}
			}
			return providertest.Hooks{Ours: hook("ours"), Others: hook("others"), Deliver: deliver, Signed: true,
				Forged: map[string]func([]byte) provider.Delivery{
					"wrong key": func(body []byte) provider.Delivery { return deliver(hook("nobody"), body) },
				}}
		},
		SetUp: setUp,
	})
}

// fixtures has each of the provider's words once.
func fixtures() (list []providertest.Fixture) {
	for i, w := range vocabulary {
		f := providertest.Fixture{Name: w.Word, Body: encoded([]item{{ID: fmt.Sprint(i), Word: w.Word, Message: "01930000-0000-7000-8000-000000000001", TPSP: 3, Provider: "toy-1",
			Recipient: "ana@example.net", At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Text: "a text"}})}
		if typ, _ := event.TypeOf(event.Native, w.Kind); !w.None {
			f.Want = []event.Type{typ}
		}
		switch w.Word {
		case "bounced":
			f.Suppresses = []provider.Reason{provider.HardBounce}
		case "complained":
			f.Suppresses = []provider.Reason{provider.SpamComplaint}
		case "withdrawn":
			f.Refused = []provider.Class{provider.Transient}
		}
		list = append(list, f)
	}
	return list
}

func encoded(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func setUp(t *testing.T) *providertest.Account {
	t.Helper()
	s := &Server{Key: providertest.Key}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	hook := provider.Hook{URL: "https://postyard.example/tpsp/toy/account/1", Credentials: provider.Credentials{Username: "postyard-1", Password: secret.NewString("s")}}
	locked := func(f func()) func() {
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			f()
		}
	}
	ours := func(h webhook) bool { return h.Owner == "postyard-1" }
	return &providertest.Account{
		Conn: provider.Connection{Endpoint: server.URL, Key: secret.NewString(providertest.Key)}, Hook: hook,
		State: func() (list []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, h := range s.hooks {
				h.ID = ""
				list = append(list, fmt.Sprintf("%+v", h))
			}
			slices.Sort(list)
			return list
		},
		Writes: func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.writes
		},
		Live: func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.ContainsFunc(s.hooks, ours)
		},
		Spoil:  locked(func() { s.hooks[slices.IndexFunc(s.hooks, ours)].Enabled = false }),
		Remove: locked(func() { s.hooks = slices.DeleteFunc(s.hooks, ours) }),
		Double: locked(func() { s.add(s.hooks[slices.IndexFunc(s.hooks, ours)]) }),
		Foreign: locked(func() {
			s.add(webhook{Owner: "somebody", URL: hook.URL, Proof: "s", Enabled: true})
			s.add(webhook{Owner: "postyard-2", URL: "https://other.example", Proof: "s", Enabled: true})
		}),
	}
}

func FuzzParse(f *testing.F) {
	for _, one := range fixtures() {
		f.Add(one.Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reports, err := New(Config{}).Parse(nil, body)
		for _, r := range reports {
			if err != nil || r.Identity == "" || r.OccurredAt.IsZero() || r.Recipient == "" || len(r.Recipient) > maxAddress {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}
