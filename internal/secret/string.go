package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Redacted is what a [String] or [Key] shows of itself.
const Redacted = "[redacted]"

// String is a secret text: a provider's token, a password. Printing, logging and marshalling show [Redacted], or
// nothing when it is empty; only [String.Reveal] gives the text. The zero String is the empty text.
//
// The text is behind a pointer because fmt does not call the methods of a value in an unexported field: it prints the
// bare fields, here an address. (A pointer to an array or struct would not do: a verb that does not fit prints those.)
type String struct {
	_ [0]func() // not comparable with ==, which would compare addresses; use Equal
	v *string
}

// NewString returns the secret text s.
func NewString(s string) String { return String{v: &s} }

// Reveal returns the text itself. Call it where the secret goes onto the wire or into a [Box], and nowhere else.
func (s String) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether the text is empty.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal reports in constant time whether both texts are the same.
func (s String) Equal(other String) bool { return Equal(s.Reveal(), other.Reveal()) }

// Mask returns the text as [Mask] shows it.
func (s String) Mask() string { return Mask(s.Reveal()) }

// String returns [Redacted], or "" when the text is empty.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// GoString returns the redacted text as a Go string literal, for the verb %#v.
func (s String) GoString() string { return strconv.Quote(s.String()) }

// Format writes the redacted text for every verb, so that not even %x or %d shows more.
func (s String) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		writeState(f, s.GoString())
		return
	}
	writeState(f, s.String())
}

// LogValue implements [slog.LogValuer].
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler] with the redacted text.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements [json.Marshaler] with the redacted text.
func (s String) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalText takes text as the secret. It refuses [Redacted]: a redacted document that is read back must not
// replace a secret by that word.
func (s *String) UnmarshalText(text []byte) error {
	if string(text) == Redacted {
		return errors.New("the value is redacted, not a secret")
	}
	*s = NewString(string(text))
	return nil
}

// writeState writes text to f. An error of f is fmt's own to report: Format has no way to return it.
func writeState(f fmt.State, text string) { _, _ = io.WriteString(f, text) }

const (
	maskStars   = "****"
	maskShown   = 4 // characters shown at the end
	maskMinimum = 8 // characters from which on any are shown
)

// Mask returns s as answers show a stored credential: four stars and its last four characters. A secret of fewer than
// eight characters is four stars only. The mask does not tell the length. Mask("") is "".
func Mask(s string) string {
	if s == "" {
		return ""
	}
	runes := []rune(s)
	if len(runes) < maskMinimum {
		return maskStars
	}
	return maskStars + string(runes[len(runes)-maskShown:])
}

// IsMasked reports whether s has the form that [Mask] returns: in an update such a value means "unchanged".
func IsMasked(s string) bool {
	rest, ok := strings.CutPrefix(s, maskStars)
	if !ok {
		return false
	}
	n := utf8.RuneCountInString(rest)
	return n == 0 || n == maskShown
}
