package sendgrid

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
)

// The paths of the Event Webhooks. That they can be listed at .../all, and read, changed and deleted at .../{id}, is what SendGrid
// publishes of its API; the project's own sources name only how they are made and signed. The list is an object with "webhooks" and
// "max_allowed"; a bare list is read as well.
const (
	hooksPath  = "/v3/user/webhooks/event/settings"
	listPath   = hooksPath + "/all"
	signedPath = hooksPath + "/signed/"
)

func hookPath(id string) string { return hooksPath + "/" + url.PathEscape(id) }

// kinds are the events that a webhook reports, each a switch of its own.
type kinds struct {
	Processed        bool `json:"processed"`
	Delivered        bool `json:"delivered"`
	Deferred         bool `json:"deferred"`
	Bounce           bool `json:"bounce"`
	Dropped          bool `json:"dropped"`
	Open             bool `json:"open"`
	Click            bool `json:"click"`
	SpamReport       bool `json:"spam_report"`
	Unsubscribe      bool `json:"unsubscribe"`
	GroupUnsubscribe bool `json:"group_unsubscribe"`
	GroupResubscribe bool `json:"group_resubscribe"`
}

var wantedKinds = kinds{true, true, true, true, true, true, true, true, true, true, true}

// settings are what makes a webhook, or changes one.
type settings struct {
	Enabled      bool   `json:"enabled"`
	URL          string `json:"url"`
	FriendlyName string `json:"friendly_name"`
	kinds
}

// webhook is SendGrid's record of one.
type webhook struct {
	id  string
	key *string // the public key; "": not signed; nil: the record does not tell
	settings
}

// read reads a record. It is not ok for what has no id.
func (w *webhook) read(text []byte) bool {
	var names struct {
		ID        scalar  `json:"id"`
		PublicKey *scalar `json:"public_key"`
	}
	// A field of an unexpected type leaves the others readable, and an odd webhook of somebody else is no fault of ours.
	for _, err := range []error{json.Unmarshal(text, &names), json.Unmarshal(text, &w.settings)} {
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd {
			return false
		}
	}
	w.id = string(names.ID)
	if names.PublicKey != nil {
		key := bareKey(string(*names.PublicKey))
		w.key = &key
	}
	return w.id != "" && !strings.ContainsAny(w.id, " \t\r\n")
}

// address is the URL that a webhook of ours has. The providers of one account share the hook's URL, and SendGrid wants the URLs of its
// webhooks to differ: two keys of one SendGrid account, or an old one and the one that replaces it, would not have both. Whoever takes
// the request in does not look at the query.
func address(hook provider.Hook) string {
	if hook.URL == "" || hook.Credentials.Username == "" {
		return hook.URL
	}
	mark := "?"
	if strings.Contains(hook.URL, mark) {
		mark = "&"
	}
	return hook.URL + mark + "hook=" + url.QueryEscape(hook.Credentials.Username)
}

// ours tells whether we made this webhook: its URL has the hook's user name in it, which nobody else's has. The id alone does not prove
// it, because the key may be another SendGrid account's by now; nor does the name alone, which others may have copied.
func (w *webhook) ours(hook provider.Hook) bool {
	name := hook.Credentials.Username
	sameURL := hook.URL != "" && w.URL == address(hook)
	id, _ := split(hook.Ref)
	if id == "" || w.id != id {
		return sameURL && name != ""
	}
	nothingElse := hook.URL == "" && name == ""
	return sameURL || name != "" && w.FriendlyName == name || nothingElse
}

func wanted(hook provider.Hook) settings {
	return settings{Enabled: true, URL: address(hook), FriendlyName: hook.Credentials.Username, kinds: wantedKinds}
}

// split takes a ref apart: SendGrid's id of the webhook and, after a space, the public key of its signatures in base64.
func split(ref string) (id, key string) {
	id, key, _ = strings.Cut(ref, " ")
	return id, key
}

func join(id, key string) string { return id + " " + key }

