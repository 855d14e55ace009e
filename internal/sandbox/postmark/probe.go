package postmark

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"postyard/internal/sandbox/hook"
)

// probeTimeout bounds one probe of the handshake.
const probeTimeout = 10 * time.Second

type verification struct {
	ID      int    `json:"Id"` // spelt so here, and ID elsewhere
	URL     string `json:"Url"`
	Success bool
	Results []probeResult
	Message string
}

// passed is how many probes were.
func (v verification) passed() int {
	n := 0
	for _, r := range v.Results {
		if r.Success {
			n++
		}
	}
	return n
}

type probeResult struct {
	TriggerType string
	Success     bool
	StatusCode  int
	Message     string
}

// handshake decides the status of a webhook that is about to be saved: it probes each enabled trigger, and a webhook that does
// not pass is not to be saved (PM-sim 35). Hosts other than this machine are never called and pass as they are; so do all when the
// settings say so.
func (s *Simulator) handshake(c *call, h *webhook, verify bool) error {
	switch {
	case !verify:
		h.Status = statusUnverified
		return nil
	case !s.probes(c.server, h):
		h.Status = statusVerified
		return nil
	}
	result := s.probe(c.Context(), h, h.samples())
	if !result.Success {
		return &failure{status: http.StatusUnprocessableEntity, code: codeHookVerify, body: result}
	}
	h.Status = statusVerified
	return nil
}

// probes tells whether a webhook is called before it is verified.
func (s *Simulator) probes(v *server, h *webhook) bool {
	return h.local() && s.settings.Of(v.name).ProbeWebhooks
}

func (s *Simulator) verifyWebhook(c *call) (any, error) {
	s.mu.RLock()
	old, err := c.server.findWebhook(c.args[0])
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	result := verification{ID: old.ID, URL: old.URL, Success: true, Results: []probeResult{}}
	if s.probes(c.server, old) {
		result = s.probe(c.Context(), old, old.samples())
	}
	h := *old
	h.Status = statusUnverified
	if result.Success {
		h.Status = statusVerified
	}
	if _, err := s.replaceWebhook(c, old, &h); err != nil {
		return nil, err
	}
	return result, nil
}

// probe posts sample events; all must be answered with exactly 200.
func (s *Simulator) probe(ctx context.Context, h *webhook, samples []sample) verification {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	results := make([]probeResult, len(samples))
	var probes sync.WaitGroup
	for i, sample := range samples {
		probes.Go(func() { results[i] = s.probeOne(ctx, h, sample) })
	}
	probes.Wait()
	v := verification{ID: h.ID, URL: h.URL, Results: results}
	passed := v.passed()
	v.Success = passed == len(results)
	v.Message = fmt.Sprintf("%d/%d triggers verified successfully", passed, len(results))
	return v
}

func (s *Simulator) probeOne(ctx context.Context, h *webhook, sample sample) probeResult {
	result := probeResult{TriggerType: sample.trigger}
	body, err := encode(sample.body)
	if err != nil {
		result.Message = err.Error()
		return result
	}
	status, err := s.hooks.Post(ctx, h.URL, h.header(), body)
	result.StatusCode = status
	switch {
	case err != nil:
		result.Message = "The request failed: " + err.Error()
	case status != http.StatusOK:
		result.Message = fmt.Sprintf("Remote server returned an HTTP status code of %d.", status)
	default:
		result.Success, result.Message = true, "OK"
	}
	return result
}

// sample is a test event as the dashboard's "send test" posts it.
type sample struct {
	trigger string
	body    any
}

