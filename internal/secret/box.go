package secret

import (
	"crypto/aes"
	"crypto/cipher"
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
	return &Box{aead: aead}
}

// Seal encrypts plaintext for one purpose, such as "tpsp.key" (table and column). The same purpose must be given to
// [Box.Open]. Two calls with the same arguments give different results.
func (b *Box) Seal(purpose string, plaintext []byte) []byte {
	sealed := make([]byte, 1, overhead+len(plaintext))
	sealed[0] = version1
	return b.aead.Seal(sealed, nil, plaintext, authenticated(version1, purpose))
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
