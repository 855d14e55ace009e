package sendgrid

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"

	"postyard/internal/provider"
)

// The headers of a signed webhook request.
const (
	signatureHeader = "X-Twilio-Email-Event-Webhook-Signature" // ASN.1, in base64
	timestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// maxSignature is more than a signature on P-256 has, in base64.
const maxSignature = 200

// Authentic implements provider.Adapter: it verifies the signature over the timestamp and the bytes of the body as they came, with the
// key that Register returned in its ref. A webhook whose key is not known believes nobody.
//
// The age of the timestamp does not matter. SendGrid repeats a request for up to 24 hours, and nothing that it publishes says that it
// then signs with a new time; a request that somebody else repeats brings events that were seen already, and changes nothing.
func (*Adapter) Authentic(_ context.Context, _ provider.Connection, hook provider.Hook, d provider.Delivery) (bool, error) {
	_, text := split(hook.Ref)
	key, err := parseKey(text)
	if err != nil {
		return false, nil //nolint:nilerr // it will not be known later either
	}
	timestamp, encoded := d.Header.Get(timestampHeader), d.Header.Get(signatureHeader)
	if timestamp == "" || len(encoded) > maxSignature || strings.Trim(timestamp, "0123456789") != "" {
		return false, nil // digits only, so that none of the body passes for a part of it
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false, nil //nolint:nilerr // so it is none of SendGrid's
	}
	hash := sha256.New()
	hash.Write([]byte(timestamp))
	hash.Write(d.Body)
	return ecdsa.VerifyASN1(key, hash.Sum(nil), signature), nil
}

// parseKey reads a public key: the DER form of a key on P-256, in base64.
func parseKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the public key is not base64")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("the public key cannot be read")
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the public key is not one of ECDSA on P-256")
	}
	return key, nil
}

// bareKey takes a key out of the lines of PEM, if it stands in them, and out of all space.
func bareKey(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			b.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	return b.String()
}
