// Package sigv4 signs HTTP requests for Amazon Web Services: Signature Version 4 in the Authorization header, with keys that do not
// expire and over the whole body.
//
// It signs every header that it is given, and Host. Paths are encoded twice, as every service but S3 has it; they are not normalised,
// so a path must not hold "//", "." or "..".
package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Key signs requests to one service in one region.
type Key struct {
	ID      string // the access key id
	Secret  string // the secret access key
	Region  string // "eu-west-1"
	Service string // "ses"
}

const (
	algorithm = "AWS4-HMAC-SHA256"
	ending    = "aws4_request"

	dateHeader = "X-Amz-Date"
	longDate   = "20060102T150405Z"
	shortDate  = "20060102"
)

// Sign adds X-Amz-Date and Authorization to the header of a request that is about to leave. What is in the header must leave as it is,
// and the host in the URL as the Host header.
func Sign(k Key, at time.Time, method string, u *url.URL, header http.Header, body []byte) {
	at = at.UTC()
	header.Del("Authorization")
	header.Set(dateHeader, at.Format(longDate))
	names, canonical := canonicalRequest(method, u, header, body)
	scope := strings.Join([]string{at.Format(shortDate), k.Region, k.Service, ending}, "/")
	text := strings.Join([]string{algorithm, at.Format(longDate), scope, digest([]byte(canonical))}, "\n")
	signature := hex.EncodeToString(mac(k.derived(at), text))
	header.Set("Authorization", algorithm+" Credential="+k.ID+"/"+scope+", SignedHeaders="+names+", Signature="+signature)
}

// derived is the key for one day.
func (k Key) derived(at time.Time) []byte {
	key := []byte("AWS4" + k.Secret)
	for _, part := range []string{at.Format(shortDate), k.Region, k.Service, ending} {
		key = mac(key, part)
	}
	return key
}

// canonicalRequest is what is signed of a request, and the names of its headers.
func canonicalRequest(method string, u *url.URL, header http.Header, body []byte) (names, text string) {
	lines := map[string]string{"host": u.Host}
	list := []string{"host"}
	for name, values := range header {
		name = strings.ToLower(name)
		list = append(list, name)
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Join(strings.FieldsFunc(v, isSpace), " ")
		}
		lines[name] = strings.Join(trimmed, ",")
	}
	slices.Sort(list)
	list = slices.Compact(list)
	var b strings.Builder
	for _, part := range []string{method, path(u), query(u)} {
		b.WriteString(part + "\n")
	}
	for _, name := range list {
		b.WriteString(name + ":" + lines[name] + "\n")
	}
	names = strings.Join(list, ";")
	b.WriteString("\n" + names + "\n" + digest(body))
	return names, b.String()
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' }

// path is the path as it leaves, encoded once more.
func path(u *url.URL) string {
	escaped := u.EscapedPath()
	if escaped == "" {
		return "/"
	}
	return encode(escaped, true)
}

// query is the query, encoded and then sorted by key, and by value where keys are equal.
func query(u *url.URL) string {
	var pairs [][2]string
	for key, values := range u.Query() {
		for _, value := range values {
			pairs = append(pairs, [2]string{encode(key, false), encode(value, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) })
	joined := make([]string, len(pairs))
	for i, p := range pairs {
		joined[i] = p[0] + "=" + p[1]
	}
	return strings.Join(joined, "&")
}

// encode encodes every byte that RFC 3986 does not call unreserved.
func encode(s string, slashes bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 || slashes && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum(nil)
}
