package httpcall

import (
	"strings"

	"postyard/internal/secret"
)

// Redact takes every copy of a secret out of a text, in upper or lower case: some providers compare tokens without regard to it.
func Redact(text, key string) string {
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
