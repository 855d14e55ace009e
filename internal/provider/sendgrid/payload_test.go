package sendgrid_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	for i, o := range newAdapter(t).Send(t.Context(), accepting(t, &rec), batch) {
		if o.Class != provider.Accepted {
			t.Fatalf("outcome %d: %+v", i, o)
		}
	}
	return rec.all()
}

func fullMessage() provider.Outgoing {
	return provider.Outgoing{
		ID: messageID(1), AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "googleworkspace",
		Content: &mail.Content{
			From:    mail.Address{Email: "noreply@example.com", Name: "Example, Inc."},
			ReplyTo: &mail.Address{Email: "help@example.com", Name: "Zoë Müller"},
			Subject: "Welcome <you> & {{yours}}",
			PreText: "In short",
			HTML:    "<html><body><p>Hi {{name}}</p></body></html>",
			Text:    "Hi {{name}}",
			Headers: map[string]string{
				"X-Campaign": "spring", "X-Size": "Größe", "tpsp_metadata_orderId": "A-77", "TPSP_METADATA_tenant": "north",
			},
			Groups:      []string{"Grüße", "welcome", "second", "welcome"},
			Attachments: []mail.Attachment{{Filename: "terms.PDF", Content: "JVBERg=="}, {Filename: "data.unknown", Content: "AAEC"}},
			TrackOpens:  yes(),
			TrackClicks: no(),
			TPSPPool:    "transactional",
		},
		Recipient: mail.Recipient{
			Address: mail.Address{Email: "ada@recipient.example", Name: "Ada"},
			CC:      []mail.Address{{Email: "ADA@recipient.example"}, {Email: "bob@recipient.example", Name: "Bob"}},
			BCC:     []mail.Address{{Email: "Bob@Recipient.example"}, {Email: "eve@recipient.example"}, {Email: "eve@recipient.example"}},
		},
	}
}

// The wire format stands in golden files.
func TestPayload(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string][]provider.Outgoing{
		"full": {fullMessage()}, "plain": outgoing(1, plain()), "several": outgoing(3, plain()),
	} {
		requests := sent(t, batch)
		if len(requests) != 1 {
			t.Fatalf("%s: %d calls", name, len(requests))
		}
		r := requests[0]
		if r.method != "POST" || r.path != "/v3/mail/send" || r.header.Get("Authorization") != "Bearer "+testKey ||
			r.header.Get("Content-Type") != "application/json" || r.header.Get("User-Agent") != "Postyard/test" {
			t.Errorf("%s: %s %s %v", name, r.method, r.path, r.header)
		}
		golden(t, "send-"+name, r.body)
	}
}

func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, body)
	}
	pretty, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, append(pretty, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(pretty)+"\n"); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Plain text stands before HTML, whatever else there is.
func TestTextBeforeHTML(t *testing.T) {
	t.Parallel()
	content := plain()
	content.HTML = "<p>Hello</p>"
	body := string(sent(t, outgoing(1, content))[0].body)
	if text, html := strings.Index(body, "text/plain"), strings.Index(body, "text/html"); text < 0 || html < text {
		t.Errorf("text at %d, html at %d", text, html)
	}
}

// SendGrid fills in only what it is given values for.
func TestNothingIsFilledIn(t *testing.T) {
	t.Parallel()
	content := plain()
	content.Text, content.HTML, content.Subject = "Hi {{name}} -name-", "<p>{{{raw}}}</p>", "{{#if x}}y{{/if}}"
	content.CustomFields, content.Template = json.RawMessage(`{"name":"x"}`), "welcome"
	r := sent(t, outgoing(1, content))[0]
	for _, key := range []string{"substitutions", "sections", "template_id", "dynamic_template_data"} {
		if strings.Contains(string(r.body), key) {
			t.Errorf("the call has %s: %s", key, r.body)
		}
	}
	w := r.wire(t)
	if w.Subject != content.Subject || w.Content[0].Value != content.Text || w.Content[1].Value != content.HTML {
		t.Errorf("%+v", w)
	}
}

// What the request does not say of tracking is the account's to say.
func TestTracking(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		opens, clicks *bool
		want          string
	}{
		{nil, nil, ""},
		{yes(), nil, `{"open_tracking":{"enable":true}}`},
		{nil, no(), `{"click_tracking":{"enable":false}}`},
		{no(), yes(), `{"click_tracking":{"enable":true},"open_tracking":{"enable":false}}`},
	} {
		content := plain()
		content.TrackOpens, content.TrackClicks = test.opens, test.clicks
		var got struct {
			Settings json.RawMessage `json:"tracking_settings"`
		}
		if err := json.Unmarshal(sent(t, outgoing(1, content))[0].body, &got); err != nil || string(got.Settings) != test.want {
			t.Errorf("%v, %s; want %s", err, got.Settings, test.want)
		}
	}
}

// A call is valid JSON that says of every message what it is, whatever the texts are.
func TestPayloadHoldsAnything(t *testing.T) {
	t.Parallel()
	adapter := newAdapter(t)
	rapid.Check(t, func(rt *rapid.T) {
		var rec recorder
		conn := accepting(t, &rec)
		text := rapid.StringN(1, 40, 200)
		content := &mail.Content{From: mail.Address{Email: "a@example.com", Name: rapid.String().Draw(rt, "name")}, Subject: text.Draw(rt, "subject"),
			HTML: text.Draw(rt, "html"), Text: text.Draw(rt, "text"), Headers: map[string]string{"X-Any": rapid.String().Draw(rt, "header")}}
		batch := outgoing(rapid.IntRange(1, 4).Draw(rt, "messages"), content)
		for _, o := range adapter.Send(t.Context(), conn, batch) {
			if o.Class != provider.Accepted {
				rt.Fatalf("%+v", o)
			}
		}
		var got wire
		if err := json.Unmarshal(rec.all()[0].body, &got); err != nil {
			rt.Fatal(err)
		}
		if got.Subject != content.Subject || got.Content[0].Value != content.Text || got.Content[1].Value != content.HTML || got.From.Name != content.From.Name {
			rt.Fatalf("%+v", got)
		}
		for i, p := range got.Personalizations {
			if p.CustomArgs["messageId"] != batch[i].ID.String() || p.To[0].Email != batch[i].Recipient.Email {
				rt.Fatalf("%d: %+v", i, p)
			}
		}
	})
}
