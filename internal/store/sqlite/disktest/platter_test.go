package disktest

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// losses returns what n power losses leave of one file and its name.
func losses(n int, log ...Op) (found map[string]int, missing int) {
	p := NewPlatter(rand.New(rand.NewPCG(1, 2)))
	for _, o := range log {
		p.Apply(o)
	}
	found = map[string]int{}
	for range n {
		b, ok := p.PowerLoss()["f"]
		if !ok {
			missing++
			continue
		}
		found[string(b)]++
	}
	return found, missing
}

func op(k Kind, offset int64, data string) Op {
	return Op{Kind: k, Name: "f", File: 1, Offset: offset, Data: []byte(data)}
}

func sectors(s string) string {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, bytes.Repeat([]byte{c}, sector)...)
	}
	return string(b)
}

func TestSyncedStays(t *testing.T) {
	t.Parallel()
	found, missing := losses(1000, op(Create, 0, ""), op(SyncDir, 0, ""), op(Write, 0, "old"), op(Truncate, 2, ""), op(Write, 2, "der"), op(Sync, 0, ""))
	if len(found) != 1 || found["older"] != 1000 || missing != 0 {
		t.Errorf("found %v, missing %d", found, missing)
	}
}

func TestNotSyncedMayBeAnything(t *testing.T) {
	t.Parallel()
	old := []Op{op(Create, 0, ""), op(SyncDir, 0, ""), op(Write, 0, sectors("abcd")), op(Sync, 0, "")}
	found, _ := losses(5000, append(old, op(Write, sector, sectors("BC")), op(Write, 3*sector, sectors("D")))...)
	for name, want := range map[string]string{"nothing": "abcd", "everything": "aBCD", "torn": "abCd", "the second only": "abcD"} {
		if found[sectors(want)] == 0 {
			t.Errorf("never found: %s", name)
		}
	}
	for b := range found {
		if b[:sector] != sectors("a") || len(b) != 4*sector {
			t.Errorf("a byte changed that nobody wrote")
		}
	}
	found, _ = losses(5000, append(old, op(Truncate, 0, ""), op(Write, 0, "x"))...)
	for name, want := range map[string]string{"nothing": sectors("abcd"), "everything": "x", "the write only": "x" + sectors("abcd")[1:], "the truncation only": ""} {
		if found[want] == 0 {
			t.Errorf("never found: %s", name)
		}
	}
}

func TestNamesNeedASync(t *testing.T) {
	t.Parallel()
	found, missing := losses(1000, op(Create, 0, ""), op(Write, 0, "x"), op(Sync, 0, ""))
	if found["x"] == 0 || missing == 0 {
		t.Errorf("made: found %v, missing %d", found, missing)
	}
	found, missing = losses(1000, op(Create, 0, ""), op(SyncDir, 0, ""), op(Write, 0, "x"), op(Sync, 0, ""), op(Delete, 0, ""))
	if found["x"] == 0 || missing == 0 {
		t.Errorf("deleted: found %v, missing %d", found, missing)
	}
}

// TestFailedSyncForgets: what a failed sync did not bring to the disk is not there after the next one either.
func TestFailedSyncForgets(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(200) {
		p := NewPlatter(rand.New(rand.NewPCG(seed, 0)))
		for _, o := range []Op{op(Create, 0, ""), op(SyncDir, 0, ""), op(Write, 0, "a"), op(FailSync, 0, ""), op(Write, 1, "b"), op(Sync, 0, "")} {
			p.Apply(o)
		}
		if string(p.Seen()["f"]) != "ab" {
			t.Fatal("the running system sees the loss")
		}
		if string(p.PowerLoss()["f"]) == "\x00b" {
			lost++
		}
	}
	if lost == 0 || lost == 200 {
		t.Errorf("lost in %d of 200", lost)
	}
}
