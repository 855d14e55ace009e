package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/sendpost"
	"postyard/internal/ssrf"
	"postyard/internal/store"
)

// Change is what is to change of a webhook; nil stays.
type Change struct {
	URL     *string
	Enabled *bool
	Kinds   map[store.HookKinds]bool // toggles that are named, and whether they are on
}

// apply changes an endpoint. It fails with a *mail.FieldError.
func (s *Service) apply(e *store.Endpoint, c Change) error {
	if c.URL != nil {
		url := strings.TrimSpace(*c.URL)
		if _, err := ssrf.CheckURL(url, s.AllowPrivate); err != nil {
			return mail.Invalid("invalid_url", "url", "events cannot be posted to this URL: %s", err)
		}
		if url != e.URL {
			e.URL = url
			forgive(e) // how the former one did says nothing of it
		}
	}
	if c.Enabled != nil {
		e.Enabled = *c.Enabled
	}
	for kind, on := range c.Kinds {
		if e.Kinds &^= kind; on {
			e.Kinds |= kind
		}
	}
	e.Updated = s.Now().UTC()
	return nil
}

// Create makes a webhook of an account, which gets events that are recorded from now on. It is enabled unless the change says otherwise. It fails with
// a *mail.FieldError, ErrDuplicate or ErrTooMany.
func (s *Service) Create(ctx context.Context, accountID int32, c Change) (*store.Endpoint, error) {
	if c.URL == nil {
		return nil, mail.Invalid("missing_url", "url", "a URL is needed")
	}
	now := s.Now().UTC()
	e := &store.Endpoint{AccountID: accountID, Enabled: true, Secret: s.newSecret(), Created: now}
	if err := s.apply(e, c); err != nil {
		return nil, err
	}
	n, err := s.Store.CountEndpoints(ctx, store.EndpointFilter{AccountID: accountID})
	if err != nil {
		return nil, err
	}
	if n >= MostEndpoints {
		return nil, ErrTooMany
	}
	if err := s.Store.CreateEndpoint(ctx, e); err != nil {
		return nil, known(err)
	}
	s.Hint()
	return e, nil
}

// known gives the store's errors the words of this package.
func known(err error) error { return store.Instead(err, ErrDuplicate, ErrNotFound) }

// Endpoint returns an endpoint of an account, or ErrNotFound.
func (s *Service) Endpoint(ctx context.Context, accountID, id int32) (*store.Endpoint, error) {
	list, err := s.Store.Endpoints(ctx, store.EndpointFilter{AccountID: accountID, IDs: []int32{id}, AllKinds: true})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return &list[0], nil
}

// Endpoints returns endpoints, and Count how many they are.
func (s *Service) Endpoints(ctx context.Context, f store.EndpointFilter) ([]store.Endpoint, error) {
	return s.Store.Endpoints(ctx, f)
}

// Count counts what Endpoints would return without its limit.
func (s *Service) Count(ctx context.Context, f store.EndpointFilter) (int, error) {
	return s.Store.CountEndpoints(ctx, f)
}

// Update changes a webhook. It fails with ErrNotFound, ErrDuplicate or a *mail.FieldError. One that messages name keeps its URL.
func (s *Service) Update(ctx context.Context, accountID, id int32, c Change) (*store.Endpoint, error) {
	return s.change(ctx, accountID, id, func(e *store.Endpoint) error {
		if e.Named {
			return store.ErrNotFound
		}
		return s.apply(e, c)
	})
}

// Delete removes an endpoint, with all that waits for it, and returns what it was. It fails with ErrNotFound.
func (s *Service) Delete(ctx context.Context, accountID, id int32) (*store.Endpoint, error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	defer s.Hint()
	return e, known(s.Store.DeleteEndpoint(ctx, accountID, id, s.Now().UTC()))
}

// Rotate gives an endpoint another secret. The former one signs as well for KeepFormer.
func (s *Service) Rotate(ctx context.Context, accountID, id int32) (*store.Endpoint, error) {
	return s.change(ctx, accountID, id, func(e *store.Endpoint) error {
		now := s.Now().UTC()
		e.Former, e.FormerTo, e.Secret, e.Updated = e.Secret, now.Add(KeepFormer), s.newSecret(), now
		return nil
	})
}

