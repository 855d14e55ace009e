package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/webhook"
)

// Webhooks manages the webhooks of accounts; *webhook.Service does.
type Webhooks interface {
	Create(ctx context.Context, accountID int32, c webhook.Change) (*store.Endpoint, error)
	Endpoint(ctx context.Context, accountID, id int32) (*store.Endpoint, error)
	Endpoints(ctx context.Context, f store.EndpointFilter) ([]store.Endpoint, error)
	Count(ctx context.Context, f store.EndpointFilter) (int, error)
	Update(ctx context.Context, accountID, id int32, c webhook.Change) (*store.Endpoint, error)
	Delete(ctx context.Context, accountID, id int32) (*store.Endpoint, error)
	Secret(ctx context.Context, accountID, id int32) (secret.String, error)
	Rotate(ctx context.Context, accountID, id int32) (*store.Endpoint, error)
	Pause(ctx context.Context, accountID, id int32) (*store.Endpoint, error)
	Resume(ctx context.Context, accountID, id int32) (*store.Endpoint, error)
	Standing(ctx context.Context, endpointID int32) (store.DeliveryCount, error)
	Tries(ctx context.Context, f store.TryFilter) ([]store.Try, error)
	Test(ctx context.Context, accountID, id int32, t event.Type) (*webhook.Tested, error)
	ReplayEvent(ctx context.Context, accountID, id int32, eventID string) (int, error)
	ReplayWindow(ctx context.Context, accountID, id int32, from, to time.Time) (int, error)
	ReplayMissing(ctx context.Context, accountID, id int32) (int, error)
}

// hookAnswer is SendPost's Webhook.
type hookAnswer struct {
	ID           int32   `json:"id"`
	Enabled      bool    `json:"enabled"`
	URL          string  `json:"url"`
	Processed    bool    `json:"processed"`
	Delivered    bool    `json:"delivered"`
	Dropped      bool    `json:"dropped"`
	SoftBounced  bool    `json:"softBounced"`
	HardBounced  bool    `json:"hardBounced"`
	Opened       bool    `json:"opened"`
	Clicked      bool    `json:"clicked"`
	Unsubscribed bool    `json:"unsubscribed"`
	Spam         bool    `json:"spam"`
	Sent         bool    `json:"sent"`
	SMTPDropped  bool    `json:"smtpDropped"`
	UniqueOpen   bool    `json:"uniqueOpen"`
	UniqueClick  bool    `json:"uniqueClick"`
	Created      int64   `json:"created"`
	CreatedBy    *string `json:"created_by"`
	UpdatedBy    *string `json:"updated_by"`
}

// webhookRequest is SendPost's CreateWebhookRequest. What is absent is off in a new webhook (enabled: on), and stays in a change.
type webhookRequest struct {
	Enabled      *bool   `json:"enabled"`
	URL          *string `json:"url"`
	Processed    *bool   `json:"processed"`
	Delivered    *bool   `json:"delivered"`
	Dropped      *bool   `json:"dropped"`
	SoftBounced  *bool   `json:"softBounced"`
	HardBounced  *bool   `json:"hardBounced"`
	Opened       *bool   `json:"opened"`
	Clicked      *bool   `json:"clicked"`
	Unsubscribed *bool   `json:"unsubscribed"`
	Spam         *bool   `json:"spam"`
	Sent         *bool   `json:"sent"`
	SMTPDropped  *bool   `json:"smtpDropped"`
	UniqueOpen   *bool   `json:"uniqueOpen"`
	UniqueClick  *bool   `json:"uniqueClick"`
}

func (r *webhookRequest) change() webhook.Change {
	c := webhook.Change{URL: r.URL, Enabled: r.Enabled, Kinds: map[store.HookKinds]bool{}}
	for kind, on := range map[store.HookKinds]*bool{store.HookProcessed: r.Processed, store.HookDelivered: r.Delivered, store.HookDropped: r.Dropped,
		store.HookSoftBounced: r.SoftBounced, store.HookHardBounced: r.HardBounced, store.HookOpened: r.Opened, store.HookClicked: r.Clicked,
		store.HookUnsubscribed: r.Unsubscribed, store.HookSpam: r.Spam, store.HookSent: r.Sent, store.HookSMTPDropped: r.SMTPDropped,
		store.HookUniqueOpen: r.UniqueOpen, store.HookUniqueClick: r.UniqueClick} {
		if on != nil {
			c.Kinds[kind] = *on
		}
	}
	return c
}

