package postmark

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
)

const (
	statusVerified   = "verified"
	statusUnverified = "unverified"

	maxWebhooks = 10 // per stream
	userAgent   = "Postmark"
)

// The names of the triggers, which are the record types of their events. The sixth is spamComplaint.
const (
	triggerOpen     = "Open"
	triggerClick    = "Click"
	triggerDelivery = "Delivery"
	triggerBounce   = "Bounce"
	triggerChange   = "SubscriptionChange"
)

type httpAuth struct {
	Username string
	Password string
}

type headerField struct {
	Name  string
	Value string
}

type openTrigger struct {
	Enabled           bool
	PostFirstOpenOnly bool
}

type plainTrigger struct {
	Enabled bool
}

type contentTrigger struct {
	Enabled        bool
	IncludeContent bool
}

type triggers struct {
	Open               openTrigger
	Click              plainTrigger
	Delivery           plainTrigger
	Bounce             contentTrigger
	SpamComplaint      contentTrigger
	SubscriptionChange plainTrigger
}

// webhook is also its own document and its own answer. It is replaced, not changed.
type webhook struct {
	ID            int
	URL           string `json:"Url"`
	MessageStream string
	Status        string
	HTTPAuth      *httpAuth     `json:"HttpAuth"`
	HTTPHeaders   []headerField `json:"HttpHeaders"`
	Triggers      triggers

	// Once the webhook is in force: what header and local return.
	sent http.Header
	near bool
}

// wants tells whether the webhook is to hear of an event (PM-sim 45), unless its trigger is paused.
func (h *webhook) wants(e store.Event) bool {
	return h.Status == statusVerified && h.on(recordType(e)) && (e.Kind != store.Opened || e.First || !h.Triggers.Open.PostFirstOpenOnly)
}

// on tells whether a trigger is enabled.
func (h *webhook) on(trigger string) bool {
	switch trigger {
	case triggerOpen:
		return h.Triggers.Open.Enabled
	case triggerClick:
		return h.Triggers.Click.Enabled
	case triggerDelivery:
		return h.Triggers.Delivery.Enabled
	case triggerBounce:
		return h.Triggers.Bounce.Enabled
	case spamComplaint:
		return h.Triggers.SpamComplaint.Enabled
	case triggerChange:
		return h.Triggers.SubscriptionChange.Enabled
	}
	return false
}

// enabled are the triggers that are.
func (h *webhook) enabled() []string {
	var list []string
	for _, trigger := range []string{triggerOpen, triggerClick, triggerDelivery, triggerBounce, spamComplaint, triggerChange} {
		if h.on(trigger) {
			list = append(list, trigger)
		}
	}
	return list
}

// listeners are the webhooks that are to hear of an event on a stream.
func (v *server) listeners(stream string, e store.Event) []int {
	var list []int
	for _, h := range v.webhooks {
		if h.MessageStream == stream && h.wants(e) && (len(v.paused) == 0 || !slices.Contains(v.paused[h.ID], recordType(e))) {
			list = append(list, h.ID)
		}
	}
	return list
}

// header is what every request to the webhook carries. HttpAuth wins over credentials in the URL, which the HTTP client adds
// when there is no Authorization header (PM-sim 37).
func (h *webhook) header() http.Header {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {userAgent}}
	for _, field := range h.HTTPHeaders {
		header.Add(field.Name, field.Value)
	}
	if h.HTTPAuth != nil {
		credentials := base64.StdEncoding.EncodeToString([]byte(h.HTTPAuth.Username + ":" + h.HTTPAuth.Password))
		header.Set("Authorization", "Basic "+credentials)
	}
	return header
}

func (v *server) webhook(id int) *webhook {
	for _, h := range v.webhooks {
		if h.ID == id {
			return h
		}
	}
	return nil
}

func (v *server) findWebhook(text string) (*webhook, error) {
	if id, err := strconv.Atoi(text); err == nil {
		if h := v.webhook(id); h != nil {
			return h, nil
		}
	}
	return nil, fail(codeNoHook, "The webhook for the provided 'ID' was not found.")
}

// newWebhookID returns the next id; none is given twice.
func (v *server) newWebhookID() int {
	v.lastWebhook++
	return v.lastWebhook
}

func (v *server) putWebhook(h *webhook) {
	v.lastWebhook = max(v.lastWebhook, h.ID)
	h.sent, h.near = h.header(), h.local()
	for i, old := range v.webhooks {
		if old.ID == h.ID {
			v.webhooks[i] = h
			return
		}
	}
	v.webhooks = append(v.webhooks, h)
}

func (v *server) removeWebhook(id int) {
	v.stats.forget(id)
	delete(v.paused, id)
	v.webhooks = slices.DeleteFunc(slices.Clone(v.webhooks), func(h *webhook) bool { return h.ID == id })
}

func (v *server) restoreWebhook(id string, value json.RawMessage) error {
	if value == nil {
		number, err := strconv.Atoi(id)
		v.removeWebhook(number)
		return err
	}
	var h webhook
	if err := json.Unmarshal(value, &h); err != nil {
		return err
	}
	v.putWebhook(&h)
	return nil
}

// restorePaused brings back which triggers of a webhook are paused.
func (v *server) restorePaused(id string, value json.RawMessage) error {
	number, err := strconv.Atoi(id)
	if err != nil {
		return err
	}
	var triggers []string
	if value != nil {
		err = json.Unmarshal(value, &triggers)
	}
	v.pause(number, triggers)
	return err
}

// saveWebhook keeps a webhook and puts it in force. One that has been verified pauses nothing any more. The caller holds mu.
func (s *Simulator) saveWebhook(v *server, h *webhook) error {
	if err := s.keep(v, kindWebhook, strconv.Itoa(h.ID), h); err != nil {
		return err
	}
	v.putWebhook(h)
	if h.Status != statusVerified {
		return nil
	}
	v.stats.calm(h.ID)
	return s.setPaused(v, h.ID, nil)
}

// local tells whether a webhook's host may be called at all (PM-sim 39).
func (h *webhook) local() bool {
	target, err := url.Parse(h.URL)
	return err == nil && hook.Local(target)
}
