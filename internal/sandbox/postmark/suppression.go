package postmark

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/store"
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
	return s.changeSuppressions(c, "Suppressed", func(v *server, key suppressionKey, email string) (*change, string, error) {
		if v.suppressions[key] != nil {
			return nil, "", nil
		}
		now := s.clock.Now()
		err := s.suppress(v, key.stream, &suppression{Email: email, Reason: reasonManual, Origin: originCustomer, CreatedAt: now})
		return &change{Stream: key.stream, Recipient: email, At: now}, "", err
	})
}

func (s *Simulator) deleteSuppressions(c *call) (any, error) {
	return s.changeSuppressions(c, "Deleted", func(v *server, key suppressionKey, email string) (*change, string, error) {
		entry := v.suppressions[key]
		switch {
		case entry == nil:
			return nil, "", nil
		case entry.Reason == spamComplaint:
			return nil, "You do not have the required authority to change this suppression.", nil
		}
		return &change{Stream: key.stream, Recipient: email, At: s.clock.Now(), Lifted: true}, "", s.release(v, key)
	})
}

// changeSuppressions applies a change to each address, and has webhooks told of what has changed (PM-sim 50); do says why not, when
// not.
func (s *Simulator) changeSuppressions(c *call, status string, do func(*server, suppressionKey, string) (*change, string, error)) (any, error) {
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
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	m, err := v.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	results := suppressionResults{Suppressions: []suppressionResult{}}
	for _, item := range r.Suppressions {
		result := suppressionResult{EmailAddress: item.EmailAddress, Status: status}
		reason := "An invalid email address was provided."
		if checkAddress("EmailAddress", item.EmailAddress) == nil {
			var made *change
			if made, reason, err = do(v, keyOf(m.ID, item.EmailAddress), item.EmailAddress); err != nil {
				return nil, err
			}
			if made != nil {
				if err := s.tell(v, made); err != nil {
					return nil, err
				}
			}
		}
		if reason != "" {
			result.Status, result.Message = "Failed", &reason
		}
		results.Suppressions = append(results.Suppressions, result)
	}
	return results, nil
}

// change is a subscription change that is no message's: someone put an address on a list, or took it off, by the API. It is also its own
// document, for as long as a webhook has not been told.
type change struct {
	Seq       int64 // unique among the server's
	Stream    string
	Recipient string
	At        time.Time
	Lifted    bool  `json:",omitempty"`
	Pending   []int // webhooks
}

// tell has the webhooks told of a change. The caller holds mu.
func (s *Simulator) tell(v *server, made *change) error {
	if s.settings.Of(v.name).DropWebhooks {
		return nil
	}
	made.Pending = v.listeners(made.Stream, store.Event{Kind: store.Subscribed})
	if len(made.Pending) == 0 {
		return nil
	}
	made.Seq = v.lastChange + 1
	if err := s.keepChange(v, made); err != nil {
		return err
	}
	deliveries, err := s.changeDeliveries(v, made)
	if err != nil {
		return err
	}
	s.hooks.Queue(deliveries...)
	return nil
}

// keepChange writes a change, also one that nobody waits for any more: its number must not be given again. The caller holds mu.
func (s *Simulator) keepChange(v *server, made *change) error {
	if err := s.keep(v, kindChange, strconv.FormatInt(made.Seq, 10), made); err != nil {
		return fmt.Errorf("postmark: %w", err)
	}
	v.putChange(made)
	return nil
}

func (v *server) putChange(made *change) {
	v.lastChange = max(v.lastChange, made.Seq)
	if v.changes == nil {
		v.changes = map[int64]*change{}
	}
	v.changes[made.Seq] = made
	if len(made.Pending) == 0 {
		delete(v.changes, made.Seq)
	}
}

func (v *server) restoreChange(value json.RawMessage) error {
	var made change
	if err := json.Unmarshal(value, &made); err != nil {
		return err
	}
	v.putChange(&made)
	return nil
}

// changeDeliveries makes a delivery for each webhook that a change still has to reach. The caller holds mu.
func (s *Simulator) changeDeliveries(v *server, made *change) ([]*hook.Delivery, error) {
	p, err := s.poster(v)
	if err != nil {
		return nil, err
	}
	body := subscriptionPayload{RecordType: triggerChange, ServerID: v.id, MessageStream: made.Stream, Recipient: made.Recipient,
		ChangedAt: stampAs(p.now.WebhookDates, made.At), Origin: originCustomer, Metadata: map[string]string{}}
	if !made.Lifted {
		body.SuppressSending, body.SuppressionReason = true, new(reasonManual)
	}
	name := fmt.Sprintf("change of %d at %d", v.id, made.At.UnixNano()) // in place of a message's id; numbers repeat after a reset
	for _, id := range made.Pending {
		h := v.webhook(id)
		if h == nil {
			continue
		}
		d := hook.Delivery{Type: triggerChange, Trace: traceID(name, made.Seq, id), Done: func() { s.toldChange(v, made.Seq, id) }}
		if err := p.add(h, body, d); err != nil {
			return nil, err
		}
	}
	return p.out, nil
}

// toldChange notes that a webhook needs to hear of a change no more.
func (s *Simulator) toldChange(v *server, seq int64, id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := v.changes[seq]
	if made == nil {
		return
	}
	left := *made
	left.Pending = slices.DeleteFunc(slices.Clone(made.Pending), func(other int) bool { return other == id })
	if err := s.keepChange(v, &left); err != nil {
		s.log.Error("a delivered webhook cannot be noted; it will be repeated after a restart", "err", err)
	}
}

// resumeChanges takes up the changes that webhooks were not told of before a restart.
func (s *Simulator) resumeChanges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.servers {
		for _, seq := range slices.Sorted(maps.Keys(v.changes)) {
			deliveries, err := s.changeDeliveries(v, v.changes[seq])
			if err != nil {
				s.log.Error("webhooks cannot be taken up again", "err", err)
				continue
			}
			s.hooks.Queue(deliveries...)
		}
	}
}
