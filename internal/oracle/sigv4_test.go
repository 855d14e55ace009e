package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"postyard/internal/provider/ses/sigv4"
)

// signature is the Authorization of a request by Amazon's own signer. Of the header, all is signed.
func signature(t rapid.TB, k sigv4.Key, at time.Time, method string, u *url.URL, header http.Header, body []byte) string {
	t.Helper()
	copied := *u
	req := &http.Request{Method: method, URL: &copied, Host: u.Host, Header: header.Clone()}
	if length := req.Header.Get("Content-Length"); length != "" {
		req.ContentLength = int64(len(body)) // it is signed when there is one, from here
	}
	digest := sha256.Sum256(body)
	who := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}
	if err := v4.NewSigner().SignHTTP(context.Background(), who, req, hex.EncodeToString(digest[:]), k.Service, k.Region, at); err != nil {
		t.Fatal(err)
	}
	return req.Header.Get("Authorization")
}

// ours is the same by our signer.
func ours(k sigv4.Key, at time.Time, method string, u *url.URL, header http.Header, body []byte) string {
	header = header.Clone()
	sigv4.Sign(k, at, method, u, header, body)
	return header.Get("Authorization")
}

// paths are those of SES and SNS, and what a user's name in one may look like.
var paths = []string{"/v2/email/account", "/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails", "/v2/email/configuration-sets",
	"/v2/email/configuration-sets/sendpost-events", "/v2/email/configuration-sets/sendpost-events/event-destinations/postyard",
	"/v2/email/identities/example.com", "/v2/email/identities/a%40example.com", "/v2/email/suppression/addresses/b%2Btag%40example.net", "/", "",
	"/v2/email/templates/r%C3%A9sum%C3%A9%20one"}

// TestSignatures: requests of every kind, with bodies, queries and headers that nobody would think of, get Amazon's signature.
func TestSignatures(t *testing.T) {
	t.Parallel()
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09-._~ +=&%/?#:@é€\t!*'()[]$,;\"\\")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		k := sigv4.Key{ID: "AKIDEXAMPLE", Secret: rapid.StringMatching(`[A-Za-z0-9/+]{40}`).Draw(t, "secret"),
			Region: rapid.SampledFrom([]string{"us-east-1", "eu-west-1", "ap-southeast-2"}).Draw(t, "region"), Service: rapid.SampledFrom([]string{"ses", "sns"}).Draw(t, "service")}
		at := time.Unix(rapid.Int64Range(1_600_000_000, 1_900_000_000).Draw(t, "at"), 0).UTC()
		method := rapid.SampledFrom([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}).Draw(t, "method")
		u, err := url.Parse("https://" + rapid.SampledFrom([]string{"email.eu-west-1.amazonaws.com", "sns.us-east-1.amazonaws.com", "127.0.0.1:8026",
			"vpce-1.email.eu-west-1.vpce.amazonaws.com:8443"}).Draw(t, "host") + rapid.SampledFrom(paths).Draw(t, "path"))
		if err != nil {
			t.Fatal(err)
		}
		query := url.Values{}
		for range rapid.IntRange(0, 5).Draw(t, "pairs") {
			query.Add(rapid.OneOf(text, rapid.SampledFrom([]string{"a", "a-", "a.", "a0", "aa", "Action"})).Draw(t, "key"), text.Draw(t, "value"))
		}
		u.RawQuery = query.Encode()
		header := http.Header{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Content-Type", "Accept", "X-Amz-Target", "X-Amz-Security-Token", "Cache-Control"}),
			0, 4, rapid.ID).Draw(t, "headers") {
			header.Set(name, strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("aZ0/;= -_+")), 0, 20, -1).Draw(t, "header")))
		}
		body := bodies().Draw(t, "body")
		if got, want := ours(k, at, method, u, header, body), signature(t, k, at, method, u, header, body); got != want {
			t.Fatalf("%s %s\n%v\n%q\nours   %s\ntheirs %s", method, u, header, body, got, want)
		}
	})
}

// A sample of what is signed: that the two agree on nothing would be seen here.
func TestSignatureHasThePlaces(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("https://email.us-east-1.amazonaws.com/v2/email/account")
	if err != nil {
		t.Fatal(err)
	}
	k := sigv4.Key{ID: "AKIDEXAMPLE", Secret: "secret", Region: "us-east-1", Service: "ses"}
	header := http.Header{"Content-Type": {"application/json"}}
	at := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	first := signature(t, k, at, http.MethodGet, u, header, nil)
	if !strings.HasPrefix(first, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/us-east-1/ses/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=") {
		t.Errorf("theirs is %s", first)
	}
	seen := []string{first}
	for name, changed := range map[string]string{
		"body":   ours(k, at, http.MethodGet, u, header, []byte("\r\n")),
		"method": ours(k, at, http.MethodPut, u, header, nil),
		"time":   ours(k, at.Add(time.Second), http.MethodGet, u, header, nil),
		"header": ours(k, at, http.MethodGet, u, http.Header{"Content-Type": {"text/plain"}}, nil),
	} {
		if slices.Contains(seen, changed) {
			t.Errorf("another %s has the same signature", name)
		}
		seen = append(seen, changed)
	}
}

func byteSlices(parts []string) [][]byte {
	out := make([][]byte, len(parts))
	for i, p := range parts {
		out[i] = []byte(p)
	}
	return out
}

// bodies are those of requests and webhooks, and bytes that come close: SendGrid ends its own with CRLF, and signs it.
func bodies() *rapid.Generator[[]byte] {
	return rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 300),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{`{"event":"open"}`, ",", "[", "]", "\r\n", " ", "é", "\x00"}), 0, 12), func(parts []string) []byte {
			return append(bytes.Join(byteSlices(parts), nil), '\r', '\n')
		}))
}
