package secret

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMaskURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://example.com/a/b":                      "https://example.com/a/b",
		"https://example.com/a?token=x&b=1":            "https://example.com/a?token=[hidden]&b=[hidden]",
		"https://example.com/a?b=1;token=x":            "https://example.com/a?b=[hidden]&token=[hidden]",
		"https://example.com/a?x7Jq2":                  "https://example.com/a?[hidden]",
		"https://example.com/a?b=":                     "https://example.com/a?b=",
		"https://example.com/a#x7Jq2":                  "https://example.com/a#[hidden]",
		"https://me:pw@example.com:8443/%5Ba?k=v#f":    "https://[hidden]@example.com:8443/%5Ba?k=[hidden]#[hidden]",
		"https://me@example.com":                       "https://[hidden]@example.com",
		" https://example.com/?k=v ":                   "https://example.com/?k=[hidden]",
		"https://me:p%zz@example.com":                  "[hidden]",
		"see https://example.com/?k=v":                 "[hidden]",
		"a :// b":                                      "a :// b",
		"what is a token=x?":                           "what is a token=x?",
		"":                                             "",
		"https://example.com/a?":                       "https://example.com/a?",
		"https://example.com/a?b%3Dtoken=x%26y":        "https://example.com/a?b%3Dtoken=[hidden]",
		"https://example.com/a?&&":                     "https://example.com/a?",
		"smtp://user:secret@mail.example.com:587/?x=y": "smtp://[hidden]@mail.example.com:587/?x=[hidden]",
	} {
		if got := MaskURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever a URL is, nothing is told of its user, of the values in its query, and of its fragment.
func TestMaskURLTellsNothing(t *testing.T) {
	t.Parallel()
	const canary = "canary7f3a"
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~]{0,12}`)
		u := "https://example.com/path"
		switch rapid.IntRange(0, 3).Draw(t, "where") {
		case 0:
			u += "?" + text.Draw(t, "before") + "=" + canary + text.Draw(t, "after")
		case 1:
			u += "?" + canary
		case 2:
			u += "#" + text.Draw(t, "before") + canary
		default:
			u = "https://" + url.QueryEscape(text.Draw(t, "user")) + ":" + canary + "@example.com/" + text.Draw(t, "path")
		}
		if got := MaskURL(u); strings.Contains(got, canary) {
			t.Fatalf("%q is shown as %q", u, got)
		}
	})
}
