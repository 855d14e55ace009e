package postmark

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Who put an address on a suppression list, and why.
const (
	originRecipient = "Recipient"
	originCustomer  = "Customer"
	originAdmin     = "Admin"
	reasonManual    = "ManualSuppression"

	maxSuppressions = 50 // per request
)

// suppressionKey: lists are per stream (PM-sim 23).
type suppressionKey struct {
	stream, email string // email in lower case
}

// suppression is also its own document.
type suppression struct {
	Email     string
	Reason    string
	Origin    string
	CreatedAt time.Time
}

func keyOf(stream, email string) suppressionKey {
	return suppressionKey{stream, strings.ToLower(email)}
}

func (v *server) suppressed(stream, email string) bool {
	return v.suppressions[keyOf(stream, email)] != nil
}

func (v *server) restoreSuppression(id string, value json.RawMessage) error {
	stream, email, _ := strings.Cut(id, "/")
	if value == nil {
		delete(v.suppressions, suppressionKey{stream, email})
		return nil
	}
	var entry suppression
	if err := json.Unmarshal(value, &entry); err != nil {
		return err
	}
	v.suppressions[suppressionKey{stream, email}] = &entry
	return nil
}

// suppress puts an address on a stream's list, unless it is there. The caller holds mu.
func (s *Simulator) suppress(v *server, stream string, entry *suppression) error {
	key := keyOf(stream, entry.Email)
	if v.suppressions[key] != nil {
		return nil
	}
	if err := s.keep(v, kindSuppression, key.stream+"/"+key.email, entry); err != nil {
		return fmt.Errorf("postmark: %w", err)
	}
	v.suppressions[key] = entry
	return nil
}

func (s *Simulator) release(v *server, key suppressionKey) error {
	if err := s.keep(v, kindSuppression, key.stream+"/"+key.email, nil); err != nil {
		return fmt.Errorf("postmark: %w", err)
	}
	delete(v.suppressions, key)
	return nil
}

type suppressionBody struct {
	EmailAddress      string
	SuppressionReason string
	Origin            string
	CreatedAt         string
}

type suppressionDump struct {
	Suppressions []suppressionBody
}

// suppressionFilter are the filters of the dump.
type suppressionFilter struct {
	reason, origin, email string
	from, to              time.Time
}

func (c *call) suppressionFilter() (f suppressionFilter, err error) {
	f.reason, f.origin, f.email = c.query("SuppressionReason"), c.query("Origin"), c.query("EmailAddress")
	known := func(value string, values ...string) bool {
		return value == "" || containsFold(values, value)
	}
	switch {
	case !known(f.reason, hardBounce, spamComplaint, reasonManual):
		return f, fail(1404, "The 'SuppressionReason' provided is not valid.")
	case !known(f.origin, originRecipient, originCustomer, originAdmin):
		return f, fail(1405, "The 'Origin' provided is not valid.")
	}
	if f.from, err = c.date("fromdate", false, 1500); err != nil {
		return f, err
	}
	f.to, err = c.date("todate", true, 1500)
	return f, err
}

func (f suppressionFilter) passes(entry *suppression) bool {
	return (f.reason == "" || strings.EqualFold(f.reason, entry.Reason)) && (f.origin == "" || strings.EqualFold(f.origin, entry.Origin)) &&
		(f.email == "" || strings.EqualFold(f.email, entry.Email)) && !entry.CreatedAt.Before(f.from) &&
		(f.to.IsZero() || !entry.CreatedAt.After(f.to))
}

func (s *Simulator) dumpSuppressions(c *call) (any, error) {
	f, err := c.suppressionFilter()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	list := suppressionDump{Suppressions: []suppressionBody{}}
	for key, entry := range c.server.suppressions {
		if key.stream == m.ID && f.passes(entry) {
			list.Suppressions = append(list.Suppressions,
				suppressionBody{entry.Email, entry.Reason, entry.Origin, stamp(entry.CreatedAt)})
		}
	}
	slices.SortFunc(list.Suppressions, func(a, b suppressionBody) int {
		return strings.Compare(a.CreatedAt+a.EmailAddress, b.CreatedAt+b.EmailAddress)
	})
	return list, nil
}

type suppressionRequest struct {
	Suppressions []struct{ EmailAddress string }
}

type suppressionResult struct {
	EmailAddress string
	Status       string
	Message      *string
}

type suppressionResults struct {
	Suppressions []suppressionResult
}

func (s *Simulator) createSuppressions(c *call) (any, error) {
	return s.changeSuppressions(c, "Suppressed", func(v *server, key suppressionKey, email string) (string, error) {
		return "", s.suppress(v, key.stream, &suppression{Email: email, Reason: reasonManual, Origin: originCustomer,
			CreatedAt: s.clock.Now()})
	})
}

func (s *Simulator) deleteSuppressions(c *call) (any, error) {
	return s.changeSuppressions(c, "Deleted", func(v *server, key suppressionKey, _ string) (string, error) {
		entry := v.suppressions[key]
		switch {
		case entry == nil:
			return "", nil
		case entry.Reason == spamComplaint:
			return "You do not have the required authority to change this suppression.", nil
		}
		return "", s.release(v, key)
	})
}

// changeSuppressions applies a change to each address; the change says why not, when not.
func (s *Simulator) changeSuppressions(c *call, status string, change func(*server, suppressionKey, string) (string, error)) (any, error) {
	var r suppressionRequest
	if err := decode(c.object(), &r); err != nil {
		return nil, err
	}
	switch {
	case r.Suppressions == nil:
		return nil, fail(1409, "No suppressions data received.")
	case len(r.Suppressions) > maxSuppressions:
		return nil, fail(1410, "You may change at most %d suppressions in a single request.", maxSuppressions)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	results := suppressionResults{Suppressions: []suppressionResult{}}
	for _, item := range r.Suppressions {
		result := suppressionResult{EmailAddress: item.EmailAddress, Status: status}
		reason := "An invalid email address was provided."
		if checkAddress("EmailAddress", item.EmailAddress) == nil {
			if reason, err = change(c.server, keyOf(m.ID, item.EmailAddress), item.EmailAddress); err != nil {
				return nil, err
			}
		}
		if reason != "" {
			result.Status, result.Message = "Failed", &reason
		}
		results.Suppressions = append(results.Suppressions, result)
	}
	return results, nil
}
