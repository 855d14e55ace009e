package api

import (
	"errors"
	"testing"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// A key that is kept is never sent to another address; one that is given whole is, in whichever of the two fields.
func TestLayConnection(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	oneKey := provider.Connection{Endpoint: "https://old.example", Key: secret.NewString("SG.kept-key-0000")}
	pair := oneKey
	pair.Secret = secret.NewString("kept-secret-0000")
	for name, test := range map[string]struct {
		was         provider.Connection
		change      tpspChanges
		field       string // of the refusal
		key, secret string
	}{
		"same address":              {oneKey, tpspChanges{Secret: text("SG.new")}, "", "SG.kept-key-0000", "SG.new"},
		"another address":           {oneKey, tpspChanges{Endpoint: text("https://new.example")}, "key", "", ""},
		"masked key":                {oneKey, tpspChanges{Endpoint: text("https://new.example"), Key: text(oneKey.Key.Mask())}, "key", "", ""},
		"whole key":                 {oneKey, tpspChanges{Endpoint: text("https://new.example"), Key: text("SG.new")}, "", "SG.new", ""},
		"key as the secret":         {oneKey, tpspChanges{Endpoint: text("https://new.example"), Secret: text("SG.new")}, "", "", "SG.new"},
		"anything as the secret":    {oneKey, tpspChanges{Endpoint: text("https://new.example"), Secret: text("x")}, "", "", "x"},
		"no secret":                 {oneKey, tpspChanges{Endpoint: text("https://new.example"), Secret: text("")}, "key", "", ""},
		"a pair":                    {pair, tpspChanges{Endpoint: text("https://new.example"), Key: text("AKIA")}, "secret", "", ""},
		"a pair, with the secret":   {pair, tpspChanges{Endpoint: text("https://new.example"), Secret: text("new")}, "", "SG.kept-key-0000", "new"},
		"a pair, the secret masked": {pair, tpspChanges{Endpoint: text("https://new.example"), Secret: text(pair.Secret.Mask())}, "secret", "", ""},
	} {
		conn := test.was
		bad := test.change.layConnection(false, &conn)
		if test.field != "" {
			if refused, ok := errors.AsType[*mail.FieldError](bad); !ok || refused.Field != test.field {
				t.Errorf("%s: %v", name, bad)
			}
			continue
		}
		if bad != nil || conn.Key.Reveal() != test.key || conn.Secret.Reveal() != test.secret {
			t.Errorf("%s: %v; key %q, secret %q", name, bad, conn.Key.Reveal(), conn.Secret.Reveal())
		}
	}
}
