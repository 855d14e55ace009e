package ses

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// window is how far the time of a signature may be from the sandbox's clock.
const window = 5 * time.Minute

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	amzDateForm = "20060102T150405Z"

	serviceSES = "ses"
	serviceSNS = "sns"
)

// authorization is what an Authorization header says.
type authorization struct {
	keyID, date, region, service string
	signed                       []string // header names, lower case, sorted
	signature                    string
}

// parseAuthorization takes a header apart; its failures are those of AWS.
func parseAuthorization(header string) (a authorization, err error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if header == "" {
		return a, denied("MissingAuthenticationToken", "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	if scheme != algorithm {
		return a, incomplete("Authorization header requires algorithm '%s'. Authorization=%s", algorithm, scheme)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || parts[name] != "" {
			return a, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header.", part)
		}
		parts[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[name] == "" {
			return a, incomplete("Authorization header requires '%s' parameter.", name)
		}
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || scope[4] != terminator {
		return a, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'",
			parts["Credential"])
	}
	a = authorization{keyID: scope[0], date: scope[1], region: scope[2], service: scope[3], signed: strings.Split(parts["SignedHeaders"], ";"),
		signature: parts["Signature"]}
	return a, nil
}

// verify tells whether a request with a body is signed for a service by the account's key.
func (s *Simulator) verify(r *http.Request, body []byte, service string) error {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	at, err := signedAt(r)
	if err != nil {
		return err
	}
	if err := checkSigned(r, a); err != nil {
		return err
	}
	if a.keyID != DemoKeyID || r.Header.Get("X-Amz-Security-Token") != "" {
		return denied("InvalidClientTokenId", "UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if err := checkScope(a, at, service); err != nil {
		return err
	}
	if err := checkAge(at, s.clock.Now()); err != nil {
		return err
	}
	payload := hashed(body)
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != payload {
		return mismatched("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	path := "/" // of all calls of SNS; Front has written another one for the faults
	if service == serviceSES {
		path = canonicalPath(r.URL.EscapedPath())
	}
	canonical := hashed([]byte(canonicalRequest(r, path, a.signed, payload)))
	scope := strings.Join([]string{a.date, a.region, a.service, terminator}, "/")
	toSign := strings.Join([]string{algorithm, at.Format(amzDateForm), scope, canonical}, "\n")
	given, err := hex.DecodeString(a.signature)
	if err != nil || !hmac.Equal(given, mac(signingKey(a), toSign)) {
		return mismatched("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
			"and signing method. Consult the service documentation for details.")
	}
	return nil
}

// signedAt is the time that a request names.
func signedAt(r *http.Request) (time.Time, error) {
	if text := r.Header.Get("X-Amz-Date"); text != "" {
		at, err := time.Parse(amzDateForm, text)
		if err != nil {
			return at, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'.", text)
		}
		return at, nil
	}
	if text := r.Header.Get("Date"); text != "" {
		at, err := http.ParseTime(text)
		if err != nil {
			return at, incomplete("Date must be in a form of RFC 7231. Got '%s'.", text)
		}
		return at.UTC(), nil
	}
	return time.Time{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
}

// checkSigned wants the host and every header of AWS's own among those that are signed.
func checkSigned(r *http.Request, a authorization) error {
	if !slices.IsSorted(a.signed) {
		return mismatched("The signed headers are not sorted.")
	}
	needed := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			needed = append(needed, lower)
		}
	}
	for _, name := range needed {
		if !slices.Contains(a.signed, name) {
			return incomplete("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

func checkScope(a authorization, at time.Time, service string) error {
	switch {
	case a.region != Region:
		return mismatched("Credential should be scoped to a valid region, not '%s'.", a.region)
	case a.service != service:
		return mismatched("Credential should be scoped to correct service: '%s'.", service)
	case a.date != at.Format("20060102"):
		return mismatched("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			a.date, at.Format("20060102"), at.Format(amzDateForm))
	}
	return nil
}

func checkAge(at, now time.Time) error {
	if oldest := now.Add(-window); at.Before(oldest.Truncate(time.Second)) {
		return mismatched("Signature expired: %s is now earlier than %s (%s - 5 min.)", at.Format(amzDateForm), oldest.Format(amzDateForm),
			now.Format(amzDateForm))
	}
	if newest := now.Add(window); at.After(newest) {
		return mismatched("Signature not yet current: %s is still later than %s (%s + 5 min.)", at.Format(amzDateForm),
			newest.Format(amzDateForm), now.Format(amzDateForm))
	}
	return nil
}

// canonicalRequest is a request as it is signed.
func canonicalRequest(r *http.Request, path string, signed []string, payload string) string {
	var out strings.Builder
	out.WriteString(r.Method + "\n" + path + "\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, name := range signed {
		out.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	out.WriteString("\n" + strings.Join(signed, ";") + "\n" + payload)
	return out.String()
}

// canonicalPath encodes each part of a path once more than the wire has it, as all services but S3 do.
func canonicalPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = uriEncode(part)
	}
	return strings.Join(parts, "/")
}

func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs [][2]string
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, [2]string{uriEncode(unescaped(name)), uriEncode(unescaped(value))})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { // by the name first: "a" comes before "a-"
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	joined := make([]string, len(pairs))
	for i, p := range pairs {
		joined[i] = p[0] + "=" + p[1]
	}
	return strings.Join(joined, "&")
}

func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, value := range values {
		values[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(values, ",")
}

// uriEncode leaves RFC 3986's unreserved characters alone.
func uriEncode(text string) string {
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}

func hashed(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash never fails
	return h.Sum(nil)
}

func signingKey(a authorization) []byte {
	key := mac([]byte("AWS4"+DemoSecret), a.date)
	key = mac(key, a.region)
	key = mac(key, a.service)
	return mac(key, terminator)
}
