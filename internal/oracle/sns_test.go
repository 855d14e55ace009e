package oracle

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

const npmDir = "testdata/npm"

// validator is Amazon's own check of SNS messages, in a Node.js that runs for as long as the test.
type validator struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test needs Node.js 18 or newer; on Debian: apt-get install nodejs npm")
	}
	if _, err := os.Stat(filepath.Join(npmDir, "node_modules", "sns-validator", "package.json")); err != nil {
		t.Fatalf("sns-validator is missing: make npm (or npm ci in internal/oracle/%s)", npmDir)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), node, filepath.Join(npmDir, "verify.js"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &validator{in, bufio.NewScanner(out)}
}

// takes tells whether Amazon's code takes a message with a certificate.
func (v *validator) takes(t rapid.TB, message map[string]string, certificate string) bool {
	t.Helper()
	line, err := json.Marshal(map[string]any{"message": message, "certificate": certificate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	if !v.out.Scan() {
		t.Fatalf("no verdict: %v", v.out.Err())
	}
	var verdict struct{ Valid bool }
	if err := json.Unmarshal(v.out.Bytes(), &verdict); err != nil {
		t.Fatalf("%s: %v", v.out.Bytes(), err)
	}
	return verdict.Valid
}

// certificates serves what SNS would have at the URLs of its certificates.
type certificates map[string]string

// RoundTrip implements http.RoundTripper.
func (c certificates) RoundTrip(req *http.Request) (*http.Response, error) {
	res := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req}
	text, ok := c[req.URL.String()]
	if !ok {
		res.StatusCode = http.StatusNotFound
	}
	res.Body = io.NopCloser(strings.NewReader(text))
	return res, nil
}

// authority signs as SNS does.
type authority struct {
	key  *rsa.PrivateKey
	text string // its certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// sign signs a message as Amazon documents it: the named fields that there are, with a line for each name and each value.
func (a authority) sign(t rapid.TB, message map[string]string) string {
	t.Helper()
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if message["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var text bytes.Buffer
	for _, name := range names {
		if value, ok := message[name]; ok {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	hash, digest := crypto.SHA256, make([]byte, 0, sha256.Size)
	if message["SignatureVersion"] == "1" {
		sum := sha1.Sum(text.Bytes())
		hash, digest = crypto.SHA1, sum[:]
	} else {
		sum := sha256.Sum256(text.Bytes())
		digest = append(digest, sum[:]...)
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

const (
	topic       = "arn:aws:sns:eu-west-1:123456789012:postyard-hook"
	certificate = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)

// TestSNSMessages: of messages for our topic we take what Amazon's own code takes, and nothing else.
func TestSNSMessages(t *testing.T) {
	t.Parallel()
	official, signer, other := newValidator(t), newAuthority(t), newAuthority(t)
	adapter := ses.New(ses.Config{Transport: certificates{certificate: signer.text}, Now: time.Now})
	conn := provider.Connection{Endpoint: "eu-west-1", Key: secret.NewString("AKIDEXAMPLE"), Secret: secret.NewString("secret")}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ0 {}\"\\:,é€\n\r\t<>&'=\u2028\U0001F600")), 0, 40, -1)
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		message := map[string]string{
			"Type": rapid.SampledFrom([]string{"Notification", "SubscriptionConfirmation"}).Draw(t, "type"), "MessageId": text.Draw(t, "id"), "TopicArn": topic,
			"Message": text.Draw(t, "message"), "Timestamp": "2026-11-26T08:00:00.000Z", "SignatureVersion": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"),
			"SigningCertURL": certificate, "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
		}
		if message["Type"] == "SubscriptionConfirmation" {
			message["Token"], message["SubscribeURL"] = text.Draw(t, "token"), "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token="
		} else if rapid.Bool().Draw(t, "subject") {
			message["Subject"] = text.Draw(t, "words")
		}
		by := signer
		switch rapid.IntRange(0, 9).Draw(t, "who") {
		case 0:
			by = other
		case 1:
			message["SigningCertURL"] = rapid.SampledFrom([]string{
				"http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
				"https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
				"https://evil.example/SimpleNotificationService-0123456789abcdef.pem",
				"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.txt",
			}).Draw(t, "certificate")
		}
		message["Signature"] = by.sign(t, message)
		switch rapid.IntRange(0, 7).Draw(t, "change") {
		case 0:
			message["Message"] += rapid.SampledFrom([]string{" ", "\n", "x"}).Draw(t, "more")
		case 1:
			message["Subject"] = text.Draw(t, "other words") // of a confirmation it is signed by nobody, and looked at by nobody
			if message["Type"] == "SubscriptionConfirmation" {
				delete(message, "Subject")
			}
		case 2:
			message["SignatureVersion"] = rapid.SampledFrom([]string{"1", "2", "3", ""}).Draw(t, "other version")
		case 3:
			message["Timestamp"] = "2026-11-26T08:00:01.000Z"
		case 4:
			message["Signature"] = rapid.SampledFrom([]string{"", "AAAA", "no base64"}).Draw(t, "signature")
		}
		want := official.takes(t, message, signer.text)
		body, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := adapter.Authentic(t.Context(), conn, provider.Hook{Ref: topic}, provider.Delivery{Header: http.Header{}, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("%s\nours says %v, theirs %v", body, got, want)
		}
		if got {
			taken++
			// A topic of somebody else's is signed as well, and is none of ours.
			foreign, err := adapter.Authentic(t.Context(), conn, provider.Hook{Ref: topic + "-2"}, provider.Delivery{Header: http.Header{}, Body: body})
			if err != nil || foreign {
				t.Fatalf("a message of another topic: %v (%v)", foreign, err)
			}
		} else {
			refused++
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d were taken and %d refused: is this test blind?", taken, refused)
	}
}

// The package is pinned, and no host is: npm takes it from wherever it is told to.
func TestPackagesArePinned(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{"package.json": `"sns-validator": "[0-9]+\.[0-9]+\.[0-9]+"`, "package-lock.json": `"integrity": "sha512-`} {
		raw, err := os.ReadFile(filepath.Join(npmDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(pattern).Match(raw) {
			t.Errorf("%s has no %s", name, pattern)
		}
		if regexp.MustCompile(`"resolved"|registry`).Match(raw) {
			t.Errorf("%s names a host", name)
		}
	}
}
