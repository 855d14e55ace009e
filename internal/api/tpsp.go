package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/tpsp"
)

// officialTPSP is SendPost's ThirdPartySendingProvider, as IP pools show it. Key and secret are masked.
type officialTPSP struct {
	ID         int32  `json:"id"`
	Name       string `json:"name"`
	Type       int    `json:"type"`
	Domain     string `json:"domain"`
	Endpoint   string `json:"endpoint"`
	Key        string `json:"key"`
	Secret     string `json:"secret"`
	Port       int    `json:"port"`
	OAuthToken string `json:"oauthToken"`
	RetryTime  int    `json:"retryTime"`
	Created    int64  `json:"created"`
}

// tpspAnswer is a TPSP as its own operations show it: SendPost's keys and ours.
type tpspAnswer struct {
	officialTPSP
	MessageStream   string         `json:"messageStream"`
	AmbiguousPolicy string         `json:"ambiguousPolicy"` // at-least-once, at-most-once
	Active          bool           `json:"active"`
	RatePerHour     int            `json:"ratePerHour"` // 0: no limit
	MailboxLimits   map[string]int `json:"mailboxLimits"`
	WebhookStatus   webhookAnswer  `json:"webhookStatus"`
	Health          healthAnswer   `json:"health"`
	CatchUp         *catchUpAnswer `json:"catchUp,omitempty"` // while events are to be read back
	IPPool          *poolReference `json:"ipPool,omitempty"`  // in the answer to its creation: the pool that was made for it
}

// webhookAnswer tells where the registration of our webhook at the provider stands.
type webhookAnswer struct {
	State   string `json:"state"`   // pending, registered, failed, or none: there is nothing to register
	Message string `json:"message"` // why it failed, in the provider's words
	URL     string `json:"url"`     // where the provider reports to
	NextTry int64  `json:"nextTry"` // when it is tried again, 0 when it need not be
}

// healthAnswer tells whether mail goes through the TPSP.
type healthAnswer struct {
	State  string `json:"state"` // ok, impaired (some mail is refused), stopped
	Reason string `json:"reason"`
	Since  int64  `json:"since"`
}

type poolReference struct {
	ID   int32  `json:"id"`
	Name string `json:"name"`
}

func (s *server) officialTPSP(t *directory.TPSP) (officialTPSP, error) {
	conn, err := s.Providers.Connection(t)
	if err != nil {
		return officialTPSP{}, err
	}
	return officialTPSP{
		ID: t.ID, Name: t.Name, Type: int(t.Type), Domain: t.Domain, Endpoint: t.Endpoint, Key: conn.Key.Mask(), Secret: conn.Secret.Mask(),
		Port: t.Port, Created: nanos(t.Created),
	}, nil
}

func (s *server) tpspAnswer(t *directory.TPSP) (tpspAnswer, error) {
	official, err := s.officialTPSP(t)
	if err != nil {
		return tpspAnswer{}, err
	}
	answer := tpspAnswer{
		officialTPSP: official, MessageStream: t.Stream, AmbiguousPolicy: t.Policy.String(), Active: true, MailboxLimits: map[string]int{},
		WebhookStatus: webhookAnswer{
			State: string(t.Webhook.State), Message: t.Webhook.Error, URL: s.Providers.HookURL(t), NextTry: nanos(t.Webhook.NextTry),
		},
		Health: healthAnswer{State: "ok"}, CatchUp: s.pendingCatchUp(t),
	}
	switch t.Webhook.State {
	case "":
		answer.WebhookStatus = webhookAnswer{State: "none", Message: "this kind of provider reports nothing by webhook"}
	case directory.WebhookRegistered:
		answer.WebhookStatus.NextTry = 0 // it is checked then, but there is nothing to try
	}
	switch {
	case t.Health.Stopped:
		answer.Health = healthAnswer{State: "stopped", Reason: t.Health.Reason, Since: nanos(t.Health.Since)}
	case len(t.Refused) > 0:
		answer.Health = healthAnswer{State: "impaired", Reason: t.Impaired(), Since: nanos(t.Refused[0].Since)}
	}
	return answer, nil
}

