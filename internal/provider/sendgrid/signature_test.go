package sendgrid_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"testing"

	"postyard/internal/provider"
)

const (
	signatureHeader = "X-Twilio-Email-Event-Webhook-Signature"
	timestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// keys are made once for each name.
var keys sync.Map

func keyOf(name string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	kept, _ := keys.LoadOrStore(name, key)
	return kept.(*ecdsa.PrivateKey)
}

func publicKeyOf(name string) string {
	return base64.StdEncoding.EncodeToString(derOf(&keyOf(name).PublicKey))
}

func pemOf(name string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: derOf(&keyOf(name).PublicKey)}))
}

func derOf(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

// sign makes the headers of a request that SendGrid signs with a key.
func sign(key *ecdsa.PrivateKey, timestamp string, body []byte) http.Header {
	hash := sha256.Sum256(append([]byte(timestamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	h.Set(signatureHeader, base64.StdEncoding.EncodeToString(signature))
	h.Set(timestampHeader, timestamp)
	return h
}

func TestAuthentic(t *testing.T) {
	t.Parallel()
	const stamp = "1600112502"
	body := []byte(`[{"email":"a@recipient.example","event":"delivered"}]` + "\r\n")
	ours := provider.Hook{Ref: "hook-1 " + publicKeyOf("hook-1")}
	good := sign(keyOf("hook-1"), stamp, body)
	with := func(name, value string) http.Header {
		h := good.Clone()
		if h.Del(name); value != "" {
			h.Set(name, value)
		}
		return h
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	wrongCurve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		hook   provider.Hook
		header http.Header
		body   []byte
		want   bool
	}{
		"as it came":             {ours, good, body, true},
		"years ago":              {ours, sign(keyOf("hook-1"), "1000000000", body), body, true}, // repeats come late
		"body changed":           {ours, good, []byte(strings.Replace(string(body), "delivered", "bounce", 1)), false},
		"body trimmed":           {ours, good, body[:len(body)-2], false},
		"no body":                {ours, good, nil, false},
		"timestamp changed":      {ours, with(timestampHeader, "1600112503"), body, false},
		"no timestamp":           {ours, with(timestampHeader, ""), body, false},
		"no signature":           {ours, with(signatureHeader, ""), body, false},
		"signature is garbage":   {ours, with(signatureHeader, "!!!"), body, false},
		"signature is long":      {ours, with(signatureHeader, strings.Repeat("A", 4000)), body, false},
		"signature is another's": {ours, sign(keyOf("another"), stamp, body), body, false},
		"body moved into time":   {ours, sign(keyOf("hook-1"), stamp+"[", body[1:]), body[1:], false},
		"no time was signed":     {ours, sign(keyOf("hook-1"), "", body), body, false},
		"no ref":                 {provider.Hook{}, good, body, false},
		"ref without a key":      {provider.Hook{Ref: "hook-1"}, good, body, false},
		"ref with garbage":       {provider.Hook{Ref: "hook-1 not-base64"}, good, body, false},
		"ref with no key at all": {provider.Hook{Ref: "hook-1 bm90IGEga2V5"}, good, body, false},
		"an RSA key":             {provider.Hook{Ref: "hook-1 " + base64.StdEncoding.EncodeToString(derOf(&rsaKey.PublicKey))}, good, body, false},
		"another curve": {provider.Hook{Ref: "hook-1 " + base64.StdEncoding.EncodeToString(derOf(&wrongCurve.PublicKey))},
			sign(wrongCurve, stamp, body), body, false},
		"no headers": {ours, http.Header{}, body, false},
	} {
		got, err := newAdapter(t).Authentic(t.Context(), connection(""), test.hook, provider.Delivery{Header: test.header, Body: test.body})
		if got != test.want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}
