package postmark

import (
	"bytes"
	"encoding/json"
	"strings"
)

// What is here cuts JSON by its quotes and brackets, in a fraction of the time that encoding/json needs to read it. Whether the pieces are
// JSON is left to encoding/json.

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
		if text[end] != ',' {
			return nil, false
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

// trimSpace takes space off both ends.
func trimSpace(text []byte) []byte { return bytes.Trim(text, space) }

// space is what JSON takes for space.
const space = " \t\r\n"

// member finds the value of a key in the text of a JSON object. It is not ok when the object has no such key, or more than one that
// encoding/json would take for it.
func member(text []byte, key string) (from, to int, ok bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end, closed := quoteEnd(text, i)
			if !closed {
				return 0, 0, false
			}
			name := text[i+1 : end]
			i = end
			if depth != 1 || !isKey(text[end+1:]) {
				continue
			}
			if bytes.IndexByte(name, '\\') >= 0 || ok && strings.EqualFold(string(name), key) {
				return 0, 0, false
			}
			if !strings.EqualFold(string(name), key) {
				continue
			}
			ok = true
			from = end + 1 + bytes.IndexByte(text[end+1:], ':') + 1
			length, closed := ending(text[from:])
			if !closed {
				return 0, 0, false
			}
			to = from + length
			i = to - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return from, to, ok
}

// isKey tells whether a string was a key by what follows it.
func isKey(rest []byte) bool {
	rest = bytes.TrimLeft(rest, space)
	return len(rest) > 0 && rest[0] == ':'
}

// maxDepth is how deep a message that is cut from a batch may nest: less than encoding/json lets a batch do.
const maxDepth = 1000

// ending returns where the JSON value ends with which a text begins: at a comma, at a bracket that closes what it is in, or at the end of
// the text.
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
			if depth--; depth < 0 {
				return i, true
			}
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

// decodeMessage is decode for a message. A template's model, often most of the message, is only checked: it is kept as it is.
func decodeMessage(raw []byte, m *message) error {
	from, to, ok := member(raw, "TemplateModel")
	if !ok {
		return decode(raw, m)
	}
	model := trimSpace(raw[from:to])
	rest := make([]byte, 0, len(raw)-(to-from)+1)
	rest = append(append(append(rest, raw[:from]...), '0'), raw[to:]...) // some value in its place
	if !json.Valid(model) || json.Unmarshal(rest, m) != nil {
		*m = message{}
		return decode(raw, m)
	}
	m.TemplateModel = model
	return nil
}
