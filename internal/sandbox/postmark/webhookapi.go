package postmark

import (
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

type webhookList struct {
	Webhooks []*webhook
}

func (s *Simulator) listWebhooks(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	wanted := c.query("MessageStream")
	if wanted != "" {
		m, err := c.server.findStream(wanted)
		if err != nil {
			return nil, err
		}
		wanted = m.ID
	}
	list := webhookList{Webhooks: []*webhook{}}
	for _, h := range c.server.webhooks {
		if wanted == "" || h.MessageStream == wanted {
			list.Webhooks = append(list.Webhooks, h)
		}
	}
	return list, nil
}

func (s *Simulator) getWebhook(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return nilOnError(c.server.findWebhook(c.args[0]))
}

// nilOnError keeps a typed nil out of an answer.
func nilOnError[T any](value *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

type webhookRequest struct {
	ID            *int
	URL           *string `json:"Url"`
	MessageStream *string
	HTTPAuth      *httpAuth      `json:"HttpAuth"`
	HTTPHeaders   *[]headerField `json:"HttpHeaders"`
	Triggers      *triggerRequest
	Status        *string
	Verify        *bool
}

// triggerRequest names only the triggers, and of these only the fields, that are to change (PM-sim 34).
type triggerRequest struct {
	Open *struct {
		Enabled, PostFirstOpenOnly *bool
	}
	Click         *struct{ Enabled *bool }
	Delivery      *struct{ Enabled *bool }
	Bounce        *struct{ Enabled, IncludeContent *bool }
	SpamComplaint *struct {
		Enabled, IncludeContent *bool
	}
	SubscriptionChange *struct{ Enabled *bool }
	// Those that Postmark has elsewhere: of an inbound stream, and of a server.
	Inbound, SMTPAPIError *struct{ Enabled *bool }
}

func set(to *bool, from *bool) {
	if from != nil {
		*to = *from
	}
}

func (r *triggerRequest) apply(t *triggers) {
	if r.Open != nil {
		set(&t.Open.Enabled, r.Open.Enabled)
		set(&t.Open.PostFirstOpenOnly, r.Open.PostFirstOpenOnly)
	}
	if r.Click != nil {
		set(&t.Click.Enabled, r.Click.Enabled)
	}
	if r.Delivery != nil {
		set(&t.Delivery.Enabled, r.Delivery.Enabled)
	}
	if r.Bounce != nil {
		set(&t.Bounce.Enabled, r.Bounce.Enabled)
		set(&t.Bounce.IncludeContent, r.Bounce.IncludeContent)
	}
	if r.SpamComplaint != nil {
		set(&t.SpamComplaint.Enabled, r.SpamComplaint.Enabled)
		set(&t.SpamComplaint.IncludeContent, r.SpamComplaint.IncludeContent)
	}
	if r.SubscriptionChange != nil {
		set(&t.SubscriptionChange.Enabled, r.SubscriptionChange.Enabled)
	}
}

// elsewhere tells whether a trigger is to be enabled that no stream with webhooks has.
func (r *triggerRequest) elsewhere() bool {
	for _, t := range []*struct{ Enabled *bool }{r.Inbound, r.SMTPAPIError} {
		if t != nil && t.Enabled != nil && *t.Enabled {
			return true
		}
	}
	return false
}

// check refuses what a request may not have, whatever the webhook is (PM-sim 34). Which values are bad, and which triggers are not
// supported, is not documented; these are.
func (r *webhookRequest) check() error {
	switch {
	case r.Triggers != nil && r.Triggers.elsewhere():
		return fail(codeHookTrigger, "The trigger is not supported on this message stream.")
	case r.Status != nil && *r.Status != statusVerified && *r.Status != statusUnverified:
		return fail(codeHookStatus, "The 'Status' provided is not valid: '%s'.", *r.Status)
	case r.Status != nil:
		return fail(codeHookStatusSet, "The 'Status' of a webhook cannot be set. Use the verify endpoint.")
	case r.HTTPAuth != nil && (strings.ContainsFunc(r.HTTPAuth.Username, func(c rune) bool { return c == ':' || isControl(c) }) ||
		strings.ContainsFunc(r.HTTPAuth.Password, isControl)):
		return fail(codeHookValue, "The 'HttpAuth' provided holds a value that is not valid.")
	}
	return nil
}

// apply puts the fields of a request into a webhook and checks the result.
func (r *webhookRequest) apply(h *webhook) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.URL != nil {
		h.URL = *r.URL
	}
	if r.HTTPAuth != nil {
		h.HTTPAuth = r.HTTPAuth
	}
	if r.HTTPHeaders != nil {
		h.HTTPHeaders = *r.HTTPHeaders
	}
	if r.Triggers != nil {
		r.Triggers.apply(&h.Triggers)
	}
	target, err := url.Parse(h.URL)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return fail(codeHookURL, "The 'Url' provided is missing or is not a valid URL.")
	}
	for _, field := range h.HTTPHeaders {
		if !httpguts.ValidHeaderFieldName(field.Name) {
			return fail(codeHookHeader, "The 'HttpHeaders' provided hold a name that is not valid: '%s'.", field.Name)
		}
		if !httpguts.ValidHeaderFieldValue(field.Value) {
			return fail(codeHookValue, "The value of the header '%s' is not valid.", field.Name)
		}
	}
	return nil
}

