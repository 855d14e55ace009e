package postmark

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
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

type probeResult struct {
	TriggerType string
	Success     bool
	StatusCode  int
	Message     string
}

// handshake decides the status of a webhook that is about to be saved: it probes each enabled trigger, and a webhook that does
// not pass is not to be saved (PM-sim 35). Hosts other than this machine are never called and pass as they are.
func (s *Simulator) handshake(c *call, h *webhook, verify bool) error {
	switch {
	case !verify:
		h.Status = statusUnverified
		return nil
	case !h.local():
		h.Status = statusVerified
		return nil
	}
	result := s.probe(c.Context(), h)
	if !result.Success {
		return &failure{status: http.StatusUnprocessableEntity, code: codeHookVerify, body: result}
	}
	h.Status = statusVerified
	return nil
}

func (s *Simulator) verifyWebhook(c *call) (any, error) {
	s.mu.RLock()
	old, err := c.server.findWebhook(c.args[0])
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	result := verification{ID: old.ID, URL: old.URL, Success: true, Results: []probeResult{}}
	if old.local() {
		result = s.probe(c.Context(), old)
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

// probe posts one sample event for each enabled trigger; all must be answered with exactly 200.
func (s *Simulator) probe(ctx context.Context, h *webhook) verification {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	samples := h.samples()
	results := make([]probeResult, len(samples))
	var probes sync.WaitGroup
	for i, sample := range samples {
		probes.Go(func() { results[i] = s.probeOne(ctx, h, sample) })
	}
	probes.Wait()
	v := verification{ID: h.ID, URL: h.URL, Results: results}
	passed := 0
	for _, r := range results {
		if r.Success {
			passed++
		}
	}
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
	open := engagement{RecordType: "Open", MessageStream: h.MessageStream, FirstOpen: new(true), Client: sampleClient, OS: sampleOS,
		Platform: "WebMail", UserAgent: sampleAgent, ReadSeconds: new(5), Geo: sampleGeo, MessageID: id, Metadata: metadata,
		ReceivedAt: date, Tag: new(tag), Recipient: recipient}
	click := open
	click.RecordType, click.FirstOpen, click.ReadSeconds = "Click", nil, nil
	click.ClickLocation, click.OriginalLink = "HTML", "https://example.com/"
	bounce := bouncePayload{RecordType: "Bounce", MessageStream: h.MessageStream, ID: 42, Type: "HardBounce", TypeCode: 1,
		Name: "Hard bounce", Tag: new("Test"), MessageID: id, Metadata: metadata, ServerID: 1234, Description: bounceTypes[0].description,
		Details: "Test bounce details", Email: recipient, From: "sender@example.com", BouncedAt: date, DumpAvailable: true,
		Inactive: true, CanActivate: true, Subject: "Test subject"}
	complaint := bounce
	complaint.RecordType, complaint.Type, complaint.TypeCode, complaint.CanActivate = "SpamComplaint", "SpamComplaint", 100001, false
	complaint.Name, complaint.Description = "Spam complaint", "The subscriber explicitly marked this message as spam."
	add(t.Open.Enabled, "Open", open)
	add(t.Click.Enabled, "Click", click)
	add(t.Delivery.Enabled, "Delivery", deliveryPayload{RecordType: "Delivery", MessageStream: h.MessageStream, ServerID: 23,
		MessageID: id, Recipient: recipient, Tag: new(tag), DeliveredAt: date, Details: "Test delivery webhook details",
		Metadata: metadata})
	add(t.Bounce.Enabled, "Bounce", bounce)
	add(t.SpamComplaint.Enabled, "SpamComplaint", complaint)
	add(t.SubscriptionChange.Enabled, "SubscriptionChange", subscriptionPayload{RecordType: "SubscriptionChange",
		MessageID: new(id), ServerID: 23, MessageStream: h.MessageStream, ChangedAt: date, Recipient: recipient,
		Origin: "Recipient", SuppressSending: true, SuppressionReason: new("HardBounce"), Tag: new(tag), Metadata: metadata})
	return list
}
