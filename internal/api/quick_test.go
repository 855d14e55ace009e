package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wholeSend has every key of a request.
const wholeSend = `{"from":{"email":"a@b.co","name":"A"},"replyTo":{"email":"r@b.co"},"to":[{"email":"t@b.co","name":"T","cc":[{"email":"c@b.co"}],
	"bcc":[],"customFields":{"n": 1}},{"email":"u@b.co"}],"subject":"s\u00e9 \"q\"","preText":"p","htmlBody":"<p>\n</p>","textBody":"t","ampBody":"m",
	"ippool":"one","tpspTemplate":"welcome","customFields":{"k":[1, 2.5e1, null]},"headers":{"X-A":"1"},"trackOpens":true,"trackClicks":false,"groups":["g"],
	"attachments":[{"filename":"f.txt","content":"Zg=="}],"webhookEndpoint":"https://b.co/hook","tpspIppool":"fast","sgIppool":"slow",
	"template":"Hello","templateId":12,"templateVariables":{"a":"b"},"dynamicData":{"c": "d"}}`

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

// The answer is what encoding/json would make of it.
func TestSendAnswer(t *testing.T) {
	t.Parallel()
	one := rapid.Custom(func(t *rapid.T) emailResponse {
		return emailResponse{To: rapid.String().Draw(t, "to"), SubmittedAt: rapid.Int64().Draw(t, "at"), MessageID: rapid.String().Draw(t, "id"),
			ErrorCode: rapid.Int().Draw(t, "code"), Message: rapid.String().Draw(t, "message")}
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(one, 1, 3).Draw(t, "list")
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(list); err != nil {
			t.Fatal(err)
		}
		if got := encodeResponses(list); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("got  %s\nwant %s", got, &want)
		}
	})
}
