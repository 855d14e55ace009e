package postmark

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// bulk is a request to the bulk API: one content for many recipients. It is also its own document. Its messages are sent with the request.
type bulk struct {
	ID          string
	SubmittedAt time.Time
	Subject     string
	Total       int
	Failed      int // refused, while others were not
}

// bulkBody leaves out what a new request does not have yet.
type bulkBody struct {
	ID                  string `json:"Id"`
	Status              string
	SubmittedAt         string
	TotalMessages       *int     `json:",omitempty"`
	PercentageCompleted *float64 `json:",omitempty"`
	ReleasedCount       *int     `json:",omitempty"`
	FailedCount         *int     `json:",omitempty"`
	Subject             string   `json:",omitempty"`
}

func (v *server) restoreBulk(value json.RawMessage) error {
	var b bulk
	if err := json.Unmarshal(value, &b); err != nil {
		return err
	}
	v.putBulk(&b)
	return nil
}

func (v *server) putBulk(b *bulk) {
	if v.bulks == nil {
		v.bulks = map[string]*bulk{}
	}
	v.bulks[b.ID] = b
}

// bulkRequest has, beside these, the fields of a message, which all messages share.
type bulkRequest struct {
	Messages      []map[string]json.RawMessage
	Subject       string
	TemplateID    *int64 `json:"TemplateId"`
	TemplateAlias string
	MessageStream *string
	Metadata      map[string]string
	Headers       []headerField
	shared        map[string]json.RawMessage
	templated     bool
}

// sendBulk sends a bulk request, if the account may; that is a setting, and off as it is at Postmark until support switches it on.
func (s *Simulator) sendBulk(c *call) (any, error) {
	if !s.settings.Of(c.server.name).Bulk {
		return nil, fail(codeBulkOff, "The bulk API is not enabled for this account.")
	}
	r, err := readBulk(c.object())
	if err != nil {
		return nil, err
	}
	if r.MessageStream != nil {
		s.mu.RLock()
		_, err := c.server.findStream(*r.MessageStream)
		s.mu.RUnlock()
		if err != nil {
			return nil, err
		}
	}
	items, err := r.items()
	if err != nil {
		return nil, err
	}
	outcomes, err := s.submit(c, examineAll(items, r.templated))
	if err != nil {
		return nil, err
	}
	b := &bulk{SubmittedAt: s.clock.Now(), Subject: r.Subject, Total: len(outcomes)}
	if err := b.judge(outcomes); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	b.ID = s.newMessageID()
	if err := s.keep(v, kindBulk, b.ID, b); err != nil {
		return nil, err
	}
	v.putBulk(b)
	return bulkBody{ID: b.ID, Status: "Accepted", SubmittedAt: stamp(b.SubmittedAt)}, nil
}

func readBulk(raw []byte) (r bulkRequest, err error) {
	if err := decode(raw, &r); err != nil {
		return r, err
	}
	if len(r.Messages) == 0 {
		return r, fail(codeField, "Provide at least one of the 'Messages'.")
	}
	if err := json.Unmarshal(raw, &r.shared); err != nil { // not so: it was decoded before
		return r, fmt.Errorf("postmark: bulk: %w", err)
	}
	for name := range r.shared {
		switch strings.ToLower(name) {
		case "messages", "metadata", "headers":
			delete(r.shared, name)
		}
	}
	r.templated = r.TemplateID != nil || r.TemplateAlias != ""
	return r, nil
}

// items are the messages, each whole: what is its own, over what they share.
func (r *bulkRequest) items() ([]json.RawMessage, error) {
	items := make([]json.RawMessage, len(r.Messages))
	for i, own := range r.Messages {
		whole := maps.Clone(r.shared)
		var more struct {
			Metadata map[string]string
			Headers  []headerField
		}
		for name, value := range own {
			switch strings.ToLower(name) {
			case "metadata":
				if err := json.Unmarshal(value, &more.Metadata); err != nil {
					return nil, fail(codeType, "Invalid request field(s): 'Messages'.")
				}
			case "headers":
				if err := json.Unmarshal(value, &more.Headers); err != nil {
					return nil, fail(codeType, "Invalid request field(s): 'Messages'.")
				}
			default:
				whole[name] = value
			}
		}
		merged := maps.Clone(r.Metadata)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, more.Metadata)
		for name, value := range map[string]any{"Metadata": merged, "Headers": append(append([]headerField{}, r.Headers...), more.Headers...)} {
			raw, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("postmark: bulk: %w", err)
			}
			whole[name] = raw
		}
		if r.templated && whole["TemplateModel"] == nil {
			whole["TemplateModel"] = json.RawMessage("{}")
		}
		raw, err := json.Marshal(whole)
		if err != nil {
			return nil, fmt.Errorf("postmark: bulk: %w", err)
		}
		items[i] = raw
	}
	return items, nil
}

type severalErrors struct {
	ErrorCode int
	Message   string
	Errors    map[string][]errorBody
}

// judge counts the messages that were refused. When all were, so is the request: for one reason, with its ErrorCode; for several, with 11.
func (b *bulk) judge(outcomes []outcome) error {
	reasons := map[string][]errorBody{}
	distinct := map[errorBody]*failure{}
	for i, o := range outcomes {
		if o.err == nil {
			continue
		}
		f, ok := errors.AsType[*failure](o.err)
		if !ok {
			return o.err
		}
		b.Failed++
		reason := errorBody{f.code, f.message}
		distinct[reason] = f
		reasons[fmt.Sprintf("Messages[%d]", i)] = []errorBody{reason}
	}
	if b.Failed < len(outcomes) {
		return nil
	}
	if len(distinct) == 1 {
		for _, f := range distinct {
			return f
		}
	}
	several := fail(codeSeveral, "The request has several errors.")
	several.body = severalErrors{codeSeveral, several.message, reasons}
	return several
}

func (s *Simulator) getBulk(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := c.server.bulks[strings.ToLower(c.args[0])]
	if b == nil {
		return nil, notFound(codeBulkUnknown, "The bulk request was not found.")
	}
	return bulkBody{ID: b.ID, Status: "Completed", SubmittedAt: stamp(b.SubmittedAt), TotalMessages: &b.Total, PercentageCompleted: new(100.0),
		ReleasedCount: new(b.Total - b.Failed), FailedCount: &b.Failed, Subject: b.Subject}, nil
}