// byUser is why an endpoint is paused that a user paused.
const byUser = "a user paused it"

// Pause has nothing posted to an endpoint; what is to be posted is kept.
func (s *Service) Pause(ctx context.Context, accountID, id int32) (*store.Endpoint, error) {
	return s.change(ctx, accountID, id, func(e *store.Endpoint) error {
		if e.Paused == "" {
			e.Paused, e.PausedAt = byUser, s.Now().UTC()
		}
		return nil
	})
}

// Resume has posting go on at once, whatever it was that stopped it.
func (s *Service) Resume(ctx context.Context, accountID, id int32) (*store.Endpoint, error) {
	return s.change(ctx, accountID, id, func(e *store.Endpoint) error {
		e.Paused, e.PausedAt = "", time.Time{}
		forgive(e)
		return nil
	})
}

// forgive forgets what keeps an endpoint from being tried.
func forgive(e *store.Endpoint) {
	e.Standing.Failures, e.Standing.FailingAt, e.Standing.NextTry = 0, time.Time{}, time.Time{}
}

func (s *Service) change(ctx context.Context, accountID, id int32, change func(*store.Endpoint) error) (*store.Endpoint, error) {
	defer s.Hint()
	e, err := s.Store.ChangeEndpoint(ctx, accountID, id, change)
	return e, known(err)
}

// State is how posting to an endpoint goes.
type State string

// The states.
const (
	OK         State = "ok"
	Disabled   State = "disabled" // by a user: it gets no new events
	BackingOff State = "backing-off"
	Paused     State = "paused"
)

// StateOf returns the state of an endpoint.
func StateOf(e *store.Endpoint) State {
	switch {
	case e.Paused != "":
		return Paused
	case !e.Enabled:
		return Disabled
	case e.Standing.Failures >= backOffAfter:
		return BackingOff
	}
	return OK
}

// Standing counts what waits for an endpoint.
func (s *Service) Standing(ctx context.Context, endpointID int32) (store.DeliveryCount, error) {
	return s.Store.Standing(ctx, endpointID)
}

// Tries returns tries of an endpoint, the newest first.
func (s *Service) Tries(ctx context.Context, f store.TryFilter) ([]store.Try, error) {
	return s.Store.Tries(ctx, f)
}

// Tested is what came of a test call.
type Tested struct {
	EventID string
	Type    event.Type
	Status  int    // 0: no answer
	Error   string // "" when the receiver took it
	Took    time.Duration
}

