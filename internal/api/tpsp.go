package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/limit"
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
	AllowRaw        bool           `json:"allowRaw"`        // Postmark: it takes messages without a template; other providers do anyway
	Active          bool           `json:"active"`
	SuppressionSync string         `json:"suppressionSync"` // both, from-provider, off
	RatePerHour     int            `json:"ratePerHour"`     // 0: no limit
	MailboxLimits   map[string]int `json:"mailboxLimits"`
	WebhookStatus   webhookAnswer  `json:"webhookStatus"`
	Health          healthAnswer   `json:"health"`
	Usage           *usageAnswer   `json:"usage,omitempty"`   // where one TPSP is read
	CatchUp         *catchUpAnswer `json:"catchUp,omitempty"` // while events are to be read back
	IPPool          *poolReference `json:"ipPool,omitempty"`  // in the answer to its creation: the pool that was made for it
}

// webhookAnswer tells where the registration of our webhook at the provider stands.
type webhookAnswer struct {
	// State is pending (not tried yet), registered, unverified (the provider has it and reports nothing), failed, paused (the provider
	// does not report some kinds of events), or none: there is nothing to register.
	State   string           `json:"state"`
	Message string           `json:"message"` // why it failed, in the provider's words
	URL     string           `json:"url"`     // where the provider reports to
	NextTry int64            `json:"nextTry"` // when it is tried again, 0 when it need not be
	Results []provider.Probe `json:"results"` // how the URL answered when the provider called it, at the last try that failed
	Paused  []string         `json:"paused"`  // the kinds of events that the provider does not report, by its names of them
}

// healthAnswer tells whether mail goes through the TPSP.
type healthAnswer struct {
	State          string          `json:"state"` // ok, impaired (some mail is refused), stopped, paused, drill; of an IP also missing: it is not configured any more
	Reason         string          `json:"reason"`
	Since          int64           `json:"since"`   // 0 when it is not known
	ProbeAt        int64           `json:"probeAt"` // when mail tries it again, 0 when that depends on nothing but the user
	RefusedSenders []refusalAnswer `json:"refusedSenders"`
}

// refusalAnswer is a sender domain whose mail the provider refuses.
type refusalAnswer struct {
	Domain  string `json:"domain"`
	Reason  string `json:"reason"`
	Since   int64  `json:"since"`
	ProbeAt int64  `json:"probeAt"`
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
		officialTPSP: official, MessageStream: t.Stream, AmbiguousPolicy: t.Policy.String(), AllowRaw: t.AllowRaw, Active: !t.Paused,
		SuppressionSync: t.SuppressionSync.String(),
		RatePerHour:     t.Limits.PerHour, MailboxLimits: byKey(t.Limits.Mailbox),
		WebhookStatus: webhookAnswer{
			State: string(t.Webhook.State), Message: t.Webhook.Error, URL: s.Providers.HookURL(t), NextTry: nanos(t.Webhook.NextTry),
			Results: orEmpty(t.Webhook.Probes), Paused: orEmpty(t.Webhook.Paused),
		},
		Health: healthAnswerOf(t, s.Now()), CatchUp: s.pendingCatchUp(t),
	}
	switch t.Webhook.State {
	case "":
		answer.WebhookStatus = webhookAnswer{State: "none", Message: cmp.Or(t.Webhook.Error, tpsp.ErrNoWebhook.Error()), Results: []provider.Probe{}, Paused: []string{}}
	case directory.WebhookRegistered:
		answer.WebhookStatus.NextTry = 0 // it is checked then, but there is nothing to try
	}
	return answer, nil
}

// healthAnswerOf names what keeps most mail from leaving: the operator's pause, a drill, a stop, refused senders.
func healthAnswerOf(t *directory.TPSP, now time.Time) healthAnswer {
	answer := healthAnswer{State: "ok", RefusedSenders: make([]refusalAnswer, len(t.Refused))}
	for i := range t.Refused {
		r := &t.Refused[i]
		answer.RefusedSenders[i] = refusalAnswer{r.Domain, r.Reason, nanos(r.Since), nanos(r.ProbeAt)}
	}
	switch {
	case t.Paused:
		answer.State, answer.Reason = "paused", t.Away(now)
	case t.Missing:
		answer.State, answer.Reason = "missing", t.Away(now)
	case now.Before(t.Drill):
		answer.State, answer.Reason, answer.ProbeAt = "drill", t.Away(now), nanos(t.Drill)
	case t.Health.Stopped:
		answer.State, answer.Reason = "stopped", t.Health.Reason
		answer.Since, answer.ProbeAt = nanos(t.Health.Since), nanos(t.Health.ProbeAt)
	case len(t.Refused) > 0:
		first := &answer.RefusedSenders[0]
		answer.State, answer.Reason, answer.Since, answer.ProbeAt = "impaired", t.Impaired(), first.Since, first.ProbeAt
	}
	return answer
}

