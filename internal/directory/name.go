package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"postyard/internal/mail"
)

// MaxName is the most characters that the name of a sub-account or a TPSP has.
const MaxName = 255

// ParseName returns a name without the space around it, or a *mail.FieldError: 1 to MaxName characters, none of them a
// control character.
func ParseName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", mail.Invalid("missing_name", "name", "a name is required")
	case utf8.RuneCountInString(name) > MaxName:
		return "", mail.Invalid("name_too_long", "name", "a name has at most %d characters", MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", mail.Invalid("invalid_name", "name", "a name must not contain control characters")
	}
	return name, nil
}
