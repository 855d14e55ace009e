package domain

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
)

const (
	selector   = "sp-dkim"
	purpose    = "domain.dkim_key"
	keyBits    = 2048 // what receivers ask for at least, and fits into DNS
	keysAtOnce = 2    // that are made: each takes a processor for a while
	mostHeld   = 4096 // keys in memory, some 4 KB each
)

// makeKey makes a key for a domain, notes the public part in it and returns the private one, sealed.
func (s *Service) makeKey(ctx context.Context, d *directory.Domain) ([]byte, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, err := rsa.GenerateKey(rand.Reader, s.bits)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	d.Selector, d.PublicKey = selector, base64.StdEncoding.EncodeToString(public)
	return s.Box.Seal(purpose, private), nil
}

// signer is a key in memory.
type signer struct {
	public string // tells whether it is still the domain's
	sign   provider.Sign
}

// Signer returns what signs mail of a sub-account that comes from a domain; nil when none of the account's domains does.
func (s *Service) Signer(ctx context.Context, accountID, subAccountID int32, from string) (provider.Sign, error) {
	d := s.Directory.Current().Signing(accountID, subAccountID, from)
	if d == nil {
		return nil, nil
	}
	s.mu.Lock()
	known, ok := s.signers[d.ID]
	s.mu.Unlock()
	if ok && known.public == d.PublicKey {
		return known.sign, nil
	}
	sign, err := s.readKey(ctx, d)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // it was deleted just now
	}
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", d.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.signers) >= mostHeld {
		for id := range s.signers { // any: what is in use comes back with its next message
			delete(s.signers, id)
			break
		}
	}
	s.signers[d.ID] = signer{d.PublicKey, sign}
	return sign, nil
}

func (s *Service) readKey(ctx context.Context, d *directory.Domain) (provider.Sign, error) {
	sealed, err := s.Store.DomainKey(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	private, err := s.Box.Open(purpose, sealed)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T signs nothing", parsed)
	}
	return signWith(d.Name, d.Selector, key), nil
}

// signWith signs as a domain, with the header and the body in their relaxed forms.
func signWith(name, selector string, key crypto.Signer) provider.Sign {
	return func(message []byte) ([]byte, error) {
		signing, err := dkim.NewSigner(&dkim.SignOptions{Domain: name, Selector: selector, Signer: key, Hash: crypto.SHA256,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed, HeaderKeys: signedFields(message)})
		if err != nil {
			return nil, err
		}
		_, err = signing.Write(message)
		if failed := signing.Close(); err == nil {
			err = failed
		}
		if err != nil {
			return nil, err
		}
		return []byte(signing.Signature()), nil
	}
}

// signed are the fields that a signature covers where a message has them (RFC 6376 section 5.4.1; those of lists by RFC 8058 section 4).
// Of some it also says that there are no more, so that nobody adds one that a reader would see instead.
var signed = []struct {
	name string
	only bool
}{
	{"From", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true}, {"Message-ID", true}, {"Reply-To", true},
	{"In-Reply-To", false}, {"References", false}, {"MIME-Version", false}, {"Content-Type", true}, {"Content-Transfer-Encoding", false},
	{"List-Id", false}, {"List-Unsubscribe", false}, {"List-Unsubscribe-Post", false}, {"Feedback-ID", false},
}

// signedFields lists the fields of a message's header that are signed, each as often as it is there, and once more where it is the only one.
func signedFields(message []byte) (list []string) {
	there := map[string]int{}
	for line := range bytes.Lines(message) {
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && line[0] != ' ' && line[0] != '\t' {
			there[strings.ToLower(string(bytes.TrimSpace(name)))]++
		}
	}
	for _, field := range signed {
		n := there[strings.ToLower(field.name)]
		if field.only {
			n++
		}
		for range n {
			list = append(list, field.name)
		}
	}
	return list
}