// streamsRequest asks for the streams of a provider that need not be connected.
type streamsRequest struct {
	Type     int     `json:"type"`
	Key      *string `json:"key"`
	Endpoint *string `json:"endpoint"`
	TPSPID   int32   `json:"tpspId"` // one that is connected: what is absent, and a masked key, are as it has them
}

func (s *server) listStreams(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in streamsRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	kind, conn := provider.Type(in.Type), provider.Connection{}
	if in.TPSPID != 0 {
		t, err := s.Providers.TPSP(a.ID, in.TPSPID)
		if err != nil {
			return err
		}
		if kind = t.Type; in.Type != 0 && in.Type != int(kind) {
			return mail.Invalid("other_type", "type", "the provider %d is of type %d", t.ID, kind)
		}
		if conn, err = s.Providers.Connection(t); err != nil {
			return err
		}
	}
	if err := (&tpspChanges{Key: in.Key, Endpoint: in.Endpoint}).layConnection(false, &conn); err != nil {
		return err
	}
	streams, err := s.Providers.Streams(r.Context(), kind, conn.Key, conn.Endpoint)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, orEmpty(streams))
}

// tpspRequest is the body that creates a TPSP, without SendPost's keys that no provider of ours uses yet. A mail server (type 6)
// has a user name as its key, a password as its secret, and its name for EHLO as its domain.
type tpspRequest struct {
	Name            string `json:"name"`
	Type            int    `json:"type"`
	Domain          string `json:"domain"`
	Key             string `json:"key"`
	Secret          string `json:"secret"`
	Endpoint        string `json:"endpoint"`
	Port            int    `json:"port"`
	MessageStream   string `json:"messageStream"`
	AmbiguousPolicy string `json:"ambiguousPolicy"`
	AllowRaw        bool   `json:"allowRaw"`
	Active          *bool  `json:"active"`
	SuppressionSync string `json:"suppressionSync"`
	limitsRequest
}

func (s *server) createTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in tpspRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	limits := limit.Limits{PerHour: s.Providers.DefaultPerHour(provider.Type(in.Type))}
	if err := in.apply(&limits); err != nil {
		return err
	}
	var policy directory.Policy
	if in.AmbiguousPolicy != "" {
		var err error
		if policy, err = parsePolicy(in.AmbiguousPolicy); err != nil {
			return err
		}
	}
	var sync directory.SuppressionSync
	if in.SuppressionSync != "" {
		var err error
		if sync, err = parseSync(in.SuppressionSync); err != nil {
			return err
		}
	}
	t, pool, err := s.Providers.Create(r.Context(), a.ID, tpsp.New{
		Name: in.Name, Type: provider.Type(in.Type), Key: secret.NewString(in.Key), Stream: in.MessageStream, Endpoint: in.Endpoint,
		Port: in.Port, Secret: secret.NewString(in.Secret), Domain: in.Domain,
		Policy: policy, Limits: limits, Paused: in.Active != nil && !*in.Active, AllowRaw: in.AllowRaw,
		SuppressionSync: sync,
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

func (s *server) countTPSPs(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	search := r.URL.Query().Get("search")
	n := 0
	for _, t := range s.Directory.Current().TPSPs(a.ID) {
		if contains(t.Name, search) {
			n++
		}
	}
	return reply(w, http.StatusOK, countAnswer{n})
}

// registerWebhook registers a TPSP's webhook again.
func (s *server) registerWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	t, err := s.Providers.RegisterWebhook(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	answer, err := s.tpspAnswer(t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
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
	if answer.Usage, err = s.usage(r.Context(), t); err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

func (s *server) deleteTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, force, err := deletion(r)
	if err != nil {
		return err
	}
	t, err := s.Providers.Delete(r.Context(), a.ID, id, force)
	if err != nil {
		return err
	}
	s.Changed()
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
