package provider

import (
	"strings"
	"unicode/utf8"
)

// Clean makes foreign words fit to keep: valid UTF-8 on one line without control characters (some databases refuse NUL), at most
// `most` bytes, cut between two characters.
func Clean(s string, most int) string {
	if len(s) <= most && isClean(s) {
		return s
	}
	if len(s) > 4*most { // what is far beyond the limit cannot matter, and mapping it would cost
		s = s[:4*most]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.TrimSpace(s[:most])
}

// isClean tells whether a text is surely as Clean would leave it, but for its length.
func isClean(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}
