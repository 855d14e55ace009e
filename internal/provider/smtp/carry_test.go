package smtp

import (
	"bytes"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

var testID = uuid.MustParse("019f3d50-0000-7000-8000-000000000001")

func outgoing() *provider.Outgoing {
	return &provider.Outgoing{ID: testID, AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "gmail",
		Content:   &mail.Content{From: mail.Address{Email: "shop@example.com"}, Subject: "Hello", Text: "Hello."},
		Recipient: mail.Recipient{Address: mail.Address{Email: "ana@recipient.example"}}}
}

func TestCanCarry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change      func(*mail.Content)
		code, field string
	}{
		"text":      {func(*mail.Content) {}, "", ""},
		"html":      {func(c *mail.Content) { c.Text, c.HTML = "", "<p>" }, "", ""},
		"both":      {func(c *mail.Content) { c.Template = "welcome" }, "", ""},
		"template":  {func(c *mail.Content) { c.Text, c.Template = "", "welcome" }, "missing_body", "htmlBody"},
		"AMP alone": {func(c *mail.Content) { c.Text, c.AMP = "", "<html>" }, "missing_body", "htmlBody"},
		"metadata":  {func(c *mail.Content) { c.Headers = map[string]string{"Tpsp_Metadata_From": strings.Repeat("x", 2000)} }, "", ""},
		"subject":   {func(c *mail.Content) { c.Headers = map[string]string{"SUBJECT": "x"} }, "invalid_header", "headers.SUBJECT"},
		"SES's own": {func(c *mail.Content) { c.Headers = map[string]string{"X-SES-Configuration-Set": "x"} }, "", ""},
	} {
		out := outgoing()
		tc.change(out.Content)
		bad := (&Adapter{}).CanCarry(out.Content, provider.Terms{})
		switch {
		case tc.code == "" && bad != nil:
			t.Errorf("%s: %v", name, bad)
		case tc.code != "" && (bad == nil || bad.Code != tc.code || bad.Field != tc.field):
			t.Errorf("%s: %+v, want %s at %s", name, bad, tc.code, tc.field)
		}
	}
}

// Every message names itself and its way (CS-8), but for mail through an IP, which is no provider's.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for tpsp, want := range map[int32][2]string{3: {"3", "6"}, -3: {"", ""}} {
		out := outgoing()
		out.TPSPID = tpsp
		m, err := write(out, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"X-Sendpost-Message-Uuid": testID.String(), "X-Sendpost-Account-Id": "1", "X-Sendpost-Subaccount-Id": "2",
			"X-Sendpost-Tpsp-Id": want[0], "X-Sendpost-Tpsp-Type": want[1],
		} {
			if got := parsed.Header.Get(name); got != want || len(parsed.Header[name]) > 1 {
				t.Errorf("TPSP %d, %s: %q, want %q", tpsp, name, parsed.Header[name], want)
			}
		}
	}
}
