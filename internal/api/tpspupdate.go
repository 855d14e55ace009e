package api

import (
	"net/http"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/secret"
)

// tpspChanges is the body that changes a TPSP. What is absent stays. Clients may send back all that they have read, so what
// cannot be changed is welcome as long as it is as it was.
type tpspChanges struct {
	Name            *string `json:"name"`
	AmbiguousPolicy *string `json:"ambiguousPolicy"`
	AllowRaw        *bool   `json:"allowRaw"`
	Type            *int    `json:"type"`
	Key             *string `json:"key"`
	Endpoint        *string `json:"endpoint"`
	MessageStream   *string `json:"messageStream"`
	Active          *bool   `json:"active"`
	limitsRequest
}

// refuseOthers refuses to change what cannot be changed. key is the TPSP's own.
func (c *tpspChanges) refuseOthers(t *directory.TPSP, key secret.String) error {
	for _, field := range []struct {
		name    string
		changed bool
	}{
		{"type", c.Type != nil && *c.Type != int(t.Type)},
		{"key", c.Key != nil && *c.Key != key.Mask() && !secret.Equal(*c.Key, key.Reveal())},
		{"endpoint", c.Endpoint != nil && strings.TrimRight(strings.TrimSpace(*c.Endpoint), "/") != t.Endpoint},
		{"messageStream", c.MessageStream != nil && strings.TrimSpace(*c.MessageStream) != t.Stream},
	} {
		if field.changed {
			return mail.Invalid("cannot_be_changed", field.name, "%s cannot be changed yet; add another provider instead", field.name)
		}
	}
	return nil
}

func (s *server) updateTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	t, err := s.Providers.TPSP(a.ID, id)
	if err != nil {
		return err
	}
	var in tpspChanges
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	conn, err := s.Providers.Connection(t)
	if err != nil {
		return err
	}
	if err := in.refuseOthers(t, conn.Key); err != nil {
		return err
	}
	policy := t.Policy
	if in.AmbiguousPolicy != nil {
		if policy, err = parsePolicy(*in.AmbiguousPolicy); err != nil {
			return err
		}
	}
	limits := t.Limits.Clone()
	if err := in.apply(&limits); err != nil {
		return err
	}
	raw := t.AllowRaw
	if in.AllowRaw != nil {
		raw = *in.AllowRaw
	}
	if err := checkRaw(raw, t.Type); err != nil {
		return err
	}
	if t, err = s.Providers.Update(r.Context(), a.ID, id, func(t *directory.TPSP) {
		t.Policy, t.Limits, t.AllowRaw = policy, limits, raw
		if in.Active != nil {
			t.Paused = !*in.Active
		}
		if in.Name != nil {
			t.Name = *in.Name
		}
	}); err != nil {
		return err
	}
	s.Changed()
	answer, err := s.tpspAnswer(t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// parsePolicy reads what is to become of a message when its provider cannot say whether it has it.
func parsePolicy(name string) (directory.Policy, error) {
	policy, known := directory.PolicyNamed(name)
	if !known {
		return 0, mail.Invalid("unknown_policy", "ambiguousPolicy", "ambiguousPolicy is %q or %q", directory.AtLeastOnce, directory.AtMostOnce)
	}
	return policy, nil
}
