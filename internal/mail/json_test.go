package mail

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	anyAddress = rapid.Custom(func(t *rapid.T) Address {
		return Address{rapid.String().Draw(t, "email"), rapid.String().Draw(t, "name")}
	})
	anyFields = rapid.Custom(func(t *rapid.T) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{"", `{}`, `{"a":1}`, ` { "b" : [ 1 , "< \" >" ] } `, "{\"é\u2028\":{\"x\":null}}", `{"a":"\ud800"}`,
			"{\"a\":\"\xff\",\"\xff\":1}", `{"a":2,"a":3}`, `{"\u0061":4}`, `[`, `1`}).Draw(t, "fields"))
	})
	anyContent = rapid.Custom(func(t *rapid.T) *Content {
		text := func(name string) string { return rapid.String().Draw(t, name) }
		return &Content{
			From: anyAddress.Draw(t, "from"), ReplyTo: rapid.Ptr(anyAddress, true).Draw(t, "replyTo"), Subject: text("subject"), PreText: text("preText"),
			HTML: text("html"), Text: text("text"), AMP: text("amp"), Pool: text("pool"), Template: text("template"), CustomFields: anyFields.Draw(t, "fields"),
			Headers:     rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "headers"),
			Groups:      rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "groups"),
			Attachments: rapid.SliceOfN(rapid.Map(anyAddress, func(a Address) Attachment { return Attachment{a.Email, a.Name} }), 0, 3).Draw(t, "files"),
			TrackOpens:  rapid.Ptr(rapid.Bool(), true).Draw(t, "opens"), TrackClicks: rapid.Ptr(rapid.Bool(), true).Draw(t, "clicks"),
			WebhookEndpoint: text("webhook"),
		}
	})
)

// What is stored is what encoding/json makes of it, but for the escapes of HTML.
func TestEncode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyContent.Draw(t, "content")
		got, err := c.Encode()
		sameText(t, got, err, c)
		if err == nil {
			sameContent(t, got)
		}
		r := &Recipient{Address: c.From, CC: rapid.SliceOfN(anyAddress, 0, 3).Draw(t, "cc"), BCC: rapid.SliceOfN(anyAddress, 0, 3).Draw(t, "bcc"),
			CustomFields: c.CustomFields}
		got, err = r.Encode()
		sameText(t, got, err, r)
		if err == nil {
			sameRecipient(t, got)
		}
	})
}

func sameText(t *rapid.T, got []byte, failed error, v any) {
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); (err == nil) != (failed == nil) {
		t.Fatalf("%+v: error %v, want %v", v, failed, err)
	}
	if failed == nil && !bytes.Equal(got, bytes.TrimSpace(want.Bytes())) {
		if escaped, err := json.Marshal(v); err != nil || !bytes.Equal(got, escaped) { // where encoding/json was asked
			t.Fatalf("got  %s\nwant %s", got, &want)
		}
	}
}

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Errorf(format string, args ...any)
}

func sameContent(t reporter, text []byte) {
	got, failed := DecodeContent(text)
	want := &Content{}
	err := json.Unmarshal(text, want)
	if (err == nil) != (failed == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q (%v, want %v):\n%s", text, failed, err, cmp.Diff(want, got))
	}
}

func sameRecipient(t reporter, text []byte) {
	got, want := Recipient{Address: Address{Name: "old"}}, Recipient{}
	failed, err := DecodeRecipient(text, &got), json.Unmarshal(text, &want)
	if (err == nil) != (failed == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q (%v, want %v):\n%s", text, failed, err, cmp.Diff(want, got))
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{storedContent, storedRecipient, `{}`, `null`, `{"from":null,"replyTo":null,"cc":[null],"customFields":null}`, `{"From":{}}`,
		`{"headers":{"a":null},"groups":[null]}`, `{"email":"a","email":"b"}`, `{"attachments":[{},null]}`, `{"trackOpens":null,"trackClicks":1}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sameContent(t, text)
		sameRecipient(t, text)
	})
}

// What was decoded does not change with the text, which is the store's.
func TestDecodeKeepsNothing(t *testing.T) {
	t.Parallel()
	content, recipient := []byte(storedContent), []byte(storedRecipient)
	c, err := DecodeContent(content)
	if err != nil {
		t.Fatal(err)
	}
	var r Recipient
	if err := DecodeRecipient(recipient, &r); err != nil {
		t.Fatal(err)
	}
	clear(content)
	clear(recipient)
	checkStored(t, *c, storedContent)
	checkStored(t, r, storedRecipient)
}

func TestMergeIsWhatAMapWouldHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		request, recipient := anyFields.Draw(t, "request"), anyFields.Draw(t, "recipient")
		merged, err := MergeFields(request, recipient)
		want := map[string]any{}
		for _, side := range []json.RawMessage{request, recipient} {
			var fields map[string]any
			if len(side) == 0 {
				continue
			}
			if bad := json.Unmarshal(side, &fields); bad != nil {
				if err == nil {
					t.Fatalf("%s is taken", side)
				}
				return
			}
			maps.Copy(want, fields)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(merged, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s over %s gives %s (%v)", recipient, request, merged, err)
		}
	})
}
