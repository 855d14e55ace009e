package tpsp

import (
	"fmt"
	"strconv"
	"sync"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// What a sealed value was sealed for.
const (
	keyPurpose      = "tpsp.key"
	secretPurpose   = "tpsp.secret"
	passwordPurpose = "tpsp.webhook_password"
)

// Connection returns how to reach the TPSP's account at its provider. Its errors wrap [secret.ErrOpen].
func (s *Service) Connection(t *directory.TPSP) (provider.Connection, error) {
	key, err := s.keys.open(t.SealedKey)
	if err != nil {
		return provider.Connection{}, fmt.Errorf("TPSP %d: %w", t.ID, err)
	}
	conn := provider.Connection{
		AccountID: t.AccountID, TPSPID: t.ID, Domain: t.Domain, Endpoint: t.Endpoint, Port: t.Port, Key: key, Stream: t.Stream,
	}
	if len(t.Secret) > 0 {
		if conn.Secret, err = s.secrets.open(t.Secret); err != nil {
			return provider.Connection{}, fmt.Errorf("TPSP %d: %w", t.ID, err)
		}
	}
	return conn, nil
}

// Credentials returns what the provider has to show when it calls the TPSP's webhook. Its errors wrap [secret.ErrOpen].
func (s *Service) Credentials(t *directory.TPSP) (provider.Credentials, error) {
	password, err := s.passwords.open(t.Webhook.SealedPassword)
	if err != nil {
		return provider.Credentials{}, fmt.Errorf("TPSP %d: %w", t.ID, err)
	}
	return provider.Credentials{Username: t.Webhook.Username, Password: password}, nil
}

// Hook returns the TPSP's webhook as it has to stand at the provider. Its errors wrap [secret.ErrOpen].
func (s *Service) Hook(t *directory.TPSP) (provider.Hook, error) {
	credentials, err := s.Credentials(t)
	if err != nil {
		return provider.Hook{}, err
	}
	return provider.Hook{URL: s.HookURL(t), Credentials: credentials, Ref: t.Webhook.Ref}, nil
}

// HookURL returns where the provider reports the TPSP's events (PM-5).
func (s *Service) HookURL(t *directory.TPSP) string {
	return s.PublicURL + "/tpsp/" + s.Adapters.Name(t.Type) + "/account/" + strconv.Itoa(int(t.AccountID))
}

// vault opens values that were sealed for one purpose and remembers what was in them, so that a send or a webhook costs no
// decryption. It holds one entry for each value ever opened.
type vault struct {
	box     *secret.Box
	purpose string
	mu      sync.RWMutex
	opened  map[string]secret.String // by sealed bytes, which a random nonce makes unique
}

func newVault(box *secret.Box, purpose string) *vault {
	return &vault{box: box, purpose: purpose, opened: make(map[string]secret.String)}
}

func (v *vault) open(sealed []byte) (secret.String, error) {
	v.mu.RLock()
	value, ok := v.opened[string(sealed)]
	v.mu.RUnlock()
	if ok {
		return value, nil
	}
	plain, err := v.box.Open(v.purpose, sealed)
	if err != nil {
		return secret.String{}, err
	}
	value = secret.NewString(string(plain))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.opened[string(sealed)] = value
	return value, nil
}
