package smtp

import (
	"encoding/base64"
	"strings"

	"postyard/internal/secret"
)

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
