package postmark

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/secret"
)

type httpAuth struct{ Username, Password string }

type trigger struct{ Enabled bool }

type openTrigger struct {
	Enabled           bool
	PostFirstOpenOnly bool
}

type contentTrigger struct {
	Enabled        bool
	IncludeContent bool
}

type triggers struct {
	Open               openTrigger
	Click              trigger
	Delivery           trigger
	Bounce             contentTrigger
	SpamComplaint      contentTrigger
	SubscriptionChange trigger
}

// wantedTriggers are the five of PM-5: every open, and no content of bounced mail.
var wantedTriggers = triggers{
	Open:          openTrigger{Enabled: true},
	Click:         trigger{Enabled: true},
	Delivery:      trigger{Enabled: true},
	Bounce:        contentTrigger{Enabled: true},
	SpamComplaint: contentTrigger{Enabled: true},
}

// webhook is Postmark's record of one. Postmark shows the password in clear.
type webhook struct {
	ID            int64
	URL           string `json:"Url"`
	MessageStream string
	Status        string    // "verified" or "unverified"; absent in older answers, which means verified
	HTTPAuth      *httpAuth `json:"HttpAuth"`
	Triggers      triggers
}

// ours tells whether we made this webhook. Its id alone does not prove it: the token may be another server's by now, where
// the number is somebody else's. Nor does the URL alone, which others may have copied.
func (w *webhook) ours(hook provider.Hook) bool {
	username := hook.Credentials.Username
	sameURL := w.URL == hook.URL
	sameUser := w.HTTPAuth != nil && username != "" && w.HTTPAuth.Username == username
	if w.is(hook.Ref) {
		nothingElse := hook.URL == "" && username == ""
		return sameURL || sameUser || nothingElse
	}
	return sameURL && sameUser
}

// is tells whether the webhook has the id that we remember.
func (w *webhook) is(ref string) bool { return strconv.FormatInt(w.ID, 10) == ref }

// asWanted tells whether nothing about the webhook has to change.
func (w *webhook) asWanted(hook provider.Hook) bool {
	return w.URL == hook.URL && w.Triggers == wantedTriggers && w.verified() && w.HTTPAuth != nil &&
		w.HTTPAuth.Username == hook.Credentials.Username && w.HTTPAuth.Password == hook.Credentials.Password.Reveal()
}

func (w *webhook) verified() bool { return !strings.EqualFold(w.Status, "unverified") }

// webhookRequest creates or changes a webhook. Verify is always said: Postmark then calls the URL once for each trigger,
// inside this request, and saves nothing when one of them does not answer 200.
type webhookRequest struct {
	URL           string   `json:"Url"`
	MessageStream string   `json:",omitempty"` // only to create: it cannot change
	HTTPAuth      httpAuth `json:"HttpAuth"`
	Triggers      triggers
	Verify        bool
}

// Register implements provider.Adapter (PM-5). It may be called again at any time: it keeps what is right, changes what is
// not, and removes copies of ours. Its errors are *provider.SetupError; webhook_unverified may come with the id of a
// webhook that was saved but does not get events yet.
func (a *Adapter) Register(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, changed bool, err error) {
	if isTrial(conn) {
		return "", false, &provider.SetupError{Code: "test_token", Field: "key", Message: a.Trial(conn)}
	}
	if conn.Stream == "" {
		return "", false, &provider.SetupError{Code: "missing_stream", Field: "messageStream", Message: "select a message stream"}
	}
	own, err := a.ownWebhooks(ctx, conn, hook, conn.Stream)
	if err != nil {
		return "", false, a.setupError(ctx, conn, err)
	}
	// Copies go first: they double every event, and Postmark counts them against its limit per stream.
	for len(own) > 1 {
		last := own[len(own)-1]
		if err := a.deleteWebhook(ctx, conn, last.ID); err != nil {
			return "", false, a.setupError(ctx, conn, err)
		}
		own = own[:len(own)-1]
	}
	var paused []string
	if len(own) == 1 {
		if ref = strconv.FormatInt(own[0].ID, 10); own[0].asWanted(hook) {
			if paused = a.paused(ctx, conn, own[0].ID); len(paused) == 0 {
				return ref, false, nil
			}
		}
	}
	if hook.Broken != nil {
		if err := hook.Broken(); err != nil {
			return "", false, err
		}
	}
	saved := webhook{}
	switch len(own) {
	case 1:
		saved, err = a.saveWebhook(ctx, conn, hook, own[0].ID)
		if gone(err) {
			own, ref, paused = nil, "", nil
			saved, err = a.saveWebhook(ctx, conn, hook, 0)
		}
	default:
		saved, err = a.saveWebhook(ctx, conn, hook, 0)
	}
	if err != nil {
		return a.standing(own, ref, paused, a.registerError(ctx, conn, err))
	}
	ref = strconv.FormatInt(saved.ID, 10)
	if !saved.verified() {
		return ref, true, &provider.SetupError{Code: provider.CodeHookUnverified, Retry: true,
			Message: "Postmark saved the webhook but has not verified it, so it sends no events yet"}
	}
	if len(paused) > 0 {
		err = a.resume(ctx, conn, saved.ID)
	}
	return ref, true, err
}

