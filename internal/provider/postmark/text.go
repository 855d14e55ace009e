package postmark

import (
	"strings"
	"unicode/utf8"

	"postyard/internal/secret"
)

// clean makes foreign words fit to keep: valid UTF-8 without control characters (some databases refuse NUL), at most
// `most` bytes, cut between two characters.
func clean(s string, most int) string {
	// What is far beyond the limit cannot matter, and mapping it would cost.
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.TrimSpace(s[:most])
}

// redact takes every copy of the key out of a text, in upper or lower case: Postmark compares tokens without regard to it.
func redact(text, key string) string {
	key = strings.TrimSpace(key)
	if key == "" || len(text) < len(key) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if end := i + len(key); end <= len(text) && strings.EqualFold(text[i:end], key) {
			b.WriteString(secret.Redacted)
			i = end
			continue
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}
