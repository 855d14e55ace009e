package quickjson

import (
	"maps"
	"slices"
	"unicode/utf8"
)

// Valid tells whether a text is surely valid JSON. When it is not sure, encoding/json knows.
func Valid(text []byte) bool {
	r := New(text)
	r.value()
	return r.Done()
}

// AppendRaw appends a JSON text without the space between its tokens. It is not ok when the text is not surely valid.
func AppendRaw(dst, text []byte) (_ []byte, ok bool) {
	r := New(text)
	r.value()
	switch {
	case !r.Done():
		return dst, false
	case !r.spaces:
		return append(dst, text...), true
	}
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			s := Reader{text: text, at: i}
			s.quoted()
			dst = append(dst, text[i:s.at]...)
			i = s.at
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, true
}

const hex = "0123456789abcdef"

// AppendString appends a JSON string, just as encoding/json does without EscapeHTML: what is not valid UTF-8 becomes U+FFFD, and
// U+2028 and U+2029 are escaped.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if special[c] {
				dst = append(append(dst, s[from:i]...), '\\')
				switch c {
				case '"', '\\':
					dst = append(dst, c)
				case '\b':
					dst = append(dst, 'b')
				case '\f':
					dst = append(dst, 'f')
				case '\n':
					dst = append(dst, 'n')
				case '\r':
					dst = append(dst, 'r')
				case '\t':
					dst = append(dst, 't')
				default:
					dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&15])
				}
				from = i + 1
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
			from = i + n
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[from:i]...), `\u202`...)
			dst = append(dst, hex[r&15])
			from = i + n
		}
		i += n
	}
	return append(append(dst, s[from:]...), '"')
}

// AppendKey appends a key with its colon, and the comma before it unless it is the first of an object. The key must need no escape.
func AppendKey(dst []byte, key string) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), key...)
	return append(dst, '"', ':')
}

// AppendField appends a key and a string.
func AppendField(dst []byte, key, value string) []byte {
	return AppendString(AppendKey(dst, key), value)
}

// AppendOptional is AppendField, and leaves out what is empty.
func AppendOptional(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	return AppendField(dst, key, value)
}

// AppendBool appends a key and true or false; nil is left out.
func AppendBool(dst []byte, key string, value *bool) []byte {
	switch {
	case value == nil:
		return dst
	case *value:
		return append(AppendKey(dst, key), "true"...)
	default:
		return append(AppendKey(dst, key), "false"...)
	}
}

// AppendStrings appends an object of strings, its keys sorted.
func AppendStrings(dst []byte, m map[string]string) []byte {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(append(AppendString(dst, key), ':'), m[key])
	}
	return append(dst, '}')
}

// AppendList appends a list, its items one by one.
func AppendList[T any](dst []byte, list []T, item func(dst []byte, one *T) []byte) []byte {
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item(dst, &list[i])
	}
	return append(dst, ']')
}