// standing says what a registration that failed means for the webhook that was there before: Postmark leaves that as it was.
func (*Adapter) standing(own []webhook, ref string, paused []string, err error) (string, bool, error) {
	refused, ok := errors.AsType[*provider.SetupError](err)
	switch {
	case !ok || refused.Code != provider.CodeHookUnverified || len(own) == 0:
		return "", false, err
	case len(paused) > 0:
		pausing := pausedError(paused)
		pausing.Message += "; then " + refused.Message
		pausing.Probes = refused.Probes
		return ref, false, pausing
	case !own[0].verified():
		return ref, false, err
	default: // it is verified, but not what it should be
		return "", false, err
	}
}

func pausedError(paused []string) *provider.SetupError {
	return &provider.SetupError{Code: provider.CodeHookPaused, Paused: paused, Retry: true,
		Message: "Postmark has paused events of these kinds, because the webhook's URL kept failing: " + strings.Join(paused, ", ")}
}

// paused returns the triggers of a webhook that Postmark has set unverified, each by itself, as a pause. A Postmark that does not tell has
// paused nothing.
func (a *Adapter) paused(ctx context.Context, conn provider.Connection, id int64) (list []string) {
	var statistics struct{ Statuses map[string]any }
	if err := a.ask(ctx, conn, call{method: http.MethodGet, path: webhookPath(id) + "/statistics"}, &statistics); err != nil {
		return nil
	}
	for _, trigger := range []string{recordOpen, recordClick, recordDelivery, recordBounce, recordSpamComplaint} {
		if status, _ := statistics.Statuses[trigger].(string); strings.EqualFold(status, "unverified") {
			list = append(list, trigger)
		}
	}
	return list
}

// resume has Postmark verify a webhook whose events it paused, when saving it anew did not do that. It is called after Postmark has reached
// our URL for each trigger: a verification that fails would end what still works.
func (a *Adapter) resume(ctx context.Context, conn provider.Connection, id int64) error {
	if len(a.paused(ctx, conn, id)) == 0 {
		return nil
	}
	var result verification
	if err := a.ask(ctx, conn, call{method: http.MethodPost, path: webhookPath(id) + "/verify"}, &result); err != nil {
		return a.setupError(ctx, conn, err)
	}
	paused := a.paused(ctx, conn, id)
	if len(paused) == 0 {
		return nil
	}
	err := pausedError(paused)
	err.Probes, _ = result.probes(conn)
	return err
}

// verification is how our URL answered when Postmark called it.
type verification struct {
	Results []struct {
		TriggerType string
		Success     bool
		StatusCode  int
		Message     string
	}
}

// mostProbes is more than Postmark has triggers.
const mostProbes = 10

// probes returns the results, and those that failed in words.
func (v *verification) probes(conn provider.Connection) (list []provider.Probe, failing []string) {
	for _, r := range v.Results[:min(len(v.Results), mostProbes)] {
		p := provider.Probe{Trigger: provider.Clean(r.TriggerType, maxID), Success: r.Success, StatusCode: r.StatusCode,
			Message: provider.Clean(httpcall.Redact(r.Message, conn.Key.Reveal()), maxField)}
		list = append(list, p)
		if p.Success {
			continue
		}
		text := p.Trigger
		if p.StatusCode != 0 {
			text += fmt.Sprintf(" HTTP %d", p.StatusCode)
		}
		if p.Message != "" {
			text += " (" + p.Message + ")"
		}
		failing = append(failing, text)
	}
	return list, failing
}

