package sendgrid_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/providertest"
	"postyard/internal/provider/sendgrid"
	"postyard/internal/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, dial providertest.Dial) provider.Adapter {
			return sendgrid.New(sendgrid.Config{Transport: providertest.Transport(t, dial), Now: func() time.Time { return testNow }, AllowPrivate: true})
		},
		Connection: func(conn provider.Connection) provider.Connection { return conn },
		Content:    plain,
		Wire:       providertest.OverHTTP(playSend, nil, nil),
		Replies:    replies(),
		Never:      []provider.Class{provider.Inactive}, // its suppression lists answer with events
		WholeCalls: true,
		SharedIDs:  true,
		Given:      given(),
		Fixtures:   fixtures(),
		Join: func(bodies [][]byte) []byte {
			var items [][]byte
			for _, b := range bodies {
				var list []json.RawMessage
				if json.Unmarshal(b, &list) == nil && len(list) == 1 {
					b = list[0]
				}
				items = append(items, b)
			}
			return append(append([]byte("["), bytes.Join(items, []byte(","))...), "]\r\n"...)
		},
		Hooks: func(*testing.T) providertest.Hooks { return signedHooks() },
		SetUp: setUp,
	})
}

// replies are SendGrid's answers to one message; classify_test.go has more.
func replies() (list []providertest.Reply) {
	for _, r := range []struct {
		name, message, field string
		headers              []string
		want                 provider.Outcome
	}{
		{"invalid", "Does not contain a valid address.", "personalizations.0.to.0.email", nil, provider.Outcome{Class: provider.Rejected, HTTPStatus: 400}},
		{"too large", "", "", nil, provider.Outcome{Class: provider.Rejected, HTTPStatus: 413, Elsewhere: true}},
		{"out of credits", "Maximum credits exceeded", "", nil, provider.Outcome{Class: provider.Account, HTTPStatus: 401}},
		{"bad key", "The provided authorization grant is invalid, expired, or revoked " + providertest.Key, "", nil, provider.Outcome{Class: provider.Account, HTTPStatus: 401}},
		{"sender not verified", "The from address does not match a verified Sender Identity.", "from", nil,
			provider.Outcome{Class: provider.Account, HTTPStatus: 403, SenderOnly: true}},
		{"suspended", "access forbidden", "", nil, provider.Outcome{Class: provider.Account, HTTPStatus: 403}},
		{"too much", "too many requests", "", []string{"X-RateLimit-Reset: " + strconv.FormatInt(testNow.Add(9*time.Second).Unix(), 10)},
			provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, RetryAfter: 9 * time.Second}},
		{"a fault inside", "internal error", "", nil, provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 500}},
		{"unavailable", "service unavailable", "", nil, provider.Outcome{Class: provider.Transient, HTTPStatus: 503}},
	} {
		body := ""
		if r.message != "" {
			body = errorsBody(r.message, r.field)
		}
		list = append(list, providertest.Reply{Name: r.name, Bytes: providertest.HTTPAnswer(r.want.HTTPStatus, body, r.headers...), Want: r.want})
	}
	return list
}

func given() []providertest.Given {
	conn := func(key, other, endpoint string) provider.Connection {
		return provider.Connection{Key: secretOf(key), Secret: secretOf(other), Endpoint: endpoint}
	}
	return []providertest.Given{
		{Name: "as the key", Conn: conn(" SG.a.b ", "", ""), Want: conn("SG.a.b", "", "")},
		{Name: "as the secret", Conn: conn("", "SG.a.b", ""), Want: conn("SG.a.b", "", "")},
		{Name: "Europe", Conn: conn("SG.a.b", "", "https://api.eu.sendgrid.com/v3/"), Want: conn("SG.a.b", "", "https://api.eu.sendgrid.com")},
		{Name: "no key", Conn: conn("", "", ""), Field: "key"},
		{Name: "spaces", Conn: conn("", "SG.a b", ""), Field: "secret"},
	}
}

// fixtures have each kind of event, one to a body.
func fixtures() (list []providertest.Fixture) {
	add := func(name, fields string, want event.Type, suppresses ...provider.Reason) *providertest.Fixture {
		body := fmt.Sprintf(`[{"email":"ada@recipient.example","timestamp":%d,"sg_event_id":"event-%d","sg_message_id":"mid.recvd-1.2","smtp-id":"<x@y>",`+
			`"accountId":"11","subAccountId":"22","tpspId":"33","messageId":"%s","emailType":"gmail",%s}]`+"\r\n", testNow.Unix()-60, len(list), messageID(1), fields)
		list = append(list, providertest.Fixture{Name: name, Body: []byte(body), Want: []event.Type{want}, Suppresses: suppresses})
		return &list[len(list)-1]
	}
	add("processed", `"event":"processed","category":["a","b"]`, 14)
	add("delivered", `"event":"delivered","response":"250 2.0.0 OK"`, 15)
	add("deferred", `"event":"deferred","response":"451 later","attempt":"1","category":"a"`, 16)
	add("bounce", `"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 5.1.1 no such user"`, 18, provider.HardBounce)
	add("blocked", `"event":"bounce","type":"blocked","status":"5.7.1","reason":"554 refused"`, 19)
	add("expired", `"event":"bounce","type":"expired"`, 19)
	add("open", `"event":"open","useragent":"Mozilla/5.0","ip":"203.0.113.20","sg_machine_open":false`, 20)
	add("click", `"event":"click","useragent":"Mozilla/5.0","ip":"203.0.113.20","url":"https://example.com/"`, 21)
	add("spamreport", `"event":"spamreport"`, 22, provider.SpamComplaint)
	add("unsubscribe", `"event":"unsubscribe"`, 23, provider.Unsubscribed)
	add("group_unsubscribe", `"event":"group_unsubscribe","asm_group_id":10`, 24)
	add("group_resubscribe", `"event":"group_resubscribe","asm_group_id":10`, 25)
	add("dropped, unsubscribed", `"event":"dropped","reason":"Unsubscribed Address"`, 17, provider.Unsubscribed)
	add("dropped, bounced", `"event":"dropped","reason":"Bounced Address"`, 17, provider.HardBounce)
	add("dropped, spam report", `"event":"dropped","reason":"Spam Reporting Address"`, 17, provider.SpamComplaint)
	add("dropped, spam content", `"event":"dropped","reason":"Spam Content"`, 17)
	add("dropped, quota", `"event":"dropped","reason":"Recipient List over Package Quota"`, 17).Refused = []provider.Class{provider.Account}
	return list
}

