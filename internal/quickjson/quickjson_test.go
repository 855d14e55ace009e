package quickjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/quickjson"
)

// sample has every kind of value that a Reader reads.
type sample struct {
	Text  string            `json:"text"`
	Bool  *bool             `json:"bool"`
	Raw   json.RawMessage   `json:"raw"`
	Map   map[string]string `json:"map"`
	List  []string          `json:"list"`
	Inner []inner           `json:"inner"`
}

type inner struct {
	A string `json:"a"`
}

func read(text []byte) (s sample, ok bool) {
	r := quickjson.New(text)
	r.Object([]string{"text", "bool", "raw", "map", "list", "inner"}, func(i int) {
		switch i {
		case 0:
			r.String(&s.Text)
		case 1:
			r.Bool(&s.Bool)
		case 2:
			s.Raw = r.Raw()
		case 3:
			r.Strings(&s.Map)
		case 4:
			quickjson.List(r, &s.List, r.String)
		case 5:
			quickjson.List(r, &s.Inner, func(one *inner) {
				if !r.Null() {
					r.Object([]string{"a"}, func(int) { r.String(&one.A) })
				}
			})
		}
	})
	return s, r.Done()
}

// plain are texts that a Reader must not give up on.
var plain = []string{
	`{}`, ` { } `, `{"text":"a"}`, `{"text":null,"bool":null,"map":null,"list":null,"inner":null,"raw":null}`,
	"{\n\t\"text\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00 é 😀\" ,\r\n \"bool\" : true }", `{"bool":false,"text":""}`,
	`{"raw":{"a":[1,-0,0.5,1e9,-12.5E-3,1E+2,true,false,null,"x\u0000",{}, [ ] ]}}`, `{"raw":"x"}`, `{"raw":0}`,
	`{"map":{},"list":[],"inner":[]}`, `{"map":{"a":"1","a":"2","\u0061b":"3"},"list":["a",null,"b"],"inner":[{"a":"x"},{},null]}`,
	"{\"raw\":\"\u2028\xff\"}", "{\"text\":\"\u2028\x7f\"}",
}

// odd are texts that are left to encoding/json.
var odd = []string{
	``, ` `, `null`, `[]`, `{`, `}`, `{"text"}`, `{"text":}`, `{"text":"a",}`, `{,}`, `{"text":"a"}x`, `{"text":"a"}{}`, `{"text":1}`, `{"Text":"a"}`,
	`{"other":1}`, `{"text":"a","text":"b"}`, `{"te\u0078t":"a"}`, `{"text":"\ud83d"}`, `{"text":"\ud83dx"}`, `{"text":"\ud83d\u0041"}`, `{"text":"\ude00"}`,
	"{\"text\":\"\xff\"}", "{\"text\":\"\n\"}", `{"text":"\x"}`, `{"text":"\u12"}`, `{"text":"\u12g4"}`, `{"text":"`, `{"text":"\`, `{"bool":tru}`, `{"bool":1}`,
	`{"raw":01}`, `{"raw":1.}`, `{"raw":.5}`, `{"raw":1e}`, `{"raw":-}`, `{"raw":+1}`, `{"raw":[1,]}`, `{"raw":[,1]}`, `{"raw":[1 2]}`, `{"raw":{"a":1,}}`,
	`{"raw":{1:2}}`, `{"raw":nul}`, `{"raw":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{"map":{"a":1}}`, `{"map":{"a":null}}`,
	`{"list":"a"}`, `{"inner":[1]}`, "\ufeff{}", "{\"raw\":\"\x01\"}",
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, text := range plain {
		if _, ok := read([]byte(text)); !ok {
			t.Errorf("%s is given up", text)
		}
		agree(t, []byte(text))
	}
}

func TestOdd(t *testing.T) {
	t.Parallel()
	for _, text := range odd {
		if got, ok := read([]byte(text)); ok {
			t.Errorf("%s is read as %+v", text, got)
		}
		agree(t, []byte(text))
	}
}

// agree compares everything that reads text with encoding/json.
func agree(t *testing.T, text []byte) {
	t.Helper()
	before := bytes.Clone(text)
	if got, ok := read(text); ok {
		var want sample
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q (%v):\n%s", text, err, cmp.Diff(want, got))
		}
	}
	if quickjson.Valid(text) && !json.Valid(text) {
		t.Errorf("%q is called valid", text)
	}
	out, ok := quickjson.AppendRaw([]byte("head"), text)
	var want bytes.Buffer
	switch err := json.Compact(&want, text); {
	case ok && (err != nil || string(out) != "head"+want.String()):
		t.Errorf("%q becomes %q, want %q (%v)", text, out, want.String(), err)
	case !ok && string(out) != "head":
		t.Errorf("%q is refused, and leaves %q", text, out)
	}
	members := map[string]json.RawMessage{}
	r := quickjson.New(text)
	r.Members(func(key string, value []byte) { members[key] = value })
	if r.Done() {
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(members, want) {
			t.Errorf("%q (%v):\n%s", text, err, cmp.Diff(want, members))
		}
	}
	if !bytes.Equal(text, before) {
		t.Errorf("%q became %q", before, text)
	}
}

func FuzzReader(f *testing.F) {
	for _, text := range append(plain, odd...) {
		f.Add([]byte(text))
	}
	f.Fuzz(agree)
}

func marshal(t interface{ Fatal(args ...any) }, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "<&>\"\\/\b\f\n\r\t\x00\x1f\x7f", "é😀\u2028\u2029\ufffd", "\xff\xe2\x80", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(quickjson.AppendString(nil, s)), marshal(t, s); got != want {
			t.Errorf("%q becomes %s, want %s", s, got, want)
		}
	})
}

func TestAppend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := struct {
			Text string
			Less string            `json:",omitempty"`
			Yes  *bool             `json:",omitempty"`
			Map  map[string]string // never nil here
			List []string
		}{rapid.String().Draw(t, "text"), rapid.SampledFrom([]string{"", "{"}).Draw(t, "less"), rapid.Ptr(rapid.Bool(), true).Draw(t, "yes"),
			rapid.MapOfN(rapid.String(), rapid.String(), 0, 4).Draw(t, "map"), rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "list")}
		if v.List == nil {
			v.List = []string{}
		}
		dst := quickjson.AppendField([]byte("{"), "Text", v.Text)
		dst = quickjson.AppendOptional(dst, "Less", v.Less)
		dst = quickjson.AppendBool(dst, "Yes", v.Yes)
		dst = quickjson.AppendStrings(quickjson.AppendKey(dst, "Map"), v.Map)
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "List"), v.List, func(dst []byte, s *string) []byte { return quickjson.AppendString(dst, *s) })
		if got, want := string(append(dst, '}')), marshal(t, v); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
