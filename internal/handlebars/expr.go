package handlebars

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// expr is what has a value: a literal, a path, or a lookup of two of them.
type expr struct {
	literal any   // string, json.Number, bool, or nil
	path    *path // nil: a literal
	args    []expr
}

// path leads to a value.
type path struct {
	data     bool // @name
	up       int  // how many scopes it climbs
	segments []string
	here     bool // it began with this or a dot: names of block parameters do not count
	cost     int  // steps that it takes to follow it
}

// first is the name that a path begins with.
func (p *path) first() string {
	if len(p.segments) == 0 || p.data || p.up > 0 {
		return ""
	}
	return p.segments[0]
}

// helper is what a block does.
type helper uint8

const (
	helperSection helper = iota
	helperIf
	helperUnless
	helperEach
	helperWith
)

var helpers = map[string]helper{"if": helperIf, "unless": helperUnless, "each": helperEach, "with": helperWith}

const lookupHelper = "lookup"

// block is a tag that has a body.
type block struct {
	helper      helper
	inverted    bool // {{^path}}
	line        int
	name        string // by which it is closed
	subject     expr
	includeZero bool
	params      []string // as |item key|
	body, other []node
}

// open reads the inside of a tag that opens a block, and returns the name by which it is to be closed.
func (s *scanner) open(b *block) string {
	s.space()
	begin := s.at
	first := s.path()
	if s.err != nil {
		return ""
	}
	b.name = s.source[begin:s.at]
	var known bool
	if b.helper, known = helpers[b.name]; known && !first.here && first.up == 0 {
		if s.argumentEnds() {
			s.fail("{{#%s}} needs a value", b.name)
			return ""
		}
		b.subject = s.argument()
		if b.helper == helperIf || b.helper == helperUnless {
			s.zero(b)
		}
	} else {
		b.helper, b.subject = helperSection, expr{path: first}
	}
	if s.space(); s.word("as") {
		s.params(b)
	}
	switch s.space(); {
	case s.err != nil || s.ends():
	case known:
		s.fail("{{#%s}} takes one value", b.name)
	default:
		s.unknown(b.name)
	}
	return b.name
}

// zero reads includeZero=true.
func (s *scanner) zero(b *block) {
	if s.space(); !s.take("includeZero=") {
		return
	}
	switch {
	case s.word("true"):
		b.includeZero = true
	case s.word("false"):
	default:
		s.fail("includeZero is true or false")
	}
}

// params reads |item key|, after "as".
func (s *scanner) params(b *block) {
	if s.space(); !s.take("|") {
		s.fail(`"as" is followed by names: as |item key|`)
		return
	}
	for {
		s.space()
		if s.take("|") {
			break
		}
		n := s.nameLength()
		if n == 0 || len(b.params) == 2 {
			s.fail("one or two names stand between the bars of as |item key|")
			return
		}
		b.params = append(b.params, s.source[s.at:s.at+n])
		s.at += n
	}
	if len(b.params) == 0 {
		s.fail("a name is missing between the bars of as |item key|")
	}
}

// argumentEnds tells whether no argument comes next.
func (s *scanner) argumentEnds() bool {
	s.space()
	return s.ends() || s.at >= len(s.source) || s.source[s.at] == ')' || s.source[s.at] == '}'
}

// call reads what a tag or parentheses hold: a value, or a helper with its arguments.
func (s *scanner) call() *expr {
	s.space()
	begin := s.at
	if s.at < len(s.source) && s.source[s.at] != '(' {
		if first := s.operand(); s.err != nil || s.argumentEnds() {
			return &first
		}
	}
	if s.err != nil {
		return &expr{}
	}
	if s.at == begin {
		s.fail("a value is missing")
		return &expr{}
	}
	name := strings.TrimRightFunc(s.source[begin:s.at], unicode.IsSpace)
	if name != lookupHelper {
		s.unknown(name)
		return &expr{}
	}
	e := &expr{}
	for !s.argumentEnds() && s.err == nil && len(e.args) <= 2 {
		e.args = append(e.args, s.argument())
	}
	if s.err == nil && len(e.args) != 2 {
		s.fail("{{lookup}} takes two values")
	}
	return e
}

func (s *scanner) unknown(name string) {
	if s.err == nil {
		s.fail("there is no helper %q: there are if, unless, each, with and lookup", cut(name))
	}
}

// cut limits what a message quotes.
func cut(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "..."
}

