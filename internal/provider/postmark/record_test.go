package postmark

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzSplit: what is valid is taken apart as encoding/json does it, and nothing panics.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`{}`, ` {"a" : 1 , "b":"x\"}", "c":[{"d":"]"},2],"a":null}` + "\n", `{"a\u0062\n":"\ud800","":-1.5e3}`, `null`, `[{"a":1}]`,
		`{"a":{"b":{}},"t":true`, `{"a"`, `{"a":`, `{"a\`, "{\"\xff\":\"\xff\"}", `{"a":1,`, `"a"`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ok := split(string(raw))
		if !json.Valid(raw) {
			return // only that it came back
		}
		var want map[string]json.RawMessage
		err := json.Unmarshal(raw, &want)
		if isObject := err == nil && want != nil; isObject != ok {
			t.Fatalf("%q is an object: %v", raw, ok)
		}
		if !ok {
			return
		}
		got := map[string]json.RawMessage{}
		for _, f := range r {
			got[f.key] = json.RawMessage(f.value)
			if r.raw(f.key) != string(want[f.key]) {
				t.Errorf("%q of %q is %q", f.key, raw, r.raw(f.key))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
		for key, value := range want {
			var text string
			if json.Unmarshal(value, &text) == nil && value[0] == '"' && plain(string(value)) != text {
				t.Errorf("%q of %q is %q", value, key, plain(string(value)))
			}
		}
		again := r.without("a", "b")
		delete(want, "a")
		delete(want, "b")
		if len(want) == 0 != (len(again) == 0) || again == nil || again.raw("a") != "" {
			t.Errorf("%q without a and b is %v", raw, again)
		}
	})
}

// What smtpReply and versionOf find, as expressions.
var (
	smtpReplyPattern = regexp.MustCompile(`(?is)(?:^|smtp;)\s*(([245]\d\d)(?:[ \-].*)?)$`)
	versionPattern   = regexp.MustCompile(`(?:^|\s)v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:[\s\-_+,;)]|$)`)
)

func FuzzReplyAndVersion(f *testing.F) {
	for _, seed := range []string{"250 2.0.0 OK", "smtp;550 5.1.1 no such user", "action: failed\nsmtp; smtp;\t452-4.2.2 full;smtp;250", "250", "2500 x", "950 x",
		"x;SMTP; 421\n", ";smtp;", "Chrome 140.0.7339", "OS X 10.15.7 Catalina", "v1.2.3.4.5 v2, 3", "Windows 1234567890 11)", "a1 1. 2 ", "\t7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "ſ", "s") // which an expression takes for an s
		wantCode, wantText := 0, text
		if match := smtpReplyPattern.FindStringSubmatch(text); match != nil {
			wantCode, _ = strconv.Atoi(match[2])
			wantText = match[1]
		}
		if code, rest := smtpReply(text); code != wantCode || rest != wantText {
			t.Errorf("the reply in %q is %d, %q; want %d, %q", text, code, rest, wantCode, wantText)
		}
		var want [4]string
		if match := versionPattern.FindStringSubmatch(text); match != nil {
			copy(want[:], strings.Split(match[1], "."))
		}
		if got := versionOf(text); got != want {
			t.Errorf("the version in %q is %q, not %q", text, got, want)
		}
	})
}