// samples returns one event for each enabled trigger (PM-sim 47).
func (h *webhook) samples() []sample {
	const (
		date      = "2026-01-02T03:04:05Z"
		recipient = "john@example.com"
		id        = "00000000-0000-0000-0000-000000000000"
	)
	tag := "welcome-email"
	metadata := map[string]string{"example": "value", "example_2": "value"}
	var list []sample
	add := func(enabled bool, trigger string, body any) {
		if enabled {
			list = append(list, sample{trigger, body})
		}
	}
	t := h.Triggers
	open := engagement{RecordType: triggerOpen, MessageStream: h.MessageStream, FirstOpen: new(true), Client: sampleClient, OS: sampleOS,
		Platform: "WebMail", UserAgent: sampleAgent, ReadSeconds: new(5), Geo: sampleGeo, MessageID: id, Metadata: metadata,
		ReceivedAt: date, Tag: new(tag), Recipient: recipient}
	click := open
	click.RecordType, click.FirstOpen, click.ReadSeconds = triggerClick, nil, nil
	click.ClickLocation, click.OriginalLink = "HTML", "https://example.com/"
	bounce := bouncePayload{RecordType: triggerBounce, MessageStream: h.MessageStream, ID: 42, Type: hardBounce, TypeCode: 1,
		Name: "Hard bounce", Tag: new("Test"), MessageID: id, Metadata: metadata, ServerID: 1234, Description: bounceTypes[0].description,
		Details: "Test bounce details", Email: recipient, From: "sender@example.com", BouncedAt: date, DumpAvailable: true,
		Inactive: true, CanActivate: true, Subject: "Test subject"}
	complaint := bounce
	complaint.RecordType, complaint.Type, complaint.TypeCode, complaint.CanActivate = spamComplaint, spamComplaint, 100001, false
	complaint.Name, complaint.Description = "Spam complaint", "The subscriber explicitly marked this message as spam."
	add(t.Open.Enabled, triggerOpen, open)
	add(t.Click.Enabled, triggerClick, click)
	add(t.Delivery.Enabled, triggerDelivery, deliveryPayload{RecordType: triggerDelivery, MessageStream: h.MessageStream, ServerID: 23,
		MessageID: id, Recipient: recipient, Tag: new(tag), DeliveredAt: date, Details: "Test delivery webhook details",
		Metadata: metadata})
	add(t.Bounce.Enabled, triggerBounce, bounce)
	add(t.SpamComplaint.Enabled, spamComplaint, complaint)
	add(t.SubscriptionChange.Enabled, triggerChange, subscriptionPayload{RecordType: triggerChange,
		MessageID: new(id), ServerID: 23, MessageStream: h.MessageStream, ChangedAt: date, Recipient: recipient,
		Origin: originRecipient, SuppressSending: true, SuppressionReason: new(hardBounce), Tag: new(tag), Metadata: metadata})
	return list
}

// Hooks returns the webhooks of all servers.
func (s *Simulator) Hooks() []hook.Registered {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []hook.Registered{}
	for _, v := range s.servers {
		for _, h := range v.webhooks {
			list = append(list, hook.Registered{Provider: Provider, Server: v.name, ID: h.ID, URL: hook.Shown(h.URL), Stream: h.MessageStream, Status: h.Status,
				Triggers: v.statuses(h)})
		}
	}
	return list
}

// TestHook posts one sample event to a webhook for each enabled trigger, or for the one that is named, as the dashboard's "send test"
// does (PM-sim 47). Nothing else changes. The error is hook.ErrNone or a *store.Refusal.
func (s *Simulator) TestHook(ctx context.Context, server string, id int, trigger string) (hook.Result, error) {
	h, err := s.hookOf(server, id)
	if err != nil {
		return hook.Result{}, err
	}
	samples := h.samples()
	if trigger != "" {
		samples = slices.DeleteFunc(samples, func(one sample) bool { return !strings.EqualFold(one.trigger, trigger) })
		if len(samples) == 0 {
			return hook.Result{}, refuse("the webhook has no enabled trigger %q", trigger)
		}
	}
	result := s.probe(ctx, h, samples)
	result.Message = fmt.Sprintf("%d/%d samples were answered with 200", result.passed(), len(samples))
	return viewResult(result), nil
}

// VerifyHook is Postmark's own verification of a webhook, asked for by its server's name and its number. It counts, whatever comes of it.
func (s *Simulator) VerifyHook(r *http.Request, server string, id int) (hook.Result, error) {
	if _, err := s.hookOf(server, id); err != nil {
		return hook.Result{}, err
	}
	s.mu.RLock()
	v := s.serverCalled(server)
	s.mu.RUnlock()
	if v == nil {
		return hook.Result{}, hook.ErrNone
	}
	answer, err := s.verifyWebhook(&call{Request: r, server: v, args: []string{strconv.Itoa(id)}})
	if _, refused := errors.AsType[*failure](err); refused {
		return hook.Result{}, hook.ErrNone // deleted meanwhile
	}
	result, ok := answer.(verification)
	if err != nil || !ok {
		return hook.Result{}, fmt.Errorf("postmark: verify: %w", err)
	}
	return viewResult(result), nil
}

func (s *Simulator) hookOf(server string, id int) (*webhook, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v := s.serverCalled(server); v != nil {
		if h := v.webhook(id); h != nil {
			return h, nil
		}
	}
	return nil, hook.ErrNone
}

func viewResult(v verification) hook.Result {
	out := hook.Result{Success: v.Success, Message: v.Message, Results: []hook.Sample{}}
	for _, r := range v.Results {
		out.Results = append(out.Results, hook.Sample{Trigger: r.TriggerType, Success: r.Success, Status: r.StatusCode, Message: r.Message})
	}
	return out
}
