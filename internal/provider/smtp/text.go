package smtp

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"postyard/internal/secret"
)

// clean makes foreign words fit to keep: valid UTF-8 on one line without control characters, at most `most` bytes, cut between two
// characters.
func clean(s string, most int) string {
	if len(s) > 4*most { // what is far beyond the limit cannot matter
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

// redact takes the password out of a text, and what carries it in AUTH PLAIN and AUTH LOGIN.
func redact(text, user, password string) string {
	if password == "" {
		return text
	}
	encode := base64.StdEncoding.EncodeToString
	for _, hidden := range []string{encode([]byte("\x00" + user + "\x00" + password)), encode([]byte(password)), password} {
		text = strings.ReplaceAll(text, hidden, secret.Redacted)
	}
	return text
}
