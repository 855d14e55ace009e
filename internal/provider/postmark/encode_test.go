package postmark

import (
	"encoding/json"
	"testing"

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
