package postmark_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

var update = flag.Bool("update", false, "write the golden files")

// sent returns the requests that a batch becomes.
func sent(t *testing.T, batch []provider.Outgoing) []request {
	t.Helper()
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) })))
	for i, o := range newAdapter(t).Send(t.Context(), conn, batch) {
		if o.Class != provider.Accepted {
			t.Fatalf("outcome %d: %+v", i, o)
		}
	}
	return rec.all()
}

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func fullMessage() provider.Outgoing {
	return provider.Outgoing{
		ID: messageID(1), AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "googleworkspace",
		Content: &mail.Content{
			From:         mail.Address{Email: "noreply@example.com", Name: "Example, Inc."},
			ReplyTo:      &mail.Address{Email: "help@example.com", Name: "Zoë Müller"},
			Subject:      "Welcome <you> & yours",
			Template:     "welcome-template",
			HTML:         "<p>not used</p>",
			Text:         "not used",
			CustomFields: json.RawMessage(`{"name":"everybody","big":9007199254740993,"list":[1,2],"html":"<b>&</b>"}`),
			Headers: map[string]string{
				"X-Campaign": "spring", "List-Unsubscribe": "<https://example.com/u>", "tpsp_metadata_orderId": "A-77",
				"TPSP_METADATA_tenant": "north", "A-First": "1", "x-pm-message-stream": "broadcast",
			},
			Groups:      []string{"welcome", "second"},
			Attachments: []mail.Attachment{{Filename: "terms.PDF", Content: "JVBERg=="}, {Filename: "data.unknown", Content: "AAEC"}},
			TrackOpens:  yes(),
			TrackClicks: yes(),
		},
		Recipient: mail.Recipient{
			Address:      mail.Address{Email: "ana@example.net", Name: `Ana "the Boss" O'Neil`},
			CC:           []mail.Address{{Email: "cc1@example.net", Name: "Doe, Jane"}, {Email: "cc2@example.net"}},
			BCC:          []mail.Address{{Email: "bcc@example.net", Name: "back\\slash"}},
			CustomFields: json.RawMessage(`{"name":"Ana"}`),
		},
	}
}

func TestWireFormat(t *testing.T) {
	t.Parallel()
	plain := outgoing(1)[0]
	untracked := outgoing(2)[1]
	untracked.Content.TrackOpens, untracked.Content.TrackClicks = no(), no()
	untracked.Content.CustomFields = json.RawMessage("null")
	for name, tc := range map[string]struct {
		path  string
		batch []provider.Outgoing
	}{
		"full":  {"/email/withTemplate", []provider.Outgoing{fullMessage()}},
		"plain": {"/email/withTemplate", []provider.Outgoing{plain}},
		"batch": {"/email/batchWithTemplates", []provider.Outgoing{plain, untracked}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := sent(t, tc.batch)
			if len(requests) != 1 {
				t.Fatalf("%d requests", len(requests))
			}
			r := requests[0]
			if r.method != http.MethodPost || r.path != tc.path {
				t.Errorf("%s %s, want POST %s", r.method, r.path, tc.path)
			}
			for key, want := range map[string]string{
				"X-Postmark-Server-Token": testKey, "Accept": "application/json", "Content-Type": "application/json",
				"User-Agent": "Postyard/test", "X-Postmark-Account-Token": "",
			} {
				if got := r.header.Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
			golden(t, "send-"+name, r.body)
		})
	}
}

// golden compares JSON with a file, byte for byte but for indentation.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatalf("the body is not JSON: %v", err)
	}
	indented.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read (run with -update to make it): %v", err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestNeverASubjectOrBody: Postmark refuses the mere keys beside a template.
func TestNeverASubjectOrBody(t *testing.T) {
	t.Parallel()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(sent(t, []provider.Outgoing{fullMessage()})[0].body, &object); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Subject", "HtmlBody", "TextBody", "TemplateId"} {
		if _, ok := object[key]; ok {
			t.Errorf("%s is sent", key)
		}
	}
}

// subjectOf returns the subject in the metadata of a sent message.
func subjectOf(t *testing.T, subject string) string {
	t.Helper()
	out := outgoing(1)[0]
	out.Content.Subject = subject
	return decodeMessages(t, sent(t, []provider.Outgoing{out})[0])[0].Metadata["messageSubject"]
}

func TestSubjectIsCutAt80(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"":                               "",
		strings.Repeat("x", 80):          strings.Repeat("x", 80),
		strings.Repeat("x", 81):          strings.Repeat("x", 80),
		strings.Repeat("ü", 81):          strings.Repeat("ü", 80),
		strings.Repeat("🚀", 40):          strings.Repeat("🚀", 40),
		strings.Repeat("🚀", 41):          strings.Repeat("🚀", 40),
		strings.Repeat("x", 79) + "🚀":    strings.Repeat("x", 79),
		strings.Repeat("x", 78) + "🚀y":   strings.Repeat("x", 78) + "🚀",
		"bad \xff byte":                  "bad \ufffd byte",
		strings.Repeat("x", 79) + "\xff": strings.Repeat("x", 79) + "\ufffd",
	} {
		if got := subjectOf(t, subject); got != want {
			t.Errorf("%q is cut to %q, want %q", subject, got, want)
		}
	}
}

