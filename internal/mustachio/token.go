package mustachio

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Error is one mistake in a template. Line and Column count from 1, columns in UTF-16 units as the engine's platform does.
type Error struct {
	Line, Column int
	Message      string
}

func (e Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Errors are all the mistakes of one template, in the order of the text. It is never empty when returned as an error.
type Errors []Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}

type tokenKind uint8

const (
	tokenText tokenKind = iota
	tokenEscaped
	tokenRaw
	tokenOpen
	tokenInverted
	tokenClose
	tokenEach
	tokenEachClose
	tokenIf     // the rest only with Handlebars
	tokenUnless // also what follows {{else}}
	tokenIndex
)

type token struct {
	kind tokenKind
	text string // the literal text, or the path
	at   int    // byte offset
}

// tag finds {{...}} and {{{...}}}; everything else is text.
var tag = regexp.MustCompile(`\{\{[^{}]+?\}\}|\{\{\{[^{}]+?\}\}\}`)

// badPath matches what no path may hold: three dots, a foreign character, a slash not after "..", ".." not before a slash.
// RE2 has no look-behind, so slashes are checked apart, in validPath. Letters, digits and underscores are those of .NET's \w.
var badPath = regexp.MustCompile(`\.{3,}|[^\pL\p{Mn}\p{Nd}\p{Pc}./]|\.{2,}(?:$|[^/])`)

// validPath tells whether a path can be followed. The empty one can: it is the scope itself.
func validPath(path string) bool {
	if badPath.MatchString(path) {
		return false
	}
	for i := range len(path) {
		if path[i] == '/' && !strings.HasSuffix(path[:i], "..") {
			return false
		}
	}
	return true
}

type scope struct {
	path   string
	each   bool
	helper string // "if" or "unless"
	at     int
}

// scanner turns the source into tokens and keeps going after an error, so that all of them can be reported at once.
type scanner struct {
	source     string
	handlebars bool
	tokens     []token
	open       []scope
	errs       Errors
}

func scan(source string, handlebars bool) ([]token, Errors) {
	s := &scanner{source: source, handlebars: handlebars}
	last := 0
	for _, at := range tag.FindAllStringIndex(source, -1) {
		if at[0] > last {
			s.emit(tokenText, source[last:at[0]], last)
		}
		s.tag(source[at[0]:at[1]], at[0])
		last = at[1]
		if len(s.errs) >= maxErrors {
			return nil, s.errs
		}
	}
	if last < len(source) {
		s.emit(tokenText, source[last:], last)
	}
	for _, open := range s.open {
		s.fail(open.at, "A scope block to the following path was opened but not closed: '"+open.path+
			"', please close it using the appropriate syntax.")
	}
	return s.tokens, s.errs
}

func (s *scanner) tag(text string, at int) {
	inner := strings.TrimSpace(strings.TrimRight(strings.TrimLeft(text, "{"), "}"))
	triple := strings.HasPrefix(text, "{{{")
	switch {
	case s.handlebars && !triple && s.helper(inner, at):
	case triple || strings.HasPrefix(text, "{{&"):
		s.path(tokenRaw, strings.TrimSpace(strings.TrimLeft(inner, "&")), at)
	case strings.HasPrefix(text, "{{#each"):
		s.each(strings.TrimPrefix(inner, "#each"), at)
	case strings.HasPrefix(text, "{{/each"):
		s.eachClose(text, at)
	case strings.HasPrefix(text, "{{#"):
		s.block(tokenOpen, strings.TrimSpace(strings.TrimLeft(inner, "#")), at)
	case strings.HasPrefix(text, "{{^"):
		s.block(tokenInverted, strings.TrimSpace(strings.TrimLeft(inner, "^")), at)
	case strings.HasPrefix(text, "{{/"):
		s.blockClose(strings.TrimSpace(strings.TrimLeft(inner, "/")), at)
	case strings.HasPrefix(text, "{{!"):
	default:
		s.path(tokenEscaped, inner, at)
	}
}