// Test posts a sample event of a type to an endpoint, whatever its kinds, also when it is paused. The event is stored nowhere.
func (s *Service) Test(ctx context.Context, accountID, id int32, t event.Type) (*Tested, error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	p, err := s.prepare(e)
	if err != nil {
		return nil, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	eventID := s.Installation + "-test-" + hex.EncodeToString(random[:])
	body, err := s.sample(accountID, eventID, t)
	if err != nil {
		return nil, err
	}
	a := s.call(ctx, p, eventID, body)
	return &Tested{EventID: eventID, Type: t, Status: a.status, Error: a.err, Took: a.took}, nil
}

// sample makes the body of an event that never happened.
func (s *Service) sample(accountID int32, eventID string, t event.Type) ([]byte, error) {
	info, ok := event.Describe(t)
	if !ok {
		return nil, mail.Invalid("unknown_type", "type", "there is no event type %d", int(t))
	}
	now, message := s.Now().Unix(), uuid.New().String()
	detail := event.Detail{}
	switch info.Kind {
	case event.Delivered:
		detail.SMTPCode, detail.SMTPDescription = 250, "2.0.0 OK"
	case event.HardBounced:
		detail.SMTPCode, detail.SMTPDescription = 550, "5.1.1 The address does not exist"
	case event.SoftBounced, event.Deferred:
		detail.SMTPCode, detail.SMTPDescription = 452, "4.2.2 The mailbox is full"
	case event.Clicked:
		detail.ClickedURL = "https://example.com/"
		fallthrough
	case event.Opened:
		detail.UserAgent = &event.UserAgent{Family: "Firefox", Major: "140"}
		detail.OS, detail.Device = &event.OperatingSystem{Family: "Linux"}, &event.Device{Family: "Desktop"}
		detail.TrackedIP, detail.RawUserAgent = "192.0.2.1", "Mozilla/5.0"
		detail.Geo = &event.Geo{CountryCode: "US", Country: "United States", TimeZone: "America/New_York"}
	}
	told := sendpost.HookMessage{MessageID: message, AccountID: accountID, EmailType: "gmail", SubmittedAt: now,
		From: sendpost.Person{Name: "Sender", Email: "sender@example.com"}, Groups: []string{"test"}, Headers: map[string]string{}, CustomFields: map[string]string{},
		To: []sendpost.HookRecipient{{HookCopy: copyOf(&mail.Address{Email: "recipient@example.net", Name: "Recipient"}, map[string]string{}), CC: copies(nil), BCC: copies(nil)}}}
	text, err := encode(told)
	if err != nil {
		return nil, err
	}
	return encode(sendpost.Hook{EmailMessage: text, Event: sendpost.Event[sendpost.HookMetadata]{EventID: eventID, Groups: told.Groups,
		MessageType: told.EmailType, MessageSubject: "A test of your webhook", AccountID: accountID, MessageID: message, Type: int(t), From: told.From.Email,
		FromName: told.From.Name, To: told.To[0].Email, ToName: told.To[0].Name, SubmittedAt: now, SMTPCode: detail.SMTPCode,
		SMTPDescription: detail.SMTPDescription, EventMetadata: sendpost.HookMetadataOf(&detail)}})
}

// Bounds of a replay.
const (
	replayAtOnce  = 500 // events that are read together
	missingAtOnce = 1000
)

// ReplayEvent has one event posted to an endpoint anew, whatever its kinds. It fails with ErrNotFound, or with a *mail.FieldError when the account has
// no such event.
func (s *Service) ReplayEvent(ctx context.Context, accountID, id int32, eventID string) (int, error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return 0, err
	}
	unknown := mail.Invalid("unknown_event", "eventId", "the account has no event with this id")
	seq, ok := sendpost.SeqOf(s.Installation, eventID)
	if !ok {
		return 0, unknown
	}
	events, err := s.Store.OutEvents(ctx, []int64{seq})
	if err != nil {
		return 0, err
	}
	if len(events) == 0 || events[0].AccountID != accountID || e.Named && events[0].Hook != e.URL {
		return 0, unknown
	}
	return 1, s.requeue(ctx, e.ID, []int64{seq})
}

// ReplayWindow has the events posted anew that the endpoint gets and that happened from From on and before To. It returns how many they are.
func (s *Service) ReplayWindow(ctx context.Context, accountID, id int32, from, to time.Time) (n int, err error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return 0, err
	}
	for after, more := int64(0), true; more; {
		o, err := s.Store.OutboundOf(ctx, accountID, from, to, after, replayAtOnce)
		if err != nil {
			return n, err
		}
		from, after, more = o.LastAt, o.Last, o.More
		var seqs []int64
		for i := range o.Events {
			if wants(e, &o.Events[i]) {
				seqs = append(seqs, o.Events[i].Seq)
			}
		}
		if len(seqs) == 0 {
			continue
		}
		if err := s.Store.Requeue(ctx, e.ID, seqs, s.Now()); err != nil {
			return n, fmt.Errorf("replay to webhook %d: %w", id, err)
		}
		n += len(seqs)
	}
	return n, s.changed(ctx)
}

// ReplayMissing has what was given up posted anew, and what waits for its next try posted now. It returns how many they are.
func (s *Service) ReplayMissing(ctx context.Context, accountID, id int32) (n int, err error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return 0, err
	}
	at := s.Now()
	for {
		some, err := s.Store.RequeueMissing(ctx, e.ID, at, missingAtOnce)
		if err != nil {
			return n, fmt.Errorf("replay to webhook %d: %w", id, err)
		}
		if n += some; some == 0 {
			return n, s.changed(ctx)
		}
	}
}

func (s *Service) requeue(ctx context.Context, endpointID int32, seqs []int64) error {
	if err := s.Store.Requeue(ctx, endpointID, seqs, s.Now()); err != nil {
		return err
	}
	return s.changed(ctx)
}

// changed has the node that posts look at what was replayed.
func (s *Service) changed(ctx context.Context) error {
	defer s.Hint()
	return s.Store.Changed(ctx)
}
