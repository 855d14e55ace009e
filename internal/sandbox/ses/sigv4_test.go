package ses

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The canonical forms are those of AWS's published examples.
func TestCanonicalRequest(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/": "/", "/a b": "/a%2520b", "/v2/email/identities/a@b": "/v2/email/identities/a%40b", "/é": "/%25C3%25A9"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		if got := canonicalPath(r.URL.EscapedPath()); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
	for query, want := range map[string]string{"": "", "b=2&a=1": "a=1&b=2", "a=2&a=1": "a=1&a=2", "a": "a=", "a=x+y&A=%7E": "A=~&a=x%20y", "a=%zz": "a=%25zz"} {
		if got := canonicalQuery(query); got != want {
			t.Errorf("%q is %q, want %q", query, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-A": {"  a   b ", "c"}}
	r.Host = "h:1"
	if got := canonicalHeader(r, "x-a") + canonicalHeader(r, "host"); got != "a b,ch:1" {
		t.Errorf("%q", got)
	}
}

// A request of AWS's documentation of Signature Version 4 (IAM, ListUsers) has the hash and the signing key that stand there.
func TestDocumentedExample(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	got := hashed([]byte(canonicalRequest(r, "/", []string{"content-type", "host", "x-amz-date"}, hashed(nil))))
	if want := "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	key := mac(mac(mac(mac([]byte("AWS4"+"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "20150830"), "us-east-1"), "iam"), terminator)
	if want := "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; hex.EncodeToString(key) != want {
		t.Errorf("key %x, want %s", key, want)
	}
	toSign := algorithm + "\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n" + got
	if want := "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"; hex.EncodeToString(mac(key, toSign)) != want {
		t.Errorf("signature %x, want %s", mac(key, toSign), want)
	}
}

// A message may have 40 MB in base64, and not a byte more.
func TestMessageSize(t *testing.T) {
	t.Parallel()
	r := sendRequest{Content: &contentRequest{Raw: &rawRequest{strings.Repeat("A", maxMessage+4)}}}
	if _, err := r.examine(); !isFailure(err, http.StatusRequestEntityTooLarge, typeTooLarge) {
		t.Errorf("%v", err)
	}
}

func isFailure(err error, status int, kind string) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.status == status && f.kind == kind
}

// Every type of bounce and its subtype can be named, and what SES says of each is known.
func TestBounceTypes(t *testing.T) {
	t.Parallel()
	for _, kind := range BounceTypes() {
		_, subtype, _ := strings.Cut(kind, "/")
		if got, ok := bounceNamed(strings.ToUpper(kind)); !ok || got != kind || details[kind] == "" {
			t.Errorf("%s is %q", kind, got)
		}
		if got, ok := bounceNamed(subtype); subtype != "General" && (!ok || got != kind) {
			t.Errorf("%s is %q", subtype, got)
		}
	}
	for name := range foreign {
		if _, ok := bounceNamed(name); !ok || name != squeeze(name) {
			t.Errorf("%s is not known", name)
		}
	}
}
