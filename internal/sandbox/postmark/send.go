package postmark

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/store"
)

func (s *Simulator) send(c *call) (any, error)          { return s.sendOne(c, false) }
func (s *Simulator) sendTemplated(c *call) (any, error) { return s.sendOne(c, true) }

func (s *Simulator) sendOne(c *call, templated bool) (any, error) {
	results, err := s.submit(c, []outcome{examine(c.object(), templated)})
	if err != nil {
		return nil, err
	}
	if results[0].err != nil {
		return nil, results[0].err
	}
	return results[0].result, nil
}

func (s *Simulator) sendBatch(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeJSON, "Received invalid JSON input. A JSON array of messages was expected.")
	}
	if outcomes, ok := examineBatch(c.body, nil, false); ok {
		return s.sendMany(c, outcomes)
	}
	items, err := decodeBatch(c.body)
	if err != nil {
		return nil, err
	}
	return s.sendMany(c, examineAll(items, false))
}

func (s *Simulator) sendTemplatedBatch(c *call) (any, error) {
	if outcomes, ok := examineBatch(c.object(), []byte(`"Messages"`), true); ok {
		return s.sendMany(c, outcomes)
	}
	var r struct{ Messages []json.RawMessage }
	if err := decode(c.object(), &r); err != nil {
		return nil, err
	}
	if r.Messages == nil {
		return nil, fail(codeType, "Invalid request field(s): 'Messages'.")
	}
	return s.sendMany(c, examineAll(r.Messages, true))
}

// sendMany answers a batch: 200, with a result for each message in the order of the request (PM-sim 19).
func (s *Simulator) sendMany(c *call, examined []outcome) (any, error) {
	if len(examined) > maxItems {
		return nil, fail(codeBatchSize, "You may only send up to %d messages in a single batched request.", maxItems)
	}
	outcomes, err := s.submit(c, examined)
	if err != nil {
		return nil, err
	}
	results := make([]result, len(outcomes))
	for i, o := range outcomes {
		results[i] = o.result
		if o.err != nil {
			f, ok := errors.AsType[*failure](o.err)
			if !ok {
				return nil, o.err
			}
			results[i] = result{ErrorCode: &f.code, Message: f.message}
		}
	}
	return results, nil
}

// outcome is what became of one message of a request.
type outcome struct {
	draft  *draft
	result result
	err    error
}