// signedHooks are two webhooks with keys of their own.
func signedHooks() providertest.Hooks {
	hook := func(name string) provider.Hook {
		return provider.Hook{URL: hookURL, Ref: name + " " + publicKeyOf(name), Credentials: provider.Credentials{Username: name, Password: secret.NewString("unused")}}
	}
	const stamp = "1772452800"
	as := func(name, timestamp string) func([]byte) provider.Delivery {
		return func(body []byte) provider.Delivery {
			return provider.Delivery{Header: sign(keyOf(name), timestamp, body), Body: body}
		}
	}
	with := func(change func(h http.Header)) func([]byte) provider.Delivery {
		return func(body []byte) provider.Delivery {
			d := as("ours", stamp)(body)
			change(d.Header)
			return d
		}
	}
	return providertest.Hooks{
		Conn: connection("https://api.sendgrid.example"), Ours: hook("ours"), Others: hook("others"), Signed: true,
		Deliver: func(hook provider.Hook, body []byte) provider.Delivery {
			name, _, _ := strings.Cut(hook.Ref, " ")
			return as(name, stamp)(body)
		},
		Forged: map[string]func([]byte) provider.Delivery{
			"another key":       as("others", stamp),
			"no time":           as("ours", ""),
			"another time":      with(func(h http.Header) { h.Set(timestampHeader, "1772452801") }),
			"time of a shape":   as("ours", "soon"),
			"not base64":        with(func(h http.Header) { h.Set(signatureHeader, "!!!") }),
			"signature cut":     with(func(h http.Header) { h.Set(signatureHeader, h.Get(signatureHeader)[:20]) }),
			"an empty sequence": with(func(h http.Header) { h.Set(signatureHeader, "MAA=") }),
		},
	}
}

// setUp plays an account of SendGrid's with its Event Webhooks.
func setUp(t *testing.T) *providertest.Account {
	t.Helper()
	h := &hooks{}
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v3/user/profile":
			reply(w, http.StatusOK, map[string]any{"first_name": "Ada"})
		case strings.HasPrefix(r.URL.Path, settingsPath):
			h.ServeHTTP(w, r)
		default:
			refuse(w, http.StatusNotFound, "not found", "")
		}
	}))
	return &providertest.Account{
		Conn: conn, Hook: ourHook(), State: h.state, Writes: h.writes,
		Live: func() bool {
			id := h.ours()
			return id != "" && h.standing()[id]["enabled"] == true
		},
		Spoil: func() {
			h.change(h.ours(), map[string]any{"enabled": false, "click": false, "public_key": ""})
		},
		Remove: func() { h.change(h.ours(), nil) },
		Foreign: func() {
			h.add(asOurs(map[string]any{"url": "https://other.example/", "public_key": publicKeyOf("somebody")}))
			h.add(asOurs(map[string]any{"url": hookURL, "friendly_name": "somebody"}))
			h.add(asOurs(map[string]any{"url": hookURL + "?hook=postyard-44", "friendly_name": "postyard-44"}))
		},
	}
}

// ours returns the id of the webhook that has our URL, "" when there is none.
func (h *hooks) ours() string {
	for id, s := range h.standing() {
		if s["url"] == ourURL {
			return id
		}
	}
	return ""
}

// change changes a webhook, or removes it.
func (h *hooks) change(id string, fields map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fields == nil {
		delete(h.stored, id)
		return
	}
	maps.Copy(h.stored[id], fields)
}

// writes counts the calls that were to change something.
func (h *hooks) writes() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if !strings.HasPrefix(c, http.MethodGet) {
			n++
		}
	}
	return n
}

// state lists the webhooks without their ids and keys.
func (h *hooks) state() (list []string) {
	for _, hook := range h.standing() {
		hook["signed"] = hook["public_key"] != ""
		delete(hook, "id")
		delete(hook, "public_key")
		text, err := json.Marshal(hook)
		if err != nil {
			panic(err)
		}
		list = append(list, string(text))
	}
	slices.Sort(list)
	return list
}
