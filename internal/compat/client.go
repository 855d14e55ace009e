package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Client is an official client as it looks from the server: its headers, and how it writes bodies.
type Client struct {
	Name     string
	agent    string
	accepts  string                    // Accept-Encoding, "" when Go's own says it
	bodyType string                    // Content-Type of a body
	always   bool                      // the Content-Type is there without a body, too
	nulls    bool                      // what was not set is sent as null
	write    func([]byte) []byte       // the body, from compact JSON
	read     func(h http.Header) error // what it refuses before it looks at the body
}

// Clients returns the clients in the languages that write requests in different ways.
func Clients() []Client {
	asIs := func(body []byte) []byte { return body }
	any := func(http.Header) error { return nil }
	return []Client{
		{Name: "Go", agent: "OpenAPI-Generator/1.0.0/go", bodyType: "application/json", write: func(body []byte) []byte { return append(body, '\n') }, read: goReads},
		{Name: "Python", agent: "OpenAPI-Generator/2.0.1/python", accepts: "identity", bodyType: "application/json", write: spaced, read: any},
		{Name: "JavaScript", agent: "OpenAPI-Generator/2.0.1/Javascript", accepts: "gzip, deflate", bodyType: "application/json", always: true, nulls: true, write: asIs, read: any},
		{Name: "Java", agent: "OpenAPI-Generator/1.1.4/java", accepts: "gzip", bodyType: "application/json; charset=utf-8", write: escapedHTML, read: any},
		{Name: "PHP", agent: "OpenAPI-Generator/1.0.1/PHP", bodyType: "application/json", always: true, write: escapedSlashes, read: any},
		{Name: "Ruby", agent: "OpenAPI-Generator/2.0.1/ruby", bodyType: "application/json", always: true, write: asIs, read: any},
	}
}

var jsonType = regexp.MustCompile(`(?i:(?:application|text)/(?:[^;]+\+)?json)`)

// goReads is what the Go client decides by.
func goReads(h http.Header) error {
	if got := h.Get("Content-Type"); !jsonType.MatchString(got) {
		return fmt.Errorf("an answer of the type %q is not decoded", got)
	}
	return nil
}

// Call is one request.
type Call struct {
	Operation *Operation
	Path      []string   // what stands in the place of {...}
	Query     url.Values // dates as YYYY-MM-DD
	Body      map[string]any
	Key       string // "": none is sent, as with the operations whose security the specification forgot
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// Do makes a request to the server at that URL, and follows no redirect: a client that did would make a GET of a POST.
func (c *Client) Do(ctx context.Context, server string, call Call) (*Answer, error) {
	o := call.Operation
	used := 0
	path := placeholder.ReplaceAllStringFunc(o.Path, func(string) string {
		used++
		return url.PathEscape(call.Path[used-1])
	})
	if used != len(call.Path) {
		return nil, fmt.Errorf("%s has %d places in its path", o.ID, used)
	}
	target := server + Base + path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	var content io.Reader
	if call.Body != nil {
		body, err := c.encode(call.Body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, o.Method, target, content)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Accept", "application/json")
	if c.accepts != "" {
		r.Header.Set("Accept-Encoding", c.accepts)
	}
	if call.Body != nil || c.always {
		r.Header.Set("Content-Type", c.bodyType)
	}
	if call.Key != "" {
		r.Header.Set(map[string]string{"account": "X-Account-ApiKey", "subaccount": "X-SubAccount-ApiKey"}[o.Key], call.Key)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the server redirects") }}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if got := res.Header.Get("Content-Encoding"); got != "" {
		return nil, fmt.Errorf("%s: an answer with the encoding %q", o.ID, got)
	}
	return &Answer{res.StatusCode, res.Header, body}, nil
}

// Succeed makes a request that must succeed as documented, and decodes the answer as strictly as the strictest client.
func (c *Client) Succeed(ctx context.Context, contract *Contract, server string, call Call, into any) error {
	a, err := c.Do(ctx, server, call)
	if err != nil {
		return err
	}
	o := call.Operation
	if a.Status != o.Status {
		return fmt.Errorf("%s: status %d, the %s client wants %d: %s", o.ID, a.Status, c.Name, o.Status, a.Body)
	}
	if err := c.read(a.Header); err != nil {
		return fmt.Errorf("%s: %w", o.ID, err)
	}
	if err := contract.Check(o, a.Body); err != nil {
		return fmt.Errorf("%w\nin %s", err, a.Body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(a.Body, into)
}

// optional are the keys of bodies that a client of JavaScript sends as null when they were not set.
var optional = map[string][]string{
	"EmailMessageObject":  {"replyTo", "ampBody", "attachments", "webhookEndpoint"},
	"IPPoolCreateRequest": {"overflowPoolName", "tpsps", "ips"},
	"SuppressionRequest":  {"hardBounce", "manual", "unsubscribe", "spamComplaint"},
}

// Fill adds what a client that sends nulls would.
func (c *Client) Fill(o *Operation, body map[string]any) map[string]any {
	if c.nulls {
		for _, key := range optional[o.Body] {
			if _, there := body[key]; !there {
				body[key] = nil
			}
		}
	}
	return body
}

func (c *Client) encode(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	return c.write(bytes.TrimSpace(b.Bytes())), nil
}

// rewrite writes JSON anew, character by character: those in strings and those outside of them.
func rewrite(body []byte, outside, inside func(dst []byte, c rune) []byte) []byte {
	var dst []byte
	in, escaped := false, false
	for _, c := range string(body) {
		if c == '"' && !escaped {
			in = !in
		}
		if in {
			dst = inside(dst, c)
		} else {
			dst = outside(dst, c)
		}
		escaped = in && c == '\\' && !escaped
	}
	return dst
}

func same(dst []byte, c rune) []byte { return append(dst, string(c)...) }

// spaced is how Python writes JSON: spaces after commas and colons, and nothing but ASCII.
func spaced(body []byte) []byte {
	return rewrite(body, func(dst []byte, c rune) []byte {
		dst = same(dst, c)
		if c == ',' || c == ':' {
			dst = append(dst, ' ')
		}
		return dst
	}, asciiIn)
}

// asciiOf writes a character as JSON escapes.
func asciiOf(c rune) string {
	if c < 0x10000 {
		return fmt.Sprintf(`\u%04x`, c)
	}
	c -= 0x10000
	return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
}

// escapedHTML is how Gson writes JSON.
func escapedHTML(body []byte) []byte {
	return rewrite(body, same, func(dst []byte, c rune) []byte {
		if strings.ContainsRune("<>&='", c) {
			return append(dst, asciiOf(c)...)
		}
		return same(dst, c)
	})
}

// escapedSlashes is how PHP writes JSON.
func escapedSlashes(body []byte) []byte {
	return rewrite(ascii(body), same, func(dst []byte, c rune) []byte {
		if c == '/' {
			return append(dst, `\/`...)
		}
		return same(dst, c)
	})
}

// ascii writes nothing but ASCII.
func ascii(body []byte) []byte { return rewrite(body, same, asciiIn) }

func asciiIn(dst []byte, c rune) []byte {
	if c < 0x80 {
		return same(dst, c)
	}
	return append(dst, asciiOf(c)...)
}

// Required returns the names of the required parameters of the query.
func (o *Operation) Required() []string {
	var names []string
	for _, name := range o.Query {
		if name, required := strings.CutSuffix(name, "!"); required {
			names = append(names, name)
		}
	}
	return slices.Clip(names)
}