// verify tells whether a request asks for the handshake; the body's field and the query's are both honoured.
func (r *webhookRequest) verify(c *call) bool {
	return (r.Verify == nil || *r.Verify) && !strings.EqualFold(c.query("verify"), "false")
}

func (s *Simulator) createWebhook(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeHookNoBody, "No webhook data received.")
	}
	var r webhookRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if r.ID != nil {
		return nil, fail(codeHookIDOnCreate, "The 'ID' cannot be provided when creating a webhook.")
	}
	h := &webhook{MessageStream: defaultStream, HTTPHeaders: []headerField{}}
	if r.MessageStream != nil {
		h.MessageStream = *r.MessageStream
	}
	if err := r.apply(h); err != nil {
		return nil, err
	}
	if err := s.reserveWebhook(c.server, h); err != nil {
		return nil, err
	}
	if err := s.handshake(c, h, r.verify(c)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The stream, and after a reset the server, may have changed during the handshake.
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	if err := v.checkNewWebhook(h); err != nil {
		return nil, err
	}
	if v != c.server { // which gave the id
		h.ID = v.newWebhookID()
	}
	return nilOnError(h, s.saveWebhook(v, h))
}

// reserveWebhook checks that the stream can have the webhook, before anybody is called, and gives it an id.
func (s *Simulator) reserveWebhook(v *server, h *webhook) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := v.checkNewWebhook(h); err != nil {
		return err
	}
	h.ID = v.newWebhookID()
	return nil
}

func (v *server) checkNewWebhook(h *webhook) error {
	m, err := v.findStream(h.MessageStream)
	switch {
	case err != nil:
		return err
	case m.archived():
		return fail(codeHookArchived, "The message stream '%s' is archived.", m.ID)
	case m.Type == typeInbound:
		return fail(codeHookInbound, "Webhooks are not supported on inbound streams. Use the server's 'InboundHookUrl'.")
	}
	h.MessageStream = m.ID
	count := 0
	for _, other := range v.webhooks {
		if other.MessageStream == m.ID {
			count++
		}
	}
	if count >= maxWebhooks {
		return fail(codeHookCount, "A message stream may have at most %d webhooks.", maxWebhooks)
	}
	return nil
}

func (s *Simulator) editWebhook(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeHookNoBody, "No webhook data received.")
	}
	var r webhookRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if r.ID != nil || r.MessageStream != nil {
		return nil, fail(codeHookIDOnEdit, "The 'ID' and the 'MessageStream' of a webhook cannot be changed.")
	}
	s.mu.RLock()
	old, err := c.server.findWebhook(c.args[0])
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	h := *old
	if err := r.apply(&h); err != nil {
		return nil, err
	}
	if err := s.handshake(c, &h, r.verify(c)); err != nil {
		return nil, err
	}
	return s.replaceWebhook(c, old, &h)
}

// replaceWebhook puts a changed webhook in force, unless it was deleted meanwhile.
func (s *Simulator) replaceWebhook(c *call, old, changed *webhook) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	if v.webhook(old.ID) == nil {
		return nil, fail(codeNoHook, "The webhook for the provided 'ID' was not found.")
	}
	return nilOnError(changed, s.saveWebhook(v, changed))
}

func (s *Simulator) deleteWebhook(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	h, err := v.findWebhook(c.args[0])
	if err != nil {
		return nil, err
	}
	if err := s.setPaused(v, h.ID, nil); err != nil {
		return nil, err
	}
	if err := s.keep(v, kindWebhook, strconv.Itoa(h.ID), nil); err != nil {
		return nil, err
	}
	v.removeWebhook(h.ID)
	return removed("Webhook %d removed.", h.ID), nil
}
