package ses_test

import (
	"fmt"
	"strings"
	"testing"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/ses"
)

func TestCanCarry(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprintf("TPSP_METADATA_k%02d", i)] = "v"
	}
	headers := func(pairs ...string) func(*mail.Content) {
		return func(c *mail.Content) {
			c.Headers = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				c.Headers[pairs[i]] = pairs[i+1]
			}
		}
	}
	for name, tc := range map[string]struct {
		change      func(*mail.Content)
		code, field string
	}{
		"text":             {func(*mail.Content) {}, "", ""},
		"html":             {func(c *mail.Content) { c.Text, c.HTML = "", "<p>" }, "", ""},
		"a template alone": {func(c *mail.Content) { c.Text, c.Template = "", "welcome" }, "missing_body", "htmlBody"},
		"AMP alone":        {func(c *mail.Content) { c.Text, c.AMP = "", "<html>" }, "missing_body", "htmlBody"},
		"a header":         {headers("X-Own", "1", "List-Unsubscribe", "<https://example.com>"), "", ""},
		"a header of mail": {headers("Subject", "1"), "invalid_header", "headers.Subject"},
		"another set":      {headers("X-SES-CONFIGURATION-SET", "mine"), "invalid_header", "headers.X-SES-CONFIGURATION-SET"},
		"more tags":        {headers("x-ses-message-tags", "messageId=x"), "invalid_header", "headers.x-ses-message-tags"},
		"metadata":         {headers("TPSP_METADATA_order", "A 42 ä", "tpsp_metadata_none", ""), "", ""},
		"of 256":           {headers("TPSP_METADATA_"+strings.Repeat("k", 256), strings.Repeat("ä", 256)), "", ""},
		"a longer key":     {headers("TPSP_METADATA_"+strings.Repeat("k", 257), "v"), "invalid_metadata", "headers.TPSP_METADATA_" + strings.Repeat("k", 257)},
		"a longer value":   {headers("TPSP_METADATA_k", strings.Repeat("v", 257)), "invalid_metadata", "headers.TPSP_METADATA_k"},
		"no key":           {headers("TPSP_METADATA_ ", "v"), "invalid_metadata", "headers.TPSP_METADATA_ "},
		"our key":          {headers("TPSP_METADATA_MessageId", "v"), "invalid_metadata", "headers.TPSP_METADATA_MessageId"},
		"our group":        {headers("TPSP_METADATA_group", "v"), "invalid_metadata", "headers.TPSP_METADATA_group"},
		"two are one":      {headers("TPSP_METADATA_a.b", "v", "TPSP_METADATA_A/B", "w"), "invalid_metadata", "headers.TPSP_METADATA_a.b"},
		"too many":         {func(c *mail.Content) { c.Headers = many }, "invalid_metadata", "headers.TPSP_METADATA_k10"},
	} {
		c := &mail.Content{From: mail.Address{Email: "shop@example.com"}, Text: "Hello."}
		tc.change(c)
		bad := (&ses.Adapter{}).CanCarry(c, provider.Terms{})
		switch {
		case tc.code == "" && bad != nil:
			t.Errorf("%s: %v", name, bad)
		case tc.code != "" && (bad == nil || bad.Code != tc.code || bad.Field != tc.field):
			t.Errorf("%s: %+v, want %s at %s", name, bad, tc.code, tc.field)
		}
	}
}
