// Package quickjson reads and writes JSON where every message passes and encoding/json would cost more than all the rest.
//
// A Reader takes the plain case only. It gives up on whatever is unusual (an unknown or repeated key, odd Unicode, deep nesting, any
// error), and its caller then asks encoding/json, which decides. So it never takes what encoding/json refuses, nor reads it in another
// way; fuzz tests compare both.
package quickjson

import (
	"bytes"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may nest.
const maxDepth = 32

// Reader reads one JSON value from its beginning to its end. After it has failed it reads zero values.
type Reader struct {
	text   []byte
	at     int
	depth  int
	spaces bool // there is space between tokens
	failed bool
}

// New returns a Reader of a text, which must not change meanwhile.
func New(text []byte) *Reader { return &Reader{text: text} }

// Done tells whether the value was read to its end, with nothing behind it.
func (r *Reader) Done() bool { return r.next() == 0 && r.at == len(r.text) && !r.failed }

// Object reads an object that has no keys but names (64 at most), and each once at most. field reads the value of names[i].
func (r *Reader) Object(names []string, field func(i int)) {
	var seen uint64
	guess := 0 // keys often come in the order of their names
	r.members(func() {
		key, plain := r.quoted()
		i := guess
		if i >= len(names) || string(key) != names[i] {
			i = slices.Index(names, string(key))
		}
		if i < 0 || !plain || seen&(1<<i) != 0 {
			r.fail()
			return
		}
		seen |= 1 << i
		guess = i + 1
		r.take(':')
		field(i)
	})
}

// Members reads an object with any keys. The values share the Reader's text.
func (r *Reader) Members(member func(key string, value []byte)) {
	r.members(func() {
		key := r.decoded()
		r.take(':')
		if value := r.Raw(); !r.failed {
			member(key, value)
		}
	})
}

// Strings reads an object of strings into a map. Null leaves it as it is.
func (r *Reader) Strings(dst *map[string]string) {
	if r.Null() {
		return
	}
	m := map[string]string{}
	r.members(func() {
		key := r.decoded()
		r.take(':')
		m[key] = r.decoded()
	})
	*dst = m
}

// List reads a list into a slice by reading its elements one by one. Null leaves it as it is.
func List[T any](r *Reader, dst *[]T, item func(*T)) {
	if r.Null() {
		return
	}
	list := []T{}
	r.nested('[', ']', func() {
		var one T
		item(&one)
		list = append(list, one)
	})
	*dst = list
}

// String reads a string. Null leaves it as it is.
func (r *Reader) String(dst *string) {
	if !r.Null() {
		*dst = r.decoded()
	}
}

// Bool reads true or false. Null leaves it as it is.
func (r *Reader) Bool(dst **bool) {
	var value bool
	switch r.next() {
	case 'n':
		r.word("null")
		return
	case 't':
		r.word("true")
		value = true
	default:
		r.word("false")
	}
	*dst = &value
}

// Null reads null, if that is what comes.
func (r *Reader) Null() bool {
	if r.next() != 'n' {
		return false
	}
	r.word("null")
	return true
}

// Raw reads any value and returns its text, which shares memory with the Reader's.
func (r *Reader) Raw() []byte {
	r.next()
	from := r.at
	r.value()
	if r.failed {
		return nil
	}
	return r.text[from:r.at:r.at]
}

func (r *Reader) fail() { r.failed, r.at = true, len(r.text) }

// next skips space and returns the byte there, 0 at the end.
func (r *Reader) next() byte {
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.spaces = true
		default:
			return c
		}
	}
	return 0
}

// take reads one byte that has to come.
func (r *Reader) take(c byte) {
	if r.next() != c {
		r.fail()
		return
	}
	r.at++
}

func (r *Reader) word(w string) {
	if len(r.text)-r.at < len(w) || string(r.text[r.at:r.at+len(w)]) != w {
		r.fail()
		return
	}
	r.at += len(w)
}

func (r *Reader) members(member func()) {
	r.nested('{', '}', func() {
		if r.next() != '"' {
			r.fail()
			return
		}
		member()
	})
}

