package toy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/secret"
)

// signatureHeader has the proof of a webhook request.
const signatureHeader = "Toy-Signature"

// webhook is the provider's record of one. Owner is whatever its maker calls it: the user name of our credentials, which nobody else has.
type webhook struct {
	ID      string `json:"id,omitempty"`
	Owner   string `json:"owner"`
	URL     string `json:"url"`
	Proof   string `json:"proof"` // the secret that it signs with
	Enabled bool   `json:"enabled"`
}

// wanted is how our webhook has to stand there.
func wanted(hook provider.Hook) webhook {
	return webhook{Owner: hook.Credentials.Username, URL: hook.URL, Proof: hook.Credentials.Password.Reveal(), Enabled: true}
}

// Check implements provider.Adapter.
func (a *Adapter) Check(ctx context.Context, conn provider.Connection) error {
	return a.ask(ctx, conn, http.MethodGet, "/hooks", nil, &[]webhook{})
}

// Register implements provider.Adapter.
func (a *Adapter) Register(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, changed bool, err error) {
	ours, err := a.ours(ctx, conn, hook)
	if err != nil {
		return "", false, err
	}
	want := wanted(hook)
	if len(ours) == 1 {
		want.ID = ours[0].ID
		if ours[0] == want {
			return want.ID, false, nil
		}
	}
	if hook.Broken != nil {
		if err := hook.Broken(); err != nil {
			return "", false, err
		}
	}
	for len(ours) > 1 { // each copy doubles every event
		if err := a.remove(ctx, conn, ours[len(ours)-1]); err != nil {
			return "", false, err
		}
		ours = ours[:len(ours)-1]
	}
	method, path := http.MethodPost, "/hooks"
	if len(ours) == 1 {
		want.ID = ours[0].ID
		method, path = http.MethodPut, hookPath(want)
	}
	body, err := json.Marshal(want)
	if err != nil {
		return "", false, fmt.Errorf("encode the webhook: %w", err)
	}
	var saved webhook
	if err := a.ask(ctx, conn, method, path, body, &saved); err != nil {
		return "", false, err
	}
	return saved.ID, true, nil
}

// Unregister implements provider.Adapter.
func (a *Adapter) Unregister(ctx context.Context, conn provider.Connection, hook provider.Hook) error {
	ours, err := a.ours(ctx, conn, hook)
	for _, w := range ours {
		if err = a.remove(ctx, conn, w); err != nil {
			break
		}
	}
	return err
}

// ours lists our webhooks: by their owner, whoever else may have our URL or the number that we remember.
func (a *Adapter) ours(ctx context.Context, conn provider.Connection, hook provider.Hook) (ours []webhook, err error) {
	var list []webhook
	if err := a.ask(ctx, conn, http.MethodGet, "/hooks", nil, &list); err != nil {
		return nil, err
	}
	for _, w := range list {
		if w.Owner == hook.Credentials.Username {
			ours = append(ours, w)
		}
	}
	return ours, nil
}

func (a *Adapter) remove(ctx context.Context, conn provider.Connection, w webhook) error {
	return a.ask(ctx, conn, http.MethodDelete, hookPath(w), nil, &struct{}{})
}

func hookPath(w webhook) string { return "/hooks/" + url.PathEscape(w.ID) }

// ask makes a call of set-up. Its errors are *provider.SetupError.
func (a *Adapter) ask(ctx context.Context, conn provider.Connection, method, path string, body []byte, into any) error {
	answer := a.call(ctx, conn, method, path, body)
	if setting, ok := errors.AsType[*httpcall.SettingError](answer.Err); ok {
		return &provider.SetupError{Code: setting.Code, Field: setting.Field, Message: setting.Text}
	}
	switch {
	case answer.Err != nil:
		return &provider.SetupError{Code: provider.CodeUnreachable, Retry: true, Message: "Toy could not be reached: " +
			provider.Clean(httpcall.Redact(answer.Err.Error(), conn.Key.Reveal()), provider.MaxText)}
	case answer.Status == http.StatusUnauthorized:
		return &provider.SetupError{Code: "invalid_token", Field: provider.FieldKey, Message: "Toy does not accept the API key"}
	case answer.Status == http.StatusTooManyRequests || answer.Status >= 500:
		return &provider.SetupError{Code: provider.CodeUnavailable, Retry: true, Message: fmt.Sprintf("Toy answers HTTP %d", answer.Status)}
	case answer.Status != http.StatusOK || json.Unmarshal(answer.Body, into) != nil:
		return &provider.SetupError{Code: "unexpected_answer", Field: provider.FieldEndpoint,
			Message: fmt.Sprintf("HTTP %d with an answer that is not Toy's; is the endpoint right?", answer.Status)}
	}
	return nil
}

// Authentic implements provider.Adapter: the body is signed with the webhook's secret.
func (*Adapter) Authentic(_ context.Context, _ provider.Connection, hook provider.Hook, d provider.Delivery) (bool, error) {
	key := hook.Credentials.Password.Reveal()
	return key != "" && secret.Equal(d.Header.Get(signatureHeader), sign(key, d.Body)), nil
}

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write(body) // never fails
	return hex.EncodeToString(mac.Sum(nil))
}
