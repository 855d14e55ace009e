package api

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wholeSend has every key of a request.
const wholeSend = `{"from":{"email":"a@b.co","name":"A"},"replyTo":{"email":"r@b.co"},"to":[{"email":"t@b.co","name":"T","cc":[{"email":"c@b.co"}],
	"bcc":[],"customFields":{"n": 1}},{"email":"u@b.co"}],"subject":"s\u00e9 \"q\"","preText":"p","htmlBody":"<p>\n</p>","textBody":"t","ampBody":"m",
	"ippool":"one","tpspTemplate":"welcome","customFields":{"k":[1, 2.5e1, null]},"headers":{"X-A":"1"},"trackOpens":true,"trackClicks":false,"groups":["g"],
	"attachments":[{"filename":"f.txt","content":"Zg=="}],"webhookEndpoint":"https://b.co/hook"}`

func TestSendIsReadQuickly(t *testing.T) {
	t.Parallel()
	for _, body := range []string{wholeSend, `{}`, `{"from":null,"replyTo":null,"to":null,"customFields":null,"trackOpens":null,"groups":null}`} {
		var in sendRequest
		if !in.read([]byte(body)) {
			t.Errorf("%s is left to decode", body)
		}
		sameSend(t, []byte(body))
	}
	var in sendRequest
	in.read([]byte(wholeSend))
	for v, i := reflect.ValueOf(in), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not part of this test", v.Type().Field(i).Name)
		}
	}
}

// sameSend holds what read takes against decode.
func sameSend(t *testing.T, body []byte) {
	t.Helper()
	var quick, want sendRequest
	if !quick.read(body) {
		return
	}
	if err := decode(body, &want); err != nil || !reflect.DeepEqual(quick, want) {
		t.Errorf("%q (%v):\n%s", body, err, cmp.Diff(want, quick))
	}
}

func FuzzSendIsReadAsDecoded(f *testing.F) {
	for _, body := range []string{wholeSend, `{"From":{}}`, `{"to":[{"email":null},null]}`, `{"subject":"a","subject":"b"}`, `{"x":1}`, `[]`, `{"to":[{}]} x`} {
		f.Add([]byte(body))
	}
	f.Fuzz(sameSend)
}
