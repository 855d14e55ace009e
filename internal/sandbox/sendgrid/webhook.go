package sendgrid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
)

// maxWebhooks is how many webhooks an account may have; what it really is depends on the plan.
const maxWebhooks = 5

// Headers of signed posts.
const (
	headerSignature = "X-Twilio-Email-Event-Webhook-Signature"
	headerTimestamp = "X-Twilio-Email-Event-Webhook-Timestamp"

	userAgent = "SendGrid Event API"
)

// hookSettings is what a client says about a webhook.
type hookSettings struct {
	Enabled          bool    `json:"enabled"`
	URL              string  `json:"url"`
	GroupResubscribe bool    `json:"group_resubscribe"`
	Delivered        bool    `json:"delivered"`
	GroupUnsubscribe bool    `json:"group_unsubscribe"`
	SpamReport       bool    `json:"spam_report"`
	Bounce           bool    `json:"bounce"`
	Deferred         bool    `json:"deferred"`
	Unsubscribe      bool    `json:"unsubscribe"`
	Processed        bool    `json:"processed"`
	Open             bool    `json:"open"`
	Click            bool    `json:"click"`
	Dropped          bool    `json:"dropped"`
	FriendlyName     *string `json:"friendly_name"`
	OAuthClientID    *string `json:"oauth_client_id,omitempty"`
	OAuthTokenURL    *string `json:"oauth_token_url,omitempty"`
}

// webhook is also its own document. It is replaced, not changed.
type webhook struct {
	Number   int          `json:"number"` // as the store and the list of attempts know it
	ID       string       `json:"id"`
	Settings hookSettings `json:"settings"`
	Created  time.Time    `json:"created"`
	Updated  time.Time    `json:"updated"`
	// Key is the private key, as x509.MarshalECPrivateKey writes it; it stays when signing is switched off.
	Key    []byte `json:"key,omitempty"`
	Signed bool   `json:"signed"`

	private *ecdsa.PrivateKey
}

func (h *webhook) document() store.Document {
	return store.Document{Provider: Provider, Kind: kindWebhook, ID: strconv.Itoa(h.Number), Value: h}
}

// wants tells whether the webhook is to hear of an event.
func (h *webhook) wants(e store.Event) bool { return h.Settings.Enabled && h.on(eventName(e)) }

// on tells whether events of a name are enabled.
func (h *webhook) on(event string) bool {
	for _, one := range h.Settings.triggers() {
		if one.event == event {
			return one.enabled
		}
	}
	return false
}

type trigger struct {
	event   string
	enabled bool
}

func (o *hookSettings) triggers() []trigger {
	return []trigger{{eventProcessed, o.Processed}, {eventDelivered, o.Delivered}, {eventDeferred, o.Deferred}, {eventBounce, o.Bounce},
		{eventDropped, o.Dropped}, {eventOpen, o.Open}, {eventClick, o.Click}, {eventSpamReport, o.SpamReport}, {eventUnsubscribe, o.Unsubscribe},
		{eventGroupUnsubscribe, o.GroupUnsubscribe}, {eventGroupResubscribe, o.GroupResubscribe}}
}

// header is what a post of a body carries: its signature over the time and the very bytes, if the webhook signs.
func (h *webhook) header(body []byte, now time.Time) (http.Header, error) {
	header := http.Header{"Content-Type": {contentType}, "User-Agent": {userAgent}}
	if !h.Signed || h.private == nil {
		return header, nil
	}
	at := strconv.FormatInt(now.Unix(), 10)
	sum := sha256.New()
	_, _ = sum.Write([]byte(at)) // a hash never fails
	_, _ = sum.Write(body)
	signature, err := ecdsa.SignASN1(rand.Reader, h.private, sum.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sendgrid: sign: %w", err)
	}
	header.Set(headerTimestamp, at)
	header.Set(headerSignature, base64.StdEncoding.EncodeToString(signature))
	return header, nil
}

