package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"postyard/internal/mail"
)

func TestDecodeNamesTheField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, code, field, words string }{
		{``, "missing_body", "", "empty"},
		{" \n\t", "missing_body", "", "empty"},
		{`null`, "wrong_type", "", "must be a JSON object, not null"},
		{`[]`, "wrong_type", "", "not a list"},
		{`"x"`, "wrong_type", "", "not a string"},
		{`17`, "wrong_type", "", "not a number"},
		{`{`, "malformed_json", "", "unexpected end"},
		{`{"to":[}`, "malformed_json", "", "at byte 8"},
		{`{} {}`, "malformed_json", "", "after top-level value"},
		{`{}x`, "malformed_json", "", "after top-level value"},
		{`{"subject":'x'}`, "malformed_json", "", "not valid JSON"},
		{`{"subject":17}`, "wrong_type", "subject", "subject must be a string, not the number"},
		{`{"subject":{"a":1}}`, "wrong_type", "subject", "must be a string, not an object"},
		{`{"trackOpens":"yes"}`, "wrong_type", "trackOpens", "must be true or false, not a string"},
		{`{"trackOpens":true,"trackClicks":1}`, "wrong_type", "trackClicks", "must be true or false"},
		{`{"from":"a@b.c"}`, "wrong_type", "from", "must be an object, not a string"},
		{`{"from":{"email":["a"]}}`, "wrong_type", "from.email", "must be a string, not a list"},
		{`{"to":{"email":"a@b.c"}}`, "wrong_type", "to", "must be a list, not an object"},
		{`{"to":["a@b.c"]}`, "wrong_type", "to[0]", "must be an object, not a string"},
		{`{"to":[{"email":"a@b.c"},{"email":5}]}`, "wrong_type", "to[1].email", "must be a string"},
		{`{"to":[{"email":"a@b.c","cc":[{"email":"x"},{"name":"y"},{"name":true}]}]}`, "wrong_type", "to[0].cc[2].name", "a string, not true or false"},
		{`{"to":[{"email":"a@b.c","cc":["x@y.z"]}]}`, "wrong_type", "to[0].cc[0]", "must be an object"},
		{`{"headers":{"X-A":"1","X-B":2}}`, "wrong_type", "headers.X-B", "must be a string"},
		{`{"headers":{"X-A":{"deep":["}",{}]},"X-B":"ok"}}`, "wrong_type", "headers.X-A", "must be a string, not an object"},
		{`{"customFields":{"a":[1,{"b":2}]},"groups":["a",1]}`, "wrong_type", "groups[1]", "must be a string"},
		{`{"unknown":[[1],{"x":[2]}],"groups":[[]]}`, "wrong_type", "groups[0]", "must be a string, not a list"},
		{`{"attachments":[{"content":"eA==","filename":false}]}`, "wrong_type", "attachments[0].filename", "must be a string"},
		{`{"customFields":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "too_deep", "", "64"},
	} {
		err := decode([]byte(c.body), new(sendRequest))
		bad, ok := errors.AsType[*mail.FieldError](err)
		if !ok || bad.Code != c.code || bad.Field != c.field || !strings.Contains(bad.Message, c.words) {
			t.Errorf("%s: %#v", c.body, err)
		}
	}
}

func TestDecodeTolerates(t *testing.T) {
	t.Parallel()
	body := ` {"ipPool":"x","unknown":{"deep":[1,2,{"a":null}]},"to":[{"email":"a@b.c","cc":null}],
		"replyTo":null,"text":"\"]}[{\\"} `
	var in sendRequest
	if err := decode([]byte(body), &in); err != nil {
		t.Fatal(err)
	}
	r := in.request()
	if r.Content.Pool != "x" || r.Content.ReplyTo != nil || r.Recipients[0].CC != nil {
		t.Errorf("%+v", r)
	}
}

// Whatever comes: no panic, and a refusal always names itself, and a path that is there.
func FuzzDecodeSend(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"to":[{"email":"a@b.c","cc":[{"email":1}]}]}`, `{"headers":{"a":{"b":[]}}}`, `{"":{"":""},"from":3}`,
		`{"to":[[]]}`, `{"groups":["\u0000\ud800"],"subject":1e400}`, `[{"to":1}]`, "{\"subject\":\"\xff\"}", `{"a":{"a":1,"a":[2]},"to":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in sendRequest
		err := decode(body, &in)
		if err == nil {
			if !json.Valid(body) || depth(body) > maxDepth {
				t.Fatalf("took %q", body)
			}
			in.request()
			return
		}
		bad, ok := errors.AsType[*mail.FieldError](err)
		if !ok || bad.Code == "" || bad.Message == "" {
			t.Fatalf("refused with %#v", err)
		}
		if bad.Code == "wrong_type" && !json.Valid(body) {
			t.Fatalf("wrong type in broken JSON: %q", body)
		}
	})
}

func FuzzPathAt(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":[2,3]}],"c":"d"}`), int64(17))
	f.Add([]byte(`[[],[[]],{"x":{}}]`), int64(9))
	f.Fuzz(func(t *testing.T, body []byte, offset int64) {
		if !json.Valid(body) {
			t.Skip() // a path is only asked for in valid JSON
		}
		pathAt(body, offset) // must end, and must not panic
	})
}

func BenchmarkDecodeSend(b *testing.B) {
	body := []byte(`{"from":{"email":"richard@piedpiper.com","name":"Richard"},"to":[{"email":"gavin@hooli.com","name":"Gavin",` +
		`"customFields":{"name":"Gavin","order":{"id":17,"items":["a","b"]}}}],"subject":"Welcome","ippool":"postmark-pool",` +
		`"tpspTemplate":"welcome-template","groups":["welcome"],"headers":{"X-Order":"17"},"trackOpens":true,"trackClicks":true}`)
	for _, recipients := range []int{1, 100} {
		b.Run("recipients="+strconv.Itoa(recipients), func(b *testing.B) {
			var in sendRequest
			if err := decode(body, &in); err != nil {
				b.Fatal(err)
			}
			for range recipients - 1 {
				in.To = append(in.To, in.To[0])
			}
			big, err := json.Marshal(&in)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(big)))
			b.ReportAllocs()
			for b.Loop() {
				var out sendRequest
				if err := decode(big, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
