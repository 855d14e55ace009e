package postmark

import (
	"strings"

	"postyard/internal/secret"
)

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
