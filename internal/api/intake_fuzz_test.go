package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"postyard/internal/mail"
)

// intakes are the ways in whose bodies strangers write.
var intakes = []struct {
	name        string
	contentType string
	read        reading
}{
	{"SendGrid", "application/json", readSendGrid}, {"SES 1", "application/json", readSESv1}, {"SES 1, form", formContent, readSESv1},
	{"SES 2", "application/json", readSESv2},
}

// Whatever comes is either refused with the field's name, or becomes requests that are no larger than they may be.
func FuzzIntakes(f *testing.F) {
	f.Add([]byte(`{"personalizations":[{"to":[{"email":"a@example.com"}],"subject":"-x-","substitutions":{"-x-":"y","n":"m"},"dynamic_template_data":{"a":1},` +
		`"custom_args":{"a":"b"}},{"to":[{"email":"b"}],"cc":[{}],"from":{"email":"c"}}],"from":{"email":"a@example.com"},"subject":"s","categories":"c",` +
		`"content":[{"type":"text/html","value":"-x-"}],"attachments":[{"filename":"a","content":"aGk="}],"reply_to_list":[{"email":"r"}]}`))
	f.Add([]byte(`{"Source":"A <a@example.com>","Destination":{"ToAddresses":["b"]},"Message":{"Subject":{"Data":"s"},"Body":{"Text":{"Data":"t"}}},"Tags":[{"Name":"a"}]}`))
	f.Add([]byte(`{"FromEmailAddress":"a","Content":{"Raw":{"Data":"RnJvbTogYUBiLmMKVG86IGRAZS5mLCBnQGguaQoKeA=="}},"Destination":{"ToAddresses":["d@e.f","x"]}}`))
	f.Add([]byte(`{"Content":{"Template":{"TemplateName":"t","TemplateData":"{}","Headers":[{"Name":"X","Value":"y"}]}},"ConfigurationSetName":"c"}`))
	f.Add([]byte(url.Values{"Action": {"SendEmail"}, "Source": {"a"}, "Destination.ToAddresses.member.1": {"b"}, "Message.Body.Text.Data": {"x"}}.Encode()))
	f.Add([]byte(url.Values{"Action": {"SendRawEmail"}, "RawMessage.Data": {"RnJvbTogYQoKeA=="}, "Destinations.member.1": {"b"}}.Encode()))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, in := range intakes {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Content-Type", in.contentType)
			got, err := in.read(r, body)
			if err != nil {
				if _, ok := errors.AsType[*mail.FieldError](err); !ok {
					t.Errorf("%s: %v", in.name, err)
				}
				continue
			}
			if len(got.requests) == 0 {
				t.Errorf("%s: nothing came of %q", in.name, body)
			}
			size := 0
			for i, request := range got.requests {
				if len(request.Recipients) > 3*mail.MaxRecipients || !request.Strict {
					t.Errorf("%s: %d recipients", in.name, len(request.Recipients))
				}
				size += len(request.Content.HTML) + len(request.Content.Text)
				for _, field := range []string{"", "from.email", "to[0].email", "to[0].cc[0].email", "to[99999]", "to[x", "ippool", "headers.To[0]", "to"} {
					_ = got.blame(i, field) // does not panic
				}
			}
			if size > maxContentBytes {
				t.Errorf("%s: %d bytes of content", in.name, size)
			}
		}
	})
}
