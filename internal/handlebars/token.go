package handlebars

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError is the first mistake of a template. Line counts from 1.
type SyntaxError struct {
	Line    int
	Message string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

type kind uint8

const (
	kindText kind = iota
	kindValue
	kindComment
	kindOpen
	kindElse
	kindClose
	kindEnd // of the source
)

// token is a piece of text or a tag.
type token struct {
	kind  kind
	text  string // text; of a tag that opens or closes a block, what the two must have in common
	line  int
	raw   bool   // the value is not escaped
	left  bool   // ~: the white space before it goes
	right bool   // ~: the white space after it goes
	expr  *expr  // value
	block *block // open; else: of {{else if x}}
}

// scanner takes a source apart. The first mistake ends it.
type scanner struct {
	source   string
	at       int // the next byte
	counted  int // lines are counted up to here
	line     int
	reserved string
	kept     string
	begun    int // the line of the tag that is being read
	nesting  int // of parentheses
	tokens   []token
	tags     int
	err      *SyntaxError
}

// fail notes a mistake at the next byte.
func (s *scanner) fail(format string, args ...any) {
	if s.at >= len(s.source) {
		s.failAt(s.begun, "a tag is not closed")
		return
	}
	s.failAt(s.lineAt(s.at), format, args...)
}

func (s *scanner) failAt(line int, format string, args ...any) {
	if s.err == nil {
		s.err = &SyntaxError{Line: line, Message: fmt.Sprintf(format, args...)}
	}
	s.at = len(s.source)
}

// lineAt returns the line of a byte that is not before one that was asked for.
func (s *scanner) lineAt(at int) int {
	if at > s.counted {
		s.line += strings.Count(s.source[s.counted:at], "\n")
		s.counted = at
	}
	return s.line
}

func (s *scanner) scan() {
	for s.err == nil && s.at < len(s.source) {
		begin := s.at
		open := strings.Index(s.source[begin:], "{{")
		if open < 0 {
			s.text(s.source[begin:])
			s.at = len(s.source)
			break
		}
		open += begin
		switch before := s.source[begin:open]; {
		case strings.HasSuffix(before, `\\`):
			s.text(before[:len(before)-1])
		case strings.HasSuffix(before, `\`):
			s.text(before[:len(before)-1])
			s.text("{{")
			s.at = open + 2
			continue
		default:
			s.text(before)
		}
		if s.tags++; s.tags > maxTags {
			s.failAt(s.lineAt(open), "there are more than %d tags", maxTags)
			break
		}
		s.at = open + 2
		s.tag(s.lineAt(open))
	}
	if s.err == nil {
		s.tokens = append(s.tokens, token{kind: kindEnd, line: s.lineAt(len(s.source))})
	}
}

func (s *scanner) text(text string) {
	if text != "" {
		s.tokens = append(s.tokens, token{kind: kindText, text: text})
	}
}

// tag reads what follows {{.
func (s *scanner) tag(line int) {
	t := token{kind: kindValue, line: line}
	s.begun = line
	begin := s.at - len("{{")
	if t.left = s.take("~"); !t.left && s.take("{{") {
		s.failAt(line, "raw blocks, {{{{name}}}}, are not supported")
		return
	}
	end := "}}"
	switch {
	case s.take("!"):
		s.comment(&t)
		return
	case s.take("{"):
		t.raw, end = true, "}}}"
	case s.take("&"):
		t.raw = true
	case s.take("#"):
		if s.take(">") || s.take("*") {
			s.failAt(line, "partials and decorators are not supported")
			return
		}
		t.kind = kindOpen
	case s.take("/"):
		t.kind = kindClose
	case s.take("^"):
		t.kind = kindOpen
		if s.space(); s.ends() {
			t.kind = kindElse
		} else {
			t.block = &block{inverted: true}
		}
	case s.take(">"), s.take("*"):
		s.failAt(line, "partials and decorators are not supported")
		return
	default:
		if s.space(); s.word("else") {
			t.kind = kindElse
			if s.space(); !s.ends() {
				t.block = &block{}
			}
		}
	}
	s.content(&t)
	s.space()
	if end == "}}}" {
		if t.right = s.take("}~}}"); !t.right && !s.take(end) {
			s.unclosed(end)
		}
	} else if t.right = s.take("~"); !s.take(end) {
		s.unclosed(end)
	}
	switch {
	case s.err != nil:
	case s.kept != "" && t.expr != nil && t.expr.path != nil && strings.HasPrefix(t.expr.path.first(), s.kept):
		s.text(s.source[begin:s.at])
	default:
		s.tokens = append(s.tokens, t)
	}
}

// content reads what a tag has between its marks.
func (s *scanner) content(t *token) {
	switch {
	case t.kind == kindClose:
		s.space()
		begin := s.at
		if s.path(); s.err == nil {
			t.text = s.source[begin:s.at]
		}
	case t.kind == kindOpen || t.block != nil:
		if t.block == nil {
			t.block = &block{}
		}
		t.block.line = t.line
		t.text = s.open(t.block)
	case t.kind == kindValue:
		t.expr = s.call()
	}
}

func (s *scanner) unclosed(end string) {
	if s.err != nil {
		return
	}
	c, _ := utf8.DecodeRuneInString(s.source[s.at:])
	s.fail("%q is not expected here: the tag should end with %s", c, end)
}

// comment reads to the end of a comment.
func (s *scanner) comment(t *token) {
	t.kind = kindComment
	mark := "}}"
	if s.take("--") {
		mark = "--"
	}
	for rest := s.source[s.at:]; ; rest = s.source[s.at:] {
		i := strings.Index(rest, mark)
		if i < 0 {
			s.failAt(t.line, "a comment is not closed")
			return
		}
		s.at += i + len(mark)
		if mark == "}}" {
			t.right = i > 0 && rest[i-1] == '~'
			break
		}
		s.at-- // of three dashes the last two may end it
		if after := rest[i+2:]; strings.HasPrefix(after, "}}") || strings.HasPrefix(after, "~}}") {
			t.right = after[0] == '~'
			s.at += 1 + strings.Index(after, "}}") + 2
			break
		}
	}
	s.tokens = append(s.tokens, *t)
}

// take steps over a text if it comes next.
func (s *scanner) take(text string) bool {
	if !strings.HasPrefix(s.source[s.at:], text) {
		return false
	}
	s.at += len(text)
	return true
}

// ends tells whether the end of a tag comes next.
func (s *scanner) ends() bool {
	rest := strings.TrimPrefix(s.source[s.at:], "~")
	return strings.HasPrefix(rest, "}}")
}

// space steps over white space.
func (s *scanner) space() {
	for s.at < len(s.source) {
		c, size := utf8.DecodeRuneInString(s.source[s.at:])
		if !unicode.IsSpace(c) {
			break
		}
		s.at += size
	}
}

// word steps over a word if it comes next, alone.
func (s *scanner) word(w string) bool {
	if !strings.HasPrefix(s.source[s.at:], w) {
		return false
	}
	if rest := s.source[s.at+len(w):]; rest != "" {
		if c, _ := utf8.DecodeRuneInString(rest); !unicode.IsSpace(c) && !strings.ContainsRune("~}=)|", c) {
			return false
		}
	}
	s.at += len(w)
	return true
}

// nameLength returns how many bytes of a path's segment come next.
func (s *scanner) nameLength() int {
	rest := s.source[s.at:]
	for i, c := range rest {
		if unicode.IsSpace(c) || c < utf8.RuneSelf && strings.IndexByte("!\"#%&'()*+,./;<=>@[\\]^`{|}~", byte(c)) >= 0 {
			return i
		}
	}
	return len(rest)
}

// trim applies ~, and takes the lines of tags that stand alone.
func trim(tokens []token) {
	original := make([]string, len(tokens))
	for i := range tokens {
		if tokens[i].kind == kindText {
			original[i] = tokens[i].text
		}
	}
	last := len(tokens) - 2 // before the end
	for i := range tokens {
		t := &tokens[i]
		if t.kind == kindText || t.kind == kindEnd {
			continue
		}
		before, after := i > 0 && tokens[i-1].kind == kindText, i < last && tokens[i+1].kind == kindText
		if t.kind != kindValue && (i == 0 || before && lineBegins(original[i-1], i-1 == 0)) && (i == last || after && lineEnds(original[i+1], i+1 == last)) {
			if before {
				tokens[i-1].text = strings.TrimRight(tokens[i-1].text, " \t")
			}
			if after {
				tokens[i+1].text = withoutLine(tokens[i+1].text)
			}
		}
		if t.left && before {
			tokens[i-1].text = strings.TrimRightFunc(tokens[i-1].text, unicode.IsSpace)
		}
		if t.right && after {
			tokens[i+1].text = strings.TrimLeftFunc(tokens[i+1].text, unicode.IsSpace)
		}
	}
}

// lineBegins tells whether what follows a text stands at the beginning of a line, white space aside.
func lineBegins(text string, first bool) bool {
	rest := strings.TrimRightFunc(text, unicode.IsSpace)
	return rest == "" && first || strings.Contains(text[len(rest):], "\n")
}

// lineEnds tells whether what is before a text stands at the end of a line.
func lineEnds(text string, last bool) bool {
	rest := strings.TrimLeftFunc(text, unicode.IsSpace)
	return rest == "" && last || strings.Contains(text[:len(text)-len(rest)], "\n")
}

// withoutLine takes the rest of the line away at which a text begins.
func withoutLine(text string) string {
	rest := strings.TrimLeft(text, " \t")
	rest = strings.TrimPrefix(rest, "\r")
	return strings.TrimPrefix(rest, "\n")
}
