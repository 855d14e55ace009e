package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"postyard/internal/secret"
)

// What an entry keeps of a body.
const (
	maxBody  = 8 << 10 // bytes
	maxText  = 1000    // bytes of one text
	maxItems = 20      // of one list
	maxShort = 500     // bytes of a path, a name
)

// Body returns a JSON object as an entry keeps it: without secrets, and with what is long cut short. nil is what is no JSON object.
func Body(body []byte) []byte {
	object := objectOf(body)
	if object == nil {
		return nil
	}
	return encode(mask(object))
}

// Before returns what stood in an answer under the names that a body has, where the body says something else. Secrets are left out. nil is
// nothing.
func Before(answer, body []byte) []byte {
	was, wanted := objectOf(answer), objectOf(body)
	before := map[string]any{}
	for name, value := range wanted {
		old, known := was[name]
		if known && !secretName(name) && !reflect.DeepEqual(old, value) {
			before[name] = old
		}
	}
	if len(before) == 0 {
		return nil
	}
	return encode(mask(before))
}

// Text returns what an answer says under the first of the names that it has a text for, "" when there is none.
func Text(answer []byte, names ...string) string {
	object := objectOf(answer)
	for _, name := range names {
		if text, ok := object[name].(string); ok && text != "" {
			return secret.MaskURL(text)
		}
	}
	return ""
}

func objectOf(body []byte) (object map[string]any) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&object) != nil {
		return nil
	}
	return object
}

// mask takes secrets out of a value, and cuts what is long.
func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			if secretName(name) && value != nil && value != "" {
				value = secret.Hidden
			}
			out[cut(name, maxShort)] = mask(value)
		}
		return out
	case []any:
		out := make([]any, 0, min(len(v), maxItems+1))
		for _, one := range v[:min(len(v), maxItems)] {
			out = append(out, mask(one))
		}
		if more := len(v) - maxItems; more > 0 {
			out = append(out, fmt.Sprintf("... and %d more", more))
		}
		return out
	case string:
		return cut(secret.MaskURL(v), maxText)
	}
	return v
}

// secretName tells whether what has this name is a secret.
func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"password", "secret", "token", "credential", "apikey", "api_key", "api-key", "authorization", "privatekey", "private_key", "accesskey", "passwd", "pwd"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "key" || name == "accountkey" || name == "code" || name == "auth" || name == "pass"
}

// encode writes an object of at most maxBody bytes: what has no room is told by its size.
func encode(v any) []byte {
	object, _ := v.(map[string]any)
	if all := marshal(object); len(all) <= maxBody {
		return all
	}
	const room = 100 // of one that is left out
	out, left := map[string]any{}, maxBody-room
	names := slices.Sorted(maps.Keys(object))
	sizes := make(map[string]int, len(object))
	for name, value := range object {
		sizes[name] = len(marshal(value))
	}
	slices.SortStableFunc(names, func(a, b string) int { return sizes[a] - sizes[b] })
	for i, name := range names {
		value, length := object[name], sizes[name]
		if length > left/2 && length > room {
			value = fmt.Sprintf("... %d bytes", length)
			length = len(marshal(value))
		}
		if left -= len(marshal(name)) + length + len(":,"); left < 0 {
			out["..."] = fmt.Sprintf("and %d more", len(names)-i)
			break
		}
		out[name] = value
	}
	return marshal(out)
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { // what came out of JSON goes into it
		return []byte("{}")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func short(text string) string { return cut(text, maxShort) }

// cut returns at most so many bytes of a text.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", text[:end], len(text))
}