// Register implements provider.Adapter. It may be called again at any time: it keeps what is right, changes what is not, and removes
// copies of ours. When all is right it only reads. A webhook is made disabled, then signed, and reports nothing before its key is kept.
// Its errors are *provider.SetupError, or those of the hook's own functions.
func (a *Adapter) Register(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, changed bool, err error) {
	own, full, err := a.ownWebhooks(ctx, conn, hook)
	if err != nil {
		return "", false, setupError(err)
	}
	for len(own) > 1 { // copies double every event
		if err := a.deleteWebhook(ctx, conn, own[len(own)-1].id); err != nil {
			return "", false, setupError(err)
		}
		own = own[:len(own)-1]
	}
	var standing *webhook
	if len(own) == 1 {
		standing = &own[0]
		if err := a.learnKey(ctx, conn, standing); gone(err) {
			standing = nil
		} else if err != nil {
			return "", false, setupError(err)
		}
	}
	if standing != nil && standing.settings == wanted(hook) && *standing.key != "" && join(standing.id, *standing.key) == hook.Ref {
		return hook.Ref, false, nil
	}
	if hook.Broken != nil {
		if err := hook.Broken(); err != nil {
			return "", false, err
		}
	}
	if standing != nil {
		ref, err = a.enable(ctx, conn, hook, *standing)
	}
	if standing == nil || gone(err) {
		ref, err = a.create(ctx, conn, hook)
	}
	if full > 0 && noRoom(err) {
		if taken, over := a.takeOver(ctx, conn, hook); over != nil {
			err = over
		} else if taken != "" {
			ref, err = taken, nil
		}
	}
	if err != nil {
		return "", false, registerError(err, full)
	}
	return ref, true, nil
}

// create makes a webhook.
func (a *Adapter) create(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, err error) {
	first := wanted(hook)
	first.Enabled = false
	var record json.RawMessage
	if err := a.put(ctx, conn, http.MethodPost, hooksPath, first, &record); err != nil {
		return "", err
	}
	made := webhook{}
	if !made.read(record) {
		return "", unreadable(hooksPath)
	}
	made.settings, made.key = first, new(string)
	return a.enable(ctx, conn, hook, made)
}

// enable has a webhook signed, has its key kept, and puts its settings right. The key of one that is signed already stays.
func (a *Adapter) enable(ctx context.Context, conn provider.Connection, hook provider.Hook, w webhook) (ref string, err error) {
	if *w.key == "" {
		if err := a.signed(ctx, conn, http.MethodPatch, &w); err != nil {
			return "", err
		}
	}
	if _, err := parseKey(*w.key); err != nil {
		return "", unreadable(signedPath + w.id)
	}
	ref = join(w.id, *w.key)
	if hook.Keep != nil {
		if err := hook.Keep(ref); err != nil {
			return "", &ownError{err}
		}
	}
	if want := wanted(hook); w.settings != want {
		if err := a.put(ctx, conn, http.MethodPatch, hookPath(w.id), want, nil); err != nil {
			return "", err
		}
	}
	return ref, nil
}

// takeOver makes the webhook that ours is to replace ours, where the plan has no room for both: it has the key that it had, and misses
// nothing. ref is "" when it is not there.
func (a *Adapter) takeOver(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, err error) {
	if len(hook.Before) == 0 {
		return "", nil
	}
	list, _, err := a.webhooks(ctx, conn)
	if err != nil {
		return "", err
	}
	isBefore := func(w webhook) bool {
		return strings.HasPrefix(w.URL, hook.URL+"?") && slices.ContainsFunc(hook.Before, func(ref string) bool {
			id, _ := split(ref)
			return id == w.id
		})
	}
	i := slices.IndexFunc(list, isBefore)
	if i < 0 {
		return "", nil
	}
	for k := range list { // one that was made and could not be enabled has the URL
		if list[k].ours(hook) {
			if err := a.deleteWebhook(ctx, conn, list[k].id); err != nil {
				return "", err
			}
		}
	}
	if err := a.learnKey(ctx, conn, &list[i]); err != nil {
		return "", err
	}
	return a.enable(ctx, conn, hook, list[i])
}

// noRoom tells whether SendGrid refused a webhook for a reason that may be the plan's.
func noRoom(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status >= 400 && r.status < 500 && r.status != http.StatusUnauthorized && r.status != http.StatusTooManyRequests
}

// ownError is one of a hook's own functions, which is no refusal of SendGrid's.
type ownError struct{ error }

// Unwrap returns the error itself.
func (e *ownError) Unwrap() error { return e.error }

// learnKey asks for the public key of a webhook whose record does not tell it.
func (a *Adapter) learnKey(ctx context.Context, conn provider.Connection, w *webhook) error {
	if w.key != nil {
		return nil
	}
	return a.signed(ctx, conn, http.MethodGet, w)
}

