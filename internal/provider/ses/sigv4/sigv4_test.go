package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// example is the key of the published test suite.
var example = Key{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "us-east-1", Service: "service"}

var moment = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// The vectors of the published test suite (aws-sig-v4-test-suite), by their names there, and the example of the documentation.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	iam := example
	iam.Service = "iam"
	const form = "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		key                     Key
		method, url, body       string
		header                  http.Header
		wantHeaders, wantDigits string
	}{
		"get-vanilla": {example, "GET", "https://example.amazonaws.com/", "", nil, "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"post-vanilla": {example, "POST", "https://example.amazonaws.com/", "", nil, "host;x-amz-date",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"get-vanilla-query": {example, "GET", "https://example.amazonaws.com", "", nil, "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"get-vanilla-empty-query-key": {example, "GET", "https://example.amazonaws.com/?Param1=value1", "", nil, "host;x-amz-date",
			"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		"get-vanilla-query-order-key-case": {example, "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "", nil, "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"get-vanilla-query-unreserved": {example, "GET",
			"https://example.amazonaws.com/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			"", nil, "host;x-amz-date", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
		"get-header-value-trim": {example, "GET", "https://example.amazonaws.com/", "",
			http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}}, "host;my-header1;my-header2;x-amz-date",
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		"post-x-www-form-urlencoded": {example, "POST", "https://example.amazonaws.com/", "Param1=value1",
			http.Header{"Content-Type": {form}}, "content-type;host;x-amz-date",
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		"documentation": {iam, "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "",
			http.Header{"Content-Type": {form + "; charset=utf-8"}}, "content-type;host;x-amz-date",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		header := tc.header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "of an earlier try")
		Sign(tc.key, moment.In(time.FixedZone("", 7200)), tc.method, u, header, []byte(tc.body))
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + tc.key.Service + "/aws4_request, SignedHeaders=" + tc.wantHeaders +
			", Signature=" + tc.wantDigits
		if got := header.Get("Authorization"); got != want || header.Get("X-Amz-Date") != "20150830T123600Z" {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
}

// What was published of the steps of the documentation's example.
func TestPublishedSteps(t *testing.T) {
	t.Parallel()
	iam := example
	iam.Service = "iam"
	u, _ := url.Parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}, "X-Amz-Date": {"20150830T123600Z"}}
	_, canonical := canonicalRequest("GET", u, header, nil)
	if got := digest([]byte(canonical)); got != "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59" {
		t.Errorf("the canonical request's digest is %s:\n%s", got, canonical)
	}
}

// Paths that need encoding are encoded twice, and queries once, whatever they hold.
func TestPathsAndQueries(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://h":                       "/ ",
		"https://h/v2/email/a-b_c.d~e":    "/v2/email/a-b_c.d~e ",
		"https://h/a%20b":                 "/a%2520b ",
		"https://h/a%2Fb":                 "/a%252Fb ",
		"https://h/%E1%88%B4":             "/%25E1%2588%25B4 ",
		"https://h/a:b@c":                 "/a%3Ab%40c ",
		"https://h/?b=2&a=1&a=0&c&d=%20+": "/ a=0&a=1&b=2&c=&d=%20%20",
		"https://h/?a-b=1&a=2":            "/ a=2&a-b=1",
		"https://h/?%C3%BC=%26":           "/ %C3%BC=%26",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := path(u) + " " + query(u); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

// Everything that is signed counts: another byte anywhere is another signature.
func TestEverythingCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type request struct {
			key                             Key
			at                              int64
			method, host, path, value, body string
		}
		text := rapid.StringMatching(`[a-zA-Z0-9/+]{1,20}`)
		draw := func(name string) string { return text.Draw(t, name) }
		r := request{Key{"AKID", draw("secret"), draw("region"), draw("service")}, rapid.Int64Range(0, 1<<32).Draw(t, "at"),
			"POST", "host", "/" + draw("path"), draw("value"), draw("body")}
		sign := func(r request) string {
			h := http.Header{"X-A": {r.value}}
			Sign(r.key, time.Unix(r.at, 0), r.method, &url.URL{Scheme: "https", Host: r.host, Path: r.path}, h, []byte(r.body))
			_, signature, _ := strings.Cut(h.Get("Authorization"), "Signature=")
			return signature
		}
		want := sign(r)
		for name, change := range map[string]func(*request){
			"secret": func(r *request) { r.key.Secret += "x" }, "region": func(r *request) { r.key.Region += "x" },
			"service": func(r *request) { r.key.Service += "x" }, "time": func(r *request) { r.at++ }, "method": func(r *request) { r.method = "PUT" },
			"host": func(r *request) { r.host += "x" }, "path": func(r *request) { r.path += "x" }, "header": func(r *request) { r.value += "x" },
			"body": func(r *request) { r.body += "x" },
		} {
			other := r
			change(&other)
			if sign(other) == want {
				t.Fatalf("another %s has the same signature", name)
			}
		}
		if sign(r) != want || len(want) != 64 {
			t.Fatalf("%q", want)
		}
	})
}