// TestSubjectIsCut is about all subjects, counting as Postmark's platform counts.
func TestSubjectIsCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		subject := rapid.StringN(60, 120, -1).Draw(rt, "subject")
		got := subjectOf(t, subject)
		units := len(utf16.Encode([]rune(got)))
		switch {
		case units > 80 || !utf8.ValidString(got):
			rt.Fatalf("%q has %d units", got, units)
		case !strings.HasPrefix(subject, got):
			rt.Fatalf("%q does not begin %q", got, subject)
		case got != subject && units < 79:
			rt.Fatalf("%q is cut to %d units", subject, units)
		}
	})
}

func TestCanCarry(t *testing.T) {
	t.Parallel()
	meta := func(pairs ...string) map[string]string {
		headers := map[string]string{"X-Other": strings.Repeat("x", 500)}
		for i := 0; i < len(pairs); i += 2 {
			headers["TPSP_METADATA_"+pairs[i]] = pairs[i+1]
		}
		return headers
	}
	for name, tc := range map[string]struct {
		change      func(*mail.Content)
		code, field string // "" when it can be carried
	}{
		"plain":       {func(*mail.Content) {}, "", ""},
		"no template": {func(c *mail.Content) { c.Template = " " }, "missing_tpsp_template", "tpspTemplate"},
		"four keys":   {func(c *mail.Content) { c.Headers = meta("a", "1", "b", "2", "c", "3", "d", "4") }, "", ""},
		"five keys": {func(c *mail.Content) { c.Headers = meta("a", "1", "b", "2", "c", "3", "d", "4", "e", "5") },
			"invalid_metadata", "headers.TPSP_METADATA_e"},
		"key at the limit": {func(c *mail.Content) { c.Headers = meta(strings.Repeat("ü", 20), "1") }, "", ""},
		"key too long": {func(c *mail.Content) { c.Headers = meta(strings.Repeat("k", 21), "1") },
			"invalid_metadata", "headers.TPSP_METADATA_" + strings.Repeat("k", 21)},
		"value at the limit": {func(c *mail.Content) { c.Headers = meta("a", strings.Repeat("ü", 80)) }, "", ""},
		"value too long": {func(c *mail.Content) { c.Headers = meta("a", strings.Repeat("v", 81)) },
			"invalid_metadata", "headers.TPSP_METADATA_a"},
		"empty key": {func(c *mail.Content) { c.Headers = meta("", "1") }, "invalid_metadata", "headers.TPSP_METADATA_"},
		"reserved":  {func(c *mail.Content) { c.Headers = meta("MESSAGEID", "1") }, "invalid_metadata", "headers.TPSP_METADATA_MESSAGEID"},
		"reserved, lower prefix": {func(c *mail.Content) { c.Headers = map[string]string{"tpsp_metadata_tpspId": "1"} },
			"invalid_metadata", "headers.tpsp_metadata_tpspId"},
		"equal but for case": {func(c *mail.Content) { c.Headers = meta("Order", "1", "order", "2") },
			"invalid_metadata", "headers.TPSP_METADATA_order"},
		"tag at the limit": {func(c *mail.Content) { c.Groups = []string{strings.Repeat("g", 1000)} }, "", ""},
		"tag too long":     {func(c *mail.Content) { c.Groups = []string{strings.Repeat("g", 1001)} }, "invalid_group", "groups[0]"},
		"second group":     {func(c *mail.Content) { c.Groups = []string{"g", strings.Repeat("g", 1001)} }, "", ""},
		"from too long":    {func(c *mail.Content) { c.From.Name = strings.Repeat("n", 240) }, "invalid_from", "from"},
		"program": {func(c *mail.Content) { c.Attachments = []mail.Attachment{{Filename: "a.txt"}, {Filename: "setup.EXE"}} },
			"forbidden_attachment", "attachments[1].filename"},
		"no extension": {func(c *mail.Content) { c.Attachments = []mail.Attachment{{Filename: "exe"}} }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := templated()
			tc.change(content)
			got := newAdapter(t).CanCarry(content, provider.Terms{})
			switch {
			case tc.code == "" && got != nil:
				t.Errorf("refused: %v", got)
			case tc.code != "" && (got == nil || got.Code != tc.code || got.Field != tc.field || got.Message == ""):
				t.Errorf("got %+v, want %s of %s", got, tc.code, tc.field)
			}
		})
	}
}
