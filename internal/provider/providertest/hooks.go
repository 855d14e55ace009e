package providertest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

func testLookup(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	if !adapter.Capabilities().CanLookup {
		t.Skip("this provider cannot be asked")
	}
	since := time.Now().Add(-time.Minute)
	ids := []mail.ID{newID(t), newID(t), newID(t)}
	has := map[mail.ID]string{ids[0]: "provider-0", ids[2]: "provider-2", newID(t): "somebody-else's"}
	conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Search(w, r, has) }))

	for name, asked := range map[string][]mail.ID{
		"none": nil, "one that it has": ids[:1], "one that it has not": ids[1:2], "several": ids,
	} {
		found, err := adapter.Lookup(t.Context(), conn, asked, since)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, want := make(map[mail.ID]string), make(map[mail.ID]string)
		for _, f := range found {
			got[f.ID] = f.ProviderMessageID
		}
		for _, id := range asked {
			if providerID, ok := has[id]; ok {
				want[id] = providerID
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// An answer that is none must not look like "not found": the message would be sent again.
	for name, conn := range map[string]provider.Connection{
		"refused": h.connection("http://" + ClosedAddress(t)),
		"500":     h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })),
		"empty":   h.connection(serve(t, func(http.ResponseWriter, *http.Request) {})),
		"object":  h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })),
		"html":    h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })),
		"key": h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, Key)
		})),
	} {
		for _, asked := range [][]mail.ID{ids[:1], ids} {
			_, err := adapter.Lookup(t.Context(), conn, asked, since)
			if err == nil {
				t.Errorf("%s: %d messages looked up without an error", name, len(asked))
				continue
			}
			secretless(t, name, err)
		}
	}
}

// secretless checks that an error does not show the key.
func secretless(t *testing.T, name string, err error) {
	t.Helper()
	if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(Key)) {
		t.Errorf("%s: the error shows the key: %v", name, err)
	}
}

func testSetup(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	hook := provider.Hook{
		URL:         "https://postyard.example/hook",
		Credentials: provider.Credentials{Username: "postyard", Password: secret.NewString("hook-password")},
	}
	for name, tc := range map[string]struct {
		endpoint string
		retry    bool
	}{
		"wrong key": {endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"Message":"`+Key+`"}`)
		})},
		"down":        {"http://" + ClosedAddress(t), true},
		"unavailable": {serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), true},
	} {
		conn := h.connection(tc.endpoint)
		_, _, registerErr := adapter.Register(t.Context(), conn, hook)
		for step, err := range map[string]error{
			"check": adapter.Check(t.Context(), conn), "register": registerErr,
			"unregister": adapter.Unregister(t.Context(), conn, hook),
		} {
			refusal, ok := errors.AsType[*provider.SetupError](err)
			if !ok {
				t.Errorf("%s, %s: %v is not a SetupError", name, step, err)
				continue
			}
			if refusal.Code == "" || refusal.Message == "" || refusal.Retry != tc.retry {
				t.Errorf("%s, %s: %+v; want words and Retry %t", name, step, refusal, tc.retry)
			}
			secretless(t, name, err)
		}
	}
}

func testParse(t *testing.T, h Harness) {
	if len(h.Fixtures) == 0 {
		t.Fatal("the harness has no webhook bodies")
	}
	adapter := h.adapter(t)
	family := adapter.Capabilities().Family
	identities := make(map[string]string)
	for _, f := range h.Fixtures {
		reports, err := adapter.Parse(f.Header, f.Body)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		var types []event.Type
		for _, r := range reports {
			types = append(types, r.Type)
			if want, _ := event.TypeOf(family, r.Kind); want != r.Type {
				t.Errorf("%s: kind %d is type %d in this family, not %d", f.Name, r.Kind, want, r.Type)
			}
			if r.OccurredAt.IsZero() || r.Identity == "" {
				t.Errorf("%s: no time or no identity: %+v", f.Name, r)
			}
			if other, ok := identities[r.Identity]; ok {
				t.Errorf("%s and %s have the same identity", f.Name, other)
			}
			identities[r.Identity] = f.Name
		}
		if diff := cmp.Diff(f.Want, types); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
		again, err := adapter.Parse(f.Header, bytes.Clone(f.Body))
		if diff := cmp.Diff(reports, again); err != nil || diff != "" {
			t.Errorf("%s: a second copy differs: %v\n%s", f.Name, err, diff)
		}
	}
}

func testParseGarbage(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	for _, body := range []string{"", "null", "7", "[]", "{}", `"text"`, "<html>", "\x00\xff", strings.Repeat(`{"a":`, 20_000)} {
		if reports, err := adapter.Parse(http.Header{}, []byte(body)); err == nil {
			t.Errorf("Parse(%.20q) = %d reports without an error", body, len(reports))
		}
	}
	for _, f := range h.Fixtures {
		for cut := range f.Body {
			if reports, err := adapter.Parse(f.Header, f.Body[:cut]); err == nil && len(reports) > 0 {
				t.Fatalf("%s cut to %d bytes still gives %d reports", f.Name, cut, len(reports))
			}
			dented := bytes.Clone(f.Body)
			dented[cut] ^= 0x80
			reports, err := adapter.Parse(f.Header, dented)
			if err != nil {
				continue
			}
			for _, r := range reports {
				if !utf8.ValidString(r.Recipient + r.SMTPDescription + r.ProviderMessageID) {
					t.Fatalf("%s with byte %d changed gives invalid text: %+v", f.Name, cut, r)
				}
			}
		}
	}
}

func testAuthentic(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	credentials := func(username, password string) provider.Credentials {
		return provider.Credentials{Username: username, Password: secret.NewString(password)}
	}
	conn := h.connection("https://provider.example")
	authentic := func(header http.Header, want provider.Credentials) bool {
		ok, err := adapter.Authentic(t.Context(), conn, provider.Hook{Credentials: want}, provider.Delivery{Header: header})
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	want := credentials("postyard", "right-password")
	if !authentic(h.Sign(want), want) {
		t.Error("the right credentials are refused")
	}
	for name, header := range map[string]http.Header{
		"none":              {},
		"wrong password":    h.Sign(credentials("postyard", "wrong-password")),
		"prefix":            h.Sign(credentials("postyard", "right-passwor")),
		"empty password":    h.Sign(credentials("postyard", "")),
		"wrong user":        h.Sign(credentials("someone", "right-password")),
		"swapped":           h.Sign(credentials("right-password", "postyard")),
		"garbage":           {"Authorization": {"Basic !!!"}},
		"another scheme":    {"Authorization": {"Bearer right-password"}},
		"differs in a case": h.Sign(credentials("postyard", "RIGHT-password")),
	} {
		if authentic(header, want) {
			t.Errorf("%s: accepted", name)
		}
	}
	if none := credentials("", ""); authentic(h.Sign(none), none) {
		t.Error("a webhook without credentials accepts everybody")
	}
}