// ownWebhooks lists ours on a stream, or on all streams when it is ""; the one to keep comes first.
func (a *Adapter) ownWebhooks(ctx context.Context, conn provider.Connection, hook provider.Hook, stream string) ([]webhook, error) {
	c := call{method: http.MethodGet, path: "/webhooks"}
	if stream != "" {
		c.query = url.Values{"MessageStream": {stream}}
	}
	var answer struct{ Webhooks *[]json.RawMessage }
	if err := a.ask(ctx, conn, c, &answer); err != nil {
		return nil, err
	}
	if answer.Webhooks == nil {
		return nil, unreadable(c.path)
	}
	var own []webhook
	for _, item := range *answer.Webhooks {
		var w webhook
		// A field of an unexpected type leaves the others readable, and an odd webhook of somebody else is no fault of ours.
		err := json.Unmarshal(item, &w)
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); (err == nil || odd) && w.ours(hook) {
			own = append(own, w)
		}
	}
	rank := func(w webhook) int {
		switch {
		case w.is(hook.Ref):
			return 0
		case w.asWanted(hook):
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(own, func(x, y webhook) int { return cmp.Compare(rank(x), rank(y)) })
	return own, nil
}

// saveWebhook creates a webhook, or changes the one with that id.
func (a *Adapter) saveWebhook(ctx context.Context, conn provider.Connection, hook provider.Hook, id int64) (webhook, error) {
	request := webhookRequest{
		URL:      hook.URL,
		HTTPAuth: httpAuth{hook.Credentials.Username, hook.Credentials.Password.Reveal()},
		Triggers: wantedTriggers,
		Verify:   true,
	}
	c := call{method: http.MethodPut, path: webhookPath(id)}
	if id == 0 {
		c.method, c.path = http.MethodPost, "/webhooks"
		request.MessageStream = conn.Stream
	}
	var err error
	if c.body, err = json.Marshal(request); err != nil {
		return webhook{}, fmt.Errorf("encode the webhook: %w", err)
	}
	var saved webhook
	if err := a.ask(ctx, conn, c, &saved); err != nil {
		return webhook{}, withoutSecret(err, request.HTTPAuth.Password)
	}
	if saved.ID == 0 {
		return webhook{}, unreadable(c.path)
	}
	return saved, nil
}

// withoutSecret keeps a webhook password that Postmark repeats out of an error.
func withoutSecret(err error, password string) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		r.message = httpcall.Redact(r.message, password)
		r.body = []byte(httpcall.Redact(string(r.body), password))
	}
	return err
}

func webhookPath(id int64) string { return "/webhooks/" + strconv.FormatInt(id, 10) }

// deleteWebhook removes a webhook; it is no error when it is gone already.
func (a *Adapter) deleteWebhook(ctx context.Context, conn provider.Connection, id int64) error {
	err := a.ask(ctx, conn, call{method: http.MethodDelete, path: webhookPath(id)}, &struct{}{})
	if gone(err) {
		return nil
	}
	return err
}

// registerError explains why Postmark did not save a webhook.
func (a *Adapter) registerError(ctx context.Context, conn provider.Connection, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return a.setupError(ctx, conn, err)
	}
	var result verification
	// A body of another shape has no results, and the code alone decides.
	_ = json.Unmarshal(r.body, &result)
	if r.code != codeWebhookUnverified && len(result.Results) == 0 {
		return a.setupError(ctx, conn, err)
	}
	probes, failing := result.probes(conn)
	message := "Postmark called the webhook's URL and did not get HTTP 200, so it was not saved"
	if len(failing) > 0 {
		message += "; failing: " + provider.Clean(strings.Join(failing, ", "), 4*maxField)
	}
	return &provider.SetupError{Code: provider.CodeHookUnverified, Message: message, Retry: true, Probes: probes}
}

// Unregister implements provider.Adapter. It removes the webhook with our id on whatever stream, and copies of it on the
// connection's. Its errors are *provider.SetupError.
func (a *Adapter) Unregister(ctx context.Context, conn provider.Connection, hook provider.Hook) error {
	if isTrial(conn) {
		return nil
	}
	own, err := a.ownWebhooks(ctx, conn, hook, "")
	if err != nil {
		return a.setupError(ctx, conn, err)
	}
	for _, w := range own {
		if !w.is(hook.Ref) && w.MessageStream != conn.Stream {
			continue // another provider of the same account has the same URL
		}
		if err := a.deleteWebhook(ctx, conn, w.ID); err != nil {
			return a.setupError(ctx, conn, err)
		}
	}
	return nil
}

// Authentic implements provider.Adapter. Postmark signs nothing: Basic credentials are the only proof. Both parts are
// always compared, so that the time does not tell which one is wrong.
func (*Adapter) Authentic(_ context.Context, _ provider.Connection, hook provider.Hook, d provider.Delivery) (bool, error) {
	request, want := http.Request{Header: d.Header}, hook.Credentials
	username, password, ok := request.BasicAuth()
	sameName, samePassword := secret.Equal(username, want.Username), secret.Equal(password, want.Password.Reveal())
	return ok && sameName && samePassword && want.Username != "" && !want.Password.IsZero(), nil
}
