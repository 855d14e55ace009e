package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// version1 is the first byte of every value that [Box.Seal] writes.
const version1 = 1

// overhead is the length of a sealed value beyond its plaintext: version, nonce and tag.
const overhead = 1 + 12 + 16

// ErrOpen is the error of a sealed value that does not open: another key, another purpose, or damage. Which of them
// it was cannot be told apart.
var ErrOpen = errors.New("sealed value does not open: wrong key, wrong purpose or damaged")

// Box encrypts values for storage. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
	key  Key
}

// NewBox returns a Box that works with key. It panics on the zero Key: to encrypt with a key that anyone can guess would
// look like protection and be none.
func NewBox(key Key) *Box {
	if key.IsZero() {
		panic("secret: NewBox with the zero Key")
	}
	block, err := aes.NewCipher([]byte(key.raw.Reveal()))
	if err != nil {
		panic("secret: " + err.Error()) // not reached: the only error is a wrong key length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: " + err.Error()) // not reached: the only error is a wrong block length
	}
	return &Box{aead: aead, key: key}
}

// Seal encrypts plaintext for one purpose, such as "tpsp.key" (table and column). The same purpose must be given to
// [Box.Open]. Two calls with the same arguments give different results.
func (b *Box) Seal(purpose string, plaintext []byte) []byte {
	sealed := make([]byte, 1, overhead+len(plaintext))
	sealed[0] = version1
	return b.aead.Seal(sealed, nil, plaintext, authenticated(version1, purpose))
}

// Derive returns a key of 32 bytes for one purpose, such as "track.token": the same for every Box with the same key. It tells nothing
// of that key, nor of those for other purposes (HKDF-SHA256, RFC 5869).
func (b *Box) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, []byte(b.key.raw.Reveal()), nil, "postyard "+purpose, keySize)
	if err != nil {
		panic("secret: " + err.Error()) // not reached: the only errors are a key that is too long, and one that FIPS mode finds too short
	}
	return derived
}

// Open decrypts what [Box.Seal] returned for the same purpose. Its errors wrap [ErrOpen].
func (b *Box) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead {
		return nil, fmt.Errorf("open %s: %d bytes are too short: %w", purpose, len(sealed), ErrOpen)
	}
	if sealed[0] != version1 {
		return nil, fmt.Errorf("open %s: unknown format version %d: %w", purpose, sealed[0], ErrOpen)
	}
	plaintext, err := b.aead.Open(nil, nil, sealed[1:], authenticated(version1, purpose))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrOpen)
	}
	return plaintext, nil
}

// authenticated returns the additional data of a sealed value. The version has a fixed length, so no two pairs of
// version and purpose give the same bytes.
func authenticated(version byte, purpose string) []byte {
	return append([]byte{version}, purpose...)
}