// helper takes what is Handlebars', not the engine's. It is false for everything else.
func (s *scanner) helper(inner string, at int) bool {
	for name, kind := range map[string]tokenKind{"if": tokenIf, "unless": tokenUnless} {
		if path, ok := strings.CutPrefix(inner, "#"+name+" "); ok {
			path = strings.TrimSuffix(strings.TrimSpace(path), ".length") // a list exists when it has a length
			s.push(scope{path: path, helper: name, at: at})
			s.path(kind, path, at)
			return true
		}
		if inner == "/"+name {
			if len(s.open) == 0 || s.open[len(s.open)-1].helper != name {
				s.fail(at, "It appears that open and closing elements are mismatched.")
				return true
			}
			s.pop()
			s.emit(tokenClose, "", at)
			return true
		}
	}
	switch inner {
	case "else":
		s.otherwise(at)
		return true
	case "@index":
		s.emit(tokenIndex, "", at)
		return true
	}
	return false
}

// otherwise closes the block that is open and opens its opposite.
func (s *scanner) otherwise(at int) {
	if len(s.open) == 0 || s.open[len(s.open)-1].helper == "" {
		s.fail(at, "It appears that open and closing elements are mismatched.")
		return
	}
	kind := tokenUnless
	top := s.open[len(s.open)-1]
	if top.helper == "unless" {
		kind = tokenIf
	}
	s.emit(tokenClose, "", at)
	s.path(kind, top.path, at)
}

func (s *scanner) path(kind tokenKind, path string, at int) {
	if s.handlebars {
		if path = strings.TrimPrefix(path, "this."); path == "this" {
			path = "."
		}
	}
	if !validPath(path) {
		s.fail(at, "The path '"+path+"' is not valid. Please see documentation for examples of valid paths.")
	}
	s.emit(kind, path, at)
}

func (s *scanner) each(rest string, at int) {
	path := strings.TrimSpace(rest)
	s.push(scope{path: cmp.Or(path, "each"), each: true, at: at}) // also without a path: its end is then no further mistake
	if path == "" || !strings.HasPrefix(rest, " ") {
		s.fail(at, "The 'each' block being opened requires a model path to be specified in the form '{{#each <name>}}'.")
		return
	}
	s.path(tokenEach, path, at)
}

func (s *scanner) eachClose(text string, at int) {
	if text != "{{/each}}" {
		s.fail(at, "The syntax to close the 'each' block should be: '{{/each}}'.")
		return
	}
	if len(s.open) == 0 || !s.open[len(s.open)-1].each {
		s.fail(at, "An 'each' block is being closed, but no corresponding opening element ('{{#each <name>}}') was detected.")
		return
	}
	s.pop()
	s.emit(tokenEachClose, "", at)
}

// block opens a section. One on the path that is open right now closes that one first.
func (s *scanner) block(kind tokenKind, path string, at int) {
	if s.isOpen(path) {
		s.emit(tokenClose, path, at)
	} else {
		s.push(scope{path: path, at: at})
	}
	s.path(kind, path, at)
}

func (s *scanner) blockClose(path string, at int) {
	if !s.isOpen(path) {
		s.fail(at, "It appears that open and closing elements are mismatched.")
		return
	}
	s.pop()
	s.emit(tokenClose, path, at)
}

func (s *scanner) isOpen(path string) bool {
	if len(s.open) == 0 {
		return false
	}
	top := s.open[len(s.open)-1]
	return !top.each && top.helper == "" && top.path == path
}

func (s *scanner) push(open scope) {
	if len(s.open) == maxNesting {
		s.fail(open.at, fmt.Sprintf("Blocks may be nested at most %d levels deep.", maxNesting))
	}
	s.open = append(s.open, open)
}

func (s *scanner) pop() { s.open = s.open[:len(s.open)-1] }

func (s *scanner) emit(kind tokenKind, text string, at int) {
	s.tokens = append(s.tokens, token{kind: kind, text: text, at: at})
}

func (s *scanner) fail(at int, message string) {
	before := s.source[:at]
	line := strings.Count(before, "\n") + 1
	column := 1
	for _, c := range before[strings.LastIndexByte(before, '\n')+1:] {
		column += utf16.RuneLen(c)
	}
	s.errs = append(s.errs, Error{Line: line, Column: column, Message: message})
}
