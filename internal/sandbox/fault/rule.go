// Package fault makes a simulated provider misbehave on purpose: wrong statuses, requests that hang, connections that are reset
// before or after the request took effect, answers cut in half. Rules are matched in order and the first that fires wins.
//
// The package knows no provider; how a provider words a status is asked of it.
package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/strictjson"
)

// Kind is what goes wrong.
type Kind string

// The kinds of faults.
const (
	// Status answers with the rule's status instead of doing anything.
	Status Kind = "status"
	// Hang does nothing and answers nothing until the client goes, the rules change or the sandbox stops; then the connection
	// is cut.
	Hang Kind = "hang"
	// ResetBefore reads the request, does nothing and resets the connection.
	ResetBefore Kind = "reset_before"
	// ResetAfter does what was asked and resets the connection instead of answering.
	ResetAfter Kind = "reset_after"
	// Truncate does what was asked and cuts the connection in the middle of the answer's body.
	Truncate Kind = "truncate"
	// Drip does what was asked and answers one byte every tenth of a second, until the client goes, the rules change or the
	// sandbox stops; then the connection is cut.
	Drip Kind = "drip"
	// Delay waits before what was asked is done.
	Delay Kind = "delay"
)

// Rule is one fault.
type Rule struct {
	// Provider limits the rule to one provider; empty is any.
	Provider string `json:"provider,omitempty"`
	// Server limits the rule to one server of a provider, by its name or token; empty is any.
	Server string `json:"server,omitempty"`
	// Path limits the rule to API paths that begin with it, without regard to case; empty is any.
	Path string `json:"path,omitempty"`
	Kind Kind   `json:"kind"`
	// Status is the HTTP status of kind status, 200 to 599.
	Status int `json:"status,omitempty"`
	// ErrorCode chooses among the provider's own errors with that status.
	ErrorCode int `json:"errorCode,omitempty"`
	// ErrorType names the provider's own error, where its errors have names.
	ErrorType string `json:"errorType,omitempty"`
	// Body and ContentType make the answer one of something in front of the provider, such as a proxy's page: without an
	// ErrorCode or ErrorType none of the provider's headers go with it. A Body without a ContentType is JSON.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	// DelayMS is how long kind delay waits, in milliseconds, at most ten minutes.
	DelayMS int64 `json:"delayMs,omitempty"`
	// RetryAfter is the Retry-After header of kind status, in seconds; 0 is none.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Probability is the chance that a matching request is hit, above 0 up to 1. Absent is 1.
	Probability float64 `json:"probability"`
	// Count is how many requests the rule still hits; 0 is no limit.
	Count int `json:"count"`

	spent bool
}

// maxRules is how many rules a list may have.
const maxRules = 1000

const maxDelay = 10 * time.Minute

// ParseRules reads a JSON list of rules for the providers that there are. The error says which rule is wrong and why.
func ParseRules(raw []byte, providers []string) ([]Rule, error) {
	var items []json.RawMessage
	if err := strictjson.Decode(raw, &items); err != nil {
		return nil, fmt.Errorf("the body must be a JSON list of faults: %w", err)
	}
	if len(items) > maxRules {
		return nil, fmt.Errorf("at most %d faults, got %d", maxRules, len(items))
	}
	rules := make([]Rule, len(items))
	for i, item := range items {
		rules[i] = Rule{Probability: 1}
		if err := strictjson.Decode(item, &rules[i]); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i, err)
		}
		if err := rules[i].check(providers); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i, err)
		}
	}
	return rules, nil
}

func (r Rule) check(providers []string) error {
	switch r.Kind {
	case Status:
		if r.Status < 200 || r.Status > 599 {
			return fmt.Errorf("status must be from 200 to 599, got %d", r.Status)
		}
	case Hang, ResetBefore, ResetAfter, Truncate, Drip, Delay:
		if r.Status != 0 || r.Body != "" || r.ErrorCode != 0 || r.ErrorType != "" || r.ContentType != "" || r.RetryAfter != 0 {
			return fmt.Errorf("status, errorCode, errorType, body, contentType and retryAfter go with kind %q only", Status)
		}
	default:
		return fmt.Errorf("kind must be one of status, hang, reset_before, reset_after, truncate, drip, delay; got %q", r.Kind)
	}
	switch {
	case r.Kind == Delay && (r.DelayMS < 1 || r.DelayMS > maxDelay.Milliseconds()):
		return fmt.Errorf("delayMs must be from 1 to %d, got %d", maxDelay.Milliseconds(), r.DelayMS)
	case r.Kind != Delay && r.DelayMS != 0:
		return fmt.Errorf("delayMs goes with kind %q only", Delay)
	case !(r.Probability > 0 && r.Probability <= 1):
		return fmt.Errorf("probability must be above 0 and at most 1, got %v", r.Probability)
	case r.Provider != "" && !slices.ContainsFunc(providers, func(p string) bool { return strings.EqualFold(p, r.Provider) }):
		return fmt.Errorf("provider must be one of %s, or left out for any; got %q", strings.Join(providers, ", "), r.Provider)
	case r.RetryAfter < 0:
		return fmt.Errorf("retryAfter must not be negative, got %d", r.RetryAfter)
	case r.Count < 0:
		return fmt.Errorf("count must not be negative, got %d", r.Count)
	case r.Path != "" && !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("path must begin with a slash, got %q", r.Path)
	}
	return nil
}

// Place is where something is asked: of which provider, which server there, and what. Server has its name and its token.
type Place struct {
	Provider string
	Server   [2]string
	Path     string
}

func (r Rule) matches(at Place) bool {
	switch {
	case r.spent, r.Provider != "" && !strings.EqualFold(r.Provider, at.Provider):
		return false
	case r.Server != "" && !strings.EqualFold(r.Server, at.Server[0]) && !strings.EqualFold(r.Server, at.Server[1]):
		return false
	}
	return len(at.Path) >= len(r.Path) && strings.EqualFold(at.Path[:len(r.Path)], r.Path)
}

// Wait passes the time of a delay. It returns false when ctx ends meanwhile; when the rules change it is over.
func (r Rule) Wait(ctx context.Context, freed <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(r.DelayMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-freed:
	case <-ctx.Done():
		return false
	}
	return true
}
