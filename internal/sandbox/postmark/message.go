package postmark

import (
	"bytes"
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

// cutBatch cuts the messages of a batch from its JSON, which is a list, or an object of nothing but a list under a key, given with its
// quotes. It finds only where they end: when each of them turns out to be JSON, so is the whole. They share the memory of the batch. It
// is not ok when the text has another form.
func cutBatch(text, key []byte) (items []json.RawMessage, ok bool) {
	if key != nil {
		if text, ok = within(text, '{', '}'); !ok {
			return nil, false
		}
		if text, ok = bytes.CutPrefix(text, key); !ok {
			return nil, false
		}
		if text, ok = bytes.CutPrefix(trimSpace(text), []byte{':'}); !ok {
			return nil, false
		}
	}
	if text, ok = within(text, '[', ']'); !ok || len(text) == 0 {
		return nil, false
	}
	for {
		end, ok := ending(text)
		if !ok {
			return nil, false
		}
		items = append(items, trimSpace(text[:end]))
		if end == len(text) {
			return items, true
		}
		text = text[end+1:]
	}
}

// within returns what stands between the brackets around a text.
func within(text []byte, open, end byte) (_ []byte, ok bool) {
	text = trimSpace(text)
	if n := len(text); n < 2 || text[0] != open || text[n-1] != end {
		return nil, false
	}
	return trimSpace(text[1 : len(text)-1]), true
}

// trimSpace takes off what JSON has for space.
func trimSpace(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// maxDepth is how deep a message that is cut from a batch may nest: less than encoding/json lets a batch do.
const maxDepth = 1000

// ending returns where the JSON value ends with which a text begins: at a comma, or at the end of the text.
func ending(text []byte) (end int, ok bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i, ok = quoteEnd(text, i); !ok {
				return 0, false
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return 0, false
			}
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i, true
			}
		}
	}
	return len(text), true
}

// quoteEnd returns the place of the quote that ends a string, from that of the one that begins it.
func quoteEnd(text []byte, from int) (int, bool) {
	for i := from + 1; ; i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return 0, false
		}
		i += n
		escapes := 0
		for text[i-1-escapes] == '\\' { // stops at the first quote
			escapes++
		}
		if escapes%2 == 0 {
			return i, true
		}
	}
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