func hookAnswerOf(r *http.Request, e *store.Endpoint) hookAnswer {
	has := func(k store.HookKinds) bool { return e.Kinds&k != 0 }
	return hookAnswer{ID: e.ID, Enabled: e.Enabled, URL: shownURL(r, e.URL), Processed: has(store.HookProcessed), Delivered: has(store.HookDelivered),
		Dropped: has(store.HookDropped), SoftBounced: has(store.HookSoftBounced), HardBounced: has(store.HookHardBounced), Opened: has(store.HookOpened),
		Clicked: has(store.HookClicked), Unsubscribed: has(store.HookUnsubscribed), Spam: has(store.HookSpam), Sent: has(store.HookSent),
		SMTPDropped: has(store.HookSMTPDropped), UniqueOpen: has(store.HookUniqueOpen), UniqueClick: has(store.HookUniqueClick), Created: nanos(e.Created)}
}

// namedWebhookAnswer is a URL that messages named.
type namedWebhookAnswer struct {
	ID      int32  `json:"id"`
	URL     string `json:"url"`
	State   string `json:"state"`
	Created int64  `json:"created"`
}

// webhookStatus is how posting to a webhook goes.
type webhookStatus struct {
	ID                  int32  `json:"id"`
	URL                 string `json:"url"`
	State               string `json:"state"`  // ok, backing-off, paused, disabled
	Reason              string `json:"reason"` // why it is not ok
	Queued              int64  `json:"queued"` // events that are to be posted
	OldestQueued        int64  `json:"oldestQueued"`
	GivenUp             int64  `json:"givenUp"` // events that are not posted any more, unless they are replayed
	ConsecutiveFailures int    `json:"consecutiveFailures"`
	FailingSince        int64  `json:"failingSince"`
	NextTry             int64  `json:"nextTry"` // 0: at once
	LastTry             int64  `json:"lastTry"`
	LastStatus          int    `json:"lastStatus"` // 0: there was no answer
	LastError           string `json:"lastError"`
	LastSuccess         int64  `json:"lastSuccess"`
	PausedSince         int64  `json:"pausedSince"`
}

// secretAnswer is the secret that a webhook's bodies are signed with.
type secretAnswer struct {
	Secret        string `json:"secret"`
	FormerValidTo int64  `json:"formerValidTo"` // until when the former one signs as well; 0: there is none
}

// webhookAttempt is one call.
type webhookAttempt struct {
	ID         int64  `json:"id"`
	EventID    string `json:"eventId"`
	Attempt    int    `json:"attempt"` // from 1, of this event
	At         int64  `json:"at"`
	DurationMs int64  `json:"durationMs"`
	Status     int    `json:"status"` // 0: there was no answer
	Error      string `json:"error"`  // "" for a success
	Outcome    string `json:"outcome"`
}

// outcomes of attempts, by store.Fate.
var outcomes = [...]string{store.Delivered: "delivered", store.Retry: "retry", store.Kept: "kept", store.GivenUp: "given-up"}

// webhookTest says of what kind the sample event is.
type webhookTest struct {
	Type  *int   `json:"type"`  // an event type
	Event string `json:"event"` // or one of the toggles
}

