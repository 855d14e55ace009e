package mustachio

import (
	"fmt"
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

// Template is a parsed template. It is immutable: many goroutines may render it at once.
type Template struct {
	nodes  []node
	escape bool
	loops  bool
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
	tokens, errs := scan(source)
	if len(errs) > 0 {
		return nil, errs
	}
	t.nodes, _ = t.build(tokens)
	return t, nil
}

// build nests the tokens; the scanner has made sure that every block is closed in order.
func (t *Template) build(tokens []token) (nodes []node, rest []token) {
	for len(tokens) > 0 {
		head := tokens[0]
		tokens = tokens[1:]
		switch head.kind {
		case tokenClose, tokenEachClose:
			return nodes, tokens
		case tokenText:
			nodes = append(nodes, node{kind: tokenText, text: head.text})
		case tokenOpen, tokenInverted, tokenEach:
			n := node{kind: head.kind, text: head.text, path: splitPath(head.text)}
			n.children, tokens = t.build(tokens)
			nodes = append(nodes, n)
			t.loops = t.loops || head.kind == tokenEach
		default:
			nodes = append(nodes, node{kind: head.kind, text: head.text, path: splitPath(head.text)})
		}
	}
	return nodes, nil
}

// CanFail tells whether rendering can fail for some model of ordinary size: only a loop over something that is no list does.
func (t *Template) CanFail() bool { return t.loops }

// path is a list of segments; "../" climbs one.
type path []string

const up = "../"

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