func (s *server) listStreams(w http.ResponseWriter, r *http.Request, _ *directory.Account) error {
	var in struct {
		Type     int    `json:"type"`
		Key      string `json:"key"`
		Endpoint string `json:"endpoint"`
	}
	if err := decodeBody(w, r, maxBody, &in); err != nil {
		return err
	}
	streams, err := s.Providers.Streams(r.Context(), provider.Type(in.Type), secret.NewString(in.Key), in.Endpoint)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, orEmpty(streams))
}

// tpspRequest is the body that creates a TPSP, without SendPost's keys that no provider of ours uses yet. A mail server (type 6)
// has a user name as its key, a password as its secret, and its name for EHLO as its domain.
type tpspRequest struct {
	Name            string          `json:"name"`
	Type            int             `json:"type"`
	Domain          string          `json:"domain"`
	Key             string          `json:"key"`
	Secret          string          `json:"secret"`
	Endpoint        string          `json:"endpoint"`
	Port            int             `json:"port"`
	MessageStream   string          `json:"messageStream"`
	AmbiguousPolicy string          `json:"ambiguousPolicy"`
	Active          *bool           `json:"active"`
	RatePerHour     int             `json:"ratePerHour"`
	MailboxLimits   json.RawMessage `json:"mailboxLimits"`
}

// refuseUnavailable refuses what we would otherwise ignore: a user who sets a limit relies on it.
func (t *tpspRequest) refuseUnavailable() error {
	switch {
	case t.RatePerHour != 0:
		return mail.Invalid("limits_not_available", "ratePerHour", "limits are not available yet; leave ratePerHour out or 0")
	case !isEmpty(t.MailboxLimits):
		return mail.Invalid("limits_not_available", "mailboxLimits", "limits are not available yet; leave mailboxLimits out or empty")
	case t.Active != nil && !*t.Active:
		return mail.Invalid("pause_not_available", "active", "a provider cannot be paused yet; leave active out or true")
	}
	return nil
}

// isEmpty tells whether a JSON value is absent, null, or an object or list with nothing in it.
func isEmpty(raw json.RawMessage) bool {
	var compact bytes.Buffer
	if len(raw) == 0 || json.Compact(&compact, raw) != nil {
		return len(raw) == 0
	}
	return slices.Contains([]string{"null", "{}", "[]"}, compact.String())
}

func (s *server) createTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in tpspRequest
	if err := decodeBody(w, r, maxBody, &in); err != nil {
		return err
	}
	if err := in.refuseUnavailable(); err != nil {
		return err
	}
	var policy directory.Policy
	if in.AmbiguousPolicy != "" {
		var err error
		if policy, err = parsePolicy(in.AmbiguousPolicy); err != nil {
			return err
		}
	}
	t, pool, err := s.Providers.Create(r.Context(), a.ID, tpsp.New{
		Name: in.Name, Type: provider.Type(in.Type), Key: secret.NewString(in.Key), Stream: in.MessageStream, Endpoint: in.Endpoint,
		Port: in.Port, Secret: secret.NewString(in.Secret), Domain: in.Domain, Policy: policy,
	})
	if err != nil {
		return err
	}
	answer, err := s.tpspAnswer(t)
	if err != nil {
		return err
	}
	answer.IPPool = &poolReference{ID: pool.ID, Name: pool.Name}
	return reply(w, http.StatusOK, answer)
}

func (s *server) listTPSPs(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list := cut(slices.DeleteFunc(s.Directory.Current().TPSPs(a.ID), func(t *directory.TPSP) bool {
		return !contains(t.Name, p.search)
	}), p)
	answers := make([]tpspAnswer, len(list))
	for i, t := range list {
		if answers[i], err = s.tpspAnswer(t); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) getTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	t, err := s.Providers.TPSP(a.ID, id)
	if err != nil {
		return err
	}
	answer, err := s.tpspAnswer(t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

func (s *server) deleteTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	force, err := truth(r.URL.Query(), "force")
	if err != nil {
		return err
	}
	t, err := s.Providers.Delete(r.Context(), a.ID, id, force)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "TPSP (" + t.Name + ") has been deleted successfully."})
}

// contains is how searches match names: any part, in any case.
func contains(name, search string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(search))
}

// orEmpty makes a list without elements [] in JSON instead of null (CL-9).
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