// webhookTested is what the receiver answered.
type webhookTested struct {
	EventID    string `json:"eventId"`
	Type       int    `json:"type"`
	OK         bool   `json:"ok"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	DurationMs int64  `json:"durationMs"`
}

// webhookReplay says what is to be posted again: one of the three.
type webhookReplay struct {
	EventID string `json:"eventId"`
	From    string `json:"from"`
	To      string `json:"to"`
	Missing bool   `json:"missing"`
}

// webhookReplayed is how many events will be posted.
type webhookReplayed struct {
	Queued int `json:"queued"` // events
}

// webhookOperations are the operations on webhooks of the account, and on URLs that messages named.
func (s *server) webhookOperations(v1 string) []operation {
	const of = "/account/webhook/{id}"
	return []operation{
		op(http.MethodGet, v1+"/account/webhook", accountKey, "list webhooks", s.forAccount(s.listWebhooks)).
			asks(pageParameters("URL")...).answers(http.StatusOK, []hookAnswer{}),
		op(http.MethodPost, v1+"/account/webhook", accountKey, "create a webhook", s.forAccount(s.createWebhook)).
			body(webhookRequest{}).answers(http.StatusOK, hookAnswer{}),
		op(http.MethodGet, v1+"/account/webhook/count", accountKey, "count webhooks", s.forAccount(s.countWebhooks)).
			asks(parameter{Name: "search", Kind: "string", Summary: "part of the URL"}).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+of, accountKey, "read a webhook", s.forAccount(s.getWebhook)).answers(http.StatusOK, hookAnswer{}),
		op(http.MethodPut, v1+of, accountKey, "change a webhook", s.forAccount(s.updateWebhook)).
			body(webhookRequest{}).answers(http.StatusOK, hookAnswer{}),
		op(http.MethodDelete, v1+of, accountKey, "delete a webhook, and what waits for it", s.forAccount(s.deleteWebhook)).answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodGet, v1+of+"/status", accountKey, "tell how posting to a webhook goes", s.forAccount(s.webhookStatus)).
			answers(http.StatusOK, webhookStatus{}),
		op(http.MethodGet, v1+of+"/secret", accountKey, "read the secret that a webhook's bodies are signed with", s.forAccount(s.webhookSecret)).
			answers(http.StatusOK, secretAnswer{}).showsSecrets(),
		op(http.MethodPost, v1+of+"/secret/rotate", accountKey, "give a webhook another secret; the former one signs as well for a day", s.forAccount(s.rotateWebhook)).
			answers(http.StatusOK, secretAnswer{}),
		op(http.MethodPost, v1+of+"/pause", accountKey, "let the events of a webhook wait", s.forAccount(s.pauseWebhook)).
			answers(http.StatusOK, webhookStatus{}),
		op(http.MethodPost, v1+of+"/resume", accountKey, "let the events of a webhook go on", s.forAccount(s.resumeWebhook)).answers(http.StatusOK, webhookStatus{}),
		op(http.MethodGet, v1+of+"/attempts", accountKey, "list calls of a webhook, the newest first", s.forAccount(s.webhookAttempts)).
			asks(parameter{Name: "eventId", Kind: "string", Summary: "only those for this event"},
				parameter{Name: "limit", Kind: "integer", Summary: "the most items of the answer"},
				parameter{Name: "before", Kind: "integer", Summary: "only attempts with lower ids"}).answers(http.StatusOK, []webhookAttempt{}),
		op(http.MethodPost, v1+of+"/test", accountKey, "post a sample event to a webhook, and tell what it answers", s.forAccount(s.testWebhook)).
			body(webhookTest{}).answers(http.StatusOK, webhookTested{}),
		op(http.MethodPost, v1+of+"/replay", accountKey, "post events to a webhook again: one, those of a time, or all that are missing", s.forAccount(s.replayWebhook)).
			body(webhookReplay{}).answers(http.StatusOK, webhookReplayed{}),
		op(http.MethodGet, v1+"/account/webhookendpoint", accountKey, "list URLs that messages named (webhookEndpoint); their ids stand for a webhook's",
			s.forAccount(s.listNamedWebhooks)).asks(pageParameters("URL")...).answers(http.StatusOK, []namedWebhookAnswer{}),
	}
}

func webhookPage(r *http.Request, a *directory.Account) (f store.EndpointFilter, err error) {
	p, err := listPage(r.URL.Query())
	return store.EndpointFilter{AccountID: a.ID, Search: p.search, Offset: p.offset, Limit: p.limit}, err
}

// endpoints reads endpoints. A viewer's search looks at what viewers see of URLs: else it would find tokens out, letter by letter.
func (s *server) endpoints(r *http.Request, f store.EndpointFilter) ([]store.Endpoint, error) {
	if f.Search == "" || seesSecrets(r) {
		return s.Webhooks.Endpoints(r.Context(), f)
	}
	const piece = 1000
	var found []store.Endpoint
	wanted := strings.ToLower(f.Search)
	for part := (store.EndpointFilter{AccountID: f.AccountID, Named: f.Named, Limit: piece}); ; {
		list, err := s.Webhooks.Endpoints(r.Context(), part)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if !strings.Contains(strings.ToLower(secret.MaskURL(list[i].URL)), wanted) {
				continue
			}
			if f.Offset > 0 {
				f.Offset--
				continue
			}
			if found = append(found, list[i]); len(found) == f.Limit {
				return found, nil
			}
		}
		if len(list) < piece {
			return found, nil
		}
		part.After = list[len(list)-1].ID
	}
}

func (s *server) listWebhooks(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f, err := webhookPage(r, a)
	if err != nil {
		return err
	}
	list, err := s.endpoints(r, f)
	if err != nil {
		return err
	}
	answers := make([]hookAnswer, len(list))
	for i := range list {
		answers[i] = hookAnswerOf(r, &list[i])
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) listNamedWebhooks(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f, err := webhookPage(r, a)
	if err != nil {
		return err
	}
	f.Named = true
	if f.Limit == 0 {
		f.Limit = maxEvents
	}
	list, err := s.endpoints(r, f)
	if err != nil {
		return err
	}
	answers := make([]namedWebhookAnswer, len(list))
	for i := range list {
		answers[i] = namedWebhookAnswer{ID: list[i].ID, URL: shownURL(r, list[i].URL), State: string(webhook.StateOf(&list[i])), Created: nanos(list[i].Created)}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) countWebhooks(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f := store.EndpointFilter{AccountID: a.ID, Search: strings.TrimSpace(r.URL.Query().Get("search"))}
	if f.Search != "" && !seesSecrets(r) {
		list, err := s.endpoints(r, f)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, countAnswer{Count: len(list)})
	}
	n, err := s.Webhooks.Count(r.Context(), f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, countAnswer{Count: n})
}

func (s *server) createWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in webhookRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	e, err := s.Webhooks.Create(r.Context(), a.ID, in.change())
	return replyWebhook(w, r, e, err)
}

func replyWebhook(w http.ResponseWriter, r *http.Request, e *store.Endpoint, err error) error {
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, hookAnswerOf(r, e))
}

func (s *server) getWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	if err == nil && e.Named {
		err = webhook.ErrNotFound
	}
	return replyWebhook(w, r, e, err)
}

// findWebhook reads the endpoint that the path names.
func (s *server) findWebhook(r *http.Request, a *directory.Account) (*store.Endpoint, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.Webhooks.Endpoint(r.Context(), a.ID, id)
}

func (s *server) updateWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in webhookRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	e, err := s.Webhooks.Update(r.Context(), a.ID, id, in.change())
	return replyWebhook(w, r, e, err)
}

func (s *server) deleteWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	e, err := s.Webhooks.Delete(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: e.ID, Message: "Webhook (" + e.URL + ") has been deleted successfully."})
}

func (s *server) webhookStatus(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	return s.replyWebhookStatus(w, r, e, err)
}

func (s *server) replyWebhookStatus(w http.ResponseWriter, r *http.Request, e *store.Endpoint, err error) error {
	if err != nil {
		return err
	}
	n, err := s.Webhooks.Standing(r.Context(), e.ID)
	if err != nil {
		return err
	}
	st := &e.Standing
	out := webhookStatus{ID: e.ID, URL: shownURL(r, e.URL), State: string(webhook.StateOf(e)), Reason: e.Paused, Queued: n.Waiting, OldestQueued: nanos(n.Oldest), GivenUp: n.GivenUp,
		ConsecutiveFailures: st.Failures, FailingSince: nanos(st.FailingAt), NextTry: nanos(st.NextTry), LastTry: nanos(st.LastAt), LastStatus: st.LastStatus,
		LastError: st.LastError, LastSuccess: nanos(st.WorkedAt), PausedSince: nanos(e.PausedAt)}
	switch webhook.StateOf(e) {
	case webhook.BackingOff:
		out.Reason = st.LastError
	case webhook.Disabled:
		out.Reason = "it is not enabled"
	}
	return reply(w, http.StatusOK, out)
}

func (s *server) webhookSecret(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	return s.replyWebhookSecret(w, r, e, err)
}

func (s *server) replyWebhookSecret(w http.ResponseWriter, r *http.Request, e *store.Endpoint, err error) error {
	if err != nil {
		return err
	}
	text, err := s.Webhooks.Secret(r.Context(), e.AccountID, e.ID)
	if err != nil {
		return err
	}
	out := secretAnswer{Secret: text.Reveal()}
	if s.Now().Before(e.FormerTo) {
		out.FormerValidTo = nanos(e.FormerTo)
	}
	return reply(w, http.StatusOK, out)
}

// changeWebhook does what a path says with the endpoint that it names.
func changeWebhook(r *http.Request, a *directory.Account, change func(ctx context.Context, accountID, id int32) (*store.Endpoint, error)) (*store.Endpoint, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return change(r.Context(), a.ID, id)
}

func (s *server) rotateWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := changeWebhook(r, a, s.Webhooks.Rotate)
	return s.replyWebhookSecret(w, r, e, err)
}

func (s *server) pauseWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := changeWebhook(r, a, s.Webhooks.Pause)
	return s.replyWebhookStatus(w, r, e, err)
}

func (s *server) resumeWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := changeWebhook(r, a, s.Webhooks.Resume)
	return s.replyWebhookStatus(w, r, e, err)
}

// Attempts in one answer.
const (
	defaultAttempts = 50
	maxAttempts     = 1000
)

func (s *server) webhookAttempts(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	if err != nil {
		return err
	}
	q, f := r.URL.Query(), store.TryFilter{EndpointID: e.ID}
	if f.Limit, err = wholeNumber(q, "limit", defaultAttempts, 1, maxAttempts); err != nil {
		return err
	}
	if text := q.Get("before"); text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return badParameter("before", "must be the id of an attempt")
		}
	}
	if text := q.Get("eventId"); text != "" {
		seq, ok := s.seqOf(text)
		if !ok {
			return badParameter("eventId", "must be the id of an event of this server")
		}
		f.Seq = seq
	}
	list, err := s.Webhooks.Tries(r.Context(), f)
	if err != nil {
		return err
	}
	answers := make([]webhookAttempt, len(list))
	for i := range list {
		t := &list[i]
		answers[i] = webhookAttempt{ID: t.ID, EventID: s.eventID(t.Seq), Attempt: t.Call, At: nanos(t.At), DurationMs: t.Took.Milliseconds(), Status: t.Status,
			Error: t.Error, Outcome: outcomes[t.Fate]}
	}
	return reply(w, http.StatusOK, answers)
}

// testTypes are the types that stand for toggles in a test.
var testTypes = map[string]event.Type{"processed": 0, "dropped": 1, "delivered": 2, "softbounced": 3, "hardbounced": 4, "opened": 5, "clicked": 6,
	"unsubscribed": 7, "spam": 8, "sent": 70, "smtpdropped": 74, "uniqueopen": 5, "uniqueclick": 6}

func (s *server) testWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	if err != nil {
		return err
	}
	var in webhookTest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	var t event.Type
	switch known, named := testTypes[strings.ToLower(strings.TrimSpace(in.Event))]; {
	case in.Type != nil:
		t = event.Type(*in.Type)
	case in.Event == "":
		return mail.Invalid("missing_event", "event", "name an event type (type), or the kind of an event (event), such as delivered")
	case !named:
		return mail.Invalid("unknown_event", "event", "this is no kind of event; they are named as the keys of a webhook are: processed, delivered, ...")
	default:
		t = known
	}
	tested, err := s.Webhooks.Test(r.Context(), a.ID, e.ID, t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, webhookTested{EventID: tested.EventID, Type: int(tested.Type), OK: tested.Error == "", Status: tested.Status, Error: tested.Error,
		DurationMs: tested.Took.Milliseconds()})
}

// replayFor is how long a replay of a time may take.
const replayFor = 15 * time.Minute

func (s *server) replayWebhook(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findWebhook(r, a)
	if err != nil {
		return err
	}
	var in webhookReplay
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	s.allowTime(w, r, replayFor)
	window := in.From != "" || in.To != ""
	var n int
	switch {
	case in.EventID != "" && !window && !in.Missing:
		n, err = s.Webhooks.ReplayEvent(r.Context(), a.ID, e.ID, in.EventID)
	case window && in.EventID == "" && !in.Missing:
		var from, to time.Time
		if from, to, err = replayRange(&in, s.Now()); err == nil {
			n, err = s.Webhooks.ReplayWindow(r.Context(), a.ID, e.ID, from, to)
		}
	case in.Missing && in.EventID == "" && !window:
		n, err = s.Webhooks.ReplayMissing(r.Context(), a.ID, e.ID)
	default:
		return mail.Invalid("what_to_replay", "eventId", "say one of eventId, from (and to), or missing: true")
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, webhookReplayed{Queued: n})
}

// replayRange reads a range of time, of which the end may be missing.
func replayRange(in *webhookReplay, now time.Time) (from, to time.Time, err error) {
	q := map[string][]string{"from": {in.From}, "to": {in.To}}
	if in.From == "" {
		return from, to, mail.Invalid("missing_from", "from", "from is needed, as YYYY-MM-DD or 2006-01-02T15:04:05Z")
	}
	if from, to, err = eventRange(q); err != nil {
		return from, to, mail.Invalid("invalid_range", "from", "%s", problemOf(err).Message)
	}
	if to.IsZero() {
		to = now.Add(time.Minute)
	}
	return from, to, nil
}
