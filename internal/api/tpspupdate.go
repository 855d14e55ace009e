package api

import (
	"net/http"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
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
	Secret          *string `json:"secret"`
	Domain          *string `json:"domain"`
	Endpoint        *string `json:"endpoint"`
	Port            *int    `json:"port"`
	MessageStream   *string `json:"messageStream"`
	Active          *bool   `json:"active"`
	SuppressionSync *string `json:"suppressionSync"`
	limitsRequest
}

// refuseOthers refuses to change what cannot be changed. conn has the TPSP's own key and secret.
func (c *tpspChanges) refuseOthers(t *directory.TPSP, conn *provider.Connection) error {
	differs := func(given *string, has string) bool { return given != nil && strings.TrimSpace(*given) != has }
	another := func(given *string, has secret.String) bool {
		return given != nil && *given != has.Mask() && !secret.Equal(*given, has.Reveal())
	}
	for _, field := range []struct {
		name    string
		changed bool
	}{
		{"type", c.Type != nil && *c.Type != int(t.Type)},
		{"key", another(c.Key, conn.Key)},
		{"secret", another(c.Secret, conn.Secret)},
		{"domain", differs(c.Domain, t.Domain)},
		{"endpoint", c.Endpoint != nil && strings.TrimRight(strings.TrimSpace(*c.Endpoint), "/") != t.Endpoint},
		{"port", c.Port != nil && *c.Port != t.Port},
		{"messageStream", differs(c.MessageStream, t.Stream)},
	} {
		if field.changed {
			return mail.Invalid("cannot_be_changed", field.name, "%s cannot be changed yet; add another provider instead", field.name)
		}
	}
	return nil
}

// lay lays the changes over a TPSP. conn is its own.
func (c *tpspChanges) lay(t *directory.TPSP, conn *provider.Connection) (err error) {
	if err := c.refuseOthers(t, conn); err != nil {
		return err
	}
	if c.AmbiguousPolicy != nil {
		if t.Policy, err = parsePolicy(*c.AmbiguousPolicy); err != nil {
			return err
		}
	}
	if err := c.apply(&t.Limits); err != nil {
		return err
	}
	if c.SuppressionSync != nil {
		if t.SuppressionSync, err = parseSync(*c.SuppressionSync); err != nil {
			return err
		}
	}
	if c.AllowRaw != nil {
		t.AllowRaw = *c.AllowRaw
	}
	if c.Active != nil {
		t.Paused = !*c.Active
	}
	if c.Name != nil {
		t.Name = *c.Name
	}
	return checkRaw(t.AllowRaw, t.Type)
}

func (s *server) updateTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Providers.TPSP(a.ID, id); err != nil {
		return err // before the body is judged
	}
	var in tpspChanges
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	t, err := s.Providers.Update(r.Context(), a.ID, id, func(t *directory.TPSP) error {
		conn, err := s.Providers.Connection(t)
		if err != nil {
			return err
		}
		return in.lay(t, &conn)
	})
	if err != nil {
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
