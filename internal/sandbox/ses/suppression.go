package ses

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Reasons of the account's suppression list.
const (
	reasonBounce    = "BOUNCE"
	reasonComplaint = "COMPLAINT"
)

// suppression is an address to which mail is accepted, and bounces.
type suppression struct {
	EmailAddress   string
	Reason         string
	LastUpdateTime time.Time
	MessageID      string `json:"MessageId,omitempty"`
	FeedbackID     string `json:"FeedbackId,omitempty"`
}

// suppress puts an address on the list. The caller holds mu.
func (s *Simulator) suppress(entry suppression) error {
	key := strings.ToLower(entry.EmailAddress)
	if err := s.put(kindSuppression, key, entry); err != nil {
		return err
	}
	s.suppressions[key] = &entry
	return nil
}

type suppressionSummary struct {
	EmailAddress   string
	Reason         string
	LastUpdateTime float64 // Unix seconds
}

func (e *suppression) summary() suppressionSummary {
	return suppressionSummary{e.EmailAddress, e.Reason, seconds(e.LastUpdateTime)}
}

// seconds is a time as the API writes it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

type suppressionList struct {
	SuppressedDestinationSummaries []suppressionSummary
	NextToken                      string `json:",omitempty"`
}

func (s *Simulator) listSuppressions(c *call) (any, error) {
	reasons := c.URL.Query()["Reason"]
	for _, reason := range reasons {
		if err := checkReason(reason); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(s.suppressions)), func(key string) bool {
		return len(reasons) > 0 && !slices.Contains(reasons, s.suppressions[key].Reason)
	})
	page, next, err := c.page(keys)
	if err != nil {
		return nil, err
	}
	list := suppressionList{SuppressedDestinationSummaries: []suppressionSummary{}, NextToken: next}
	for _, key := range page {
		list.SuppressedDestinationSummaries = append(list.SuppressedDestinationSummaries, s.suppressions[key].summary())
	}
	return list, nil
}

func checkReason(reason string) error {
	if reason != reasonBounce && reason != reasonComplaint {
		return bad("Reason must be one of %s, %s.", reasonBounce, reasonComplaint)
	}
	return nil
}

type suppressionRequest struct{ EmailAddress, Reason string }

func (s *Simulator) putSuppression(c *call) (any, error) {
	var r suppressionRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if err := checkAddress(r.EmailAddress); err != nil {
		return nil, err
	}
	if err := checkReason(r.Reason); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return none{}, s.suppress(suppression{EmailAddress: r.EmailAddress, Reason: r.Reason, LastUpdateTime: s.clock.Now()})
}

// suppressed finds an entry by the address of a path. The caller holds mu.
func (s *Simulator) suppressed(c *call) (*suppression, error) {
	entry := s.suppressions[strings.ToLower(c.args[0])]
	if entry == nil {
		return nil, notFound(typeNotFound, "Email address %s does not exist on your suppression list.", c.args[0])
	}
	return entry, nil
}

type suppressionBody struct{ SuppressedDestination suppressionDetail }

type suppressionDetail struct {
	suppressionSummary
	Attributes *suppressionSource `json:",omitempty"`
}

type suppressionSource struct {
	MessageID  string `json:"MessageId"`
	FeedbackID string `json:"FeedbackId"`
}

func (s *Simulator) getSuppression(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	entry, err := s.suppressed(c)
	if err != nil {
		return nil, err
	}
	detail := suppressionDetail{suppressionSummary: entry.summary()}
	if entry.MessageID != "" {
		detail.Attributes = &suppressionSource{entry.MessageID, entry.FeedbackID}
	}
	return suppressionBody{detail}, nil
}

func (s *Simulator) deleteSuppression(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := s.suppressed(c)
	if err != nil {
		return nil, err
	}
	key := strings.ToLower(entry.EmailAddress)
	if err := s.drop(kindSuppression, key); err != nil {
		return nil, err
	}
	delete(s.suppressions, key)
	return none{}, nil
}