// submit stores those messages that are good and has their events raised. The error is about the request as a whole.
func (s *Simulator) submit(c *call, outcomes []outcome) ([]outcome, error) {
	if c.test {
		s.pretend(outcomes)
		return outcomes, nil
	}
	if err := s.linger(c); err != nil {
		return nil, err
	}
	mails, err := s.accept(c, outcomes)
	if err != nil {
		return nil, err
	}
	if err := s.schedule(c.Context(), mails); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// linger waits for as long as a send takes. When the client goes meanwhile, nothing is done.
func (s *Simulator) linger(c *call) error {
	ctx, now := c.Context(), s.settings.Get()
	if c.server != nil { // not the test token
		now = s.settings.Of(c.server.name)
	}
	latency := now.SendLatency()
	if err := clock.Linger(ctx, s.clock, latency); err != nil { // not by the timetable, which a reset clears
		return &failure{status: http.StatusInternalServerError, code: codeUnexpected, message: usualText(codeUnexpected)} // nobody reads it
	}
	return nil
}

// examineBatch examines the messages of a list as they are cut from the request, without a reading of the whole before. It is not ok when the
// request has another form, or may not be JSON as a whole.
func examineBatch(body, key []byte, templated bool) (_ []outcome, ok bool) {
	items, ok := cutBatch(body, key)
	if !ok {
		return nil, false
	}
	outcomes := examineAll(items, templated)
	for i := range outcomes {
		if outcomes[i].err != nil && !json.Valid(items[i]) {
			return nil, false
		}
	}
	return outcomes, true
}

func examineAll(items []json.RawMessage, templated bool) []outcome {
	outcomes := make([]outcome, len(items))
	for i, item := range items {
		outcomes[i] = examine(item, templated)
	}
	return outcomes
}

// examine validates a message.
func examine(item json.RawMessage, templated bool) outcome {
	d := &draft{raw: item, templated: templated}
	if err := decodeMessage(item, &d.message); err != nil {
		return outcome{err: err}
	}
	return outcome{draft: d, err: d.validate()}
}

// pretend answers for the test token: validated, nothing more. It knows no templates (PM-sim 12).
func (s *Simulator) pretend(outcomes []outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := stamp(s.clock.Now())
	for i := range outcomes {
		o := &outcomes[i]
		switch {
		case o.err != nil:
		case o.draft.templated && o.draft.TemplateID == nil:
			o.err = fail(codeNoTemplate, "The Template's 'Alias' associated with this request is not valid or was not found.")
		case o.draft.templated:
			o.err = noTemplate()
		default:
			o.result = result{To: o.draft.To, SubmittedAt: at, MessageID: s.newMessageID(), ErrorCode: new(0),
				Message: "Test job accepted"}
		}
	}
}

// accept stores the messages that the server takes, and words the results.
func (s *Simulator) accept(c *call, outcomes []outcome) ([]*store.Mail, error) {
	now := s.settings.Of(c.server.name)
	batch := make([]store.New, 0, len(outcomes))
	taken := make([]*outcome, 0, len(outcomes))
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.err == nil {
			o.err = v.place(o.draft, s.account, now.Account)
		}
		if o.err != nil {
			continue
		}
		mail, err := s.newMail(v, o.draft)
		if err != nil {
			return nil, err
		}
		batch, taken = append(batch, mail), append(taken, o)
	}
	if len(batch) == 0 {
		return nil, nil
	}
	mails, err := s.store.Add(batch)
	if err != nil {
		return nil, fmt.Errorf("postmark: send: %w", err)
	}
	for i, o := range taken {
		o.result = o.draft.accepted(mails[i], now.Degraded)
	}
	return mails, nil
}

// accepted words a success: plain, partly inactive, or degraded, which has no ErrorCode (PM-sim 11, 22, 25).
func (d *draft) accepted(mail *store.Mail, degraded bool) result {
	r := result{To: d.To, SubmittedAt: stamp(mail.ReceivedAt), MessageID: mail.ID, ErrorCode: new(0), Message: "OK"}
	switch {
	case degraded:
		r.ErrorCode, r.Message = nil, "Message accepted, but delivery may be delayed."
	case len(d.inactive) > 0:
		r.Message = "Message OK, but will not deliver to these inactive addresses: " + strings.Join(d.inactive, ", ") + ". " +
			inactiveReason
	}
	return r
}

// newMail makes the store's form of an accepted message. The caller holds mu.
func (s *Simulator) newMail(v *server, d *draft) (store.New, error) {
	var raw json.RawMessage
	if s.store.OnDisk() {
		record := stored{Message: d.raw, Inactive: d.inactive}
		if d.template != nil {
			record.Template = d.template.TemplateID
		}
		var err error
		if raw, err = record.encode(); err != nil {
			return store.New{}, err
		}
	}
	m := newContent(v, d)
	m.fresh.Store(&d.message)
	return store.New{ID: s.newMessageID(), Provider: Provider, Server: v.name, Stream: d.MessageStream, Content: m, Keys: d.keys(v), Raw: raw}, nil
}

// Fields of the lookup keys that only this provider uses.
const (
	fieldStream = "pm-stream" // server and stream
	fieldTag    = "pm-tag"
	fieldSender = "pm-from"
)

// keys are what a message can be found by.
func (d *draft) keys(v *server) []string {
	keys := make([]string, 0, 3+len(d.recipients)+len(d.Metadata))
	keys = append(keys, store.Key(fieldStream, v.key()+"/"+d.MessageStream), store.Key(fieldSender, strings.ToLower(d.from.Email)))
	if d.Tag != "" {
		keys = append(keys, store.Key(fieldTag, d.Tag))
	}
	for _, r := range d.recipients {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(r.Email)))
	}
	for key, value := range d.Metadata {
		keys = append(keys, store.Key(store.FieldMetadata(strings.ToLower(key)), value))
	}
	return keys
}
