package secret

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// keySize is the length of an AES-256 key in bytes.
const keySize = 32

// errKey tells what a key looks like. It never quotes what was given instead.
var errKey = errors.New("key must be 32 bytes in base64 (44 characters) or hexadecimal (64 characters), not all zero")

// Key is the key of a [Box]. It does not print itself. The zero Key is no key.
type Key struct {
	raw String // 32 bytes, or empty
}

// NewKey returns a random key.
func NewKey() Key {
	var b [keySize]byte
	fillRandom(b[:])
	return Key{raw: NewString(string(b[:]))}
}

// ParseKey reads a key of 32 bytes in base64 (standard or URL alphabet, with or without padding) or in hexadecimal.
// White space around it is ignored. The error names the rule and does not contain s.
func ParseKey(s string) (Key, error) {
	s = strings.TrimSpace(s)
	decode := base64.RawStdEncoding.Strict().DecodeString
	switch {
	case len(s) == hex.EncodedLen(keySize):
		decode = hex.DecodeString // 64 characters of base64 would be 48 bytes: no ambiguity
	case strings.ContainsAny(s, "-_"):
		decode = base64.RawURLEncoding.Strict().DecodeString
	}
	raw, err := decode(strings.TrimSuffix(s, "="))
	// encoding/base64 passes over line breaks; two halves of different keys must not make one.
	if err != nil || len(raw) != keySize || strings.ContainsAny(s, "\r\n") {
		return Key{}, errKey
	}
	if [keySize]byte(raw) == [keySize]byte{} {
		return Key{}, errKey
	}
	return Key{raw: NewString(string(raw))}, nil
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.raw.IsZero() }

// Encode returns the key in standard base64, as [ParseKey] reads it. The result is the secret itself.
func (k Key) Encode() string {
	return base64.StdEncoding.EncodeToString([]byte(k.raw.Reveal()))
}

// Equal reports in constant time whether both keys are the same.
func (k Key) Equal(other Key) bool { return k.raw.Equal(other.raw) }

// String returns "[redacted]", or "" for the zero Key.
func (k Key) String() string { return k.raw.String() }

// Format writes the redacted text for every verb.
func (k Key) Format(f fmt.State, verb rune) { k.raw.Format(f, verb) }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements [encoding.TextMarshaler] with the redacted form.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