// publicKey is what proves the signatures: base64 of the key's DER form, "" when the webhook does not sign.
func (h *webhook) publicKey() (string, error) {
	if !h.Signed || h.private == nil {
		return "", nil
	}
	der, err := x509.MarshalPKIXPublicKey(&h.private.PublicKey)
	if err != nil {
		return "", fmt.Errorf("sendgrid: public key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// sign gives the webhook its key.
func (h *webhook) sign() error {
	h.Signed = true
	if h.private != nil {
		return nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("sendgrid: make a key: %w", err)
	}
	h.private = private
	if h.Key, err = x509.MarshalECPrivateKey(private); err != nil {
		return fmt.Errorf("sendgrid: make a key: %w", err)
	}
	return nil
}

func (a *account) webhook(number int) *webhook {
	for _, h := range a.webhooks {
		if h.Number == number {
			return h
		}
	}
	return nil
}

// find returns the webhook of an id; without one, the oldest.
func (a *account) find(id string) (*webhook, error) {
	for _, h := range a.webhooks {
		if h.ID == id || id == "" {
			return h, nil
		}
	}
	return nil, hookError(http.StatusNotFound, textNoHook)
}

// listeners are the webhooks that are to hear of an event, by number.
func (a *account) listeners(e store.Event) []int {
	var list []int
	for _, h := range a.webhooks {
		if h.wants(e) {
			list = append(list, h.Number)
		}
	}
	return list
}

func (a *account) put(h *webhook) {
	a.lastHook = max(a.lastHook, h.Number)
	list := slices.Clone(a.webhooks) // a reset may have handed the old one on
	if at := slices.IndexFunc(list, func(old *webhook) bool { return old.Number == h.Number }); at >= 0 {
		list[at] = h
	} else {
		list = append(list, h)
	}
	a.webhooks = list
}

func (a *account) remove(number int) {
	a.webhooks = slices.DeleteFunc(slices.Clone(a.webhooks), func(h *webhook) bool { return h.Number == number })
}

func (a *account) restoreWebhook(id string, value json.RawMessage) error {
	if value == nil {
		number, err := strconv.Atoi(id)
		a.remove(number)
		return err
	}
	var h webhook
	if err := json.Unmarshal(value, &h); err != nil {
		return err
	}
	if h.Key != nil {
		var err error
		if h.private, err = x509.ParseECPrivateKey(h.Key); err != nil {
			return err
		}
	}
	a.put(&h)
	return nil
}

// keep writes a webhook to the store and puts it in force. The caller holds mu.
func (s *Simulator) keep(h *webhook) error {
	if err := s.store.Put(h.document()); err != nil {
		return fmt.Errorf("sendgrid: webhook: %w", err)
	}
	s.account.put(h)
	return nil
}

// hookProblem is an entry of an error answer of these calls.
type hookProblem struct {
	ID      string `json:"id,omitempty"`
	Message string `json:"message"`
	URL     string `json:"url,omitempty"`
}

func hookError(status int, format string, args ...any) *failure {
	return hookFailure(status, hookProblem{Message: fmt.Sprintf(format, args...)})
}

func hookFailure(status int, p hookProblem) *failure {
	return &failure{status: status, body: map[string][]hookProblem{"errors": {p}}}
}

// hookBody is a webhook as the API shows it.
type hookBody struct {
	hookSettings
	ID        string `json:"id"`
	Created   string `json:"created_date"`
	Updated   string `json:"updated_date"`
	PublicKey string `json:"public_key,omitempty"`
}

func (h *webhook) body() hookBody {
	return hookBody{hookSettings: h.Settings, ID: h.ID, Created: h.Created.UTC().Format(time.RFC3339), Updated: h.Updated.UTC().Format(time.RFC3339)}
}

// signedBody is the same with the public key.
func (h *webhook) signedBody() (hookBody, error) {
	b := h.body()
	var err error
	b.PublicKey, err = h.publicKey()
	return b, err
}

// readSettings puts what a body names over settings.
func (a *account) readSettings(body []byte, into *hookSettings, own int) error {
	if err := json.Unmarshal(body, into); err != nil {
		return hookError(http.StatusBadRequest, textBadRequest)
	}
	if into.OAuthClientID != nil && *into.OAuthClientID == "" {
		into.OAuthClientID = nil
	}
	if into.OAuthTokenURL != nil && *into.OAuthTokenURL == "" {
		into.OAuthTokenURL = nil
	}
	if target, err := url.Parse(into.URL); err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Hostname() == "" {
		return hookError(http.StatusBadRequest, "'%s' is not a valid url", into.URL)
	}
	for _, other := range a.webhooks {
		if other.Settings.URL == into.URL && other.Number != own {
			return hookFailure(http.StatusBadRequest, hookProblem{ID: other.ID, URL: into.URL,
				Message: fmt.Sprintf("Webhook at '%s' already exists. Please provide a unique URL.", into.URL)})
		}
	}
	return nil
}

func (s *Simulator) createWebhook(c *call) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account
	h := &webhook{Number: a.lastHook + 1, Created: s.clock.Now(), Updated: s.clock.Now()}
	if err := a.readSettings(c.body, &h.Settings, h.Number); err != nil {
		return reply{}, err
	}
	if len(a.webhooks) >= maxWebhooks {
		return reply{}, hookError(http.StatusBadRequest, "You have reached the maximum number of webhooks per your current billing plan.")
	}
	h.ID = s.newUUID()
	if err := s.keep(h); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: h.body()}, nil
}

// newUUID returns a UUID, version 4. The caller holds mu.
func (s *Simulator) newUUID() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], s.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.random.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

