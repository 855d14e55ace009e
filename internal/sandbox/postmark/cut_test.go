package postmark

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const key = `"Messages"`

// batches are those that are cut, and those that encoding/json is asked about.
var batches = map[string]bool{
	`[{}]`: true, ` [ {"From":"a,]"} , null,"x\\\"]",[1,{}] ,7 ] `: true, `[{"a":"\\\\"},{}]`: true, `[{"From":5},{"To":{}},true]`: true,
	`[]`: false, `[,]`: false, `[{},]`: false, `[{}`: false, `{}`: false, `[{}],[{}]`: false, `[{]}]`: false, `["]`: false, `["\"]`: false, `[{} {}]`: false,
	`[{"a":1},{b}]`: false, `[}]`: false, `[1]2]`: false, "[\"\x01\"]": false, "[\v{}]": false, ``: false,
}

func TestCutBatch(t *testing.T) {
	t.Parallel()
	for text, want := range batches {
		if _, ok := examineBatch([]byte(text), nil, false); ok != want {
			t.Errorf("%s: cut %v", text, ok)
		}
		if _, ok := examineBatch([]byte(` { "Messages" : `+text+"}\n"), []byte(key), true); ok != want {
			t.Errorf("%s in an object: cut %v", text, ok)
		}
		sameBatch(t, text)
	}
	for _, text := range []string{`{"messages":[{}]}`, `{"Messages":[{}],"x":1}`, `{"Messages":[{}],"Messages":[{}]}`, `{"Messages"[{}]}`, `{"Messages":[{}]},`} {
		if _, ok := examineBatch([]byte(text), []byte(key), true); ok {
			t.Errorf("%s: cut", text)
		}
	}
}

// sameBatch holds what is cut against what encoding/json reads.
func sameBatch(t *testing.T, text string) {
	t.Helper()
	same := func(got []outcome, items []json.RawMessage, templated bool, err error) {
		t.Helper()
		if err != nil || len(got) != len(items) {
			t.Fatalf("%q: %d messages are cut, of %d: %v", text, len(got), len(items), err)
		}
		for i, item := range items {
			want := outcome{draft: &draft{raw: item, templated: templated}}
			if want.err = decode(item, &want.draft.message); want.err == nil {
				want.err = want.draft.validate()
			} else {
				want.draft = nil
			}
			if diff := cmp.Diff(want, got[i], cmp.AllowUnexported(outcome{}, draft{}, result{}, message{}, present{}, failure{}), cmp.FilterPath(
				func(p cmp.Path) bool { return p.Last().String() == ".draft" }, cmp.Comparer(sameDraft))); diff != "" {
				t.Errorf("%q: message %d: %s", text, i, diff)
			}
		}
	}
	if got, ok := examineBatch([]byte(text), nil, false); ok {
		items, err := decodeBatch([]byte(text))
		same(got, items, false, err)
	}
	whole := []byte(`{"Messages":` + text + `}`)
	if got, ok := examineBatch(whole, []byte(key), true); ok {
		var r struct{ Messages []json.RawMessage }
		err := decode(whole, &r)
		same(got, r.Messages, true, err)
	}
}

func sameDraft(a, b *draft) bool {
	if a == nil || b == nil {
		return a == b
	}
	return cmp.Equal(a.message, b.message, cmp.AllowUnexported(message{}, present{})) && string(a.raw) == string(b.raw) && a.templated == b.templated
}

func FuzzCutBatch(f *testing.F) {
	for text := range batches {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameBatch(t, text) })
}

// messages are read in parts when they have one model and one metadata.
var messages = []string{
	`{"From":"a@b.c","TemplateModel":{"a":[1,"}\\\"",{}]},"Metadata":{"a":"b"}}`, ` { "TemplateModel" : "{}" , "Metadata" : null } `, `{"TemplateModel":null}`,
	`{"TemplateModel":{},"templatemodel":1}`, `{"TemplateModel":1,"TemplateModel":2}`, `{"TemplateModel":1,"Template\u004dodel":2}`, `{"TemplateModel":{x},"To":1}`,
	`{"TemplateModel":}`, `{"TemplateModel":1,}`, `{"TemplateModel":1 2}`, `{"TemplateModel" 1}`, `{"a":"TemplateModel","TemplateModel":2}`, `{"a":{"TemplateModel":1}}`,
	`{"From":1,"TemplateModel":{}}`, `{"metadata":{"a":"1"},"Metadata":{"b":"2"}}`, `{"Metadata":{"b":"2"},"Metadat\u0061":{"a":"1"}}`, `{"METADATA":{"a":null}}`,
	`[{"TemplateModel":1}]`, `{"TemplateModel":[}]}`, `"TemplateModel":1`, `{"TemplateModel":"`, `{"TemplateModel`, `{"TemplateModel":1}}`, `{"\u017ftemplateModel":1}`,
}

func FuzzDecodeMessage(f *testing.F) {
	for _, text := range messages {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want message
		gotErr, wantErr := decodeMessage([]byte(text), &got), decode([]byte(text), &want)
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Fatalf("%v, want %v", gotErr, wantErr)
		}
		if wantErr != nil {
			return
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(present{})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string(want.Metadata), (&content{raw: []byte(text)}).Metadata()); diff != "" {
			t.Error(diff)
		}
	})
}

// The grammars of addresses, as patterns.
var (
	mailboxGrammar = regexp.MustCompile("^(?i)[a-z0-9.!#$%&'`*+\\-/=^_{}|~]+$")
	domainGrammar  = regexp.MustCompile(`^(?:\.?[a-zA-Z0-9-])+$`)
)

func TestGrammars(t *testing.T) {
	t.Parallel()
	check := func(text string) bool {
		return isMailbox(text) == mailboxGrammar.MatchString(text) && isDomain(text) == domainGrammar.MatchString(text)
	}
	for c := range rune(0x3000) {
		if !check(string(c)) || !check("a"+string(c)) {
			t.Errorf("%q", c)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		if text := rapid.StringOf(rapid.SampledFrom([]rune("aZ0.-_ +@\u017f\ufffd\n"))).Draw(r, "text"); !check(text) {
			r.Errorf("%q", text)
		}
	})
	if !check("") || !check("\xff") || !check("a\xff") {
		t.Error("no text, or no UTF-8")
	}
}
