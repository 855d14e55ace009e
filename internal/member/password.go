package member

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"postyard/internal/mail"
)

// What a password is made of.
const (
	minPassword = 10  // characters
	maxPassword = 256 // bytes
)

// cost is what one hashing takes: argon2id as OWASP's password storage cheat sheet has it for a server.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

var current = cost{memory: 19 << 10, passes: 2, threads: 1}

const (
	saltBytes = 16
	hashBytes = 32

	// hashesAtOnce bounds the memory of hashing: that many times 19 MiB. More would not be quicker on the machines that this is for.
	hashesAtOnce = 2
	// hashesWaiting is how many may wait for their turn; who comes then is asked to come again.
	hashesWaiting = 64
)

// hasher hashes passwords, a few at once.
type hasher struct {
	cost  cost
	turns chan struct{}
	queue chan struct{}
	dummy string // of a password that nobody has
}

func newHasher(c cost) *hasher {
	h := &hasher{cost: c, turns: make(chan struct{}, hashesAtOnce), queue: make(chan struct{}, hashesAtOnce+hashesWaiting)}
	h.dummy = encode(c, random(saltBytes), random(hashBytes))
	return h
}

// run does one hashing when its turn comes.
func (h *hasher) run(ctx context.Context, do func()) error {
	select {
	case h.queue <- struct{}{}:
	default:
		return &TriesError{RetryAfter: busyFor, Reason: "too many people sign in at this moment"}
	}
	defer func() { <-h.queue }()
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-h.turns }()
	do()
	return nil
}

// hash makes what is stored of a password: argon2id's PHC string.
func (h *hasher) hash(ctx context.Context, password string) (encoded string, err error) {
	err = h.run(ctx, func() {
		salt := random(saltBytes)
		encoded = encode(h.cost, salt, derive(h.cost, password, salt, hashBytes))
	})
	return encoded, err
}

// verify tells whether a password is the one that encoded was made of. Without one it takes as long as with one and says no.
func (h *hasher) verify(ctx context.Context, encoded, password string) (ok bool, err error) {
	known := encoded != ""
	if !known {
		encoded = h.dummy
	}
	c, salt, want, err := decode(encoded)
	if err != nil {
		return false, err
	}
	err = h.run(ctx, func() {
		ok = subtle.ConstantTimeCompare(derive(c, password, salt, len(want)), want) == 1
	})
	return ok && known && err == nil, err
}

func derive(c cost, password string, salt []byte, length int) []byte {
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, c.passes, c.memory, c.threads, uint32(length))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

func encode(c cost, salt, hash []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(hash))
}

func decode(encoded string) (c cost, salt, hash []byte, err error) {
	const fields = 6
	parts := strings.Split(encoded, "$")
	bad := func() (cost, []byte, []byte, error) {
		return cost{}, nil, nil, fmt.Errorf("a stored password is not in the form of argon2id")
	}
	if len(parts) != fields || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return bad()
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil || c.passes == 0 || c.threads == 0 {
		return bad()
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return bad()
	}
	if hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(hash) == 0 {
		return bad()
	}
	return c, salt, hash, nil
}

// checkPassword refuses a new password that is too short or too long, with a *mail.FieldError.
func checkPassword(password string) error {
	switch {
	case password == "":
		return mail.Invalid("missing_password", "password", "a password is required")
	case len(password) > maxPassword:
		return mail.Invalid("password_too_long", "password", "a password has at most %d bytes", maxPassword)
	case !utf8.ValidString(password):
		return mail.Invalid("invalid_password", "password", "the password is not valid text")
	case utf8.RuneCountInString(password) < minPassword:
		return mail.Invalid("password_too_short", "password", "a password has at least %d characters", minPassword)
	}
	return nil
}
