package postmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// refusal is an answer that says no.
type refusal struct {
	status  int
	code    int // ErrorCode, 0 when there is none
	message string
	body    []byte
}

// Error implements error.
func (r *refusal) Error() string {
	text := fmt.Sprintf("Postmark answered HTTP %d", r.status)
	if r.code != 0 {
		text += fmt.Sprintf(", ErrorCode %d", r.code)
	}
	if r.message != "" {
		text += ": " + r.message
	}
	return text
}

// unreadable is a good answer that is not Postmark's.
func unreadable(path string) error { return &httpcall.Unreadable{Call: path, Whose: "Postmark"} }

// ErrorCodes that decide what a set-up step does.
const (
	codeNoSuchMessage     = 701
	codeNoSuchBounce      = 1001
	codeNoSuchTemplate    = 1101
	codeUnknownStream     = 1226
	codeStreamArchived    = 1350
	codeStreamInbound     = 1351
	codeNoSuchWebhook     = 1352
	codeBadWebhookURL     = 1354
	codeTooManyWebhooks   = 1359
	codeWebhookUnverified = 1364
	codeForbiddenIP       = 1480
)

// ask makes a call that is not a send and decodes its answer. Its errors are *httpcall.SettingError, *httpcall.Failure, *refusal and
// *httpcall.Unreadable; none holds the token.
func (a *Adapter) ask(ctx context.Context, conn provider.Connection, c call, into any) error {
	ans := a.do(ctx, conn, c)
	key := conn.Key.Reveal()
	if setting, ok := errors.AsType[*httpcall.SettingError](ans.Err); ok {
		return setting
	}
	if ans.Status == 0 || ans.Err != nil && ans.Status == http.StatusOK {
		failure := &httpcall.Failure{
			Text:  "Postmark could not be reached: " + provider.Clean(httpcall.Redact(ans.Err.Error(), key), provider.MaxText),
			Cause: ctx.Err(),
		}
		if errors.Is(ans.Err, httpcall.ErrAnswerTooLong) {
			failure.Cause = httpcall.ErrAnswerTooLong
		}
		return failure
	}
	r := ans.refused()
	if ans.Status != http.StatusOK || r.code() != 0 {
		return &refusal{
			status: ans.Status, code: r.code(), message: provider.Clean(httpcall.Redact(r.Message, key), provider.MaxText), body: ans.Body,
		}
	}
	if err := json.Unmarshal(ans.Body, into); err != nil {
		return unreadable(c.path)
	}
	return nil
}

// gone tells whether an error says that a webhook is not there any more.
func gone(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && (r.code == codeNoSuchWebhook || r.status == http.StatusNotFound)
}

// setupError puts an error of ask into words for the user.
func (a *Adapter) setupError(ctx context.Context, conn provider.Connection, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return httpcall.SetupError(err)
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return a.badToken(ctx, conn)
	case r.status == http.StatusTooManyRequests || r.status >= 500:
		return &provider.SetupError{Code: provider.CodeUnavailable, Message: r.Error(), Retry: true}
	case r.code == codeForbiddenIP:
		return &provider.SetupError{Code: "ip_not_allowed", Message: "Postmark refuses calls from this machine's IP " +
			"address: add it to the API access list of the Postmark account, or clear that list"}
	case r.code == codeUnknownStream:
		return unknownStream(conn.Stream)
	case r.code == codeStreamArchived:
		return archivedStream(conn.Stream)
	case r.code == codeStreamInbound:
		return inboundStream(conn.Stream)
	case r.code == codeBadWebhookURL:
		return &provider.SetupError{Code: "invalid_webhook_url", Message: "Postmark does not take the webhook's URL, " +
			"which begins with this server's public URL: " + r.Error()}
	case r.code == codeTooManyWebhooks:
		return &provider.SetupError{Code: "too_many_webhooks", Message: fmt.Sprintf("the message stream %q has as many "+
			"webhooks as Postmark allows: remove one that is not needed in Postmark, then try again", conn.Stream)}
	case r.code == 0 && r.message == "":
		return &provider.SetupError{Code: "unexpected_answer", Field: "endpoint",
			Message: r.Error() + ", without a word of Postmark's; is the endpoint right?"}
	default:
		return &provider.SetupError{Code: "provider_refused", Message: r.Error()}
	}
}

// badToken explains a 401. An Account API token in the place of a Server API token is the likely mistake and gives the
// same answer, so the key is tried as one.
func (a *Adapter) badToken(ctx context.Context, conn provider.Connection) error {
	message := "Postmark does not accept the token (HTTP 401): copy a Server API token from the server's API Tokens tab"
	var servers struct{ TotalCount *int }
	err := a.ask(ctx, conn, call{
		method: http.MethodGet, path: "/servers", query: url.Values{"count": {"1"}, "offset": {"0"}}, account: true,
	}, &servers)
	if err == nil && servers.TotalCount != nil {
		message = "this looks like a Postmark Account API token; a Server API token is needed: " +
			"copy one from the server's API Tokens tab"
	}
	return &provider.SetupError{Code: "invalid_token", Field: "key", Message: message}
}

// list joins words for a sentence.
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
