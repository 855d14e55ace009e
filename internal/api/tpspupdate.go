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
// cannot be changed is welcome as long as it is as it was, and what SendPost's body has in addition (metadata, memberId, oauthToken,
// retryTime) is ignored.
type tpspChanges struct {
	Name            *string `json:"name"`
	AmbiguousPolicy *string `json:"ambiguousPolicy"`
	AllowRaw        *bool   `json:"allowRaw"`
	Type            *int    `json:"type"`
	Key             *string `json:"key"`    // masked: it stays
	Secret          *string `json:"secret"` // masked: it stays
	Domain          *string `json:"domain"`
	Endpoint        *string `json:"endpoint"`
	Port            *int    `json:"port"`
	MessageStream   *string `json:"messageStream"`
	Active          *bool   `json:"active"`
	SuppressionSync *string `json:"suppressionSync"`
	limitsRequest
}

// layConnection lays the changes over the connection of a TPSP. hasPort tells that its address has a port beside the endpoint.
func (c *tpspChanges) layConnection(hasPort bool, conn *provider.Connection) error {
	was := *conn
	wholeKey, wholeSecret := layKey(&conn.Key, c.Key), layKey(&conn.Secret, c.Secret)
	for _, field := range []struct{ to, from *string }{{&conn.Domain, c.Domain}, {&conn.Stream, c.MessageStream}} {
		if field.from != nil {
			*field.to = strings.TrimSpace(*field.from)
		}
	}
	if c.Endpoint != nil {
		conn.Endpoint = strings.TrimRight(strings.TrimSpace(*c.Endpoint), "/")
	}
	if c.Port != nil {
		conn.Port = *c.Port
	}
	if conn.Endpoint == was.Endpoint && (conn.Port == was.Port || !hasPort) {
		return nil
	}
	// SendPost's clients give SendGrid's key as the secret: then the key that is kept goes nowhere, whatever the adapter makes of it.
	if was.Secret.IsZero() && !wholeKey && wholeSecret && !conn.Secret.IsZero() {
		conn.Key, wholeKey = secret.String{}, true
	}
	// Whoever may only see the masked key must not have the whole one sent to a server of theirs.
	for _, field := range []struct {
		name  string
		has   bool
		whole bool
	}{{"secret", !was.Secret.IsZero(), wholeSecret}, {"key", was.Secret.IsZero() && !was.Key.IsZero(), wholeKey}} {
		if field.has && !field.whole {
			return mail.Invalid("missing_"+field.name, field.name, "another address needs the whole %s, not the masked one", field.name)
		}
	}
	return nil
}

// layKey lays a key that a user gave over the one that is kept. A masked one, as answers show it, stays. It reports whether the key was
// given in full.
func layKey(key *secret.String, given *string) (whole bool) {
	if given == nil || *given == key.Mask() {
		return false
	}
	*key = secret.NewString(*given)
	return true
}

// lay lays the changes over a TPSP and its connection.
func (c *tpspChanges) lay(hasPort bool, t *directory.TPSP, conn *provider.Connection) (err error) {
	if c.Type != nil && *c.Type != int(t.Type) {
		return mail.Invalid("cannot_be_changed", "type", "type cannot be changed; add another provider instead")
	}
	if err := c.layConnection(hasPort, conn); err != nil {
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
	return nil
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
	t, err := s.Providers.Update(r.Context(), a.ID, id, func(t *directory.TPSP, conn *provider.Connection) error {
		return in.lay(s.Providers.HasField(t.Type, provider.FieldPort), t, conn)
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
