package provider

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzClean: what is clean stays as it is, and all else becomes so.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", " ", "a", " a ", "a\tb\x00", "\x7f", "é", "\xff", "a\u00a0", strings.Repeat("ü ", 9)} {
		f.Add(seed, uint8(8))
	}
	f.Fuzz(func(t *testing.T, s string, most uint8) {
		got := Clean(s, int(most))
		if len(got) > int(most) || !utf8.ValidString(got) || got != strings.TrimSpace(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("Clean(%q, %d) = %q", s, most, got)
		}
		if again := Clean(got, int(most)); again != got {
			t.Errorf("%q is cleaned again to %q", got, again)
		}
		if isClean(s) && len(s) <= int(most) && clean(s) != s {
			t.Errorf("%q is called clean and is not", s)
		}
	})
}

// clean is Clean without a limit.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}
