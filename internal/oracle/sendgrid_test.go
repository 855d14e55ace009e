package oracle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"pgregory.net/rapid"

	"postyard/internal/provider"
	"postyard/internal/provider/sendgrid"
)

// signer is a webhook of SendGrid's that signs.
type signer struct {
	private *ecdsa.PrivateKey
	public  string // as SendGrid shows it
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, base64.StdEncoding.EncodeToString(public)}
}

func (s signer) sign(t rapid.TB, body []byte, timestamp string) string {
	t.Helper()
	digest := sha256.Sum256(append([]byte(timestamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, s.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// theirs is what SendGrid's own code says.
func theirs(t rapid.TB, public string, body []byte, signature, timestamp string) bool {
	t.Helper()
	key, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(public)
	if err != nil {
		t.Fatal(err)
	}
	ok, err := eventwebhook.VerifySignature(key, body, signature, timestamp)
	return ok && err == nil
}

// TestSendGridSignatures: what SendGrid's own code takes we take, and nothing else.
func TestSendGridSignatures(t *testing.T) {
	t.Parallel()
	signers := []signer{newSigner(t), newSigner(t)}
	adapter := sendgrid.New(sendgrid.Config{Now: time.Now})
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		body, by := bodies().Draw(t, "body"), rapid.SampledFrom(signers).Draw(t, "signer")
		timestamp := strconv.FormatInt(time.Now().Unix()-rapid.Int64Range(0, 3600).Draw(t, "age"), 10)
		signature := by.sign(t, body, timestamp)
		switch rapid.IntRange(0, 7).Draw(t, "change") {
		case 0:
			body = bytes.TrimSpace(body)
		case 1:
			body = append(body, rapid.SampledFrom([]string{"\n", "\r\n", " ", "\x00"}).Draw(t, "more")...)
		case 2:
			timestamp += "0"
		case 3:
			by = rapid.SampledFrom(signers).Draw(t, "checked by")
		case 4:
			signature = rapid.SampledFrom([]string{"", "=", "MEUCIQ==", base64.StdEncoding.EncodeToString([]byte(signature))}).Draw(t, "nonsense")
		}
		want := theirs(t, by.public, body, signature, timestamp)
		header := http.Header{}
		header.Set(eventwebhook.VerificationHTTPHeader, signature)
		header.Set(eventwebhook.TimestampHTTPHeader, timestamp)
		got, err := adapter.Authentic(t.Context(), provider.Connection{}, provider.Hook{Ref: "hook-1 " + by.public}, provider.Delivery{Header: header, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("ours says %v, theirs %v", got, want)
		}
		if got {
			taken++
		} else {
			refused++
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d were taken and %d refused: is this test blind?", taken, refused)
	}
}
