package sendgrid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// maxAnswer caps what is read of an answer, in bytes: whoever connects a server of theirs has no more of our memory than SendGrid needs.
const maxAnswer = 1 << 20

// call is one request to SendGrid.
type call struct {
	method string
	path   string
	body   []byte // JSON; nil for none
}

// token returns the connection's key as it goes into the header.
func token(conn provider.Connection) (string, error) {
	return httpcall.Token(conn.Key.Reveal(), "SendGrid API key")
}

// do makes one call and reads its answer.
func (a *Adapter) do(ctx context.Context, conn provider.Connection, c call) httpcall.Answer {
	base, err := baseURL(conn)
	if err != nil {
		return httpcall.Answer{Err: err}
	}
	key, err := token(conn)
	if err != nil {
		return httpcall.Answer{Err: err}
	}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {a.userAgent}, "Authorization": {"Bearer " + key}}
	if c.body != nil {
		header.Set("Content-Type", "application/json")
	}
	return httpcall.Do(ctx, a.transport, httpcall.Call{Method: c.method, URL: base + c.path, Header: header, Body: c.body, Limit: maxAnswer})
}

// refusal is an answer that says no.
type refusal struct {
	status int
	faults []fault
	words  string
}

// Error implements error.
func (r *refusal) Error() string {
	text := fmt.Sprintf("SendGrid answered HTTP %d", r.status)
	if r.words != "" {
		text += ": " + r.words
	}
	return text
}

// unreadable is a good answer that is not SendGrid's.
func unreadable(path string) error { return &httpcall.Unreadable{Call: path, Whose: "SendGrid"} }

// ask makes a call that is not a send and decodes its answer, unless into is nil. Its errors are *httpcall.SettingError, *httpcall.Failure,
// *refusal and *httpcall.Unreadable; none holds the key.
func (a *Adapter) ask(ctx context.Context, conn provider.Connection, c call, into any) error {
	ans := a.do(ctx, conn, c)
	key := conn.Key.Reveal()
	if setting, ok := errors.AsType[*httpcall.SettingError](ans.Err); ok {
		return setting
	}
	good := ans.Status >= 200 && ans.Status < 300
	if ans.Status == 0 || ans.Err != nil && good {
		return &httpcall.Failure{Text: "SendGrid could not be reached: " + provider.Clean(httpcall.Redact(ans.Err.Error(), key), provider.MaxText)}
	}
	if !good {
		list := faults(ans.Body)
		return &refusal{ans.Status, list, words(list, key)}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(ans.Body, into); err != nil {
		return unreadable(c.path)
	}
	return nil
}

// gone tells whether an error says that a webhook is not there any more.
func gone(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status == http.StatusNotFound
}

// setupError puts an error of ask into words for the user.
func setupError(err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return httpcall.SetupError(err)
	}
	switch {
	case r.status == http.StatusTooManyRequests || r.status >= 500 || says(r.faults, blocked):
		return &provider.SetupError{Code: provider.CodeUnavailable, Message: r.Error(), Retry: true}
	case says(r.faults, outOfCredits):
		return &provider.SetupError{Code: "out_of_credits", Message: "the SendGrid plan is used up: " + r.Error()}
	case r.status == http.StatusUnauthorized:
		return &provider.SetupError{Code: "invalid_token", Field: "key", Message: "SendGrid does not accept the API key: " + r.Error()}
	case r.status == http.StatusForbidden:
		return &provider.SetupError{Code: "forbidden", Field: "key", Message: "SendGrid does not let the API key do this. It needs full access, or Mail Send " +
			"and the rights to read the user's profile and to change Event Webhooks; a suspended account gives the same answer. " + r.Error()}
	case r.words == "" || r.status == http.StatusNotFound:
		return &provider.SetupError{Code: "unexpected_answer", Field: "endpoint", Message: r.Error() + "; is the endpoint right?"}
	default:
		return &provider.SetupError{Code: "provider_refused", Message: r.Error()}
	}
}

// Check implements provider.Adapter: the key must be able to read the user's profile (SG-8). Its errors are *provider.SetupError. Whether
// it may also send mail shows when it does.
func (a *Adapter) Check(ctx context.Context, conn provider.Connection) error {
	var profile map[string]json.RawMessage
	c := call{method: http.MethodGet, path: "/v3/user/profile"}
	if err := a.ask(ctx, conn, c, &profile); err != nil {
		return setupError(err)
	}
	if profile == nil {
		return setupError(unreadable(c.path))
	}
	return nil
}
