package postmark_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
)

// TestErrorCodes walks the whole table, for a single message and for one item of a batch.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	want := map[int]provider.Class{
		10: provider.Account, 11: provider.Rejected, 100: provider.Transient, 101: provider.Ambiguous,
		300: provider.Rejected, 400: provider.Account, 401: provider.Account, 402: provider.Rejected,
		403: provider.Rejected, 405: provider.Account, 406: provider.Inactive, 409: provider.Rejected,
		410: provider.Rejected, 411: provider.Rejected, 412: provider.Account, 413: provider.Account,
		422: provider.Account, 429: provider.Throttled, 614: provider.Account, 1101: provider.Rejected,
		1109: provider.Rejected, 1120: provider.Rejected, 1121: provider.Rejected, 1122: provider.Rejected,
		1123: provider.Rejected, 1226: provider.Account, 1235: provider.Account, 1236: provider.Account,
		1480: provider.Account,
	}
	if diff := cmp.Diff(want, postmark.ErrorCodes()); diff != "" {
		t.Fatalf("the table is not the published one (-want +got):\n%s", diff)
	}
	want[98765] = provider.Rejected // unknown to us
	for code, class := range want {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			refusal := map[string]any{"ErrorCode": code, "Message": "words about it"}
			single := newAdapter(t).Send(t.Context(), connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				reply(w, http.StatusUnprocessableEntity, refusal)
			})), outgoing(1))[0]
			batch := newAdapter(t).Send(t.Context(), connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				reply(w, http.StatusOK, []any{refusal, map[string]any{"MessageID": "m", "ErrorCode": 0, "Message": "OK"}})
			})), outgoing(2))
			for place, got := range map[string]provider.Outcome{"single": single, "item": batch[0]} {
				if got.Class != class || got.Elsewhere != (code == 1101) || got.WholeCall ||
					got.SenderOnly != (code == 400 || code == 401 || code == 412) || got.Code != fmt.Sprint(code) ||
					got.Text != "words about it" {
					t.Errorf("%s: %+v, want %v", place, got, class)
				}
			}
			if batch[1].Class != provider.Accepted {
				t.Errorf("the other message: %+v", batch[1])
			}
		})
	}
}

// TestWholeCall covers refusals of a batch as a whole.
func TestWholeCall(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		header string // X-PM-ApiErrorCode
		body   string
		class  provider.Class
		code   string
		whole  bool
	}{
		"too many":            {422, "", `{"ErrorCode":410,"Message":"You may only send up to 500"}`, provider.Rejected, "410", true},
		"too large":           {413, "", "", provider.Rejected, "", true},
		"too large, own code": {413, "", `{"ErrorCode":413,"Message":"too large"}`, provider.Rejected, "413", true},
		"bad JSON":            {422, "", `{"ErrorCode":402,"Message":"x"}`, provider.Rejected, "402", true},
		"inactive":            {422, "", `{"ErrorCode":406,"Message":"inactive addresses: a@b.example"}`, provider.Rejected, "406", true},
		"template":            {422, "", `{"ErrorCode":1101,"Message":"x"}`, provider.Rejected, "1101", true},
		"unknown code":        {422, "", `{"ErrorCode":7777,"Message":"x"}`, provider.Rejected, "7777", true},
		"code in the header":  {422, "412", "", provider.Account, "412", false},
		"not approved":        {422, "", `{"ErrorCode":413,"Message":"x"}`, provider.Account, "413", false},
		"token":               {401, "", `{"ErrorCode":10,"Message":"x"}`, provider.Account, "10", false},
		"token, old":          {401, "", `{"ErrorCode":0,"Message":"Bad or missing server or user API token."}`, provider.Account, "", false},
		"code in a 200":       {200, "", `{"ErrorCode":1235,"Message":"x"}`, provider.Account, "1235", false},
		"422 of HTML":         {422, "", "<html>", provider.Rejected, "", true},
		"404":                 {404, "", "<html>", provider.Account, "", false},
		"redirect":            {302, "", "", provider.Account, "", false},
		"proxy login":         {407, "", "", provider.Account, "", false},
		"request timeout":     {408, "", "", provider.Transient, "", false},
		"maintenance":         {503, "", `{"ErrorCode":100,"Message":"x"}`, provider.Transient, "100", false},
		"fault":               {500, "", `{"ErrorCode":101,"Message":"x"}`, provider.Ambiguous, "101", false},
		"fault as 503":        {503, "", `{"ErrorCode":101,"Message":"x"}`, provider.Ambiguous, "101", false},
		"500 with another":    {500, "", `{"ErrorCode":300,"Message":"x"}`, provider.Ambiguous, "300", false},
		"gateway":             {502, "", "<html>", provider.Ambiguous, "", false},
		"created":             {201, "", `[]`, provider.Ambiguous, "", false},
		"one object":          {200, "", `{"ErrorCode":0,"Message":"OK","MessageID":"m"}`, provider.Ambiguous, "", false},
		"too few results":     {200, "", `[{"ErrorCode":0,"MessageID":"m"}]`, provider.Ambiguous, "", false},
		"too many results":    {200, "", `[{},{},{},{}]`, provider.Ambiguous, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if tc.header != "" {
					w.Header().Set("X-PM-ApiErrorCode", tc.header)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			for i, got := range newAdapter(t).Send(t.Context(), conn, outgoing(3)) {
				if got.Class != tc.class || got.WholeCall != tc.whole || got.Code != tc.code || got.HTTPStatus != tc.status ||
					got.InactiveAddresses != nil {
					t.Errorf("outcome %d: %+v", i, got)
				}
			}
			// Alone, there is nobody else to blame.
			if got := newAdapter(t).Send(t.Context(), conn, outgoing(1))[0]; got.WholeCall {
				t.Errorf("one message: %+v", got)
			}
		})
	}
}

