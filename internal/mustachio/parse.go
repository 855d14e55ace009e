package mustachio

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxSource is the longest template in bytes: Postmark's limit for one body.
	MaxSource = 5 << 20
	// MaxOutput is the longest rendering in bytes: Postmark's limit for one message.
	MaxOutput = 10 << 20

	maxNesting = 64
	maxErrors  = 50
	maxSteps   = 2_000_000
)

// Option changes how a template is parsed.
type Option func(*Template)

// EscapeHTML makes {{path}} escape its value for HTML, as in HtmlBody. Without it values are printed as they are, as in
// Subject and TextBody.
func EscapeHTML() Option { return func(t *Template) { t.escape = true } }

// Handlebars also takes what Postmark's own examples have and its engine refuses: {{#if}}, {{#unless}}, {{else}}, {{@index}}, {{this}}.
// {{#if}} and {{#unless}} leave the scope as it is.
func Handlebars() Option { return func(t *Template) { t.handlebars = true } }

// Template is a parsed template. It is immutable: many goroutines may render it at once.
type Template struct {
	nodes      []node
	escape     bool
	handlebars bool
	loops      [][]string // for each loop, the keys that a model must have for it to run
	values     int64      // how many values there are to print
	fixed      int        // steps, and bytes of text, without loops
}

type node struct {
	kind     tokenKind
	text     string
	path     path
	children []node
}

// Parse reads a template. The error is an Errors, with every mistake of the source.
func Parse(source string, options ...Option) (*Template, error) {
	if len(source) > MaxSource {
		return nil, Errors{{Line: 1, Column: 1, Message: fmt.Sprintf("The template is longer than %d bytes.", MaxSource)}}
	}
	t := &Template{}
	for _, option := range options {
		option(t)
	}
	tokens, errs := scan(source, t.handlebars)
	if len(errs) > 0 {
		return nil, errs
	}
	t.nodes, _ = t.build(tokens, nil)
	return t, nil
}

// build nests the tokens; the scanner has made sure that every block is closed in order. keys are those without which the model does not
// get here.
func (t *Template) build(tokens []token, keys []string) (nodes []node, rest []token) {
	for len(tokens) > 0 {
		head := tokens[0]
		tokens = tokens[1:]
		switch head.kind {
		case tokenClose, tokenEachClose:
			return nodes, tokens
		case tokenText:
			nodes = append(nodes, node{kind: tokenText, text: head.text})
			t.fixed += 1 + len(head.text)
		case tokenOpen, tokenInverted, tokenEach, tokenIf, tokenUnless:
			n := node{kind: head.kind, text: head.text, path: splitPath(head.text)}
			inner := keys
			if key := n.path.key(); key != "" && head.kind != tokenInverted && head.kind != tokenUnless {
				inner = append(keys[:len(keys):len(keys)], key)
			}
			if head.kind == tokenEach {
				t.loops = append(t.loops, inner)
			}
			n.children, tokens = t.build(tokens, inner)
			nodes = append(nodes, n)
			t.fixed += 1 + len(n.path)
		default:
			n := node{kind: head.kind, text: head.text, path: splitPath(head.text)}
			nodes = append(nodes, n)
			t.fixed += 1 + len(n.path)
			t.values++
		}
	}
	return nodes, nil
}

// MayFail tells whether Render may fail for the model that a valid JSON text holds. When it does not, Render does not: no loop gets anything to
// run over, so that none can meet what is no list, and what is left is small. It looks for the keys of loops only, which is much
// cheaper than to parse the model. Without loops, that the result may be too large does not count.
func (t *Template) MayFail(raw []byte) bool {
	if len(t.loops) == 0 {
		return false
	}
	if len(raw) == 0 || raw[0] != '{' { // no object, or one within a string
		return true
	}
	const widest, scalar = 6, 32 // what a byte of a value becomes when it is escaped for HTML; what any other scalar becomes
	if t.fixed > maxSteps || int64(t.fixed)+t.values*(widest*int64(len(raw))+scalar) > MaxOutput || bytes.Contains(raw, []byte(`\u`)) {
		return true // a key may be spelt with escapes
	}
	return slices.ContainsFunc(t.loops, func(keys []string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { return !bytes.Contains(raw, []byte(`"`+key+`"`)) })
	})
}

// path is a list of segments; "../" climbs one.
type path []string

const up = "../"

// key is what the object must have that the path leads into for there to be anything; empty when the path ends at what was there before.
func (p path) key() string {
	if len(p) == 0 || p[len(p)-1] == up {
		return ""
	}
	return p[len(p)-1]
}

func splitPath(text string) path {
	var p path
	for text != "" {
		switch {
		case strings.HasPrefix(text, up):
			p, text = append(p, up), text[len(up):]
		case text[0] == '.':
			text = text[1:]
		default:
			end := strings.IndexByte(text, '.')
			if end < 0 {
				end = len(text)
			}
			p, text = append(p, text[:end]), text[end:]
		}
	}
	return p
}
