package sendgrid

import (
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/secret"
	"postyard/internal/ssrf"
)

// maxKey is the most bytes of an API key. SendGrid's have 69.
const maxKey = 256

// keyPrefix begins SendGrid's API keys.
const keyPrefix = "SG."

// Normalize implements provider.Normalizer. SendPost's samples have the API key in `secret`, so it is taken from there as well; it is kept
// as the key.
func (a *Adapter) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	key, field := apiKey(conn)
	switch {
	case key == "":
		return conn, mail.Invalid("missing_key", "key", "the API key is required: SendGrid shows it once, when it is made under Settings, API Keys")
	case len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return conn, mail.Invalid("invalid_key", field, "an API key has at most %d printable ASCII characters and no spaces", maxKey)
	}
	conn.Key, conn.Secret = secret.NewString(key), secret.String{}
	conn.Domain, conn.Port, conn.Stream = "", 0, "" // SendGrid has no use for them
	conn.Endpoint = strings.TrimSpace(conn.Endpoint)
	if conn.Endpoint == "" {
		return conn, nil
	}
	if _, err := ssrf.CheckURL(conn.Endpoint, a.allowPrivate); err != nil {
		return conn, mail.Invalid("invalid_endpoint", "endpoint", "%s", err)
	}
	base, err := baseURL(conn)
	if err != nil {
		return conn, mail.Invalid("invalid_endpoint", "endpoint", "%s, without a query", err)
	}
	conn.Endpoint = base
	return conn, nil
}

// apiKey returns the key that a user gave, and the field that it stood in. A secret that looks like a key is newer than what is kept.
func apiKey(conn provider.Connection) (key, field string) {
	key, other := strings.TrimSpace(conn.Key.Reveal()), strings.TrimSpace(conn.Secret.Reveal())
	if other != "" && (key == "" || strings.HasPrefix(other, keyPrefix)) {
		return other, "secret"
	}
	return key, "key"
}

// baseURL returns where the connection's API is, without a slash at the end and without the version.
func baseURL(conn provider.Connection) (string, error) {
	base, err := httpcall.BaseURL(conn.Endpoint, defaultEndpoint)
	return strings.TrimSuffix(base, "/v3"), err
}
