package ses

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// refusal is an answer that says no.
type refusal struct {
	from   string // "Amazon SES" or "Amazon SNS"
	action string // in AWS's words: "CreateTopic"
	status int
	problem
}

// Error implements error.
func (r *refusal) Error() string {
	text := fmt.Sprintf("%s answered %s with HTTP %d", r.from, r.action, r.status)
	for _, part := range []string{r.Kind, r.Message} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// gone tells whether an error says that something is not there.
func gone(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Kind == "NotFound"
}

// exists tells whether an error says that something is there already.
func exists(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Kind == "AlreadyExists"
}

// denied tells whether an error says that the key may not do this, or not to this.
func denied(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && (r.Kind == "AccessDenied" || r.Kind == "AuthorizationError" || r.Kind == "NotAuthorized")
}

// unreadable is a good answer that is not Amazon's.
func unreadable(action string) error { return &httpcall.Unreadable{Call: action, Whose: "Amazon"} }

// ask makes a call to SES that is not a send and decodes its answer. Its errors are *httpcall.SettingError, *httpcall.Failure, *refusal and
// *httpcall.Unreadable; none holds the key.
func (a *Adapter) ask(ctx context.Context, t *target, action, method, path string, body, into any) error {
	c := call{method: method, path: path}
	if body != nil {
		var err error
		if c.body, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode %s: %w", action, err)
		}
	}
	ans := a.do(ctx, t, c)
	if err := answered(ctx, t, "Amazon SES", action, ans, problemOf(ans)); err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(ans.Body, into); err != nil {
		return unreadable(action)
	}
	return nil
}

// tell makes a call to SNS and decodes its answer. Its errors are as ask's.
func (a *Adapter) tell(ctx context.Context, t *target, action string, parameters url.Values, into any) error {
	ans := a.query(ctx, t, action, parameters)
	var failed struct {
		Error struct{ Code, Message string }
	}
	p := problem{}
	if ans.Status != http.StatusOK && xml.Unmarshal(ans.Body, &failed) == nil {
		p = problem{kindOf(failed.Error.Code), failed.Error.Message}
	}
	if err := answered(ctx, t, "Amazon SNS", action, ans, p); err != nil {
		return err
	}
	var whole struct{ XMLName xml.Name }
	if err := xml.Unmarshal(ans.Body, &whole); err != nil || whole.XMLName.Local != action+"Response" {
		return unreadable(action)
	}
	if into == nil {
		return nil
	}
	if err := xml.Unmarshal(ans.Body, into); err != nil {
		return unreadable(action)
	}
	return nil
}

// answered makes an error of an answer that is not a whole yes.
func answered(ctx context.Context, t *target, from, action string, ans httpcall.Answer, p problem) error {
	if setting, ok := errors.AsType[*httpcall.SettingError](ans.Err); ok {
		return setting
	}
	if ans.Status == 0 || ans.Err != nil && ans.Status == http.StatusOK {
		return &httpcall.Failure{Text: from + " could not be reached: " + t.words(ans.Err.Error()), Cause: ctx.Err()}
	}
	if ans.Status != http.StatusOK {
		return &refusal{from, action, ans.Status, problem{p.Kind, t.words(p.Message)}}
	}
	return nil
}

// badSetting is a connection that cannot be used as it is stored, as an answer to the user.
func badSetting(bad *mail.FieldError) error {
	return &provider.SetupError{Code: bad.Code, Field: bad.Field, Message: bad.Message}
}

// setupError puts an error of ask or tell into words for the user.
func setupError(err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return httpcall.SetupError(err)
	}
	switch {
	case skewed.MatchString(r.Message):
		return &provider.SetupError{Code: "clock_wrong", Message: r.Error() + clockHint, Retry: true}
	case r.Kind == "SignatureDoesNotMatch" || r.Kind == "InvalidSignature":
		return &provider.SetupError{Code: "invalid_token", Field: "secret", Message: "the secret access key is not the one that belongs to the access key id, " +
			"or the region is not the endpoint's: " + r.Error()}
	case denied(err):
		return &provider.SetupError{Code: "missing_permission", Field: "key", Message: fmt.Sprintf(
			"the access key may not call %s: allow it in the policy of its IAM user, then try again (%s)", r.permission(), r.Error())}
	case r.throttles() || r.status == http.StatusTooManyRequests || r.status >= 500 || r.status == http.StatusRequestTimeout:
		return &provider.SetupError{Code: provider.CodeUnavailable, Message: r.Error(), Retry: true}
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden && r.unknownKey():
		return &provider.SetupError{Code: "invalid_token", Field: "key", Message: "Amazon does not accept the access key: " + r.Error()}
	case r.Kind == "" && r.Message == "":
		return &provider.SetupError{Code: "unexpected_answer", Field: "endpoint", Message: r.Error() + ", without a word of Amazon's; is the endpoint right?"}
	default:
		return &provider.SetupError{Code: "provider_refused", Message: r.Error()}
	}
}

// permission names the action as policies do: "sns:CreateTopic".
func (r *refusal) permission() string {
	return strings.ToLower(strings.TrimPrefix(r.from, "Amazon ")) + ":" + r.action
}

func (r *refusal) throttles() bool {
	v, _ := r.verdict()
	return v.class == provider.Throttled || r.Kind == "Throttled"
}

// unknownKey tells whether the type of an error is about the key and no permission.
func (r *refusal) unknownKey() bool {
	switch r.Kind {
	case "UnrecognizedClient", "InvalidClientTokenId", "IncompleteSignature", "MissingAuthenticationToken", "ExpiredToken", "OptInRequired":
		return true
	}
	return false
}
