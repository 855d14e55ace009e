package secret

import (
	"encoding/hex"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestTokensLookRight(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		key, password := APIKey(), Password()
		if !regexp.MustCompile(`^[A-Za-z0-9]{20}$`).MatchString(key) {
			t.Fatalf("APIKey = %q", key)
		}
		if !regexp.MustCompile(`^[A-Za-z0-9]{32}$`).MatchString(password) {
			t.Fatalf("Password = %q", password)
		}
		if seen[key] || seen[password] {
			t.Fatal("the same token twice")
		}
		seen[key], seen[password] = true, true
	}
}

// Fed with every byte value once, an unbiased token holds every character exactly four times: 248 of the 256 values
// are used, the other 8 are passed over.
func TestTokenIsWithoutBias(t *testing.T) {
	t.Parallel()
	next := 0
	got := token(4*len(alphabet), func(b []byte) {
		for i := range b {
			b[i] = byte(next)
			next++
		}
	})
	count := map[rune]int{}
	for _, r := range got {
		count[r]++
	}
	for _, r := range alphabet {
		if count[r] != 4 {
			t.Errorf("%c appears %d times, want 4", r, count[r])
		}
	}
}

// The last eight byte values stand for no character, wherever they come.
func TestTokenAsksAgainWhenBytesRunOut(t *testing.T) {
	t.Parallel()
	calls := 0
	got := token(3, func(b []byte) {
		calls++
		for i := range b {
			b[i] = 255
		}
		b[0] = byte(calls)
	})
	if got != "BCD" || calls != 3 {
		t.Errorf("token = %q after %d calls, want BCD after 3", got, calls)
	}
}

func TestHashIsSHA256(t *testing.T) {
	t.Parallel()
	h := Hash("abc") // FIPS 180-4, appendix
	if got := hex.EncodeToString(h[:]); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("Hash(abc) = %s", got)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 5, -1).Draw(t, "a"), rapid.StringN(0, 5, -1).Draw(t, "b")
		if Equal(a, b) != (a == b) || !Equal(a, a) || Equal(a, a+"x") {
			t.Fatalf("Equal is wrong for %q and %q", a, b)
		}
	})
}
