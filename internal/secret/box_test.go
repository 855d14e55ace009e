package secret

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBoxOpensWhatItSealed(t *testing.T) {
	t.Parallel()
	box := NewBox(NewKey())
	rapid.Check(t, func(t *rapid.T) {
		purpose := rapid.String().Draw(t, "purpose")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		sealed := box.Seal(purpose, plain)
		got, err := box.Open(purpose, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open = %x, %v; want %x", got, err, plain)
		}
	})
}

func TestBoxRefuses(t *testing.T) {
	t.Parallel()
	const purpose, plain = "tpsp.key", "a provider's token"
	key := NewKey()
	box := NewBox(key)
	sealed := box.Seal(purpose, []byte(plain))
	otherVersion := bytes.Clone(sealed)
	otherVersion[0] = 2
	for name, tc := range map[string]struct {
		box     *Box
		purpose string
		sealed  []byte
	}{
		"other key":     {NewBox(NewKey()), purpose, sealed},
		"other purpose": {box, "webhook.secret", sealed},
		"other version": {box, purpose, otherVersion},
		"no bytes":      {box, purpose, nil},
		"one byte":      {box, purpose, sealed[:1]},
		"cut short":     {box, purpose, sealed[:len(sealed)-1]},
		"appended to":   {box, purpose, append(bytes.Clone(sealed), 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.box.Open(tc.purpose, tc.sealed)
			if !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("Open = %q, %v; want ErrOpen", got, err)
			}
		})
	}
	if got, err := NewBox(key).Open(purpose, sealed); err != nil || string(got) != plain {
		t.Errorf("a second Box with the same key: %q, %v", got, err)
	}
}

func TestBoxNoticesEveryChangedByte(t *testing.T) {
	t.Parallel()
	box := NewBox(NewKey())
	sealed := box.Seal("p", []byte("secret"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x40
		if _, err := box.Open("p", changed); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d changed: err = %v, want ErrOpen", i, err)
		}
	}
}

func TestBoxSealsTheSameTwiceDifferently(t *testing.T) {
	t.Parallel()
	box := NewBox(NewKey())
	a, b := box.Seal("p", []byte("same")), box.Seal("p", []byte("same"))
	if bytes.Equal(a, b) {
		t.Error("two sealed values are equal: the nonce is not random")
	}
	if bytes.Contains(a, []byte("same")) {
		t.Error("the sealed value holds the plaintext")
	}
}

// The layout is a file format: values sealed by this release must open in all later ones.
func TestBoxOpensAValueOfVersion1(t *testing.T) {
	t.Parallel()
	key, err := ParseKey(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewBox(key).Open("tpsp.key", version1Sample)
	if err != nil || string(got) != "hello" {
		t.Fatalf("Open = %q, %v; want hello", got, err)
	}
}

func TestNewBoxPanicsOnTheZeroKey(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("NewBox took the zero Key")
		}
	}()
	NewBox(Key{})
}

// version1Sample is "hello", sealed for "tpsp.key" with a key of 32 bytes 0xab.
var version1Sample = []byte{
	0x01, 0xbf, 0x69, 0xb7, 0x3d, 0x47, 0x5c, 0x84, 0xb8, 0x6b, 0x60, 0xfa, 0x2b, 0xda, 0x14, 0xaa, 0x19,
	0x56, 0xa6, 0xd1, 0xa0, 0x9a, 0xf3, 0x38, 0x05, 0xe2, 0x4c, 0x5d, 0x05, 0xe1, 0x6d, 0xa2, 0x39, 0x7c,
}

func FuzzBoxOpen(f *testing.F) {
	box := NewBox(NewKey())
	f.Add("p", []byte{})
	f.Add("p", []byte{version1})
	f.Add("tpsp.key", version1Sample)
	f.Fuzz(func(t *testing.T, purpose string, sealed []byte) {
		if got, err := box.Open(purpose, sealed); err == nil {
			t.Fatalf("opened bytes that it did not seal: %q", got)
		}
	})
}

// Derived keys sign what is kept for years, so they are pinned.
func TestDerive(t *testing.T) {
	t.Parallel()
	key, err := ParseKey("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	a := NewBox(key).Derive("track.token")
	if got, want := hex.EncodeToString(a), "a3409f26057103305154391dacac63383935099f1499a0e967c578594f5f0133"; got != want {
		t.Errorf("derived %s, want %s", got, want)
	}
	if !bytes.Equal(a, NewBox(key).Derive("track.token")) {
		t.Error("another box with the same key derives another one")
	}
	if bytes.Equal(a, NewBox(key).Derive("track.other")) || bytes.Equal(a, NewBox(NewKey()).Derive("track.token")) {
		t.Error("another purpose or another key derives the same")
	}
}
