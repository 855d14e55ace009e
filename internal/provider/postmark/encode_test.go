package postmark

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What goes over the wire is what encoding/json would make of it.
func TestEncodeAsEncodingJSON(t *testing.T) {
	t.Parallel()
	texts := rapid.OneOf(rapid.Just(""), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return texts.Draw(t, name) }
		m := &message{From: text("from"), To: text("to"), Cc: text("cc"), Bcc: text("bcc"), ReplyTo: text("replyTo"), TemplateAlias: text("alias"),
			TemplateModel: json.RawMessage(rapid.SampledFrom([]string{"", "{}", `{ "a" : "<b> \u2028" }`, "{\"a\":\"\xff\"}", `{"a"`}).Draw(t, "model")),
			Subject:       text("subject"), HTMLBody: text("html"), TextBody: text("text"), Tag: text("tag"),
			Headers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) header {
				return header{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "value")}
			}), 0, 3).Draw(t, "headers"),
			TrackOpens: rapid.Ptr(rapid.Bool(), true).Draw(t, "opens"), TrackLinks: text("links"),
			Metadata: rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "metadata"), MessageStream: text("stream"),
			Attachments: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) attachment {
				return attachment{rapid.String().Draw(t, "file"), rapid.String().Draw(t, "content"), rapid.String().Draw(t, "type")}
			}), 0, 3).Draw(t, "attachments")}
		got, failed := m.encode()
		want, err := m.marshal()
		if string(got) != string(want) || (err == nil) != (failed == nil) {
			t.Fatalf("got  %s (%v)\nwant %s (%v)", got, failed, want, err)
		}
	})
}

// FuzzResult: a result is what encoding/json reads.
func FuzzResult(f *testing.F) {
	for _, text := range []string{`{"To":"a@b.co","SubmittedAt":"2026-03-02T12:00:00Z","MessageID":"b","ErrorCode":0,"Message":"OK"}`, `{}`, `null`, `{"ErrorCode":null}`,
		`{"ErrorCode":1e2}`, `{"ErrorCode":-0,"Errorcode":1}`, `{"ErrorCode":406,"Message":null,"To":[1]}`, `{"ErrorCode":"0"}`, `{"ErrorCode":99999999999999999999}`, `[`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want result
		ok, err := got.read(text), json.Unmarshal(text, &want)
		if ok != (err == nil) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%q (%t, %v):\n%s", text, ok, err, cmp.Diff(want, got))
		}
	})
}
