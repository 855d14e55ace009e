package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"postyard/internal/secret"
)

// redactor takes out of everything that is written what is nobody's business: secrets, and addresses of people, which are replaced
// by the same words wherever they stand. It is made before anything is asked and not changed while texts pass through it.
type redactor struct {
	secrets []string          // in every form in which they may stand in a text; the longest first
	replace [][2]string       // texts that say who is asking, and what stands for them; the longest first
	people  map[string]string // addresses that were met, in lower case
	marker  string            // stands in every URL of ours
}

func newRedactor() *redactor { return &redactor{people: map[string]string{}} }

func longestFirst(a, b string) int { return len(b) - len(a) }

// hide has a secret taken out.
func (r *redactor) hide(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	for _, form := range forms(text) {
		if !slices.Contains(r.secrets, form) {
			r.secrets = append(r.secrets, form)
		}
	}
	slices.SortStableFunc(r.secrets, longestFirst)
}

// hideCredentials has a name and a password taken out, alone and as Basic credentials have them.
func (r *redactor) hideCredentials(c credentials) {
	r.hide(c.username)
	r.hide(c.password)
	r.hide(base64.StdEncoding.EncodeToString([]byte(c.username + ":" + c.password)))
}

// name has a text replaced. An address takes its domain with it: Postmark's words quote it.
func (r *redactor) name(text, by string) {
	if text == "" {
		return
	}
	add := func(text, by string) {
		for _, form := range forms(text) {
			if !slices.ContainsFunc(r.replace, func(pair [2]string) bool { return strings.EqualFold(pair[0], form) }) {
				r.replace = append(r.replace, [2]string{form, by})
			}
		}
	}
	add(text, by)
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		add(text[at+1:], "domain.redacted.invalid")
	}
	slices.SortStableFunc(r.replace, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
}

// forms are a text as it is, and as URLs and JSON may spell it.
func forms(text string) []string {
	list := []string{text}
	for _, form := range []string{url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text), strings.ReplaceAll(text, "@", `\u0040`)} {
		if !slices.Contains(list, form) {
			list = append(list, form)
		}
	}
	return list
}

// shown are the domains whose addresses are nobody's: Postmark's test addresses and those of examples.
var shown = regexp.MustCompile(`(?i)@(blackhole\.postmarkapp\.com|bounce-testing\.postmarkapp\.com|example\.(com|net|org)|(?:[a-z0-9-]+\.)*redacted\.invalid)$`)

var anAddress = regexp.MustCompile(`[A-Za-z0-9.!#$&'*+/=?^_{|}~-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

// text returns a text without what is not to be seen.
func (r *redactor) text(s string) string {
	for _, form := range r.secrets {
		s = replaceFold(s, form, secret.Redacted)
	}
	for _, pair := range r.replace {
		s = replaceFold(s, pair[0], pair[1])
	}
	return anAddress.ReplaceAllStringFunc(s, func(found string) string {
		address := strings.Replace(found, "%40", "@", 1)
		if shown.MatchString(address) {
			return found
		}
		key := strings.ToLower(address)
		if r.people[key] == "" {
			r.people[key] = fmt.Sprintf("address-%d@redacted.invalid", len(r.people)+1)
		}
		return r.people[key]
	})
}

// replaceFold is strings.ReplaceAll without regard to case: Postmark compares tokens so.
func replaceFold(s, old, by string) string {
	if len(s) < len(old) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if end := i + len(old); end <= len(s) && strings.EqualFold(s[i:end], old) {
			b.WriteString(by)
			i = end
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// leak tells whether a text that is about to be written holds something that was to be taken out.
func (r *redactor) leak(text []byte) bool {
	folded := bytes.ToLower(text)
	holds := func(form string) bool { return bytes.Contains(folded, []byte(strings.ToLower(form))) }
	return slices.ContainsFunc(r.secrets, holds) || slices.ContainsFunc(r.replace, func(pair [2]string) bool { return holds(pair[0]) })
}

// hidden are the keys whose values are not shown, whatever they are: credentials, what leads to a server, and what a mail server said,
// which may name people.
var hidden = []string{"apitokens", "httpauth", "httpheaders", "password", "username", "authorization", "token", "accesskey", "secretkey",
	"inboundaddress", "inboundhash", "inbounddomain", "serverlink", "inboundhookurl", "bouncehookurl", "openhookurl", "deliveryhookurl",
	"clickhookurl", "details", "deliverymessage", "destinationserver", "destinationip", "content", "geo"}

// body returns a body as it may be written: JSON as JSON, with its order and numbers as they were, anything else as a text. cut says
// that it is not whole; what cannot be read as JSON for that is left out.
func (r *redactor) body(raw []byte, cut bool) any {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return nil
	case json.Valid(raw):
		var out bytes.Buffer
		in := json.NewDecoder(bytes.NewReader(raw))
		in.UseNumber()
		if r.value(in, &out, "") == nil {
			return json.RawMessage(out.Bytes())
		}
		return "[not shown: it could not be taken apart]"
	case cut:
		return "[not shown: it is not whole]"
	}
	text := html.UnescapeString(string(raw[:min(len(raw), maxText)]))
	return r.text(strings.NewReplacer(`\u0040`, "@", `\u002b`, "+", `\/`, "/").Replace(text))
}

// value copies one JSON value.
func (r *redactor) value(in *json.Decoder, out *bytes.Buffer, key string) error {
	if slices.Contains(hidden, strings.ToLower(key)) {
		var skipped json.RawMessage
		if err := in.Decode(&skipped); err != nil {
			return err
		}
		if text := string(bytes.TrimSpace(skipped)); text == "null" || text == `""` || text == "[]" || text == "{}" {
			out.WriteString(text)
			return nil
		}
		return writeJSON(out, secret.Redacted)
	}
	token, err := in.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		return r.container(in, out, token)
	case string:
		if strings.EqualFold(key, "Url") && !strings.Contains(token, r.marker) {
			token = secret.Redacted // somebody else's webhook
		}
		return writeJSON(out, r.text(token))
	case json.Number:
		out.WriteString(token.String())
		return nil
	default: // true, false, null
		return writeJSON(out, token)
	}
}

func (r *redactor) container(in *json.Decoder, out *bytes.Buffer, open json.Delim) error {
	out.WriteByte(byte(open))
	for first := true; in.More(); first = false {
		if !first {
			out.WriteByte(',')
		}
		key := ""
		if open == '{' {
			token, err := in.Token()
			if err != nil {
				return err
			}
			key, _ = token.(string)
			if err := writeJSON(out, r.text(key)); err != nil {
				return err
			}
			out.WriteByte(':')
		}
		if err := r.value(in, out, key); err != nil {
			return err
		}
	}
	end, err := in.Token()
	if err != nil {
		return err
	}
	closing, ok := end.(json.Delim)
	if !ok {
		return io.ErrUnexpectedEOF
	}
	out.WriteByte(byte(closing))
	return nil
}

// shape returns what a body is made of without what it says: somebody's event, perhaps.
func shape(raw []byte) any {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return fmt.Sprintf("[not shown: %d bytes that are no JSON object]", len(raw))
	}
	kinds := map[string]string{}
	for key, value := range fields {
		kind := "number"
		switch value[0] {
		case '"':
			kind = "string"
		case '{':
			kind = "object"
		case '[':
			kind = "list"
		case 't', 'f':
			kind = "boolean"
		case 'n':
			kind = "null"
		}
		kinds[key[:min(len(key), 64)]] = kind
	}
	return kinds
}

func writeJSON(out *bytes.Buffer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // the newline
	return nil
}
