package handlebars

import "fmt"

const (
	// MaxSource is the longest template in bytes.
	MaxSource = 5 << 20
	// MaxOutput is the longest rendering in bytes.
	MaxOutput = 10 << 20

	maxTags     = 20_000
	maxNesting  = 64 // of blocks, each else counted; of parentheses; of the values of a model
	maxSegments = 32 // of a path
	maxSteps    = 500_000
	stepBytes   = 64 // bytes that are looked at count as a step
)

const rootName = "root"

// Option changes how a template is parsed.
type Option func(*Template)

// EscapeHTML makes {{path}} escape its value for HTML. Without it values are printed as they are, as in subjects and texts.
func EscapeHTML() Option { return func(t *Template) { t.escape = true } }

// Reserve makes the bare {{name}} mean the field of the model's root, in whichever scope it stands.
func Reserve(name string) Option { return func(t *Template) { t.reserved = name } }

// Keep leaves tags as they are whose value is a path that begins with a prefix: somebody else fills them in.
func Keep(prefix string) Option { return func(t *Template) { t.kept = prefix } }

// Template is a parsed template. It is immutable: many goroutines may render it at once.
type Template struct {
	source   string
	nodes    []node
	escape   bool
	reserved string
	kept     string
	uses     bool // the reserved name
	weight   int
}

// node is a text, a value that is printed, or a block.
type node struct {
	text  string
	value *expr // nil: a text or a block
	raw   bool
	block *block
}

// Parse reads a template. The error is a *SyntaxError.
func Parse(source string, options ...Option) (*Template, error) {
	t := &Template{source: source}
	for _, option := range options {
		option(t)
	}
	if len(source) > MaxSource {
		return nil, &SyntaxError{Line: 1, Message: fmt.Sprintf("a template has at most %d bytes", MaxSource)}
	}
	s := &scanner{source: source, line: 1, reserved: t.reserved, kept: t.kept}
	s.scan()
	if s.err != nil {
		return nil, s.err
	}
	trim(s.tokens)
	b := &builder{tokens: s.tokens}
	nodes, end := b.program(0)
	if b.err == nil {
		b.misplaced(end)
	}
	if b.err != nil {
		return nil, b.err
	}
	t.nodes, t.weight = nodes, len(source)+len(s.tokens)*256
	t.uses = t.reserved != "" && usesRoot(s.tokens, t.reserved)
	return t, nil
}

// Source is what was parsed.
func (t *Template) Source() string { return t.source }

// Weight is about how many bytes the template takes in memory.
func (t *Template) Weight() int { return t.weight }

// UsesReserved tells whether the template has a value of the reserved name.
func (t *Template) UsesReserved() bool { return t.uses }

// usesRoot tells whether a path leads to a field of the root.
func usesRoot(tokens []token, name string) bool {
	for i := range tokens {
		if tokens[i].expr.usesRoot(name) || tokens[i].block != nil && tokens[i].block.subject.usesRoot(name) {
			return true
		}
	}
	return false
}

func (e *expr) usesRoot(name string) bool {
	if e == nil {
		return false
	}
	if p := e.path; p != nil && len(p.segments) > 0 && p.segments[len(p.segments)-1] == name {
		return true
	}
	for i := range e.args {
		if e.args[i].usesRoot(name) {
			return true
		}
	}
	return false
}

// builder nests tokens.
type builder struct {
	tokens []token
	err    *SyntaxError
}

func (b *builder) fail(line int, format string, args ...any) {
	if b.err == nil {
		b.err = &SyntaxError{Line: line, Message: fmt.Sprintf(format, args...)}
	}
}

// program reads up to a tag that ends it, and returns that.
func (b *builder) program(depth int) (nodes []node, end token) {
	if depth > maxNesting {
		b.fail(b.tokens[0].line, "blocks nest more than %d deep", maxNesting)
	}
	for b.err == nil {
		t := b.tokens[0]
		b.tokens = b.tokens[1:]
		switch t.kind {
		case kindText:
			if t.text != "" {
				nodes = append(nodes, node{text: t.text})
			}
		case kindValue:
			nodes = append(nodes, node{value: t.expr, raw: t.raw})
		case kindComment:
		case kindOpen:
			end := b.block(t.block, depth+1)
			if b.err == nil && (end.kind != kindClose || end.text != t.block.name) {
				b.mismatch(t.block, end)
			}
			nodes = append(nodes, node{block: t.block})
		default:
			return nodes, t
		}
	}
	return nil, token{}
}

// block reads the bodies of a block, and returns the tag that ends it.
func (b *builder) block(k *block, depth int) token {
	first, end := b.program(depth)
	var other []node
	switch {
	case b.err != nil || end.kind != kindElse:
	case end.block != nil: // {{else if x}}: a block in the block, with one end for both
		inner := end.block
		end = b.block(inner, depth+1)
		other = []node{{block: inner}}
	default:
		other, end = b.program(depth)
	}
	k.body, k.other = first, other
	if k.inverted {
		k.body, k.other = other, first
	}
	return end
}

func (b *builder) mismatch(k *block, end token) {
	switch end.kind {
	case kindEnd:
		b.fail(k.line, "the block %q is not closed: {{/%s}} is missing", cut(k.name), cut(k.name))
	case kindElse:
		b.fail(end.line, "{{else}} comes after the last one of its block")
	default:
		b.fail(end.line, "{{/%s}} does not close the block %q of line %d", cut(end.text), cut(k.name), k.line)
	}
}

// misplaced refuses a tag that ends what was not begun.
func (b *builder) misplaced(end token) {
	switch end.kind {
	case kindElse:
		b.fail(end.line, "{{else}} stands outside of a block")
	case kindClose:
		b.fail(end.line, "{{/%s}} closes no block", cut(end.text))
	}
}
