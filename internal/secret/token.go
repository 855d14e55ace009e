package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
)

// alphabet is what SendPost's API keys are made of.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

const (
	apiKeyLength   = 20 // as SendPost's keys; 119 bits
	passwordLength = 32 // 190 bits
)

// APIKey returns a random API key: 20 characters of A-Z, a-z and 0-9.
func APIKey() string { return token(apiKeyLength, fillRandom) }

// Password returns a random password: 32 characters of A-Z, a-z and 0-9, which need no escaping in a URL, in Basic
// credentials or in a shell.
func Password() string { return token(passwordLength, fillRandom) }

// fillRandom fills b with random bytes. crypto/rand.Read never fails: it ends the program instead.
func fillRandom(b []byte) { _, _ = rand.Read(b) }

// token returns n characters of the alphabet, each equally likely if the bytes of fill are. Bytes from the last
// incomplete multiple of 62 on are thrown away: taken modulo 62 they would make the first characters likelier.
func token(n int, fill func([]byte)) string {
	const limit = 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for {
		fill(buf)
		for _, b := range buf {
			if int(b) >= limit {
				continue
			}
			out = append(out, alphabet[int(b)%len(alphabet)])
			if len(out) == n {
				return string(out)
			}
		}
	}
}

// Hash returns the SHA-256 of a key, by which a stored key is found. Salt and slow hashing, as passwords need them, would
// add nothing: a key of [APIKey] has 119 random bits, so no dictionary and no table can hold it, and every request must
// be able to look it up. Never use it for what a person chose.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Equal reports whether a and b are the same, in a time that tells neither where they differ nor how long the other
// one is: it compares their hashes.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
