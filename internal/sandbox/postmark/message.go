package postmark

import (
	"encoding/json"
	"fmt"
)

// Values of TrackLinks.
const (
	linksNone = "None"
	linksBoth = "HtmlAndText"
	linksHTML = "HtmlOnly"
	linksText = "TextOnly"
)

// message is one message of a send request, plain or templated.
type message struct {
	From          string
	To            *string
	Cc            string
	Bcc           string
	Subject       present
	HTMLBody      present `json:"HtmlBody"`
	TextBody      present
	Tag           string
	ReplyTo       string
	Headers       []headerField
	TrackOpens    *bool
	TrackLinks    string
	Metadata      metadata
	Attachments   []attachment
	MessageStream string

	TemplateID    *int64 `json:"TemplateId"`
	TemplateAlias string
	TemplateModel json.RawMessage
	InlineCSS     *bool `json:"InlineCss"`
}

// present is a string field that knows whether the request named it at all: null counts as named.
type present struct {
	named bool
	text  string
}

// UnmarshalJSON takes a string or null.
func (p *present) UnmarshalJSON(raw []byte) error {
	p.named = true
	return json.Unmarshal(raw, &p.text)
}

// metadata keeps the case of its keys. A null value is an empty one.
type metadata map[string]string

type attachment struct {
	Name        string
	Content     []byte // base64 in JSON
	ContentType string
	ContentID   *string
}

// to is the To list, absent or not.
func (m *message) to() string {
	if m.To == nil {
		return ""
	}
	return *m.To
}

// result is the answer for one message. A refused message of a batch has ErrorCode and Message only.
type result struct {
	To          *string `json:",omitempty"`
	SubmittedAt string  `json:",omitempty"`
	MessageID   string  `json:",omitempty"`
	ErrorCode   *int    `json:",omitempty"`
	Message     string
}

// decodeBatch reads a list of messages; each is decoded on its own later, so that one bad item spoils no other.
func decodeBatch(raw []byte) ([]json.RawMessage, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		if !json.Valid(raw) {
			return nil, fail(codeJSON, "Received invalid JSON input.")
		}
		return nil, fail(codeJSON, "Received invalid JSON input. A JSON array of messages was expected.")
	}
	return items, nil
}

// stored is a message as the journal has it: the request's own bytes and what cannot be told from them.
type stored struct {
	Message  json.RawMessage `json:"m"`
	Template int64           `json:"t,omitempty"`
	Inactive []string        `json:"x,omitempty"`
}

func (s *stored) encode() (json.RawMessage, error) {
	if s.Template == 0 && len(s.Inactive) == 0 {
		raw := make([]byte, 0, len(s.Message)+6)
		raw = append(raw, `{"m":`...)
		return append(append(raw, s.Message...), '}'), nil
	}
	raw := fmt.Appendf(make([]byte, 0, len(s.Message)+32), `{"t":%d,"m":%s`, s.Template, s.Message)
	if len(s.Inactive) > 0 {
		inactive, err := json.Marshal(s.Inactive)
		if err != nil {
			return nil, fmt.Errorf("postmark: %w", err)
		}
		raw = append(append(raw, `,"x":`...), inactive...)
	}
	return append(raw, '}'), nil
}