func TestAcceptedForms(t *testing.T) {
	t.Parallel()
	const id = "cf639975-1685-4c70-aba1-b1115b4f6d12"
	for name, tc := range map[string]struct {
		body     string
		class    provider.Class
		id       string
		inactive []string
	}{
		"plain":             {`{"To":"a@b.example","MessageID":"` + id + `","ErrorCode":0,"Message":"OK"}`, provider.Accepted, id, nil},
		"test token":        {`{"MessageID":"` + id + `","ErrorCode":0,"Message":"Test job accepted"}`, provider.Accepted, id, nil},
		"degraded":          {`{"Message":"Message accepted, but delivery may be delayed."}`, provider.Accepted, "", nil},
		"degraded, with id": {`{"MessageID":"` + id + `","Message":"Message accepted, but delivery may be delayed."}`, provider.Accepted, id, nil},
		"code without id":   {`{"ErrorCode":0}`, provider.Accepted, "", nil},
		"null code":         {`{"ErrorCode":null,"MessageID":"` + id + `","Message":"OK"}`, provider.Accepted, id, nil},
		"some inactive": {`{"MessageID":"` + id + `","ErrorCode":0,"Message":"Message OK, but will not deliver to these inactive addresses: ` +
			`a@x.com, b+c@sub.x.co.uk. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."}`,
			provider.Accepted, id, []string{"a@x.com", "b+c@sub.x.co.uk"}},
		"inactive, at the end": {`{"MessageID":"` + id + `","ErrorCode":0,"Message":"Message OK, but will not deliver to these inactive addresses: a@x.com,b@x.com."}`,
			provider.Accepted, id, []string{"a@x.com", "b@x.com"}},
		"all inactive": {`{"ErrorCode":406,"Message":"You tried to send to recipient(s) that have been marked as inactive. ` +
			`Found inactive addresses: a@x.com, b@x.com. Inactive recipients are ones that have generated a hard bounce."}`,
			provider.Inactive, "", []string{"a@x.com", "b@x.com"}},
		"all inactive, other words": {`{"ErrorCode":406,"Message":"You tried to send to a recipient that has been marked as inactive: <a@x.com> "}`,
			provider.Inactive, "", []string{"a@x.com"}},
		"inactive, no list": {`{"ErrorCode":406,"Message":"Inactive."}`, provider.Inactive, "", nil},
		"says nothing":      {`{}`, provider.Ambiguous, "", nil},
		"other service":     {`{"Message":"hello"}`, provider.Ambiguous, "", nil},
		"code is a word":    {`{"ErrorCode":"none","MessageID":"` + id + `"}`, provider.Ambiguous, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			single := newAdapter(t).Send(t.Context(), connection(answering(t, 200, tc.body)), outgoing(1))
			batch := newAdapter(t).Send(t.Context(), connection(answering(t, 200, "["+tc.body+","+tc.body+"]")), outgoing(2))
			for i, got := range append(single, batch...) {
				if got.Class != tc.class || got.ProviderMessageID != tc.id || !slices.Equal(got.InactiveAddresses, tc.inactive) {
					t.Errorf("outcome %d: %+v", i, got)
				}
			}
		})
	}
}