func (s *Simulator) getWebhook(c *call) (reply, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, err := s.account.find(c.id)
	if err != nil {
		return reply{}, err
	}
	body, err := h.signedBody()
	return reply{status: http.StatusOK, body: body}, err
}

func (s *Simulator) listWebhooks(*call) (reply, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := struct {
		Max      int        `json:"max_allowed"`
		Webhooks []hookBody `json:"webhooks"`
	}{maxWebhooks, []hookBody{}}
	for _, h := range s.account.webhooks {
		body, err := h.signedBody()
		if err != nil {
			return reply{}, err
		}
		list.Webhooks = append(list.Webhooks, body)
	}
	return reply{status: http.StatusOK, body: list}, nil
}

func (s *Simulator) editWebhook(c *call) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.account.find(c.id)
	if err != nil {
		return reply{}, err
	}
	h := *old
	h.Updated = s.clock.Now()
	if err := s.account.readSettings(c.body, &h.Settings, h.Number); err != nil {
		return reply{}, err
	}
	if err := s.keep(&h); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: h.body()}, nil
}

func (s *Simulator) deleteWebhook(c *call) (reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.account.find(c.id)
	if err != nil {
		return reply{}, err
	}
	if err := s.store.Delete(h.document()); err != nil {
		return reply{}, fmt.Errorf("sendgrid: webhook: %w", err)
	}
	s.account.remove(h.Number)
	return reply{status: http.StatusNoContent}, nil
}

// signing is the answer about the signatures of a webhook.
type signing struct {
	ID        string `json:"id"`
	PublicKey string `json:"public_key"`
}

func (h *webhook) signing() (reply, error) {
	key, err := h.publicKey()
	return reply{status: http.StatusOK, body: signing{h.ID, key}}, err
}

func (s *Simulator) getSigning(c *call) (reply, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, err := s.account.find(c.id)
	if err != nil {
		return reply{}, err
	}
	return h.signing()
}

func (s *Simulator) editSigning(c *call) (reply, error) {
	var wish struct {
		Enabled *bool `json:"enabled"`
	}
	if err := json.Unmarshal(c.body, &wish); err != nil || wish.Enabled == nil {
		return reply{}, hookError(http.StatusBadRequest, textBadRequest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.account.find(c.id)
	if err != nil {
		return reply{}, err
	}
	h := *old
	h.Signed, h.Updated = false, s.clock.Now()
	if *wish.Enabled {
		if err := h.sign(); err != nil {
			return reply{}, err
		}
	}
	if err := s.keep(&h); err != nil {
		return reply{}, err
	}
	return h.signing()
}

// testWebhook posts samples once, as those of the webhook that is named, if one is.
func (s *Simulator) testWebhook(c *call) (reply, error) {
	var wish struct {
		ID  string `json:"id"`
		URL string `json:"url"`
	}
	if err := json.Unmarshal(c.body, &wish); err != nil {
		return reply{}, hookError(http.StatusBadRequest, textBadRequest)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := &webhook{}
	if wish.ID != "" {
		var err error
		if h, err = s.account.find(wish.ID); err != nil {
			return reply{}, err
		}
	}
	if target, err := url.Parse(wish.URL); err != nil || target.Hostname() == "" {
		return reply{}, hookError(http.StatusBadRequest, "'%s' is not a valid url", wish.URL)
	}
	body, err := samples(s.clock.Now(), "")
	if err != nil {
		return reply{}, err
	}
	header, err := h.header(body, s.clock.Now())
	if err != nil {
		return reply{}, err
	}
	s.hooks.Queue(&hook.Delivery{URL: wish.URL, Header: header, Body: body, Policy: &hook.Policy{Judge: judge}, Server: accountName, Hook: h.Number,
		Type: "test"})
	return reply{status: http.StatusNoContent}, nil
}