// argument reads a value or a call in parentheses.
func (s *scanner) argument() expr {
	s.space()
	if !s.take("(") {
		return s.operand()
	}
	if s.nesting++; s.nesting > maxNesting {
		s.fail("parentheses nest more than %d deep", maxNesting)
		return expr{}
	}
	e := s.call()
	s.nesting--
	if s.space(); s.err == nil && !s.take(")") {
		s.fail("a parenthesis is not closed")
	}
	return *e
}

// operand reads a literal or a path.
func (s *scanner) operand() expr {
	if s.at >= len(s.source) {
		s.fail("a value is missing")
		return expr{}
	}
	switch c := s.source[s.at]; {
	case c == '"' || c == '\'':
		return s.quoted(c)
	case c == '-' || '0' <= c && c <= '9':
		if n := s.number(); n != "" {
			return expr{literal: n}
		}
	case s.word("true"):
		return expr{literal: true}
	case s.word("false"):
		return expr{literal: false}
	case s.word("null"), s.word("undefined"):
		return expr{}
	}
	return expr{path: s.path()}
}

// quoted reads a string; a backslash takes the meaning of the quote after it.
func (s *scanner) quoted(quote byte) expr {
	begin := s.at + 1
	for i := begin; i < len(s.source); i++ {
		if s.source[i] == quote && s.source[i-1] != '\\' {
			s.at = i + 1
			return expr{literal: strings.ReplaceAll(s.source[begin:i], `\`+string(quote), string(quote))}
		}
	}
	s.fail("a string is not closed")
	return expr{}
}

// number reads a number; "" when what comes next is none, but the name of a field, such as 1st.
func (s *scanner) number() json.Number {
	digits := func(at int) int {
		for at < len(s.source) && '0' <= s.source[at] && s.source[at] <= '9' {
			at++
		}
		return at
	}
	begin := s.at
	if s.source[begin] == '-' {
		begin++
	}
	end := digits(begin)
	if end == begin {
		return ""
	}
	if end < len(s.source) && s.source[end] == '.' {
		if fraction := digits(end + 1); fraction > end+1 {
			end = fraction
		}
	}
	if rest := s.source[end:]; rest != "" {
		if c, _ := utf8.DecodeRuneInString(rest); !unicode.IsSpace(c) && !strings.ContainsRune("~})", c) {
			return ""
		}
	}
	text := s.source[s.at:end]
	s.at = end
	return json.Number(text)
}

// path reads a path.
func (s *scanner) path() *path {
	p := &path{data: s.take("@")}
	for s.take("..") {
		p.up++
		if !s.take("/") {
			return s.over(p)
		}
	}
	switch {
	case s.word("this"):
		p.here = true
		return s.over(p)
	case s.take("this/"), s.take("this."), s.take("./"):
		p.here = true
	case s.take("."):
		if p.here = true; s.nameLength() == 0 && !strings.HasPrefix(s.source[s.at:], "[") {
			return s.over(p)
		}
	}
	for s.err == nil {
		s.segment(p)
		if !s.take(".") && !s.take("/") {
			break
		}
	}
	if s.reserved != "" && !p.data && !p.here && p.up == 0 && len(p.segments) == 1 && p.segments[0] == s.reserved {
		p = &path{data: true, segments: []string{rootName, s.reserved}}
	}
	return s.over(p)
}

// over returns a path that is whole.
func (s *scanner) over(p *path) *path {
	if s.err == nil && p.data && len(p.segments) == 0 {
		s.fail("a name is missing after @")
	}
	p.cost = p.up + 1
	for _, segment := range p.segments {
		p.cost += 1 + len(segment)/stepBytes
	}
	return p
}

// segment reads a name, or one in brackets that may have any character.
func (s *scanner) segment(p *path) {
	if len(p.segments) == maxSegments {
		s.fail("a path has more than %d parts", maxSegments)
		return
	}
	if s.take("[") {
		end := strings.IndexByte(s.source[s.at:], ']')
		if end < 0 {
			s.fail("a bracket is not closed")
			return
		}
		p.segments = append(p.segments, s.source[s.at:s.at+end])
		s.at += end + 1
		return
	}
	n := s.nameLength()
	switch name := s.source[s.at : s.at+n]; {
	case n == 0 && (s.at >= len(s.source) || s.ends()):
		s.fail("a name is missing")
	case n == 0:
		c, _ := utf8.DecodeRuneInString(s.source[s.at:])
		s.fail("%q is not expected here", c)
	default:
		p.segments = append(p.segments, name)
		s.at += n
	}
}