func TestRetryAfterDate(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		testNow.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		testNow.Add(-time.Hour).Format(http.TimeFormat):       250 * time.Millisecond,
		testNow.Add(time.Hour).Format(http.TimeFormat):        15 * time.Minute,
		"1e300": 15 * time.Minute, "-5": 250 * time.Millisecond, "NaN": 0, " 3 ": 3 * time.Second,
	} {
		conn := connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			reply(w, http.StatusTooManyRequests, map[string]any{"ErrorCode": 429, "Message": "Rate limit exceeded"})
		}))
		got := newAdapter(t).Send(t.Context(), conn, outgoing(2))
		if got[1].Class != provider.Throttled || got[1].RetryAfter != want {
			t.Errorf("%q: %+v, want %v", value, got[1], want)
		}
	}
}

func TestTextIsRedactedAndCapped(t *testing.T) {
	t.Parallel()
	message := strings.Repeat("ü", 200) + " token " + strings.ToUpper(testKey) + " and " + testKey + strings.Repeat("x", 1000)
	conn := connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 422, map[string]any{"ErrorCode": 300, "Message": message})
	}))
	got := newAdapter(t).Send(t.Context(), conn, outgoing(1))[0]
	if strings.Contains(strings.ToLower(got.Text), testKey) || strings.Count(got.Text, "[redacted]") != 2 {
		t.Errorf("Text = %s", got.Text)
	}
	if len(got.Text) > provider.MaxText || !utf8.ValidString(got.Text) {
		t.Errorf("Text has %d bytes", len(got.Text))
	}
}

// newFuzzAdapter returns an adapter whose transport is never used, or replaced.
func newFuzzAdapter() *postmark.Adapter {
	return postmark.New(postmark.Config{Now: func() time.Time { return testNow }})
}

// canned answers every request from memory.
type canned struct {
	status int
	header http.Header
	body   io.Reader
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(c.body)}, err
}

// brokenReader ends with an error, as a connection does that is reset.
type brokenReader struct{ *strings.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		`{"ErrorCode":0,"MessageID":"m","Message":"OK"}`, `[{"ErrorCode":0},{"ErrorCode":300,"Message":"x"}]`, "<html>",
		`{"ErrorCode":406,"Message":"Found inactive addresses: a@b.c. Inactive x"}`, `[null,null]`, `{"ErrorCode":1e9}`,
	} {
		for _, status := range []int{200, 401, 422, 429, 500, 503} {
			f.Add(status, body, "", "", false, uint8(2))
		}
	}
	f.Add(422, "", "1101", "7", true, uint8(1))
	f.Fuzz(func(t *testing.T, status int, body, code, retryAfter string, broken bool, size uint8) {
		if status < 100 || status > 999 {
			return
		}
		answer := canned{status, http.Header{}, strings.NewReader(body)}
		answer.header.Set("X-PM-ApiErrorCode", code)
		answer.header.Set("Retry-After", retryAfter)
		if broken {
			answer.body = brokenReader{strings.NewReader(body)}
		}
		adapter := postmark.New(postmark.Config{Transport: answer, Now: func() time.Time { return testNow }})
		batch := outgoing(1 + int(size%5))
		outcomes := adapter.Send(t.Context(), connection(""), batch)
		if len(outcomes) != len(batch) {
			t.Fatalf("%d outcomes for %d messages", len(outcomes), len(batch))
		}
		for _, o := range outcomes {
			switch {
			case o.Class.String() == "invalid":
				t.Fatalf("no class: %+v", o)
			case o.Class == provider.Accepted && (status != 200 || broken):
				t.Fatalf("accepted by a %d: %+v", status, o)
			case status == 200 && !json.Valid([]byte(body)) && o.Class != provider.Ambiguous && code == "":
				t.Fatalf("an unreadable 200 is not in doubt: %+v", o)
			case len(o.Text) > provider.MaxText || !utf8.ValidString(o.Text) || strings.Contains(o.Text, testKey):
				t.Fatalf("text: %q", o.Text)
			case o.WholeCall && (len(batch) == 1 || o.Class != provider.Rejected):
				t.Fatalf("WholeCall: %+v", o)
			case o.RetryAfter < 0 || o.RetryAfter > 15*time.Minute || o.RetryAfter > 0 && o.Class != provider.Throttled:
				t.Fatalf("RetryAfter: %+v", o)
			}
		}
	})
}
