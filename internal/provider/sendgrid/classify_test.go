package sendgrid_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

func secretOf(s string) secret.String { return secret.NewString(s) }

// errorsBody is SendGrid's error body.
func errorsBody(message, field string) string {
	if field == "" {
		field = "null"
	} else {
		field = strconv.Quote(field)
	}
	return `{"errors":[{"message":` + strconv.Quote(message) + `,"field":` + field + `,"help":null}]}`
}

// Every trap that is known of SendGrid's answers, and what the message and the connection are to make of it.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const (
		credits = "Maximum credits exceeded"
		badKey  = "The provided authorization grant is invalid, expired, or revoked"
		sender  = "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."
	)
	inAnHour := strconv.FormatInt(testNow.Add(time.Hour).Unix(), 10)
	inAMinute := strconv.FormatInt(testNow.Add(time.Minute).Unix(), 10)
	accepted := provider.Outcome{Class: provider.Accepted, HTTPStatus: 202}
	for name, test := range map[string]struct {
		status int
		header map[string]string
		body   string
		cut    bool // the body is announced longer than it is
		want   provider.Outcome
		words  string
	}{
		"accepted": {status: 202, header: map[string]string{"X-Message-Id": "14c5d75ce93dfd"},
			want: provider.Outcome{Class: provider.Accepted, HTTPStatus: 202, ProviderMessageID: "14c5d75ce93dfd"}},
		"accepted, with the longer id": {status: 202, header: map[string]string{"X-Message-Id": "abc.filter0425p1mdw1.13037.57168B4A1D.0"},
			want: provider.Outcome{Class: provider.Accepted, HTTPStatus: 202, ProviderMessageID: "abc"}},
		"accepted without an id": {status: 202, want: accepted},
		"accepted, with the id and a body": {status: 202, header: map[string]string{"X-Message-Id": "abc"}, body: "{}",
			want: provider.Outcome{Class: provider.Accepted, HTTPStatus: 202, ProviderMessageID: "abc"}},
		"accepted, and then cut short": {status: 202, header: map[string]string{"X-Message-Id": "abc"}, cut: true,
			want: provider.Outcome{Class: provider.Accepted, HTTPStatus: 202, ProviderMessageID: "abc"}},
		"202 of something else":    {status: 202, body: "<html>queued</html>", want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 202}, words: "not SendGrid's"},
		"202 cut short without id": {status: 202, cut: true, want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 202}},
		"200, as in sandbox mode":  {status: 200, want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 200}},

		"out of credits": {status: 401, body: errorsBody(credits, ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 401}, words: credits},
		"bad key":        {status: 401, body: errorsBody(badKey, ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 401}, words: badKey},
		"401 cut short":  {status: 401, body: `{"err`, cut: true, want: provider.Outcome{Class: provider.Account, HTTPStatus: 401}},

		"sender not verified": {status: 403, body: errorsBody(sender, "from"),
			want: provider.Outcome{Class: provider.Account, SenderOnly: true, HTTPStatus: 403}, words: "Sender Identity"},
		"sender not verified, as a 400": {status: 400, body: errorsBody(strings.ToUpper(sender), "from"),
			want: provider.Outcome{Class: provider.Account, SenderOnly: true, HTTPStatus: 400}},
		"access forbidden":      {status: 403, body: errorsBody("access forbidden", ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 403}},
		"under review":          {status: 403, body: errorsBody("Your account is under review", ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 403}},
		"too many bad requests": {status: 403, body: errorsBody("You have made too many bad requests, temporary block", ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 403}},
		"403 cut short":         {status: 403, body: `{"errors":[{"mes`, cut: true, want: provider.Outcome{Class: provider.Account, HTTPStatus: 403}},

		"bad payload": {status: 400, body: errorsBody("Does not contain a valid address.", "personalizations.0.to.0.email"),
			want: provider.Outcome{Class: provider.Rejected, HTTPStatus: 400}, words: "Does not contain a valid address. (personalizations.0.to.0.email)"},
		"no such pool": {status: 400, body: errorsBody("The pool does not exist", "ip_pool_name"),
			want: provider.Outcome{Class: provider.Rejected, Elsewhere: true, HTTPStatus: 400}},
		"two faults": {status: 400, body: `{"errors":[{"message":"one","field":"a"},7,{"message":"two"},null]}`,
			want: provider.Outcome{Class: provider.Rejected, HTTPStatus: 400}, words: "one (a); two"},
		"400 cut short":   {status: 400, body: `{"errors":[`, cut: true, want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 400}},
		"400 without one": {status: 400, body: "<html>", want: provider.Outcome{Class: provider.Rejected, HTTPStatus: 400}, words: "without a word of SendGrid's"},

		"wrong path":       {status: 404, body: errorsBody("Not Found", ""), want: provider.Outcome{Class: provider.Account, HTTPStatus: 404}},
		"wrong method":     {status: 405, want: provider.Outcome{Class: provider.Account, HTTPStatus: 405}},
		"no Accept":        {status: 406, want: provider.Outcome{Class: provider.Account, HTTPStatus: 406}},
		"content type":     {status: 415, want: provider.Outcome{Class: provider.Rejected, HTTPStatus: 415}},
		"too large":        {status: 413, want: provider.Outcome{Class: provider.Rejected, Elsewhere: true, HTTPStatus: 413}},
		"413 cut short":    {status: 413, cut: true, want: provider.Outcome{Class: provider.Rejected, Elsewhere: true, HTTPStatus: 413}},
		"moved":            {status: 301, header: map[string]string{"Location": "https://elsewhere.example"}, want: provider.Outcome{Class: provider.Account, HTTPStatus: 301}},
		"throttled":        {status: 429, body: errorsBody("too many requests", ""), want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429}},
		"throttled, reset": {status: 429, header: map[string]string{"X-RateLimit-Reset": inAMinute}, want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, RetryAfter: time.Minute}},
		"throttled, long":  {status: 429, header: map[string]string{"X-RateLimit-Reset": inAnHour}, want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, RetryAfter: 15 * time.Minute}},
		"throttled, past": {status: 429, header: map[string]string{"X-RateLimit-Reset": strconv.FormatInt(testNow.Unix()-5, 10)},
			want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, RetryAfter: 250 * time.Millisecond}},
		"throttled, both": {status: 429, header: map[string]string{"X-RateLimit-Reset": inAMinute, "Retry-After": "7"},
			want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, RetryAfter: 7 * time.Second}},
		"throttled, odd": {status: 429, header: map[string]string{"X-RateLimit-Reset": "soon"}, want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429}},
		"throttled, huge": {status: 429, header: map[string]string{"X-RateLimit-Reset": "9223372036854775807"},
			want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429}},
		"429 cut short": {status: 429, cut: true, want: provider.Outcome{Class: provider.Throttled, HTTPStatus: 429}},

		"internal error": {status: 500, body: errorsBody("internal error", ""), want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 500}},
		"bad gateway":    {status: 502, want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 502}},
		"unavailable":    {status: 503, body: "<html>", want: provider.Outcome{Class: provider.Transient, HTTPStatus: 503}},
		"503 cut short":  {status: 503, cut: true, want: provider.Outcome{Class: provider.Transient, HTTPStatus: 503}},
		"gateway time":   {status: 504, want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 504}},
		"500 on credits": {status: 500, body: errorsBody(credits, ""), want: provider.Outcome{Class: provider.Ambiguous, HTTPStatus: 500}},
		"the key in it":  {status: 400, body: errorsBody("bad key "+testKey, ""), want: provider.Outcome{Class: provider.Rejected, HTTPStatus: 400}, words: "bad key "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for key, value := range test.header {
					w.Header().Set(key, value)
				}
				if test.cut {
					w.Header().Set("Content-Length", strconv.Itoa(len(test.body)+50))
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
				if test.cut {
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			}))
			for n := 1; n <= 3; n += 2 {
				want := test.want
				if n > 1 && want.Class == provider.Rejected {
					want.WholeCall, want.Elsewhere = true, false
				}
				for i, o := range newAdapter(t).Send(t.Context(), conn, outgoing(n, plain())) {
					if diff := cmp.Diff(want, o, cmpopts.IgnoreFields(provider.Outcome{}, "Text")); diff != "" {
						t.Errorf("%d messages, outcome %d (-want +got):\n%s", n, i, diff)
					}
					if !strings.Contains(o.Text, test.words) || (o.Text == "") != (o.Class == provider.Accepted) || strings.Contains(o.Text, testKey) {
						t.Errorf("words: %q", o.Text)
					}
				}
			}
		})
	}
}