// signed reads the public key of a webhook or, with PATCH, has it signed first.
func (a *Adapter) signed(ctx context.Context, conn provider.Connection, method string, w *webhook) error {
	path := signedPath + url.PathEscape(w.id)
	var answer struct {
		PublicKey *scalar `json:"public_key"`
	}
	var body any
	if method == http.MethodPatch {
		body = map[string]bool{"enabled": true}
	}
	if err := a.put(ctx, conn, method, path, body, &answer); err != nil {
		return err
	}
	key := ""
	if answer.PublicKey != nil {
		key = bareKey(string(*answer.PublicKey))
	}
	w.key = &key
	return nil
}

// put makes a call whose body is JSON.
func (a *Adapter) put(ctx context.Context, conn provider.Connection, method, path string, body, into any) (err error) {
	c := call{method: method, path: path}
	if body != nil {
		if c.body, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode the webhook: %w", err)
		}
	}
	return a.ask(ctx, conn, c, into)
}

// ownWebhooks lists ours, the one to keep first. full is how many webhooks the plan allows to be enabled, when those of others are as many.
func (a *Adapter) ownWebhooks(ctx context.Context, conn provider.Connection, hook provider.Hook) (own []webhook, full int, err error) {
	list, most, err := a.webhooks(ctx, conn)
	if err != nil {
		return nil, 0, err
	}
	others := 0
	for _, w := range list {
		switch {
		case w.ours(hook):
			own = append(own, w)
		case w.Enabled:
			others++
		}
	}
	if most > 0 && others >= most {
		full = most
	}
	rank := func(w webhook) int {
		id, _ := split(hook.Ref)
		switch {
		case w.id == id:
			return 0
		case w.settings == wanted(hook):
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(own, func(x, y webhook) int { return cmp.Compare(rank(x), rank(y)) })
	return own, full, nil
}

// webhooks lists everybody's, and tells how many the plan allows; 0 when SendGrid does not say.
func (a *Adapter) webhooks(ctx context.Context, conn provider.Connection) (list []webhook, most int, err error) {
	var answer json.RawMessage
	if err := a.ask(ctx, conn, call{method: http.MethodGet, path: listPath}, &answer); err != nil {
		return nil, 0, err
	}
	var listing struct {
		MaxAllowed scalar             `json:"max_allowed"`
		Webhooks   *[]json.RawMessage `json:"webhooks"`
	}
	if json.Unmarshal(answer, &listing) != nil || listing.Webhooks == nil {
		if json.Unmarshal(answer, &listing.Webhooks) != nil || listing.Webhooks == nil {
			return nil, 0, unreadable(listPath)
		}
	}
	for _, item := range *listing.Webhooks {
		if w := (webhook{}); w.read(item) {
			list = append(list, w)
		}
	}
	if n, err := strconv.Atoi(string(listing.MaxAllowed)); err == nil {
		most = n
	}
	return list, most, nil
}

// deleteWebhook removes a webhook; it is no error when it is gone already.
func (a *Adapter) deleteWebhook(ctx context.Context, conn provider.Connection, id string) error {
	if err := a.ask(ctx, conn, call{method: http.MethodDelete, path: hookPath(id)}, nil); err != nil && !gone(err) {
		return err
	}
	return nil
}

// registerError explains why a webhook could not be made or put right.
func registerError(err error, full int) error {
	if own, ok := errors.AsType[*ownError](err); ok {
		return own.error
	}
	r, _ := errors.AsType[*refusal](err)
	switch {
	case !noRoom(err):
	case full > 0:
		return &provider.SetupError{Code: "too_many_webhooks", Message: fmt.Sprintf("SendGrid's plan allows %d Event Webhooks, and others have them all: "+
			"remove one that is not needed at SendGrid, then try again (%s)", full, r.Error())}
	case len(r.faults) > 0 && r.faults[0].Field == "url":
		return &provider.SetupError{Code: "invalid_webhook_url", Message: "SendGrid does not take the webhook's URL, which begins with this server's " +
			"public URL: " + r.Error()}
	}
	return setupError(err)
}

// Unregister implements provider.Adapter: it removes the webhook with our id, and copies of it. Its errors are *provider.SetupError.
func (a *Adapter) Unregister(ctx context.Context, conn provider.Connection, hook provider.Hook) error {
	own, _, err := a.ownWebhooks(ctx, conn, hook)
	if err != nil {
		return setupError(err)
	}
	for _, w := range own {
		if err := a.deleteWebhook(ctx, conn, w.id); err != nil {
			return setupError(err)
		}
	}
	return nil
}

// scalar is a string, or a number as it is written.
type scalar string

// UnmarshalJSON implements json.Unmarshaler. What is neither is "".
func (s *scalar) UnmarshalJSON(text []byte) error {
	*s = scalar(textOf(text, maxAnswer))
	return nil
}