// nested reads what stands between two brackets, separated by commas.
func (r *Reader) nested(open, end byte, item func()) {
	r.take(open)
	if r.depth++; r.depth > maxDepth {
		r.fail()
	}
	for first := true; !r.failed; first = false {
		c := r.next()
		if c == end {
			r.at++
			break
		}
		if !first {
			r.take(',')
			if r.next() == end {
				r.fail()
			}
		}
		if !r.failed {
			item()
		}
	}
	r.depth--
}

// value skips any value.
func (r *Reader) value() {
	switch c := r.next(); c {
	case '{', '[':
		r.skip(c)
	case '"':
		r.quoted()
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.number()
	}
}

// skip is nested for what is not to be read.
func (r *Reader) skip(open byte) {
	if r.depth++; r.depth > maxDepth {
		r.fail()
		return
	}
	r.at++
	if c := r.next(); c == open+2 { // the closing brackets stand two behind the opening ones
		r.at++
		r.depth--
		return
	}
	for !r.failed {
		if open == '{' {
			if r.next() != '"' {
				r.fail()
				return
			}
			r.quoted()
			r.take(':')
		}
		r.value()
		switch r.next() {
		case ',':
			r.at++
		case open + 2:
			r.at++
			r.depth--
			return
		default:
			r.fail()
		}
	}
}

// number skips a number (RFC 8259 section 6).
func (r *Reader) number() {
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else {
		r.digits()
	}
	if r.peek() == '.' {
		r.at++
		r.digits()
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		r.digits()
	}
}

// peek returns the byte here, 0 at the end.
func (r *Reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *Reader) digits() {
	from := r.at
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.at++
	}
	if r.at == from {
		r.fail()
	}
}

// quoted reads a string that begins here, and returns what stands between the quotes. plain tells that nothing in it is escaped.
func (r *Reader) quoted() (inner []byte, plain bool) {
	from, at := r.at+1, r.at+1
	for plain = true; at < len(r.text); at++ {
		switch c := r.text[at]; {
		case !special[c]:
		case c == '"':
			r.at = at + 1
			return r.text[from:at], plain
		case c == '\\':
			plain = false
			n := escapeLength(r.text[at:])
			if n == 0 {
				r.fail()
				return nil, false
			}
			at += n - 1
		default: // a control character
			r.fail()
			return nil, false
		}
	}
	r.fail()
	return nil, false
}

// special are the bytes that do not stand for themselves in a string.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// escapeLength returns how many bytes the escape has with which a text begins, 0 when it is none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if unicodeOf(text) >= 0 {
			return 6
		}
	}
	return 0
}

// unicodeOf returns the UTF-16 unit of an escape like \u00e9, or -1.
func unicodeOf(text []byte) (unit rune) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		unit = unit<<4 | rune(c)
	}
	return unit
}

// decoded reads a string and decodes it.
func (r *Reader) decoded() string {
	if r.next() != '"' {
		r.fail()
		return ""
	}
	inner, plain := r.quoted()
	if !utf8.Valid(inner) { // encoding/json repairs it
		r.fail()
		return ""
	}
	if plain {
		return string(inner)
	}
	return r.unescaped(inner)
}

// unescaped decodes what was found to have valid escapes.
func (r *Reader) unescaped(inner []byte) string {
	out := make([]byte, 0, len(inner))
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return string(append(out, inner...))
		}
		out = append(out, inner[:i]...)
		inner = inner[i:]
		if c := inner[1]; c != 'u' {
			out = append(out, escapes[c])
			inner = inner[2:]
			continue
		}
		c := unicodeOf(inner)
		inner = inner[6:]
		if utf16.IsSurrogate(c) {
			if c = utf16.DecodeRune(c, unicodeOf(inner)); c == utf8.RuneError { // half of a pair, which encoding/json repairs
				r.fail()
				return ""
			}
			inner = inner[6:]
		}
		out = utf8.AppendRune(out, c)
	}
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
