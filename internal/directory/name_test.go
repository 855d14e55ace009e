package directory

import (
	"errors"
	"strings"
	"testing"

	"postyard/internal/mail"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"a":                         "",
		" a b ":                     "",
		strings.Repeat("é", 255):    "",
		strings.Repeat("é", 256):    "name_too_long",
		"":                          "missing_name",
		" \t\n":                     "missing_name",
		"a\nb":                      "invalid_name",
		"a\u0085b":                  "invalid_name",
		"a\xffb":                    "invalid_name",
		"<script>alert(1)</script>": "",
	} {
		got, err := ParseName(name)
		bad, _ := errors.AsType[*mail.FieldError](err)
		switch {
		case code == "" && (err != nil || got != strings.TrimSpace(name)):
			t.Errorf("%q: %q, %v", name, got, err)
		case code != "" && (bad == nil || bad.Code != code || bad.Field != "name"):
			t.Errorf("%q: %v", name, err)
		}
	}
}
