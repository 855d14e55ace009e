package engine

import (
	"fmt"

	"postyard/internal/store"
)

// TemplateHash decodes the stored hash of a template.
func TemplateHash(stored []byte) (hash [32]byte, err error) {
	if len(stored) != len(hash) {
		return hash, fmt.Errorf("a template's hash has %d bytes", len(stored))
	}
	return [32]byte(stored), nil
}

// MirrorDiff compares a provider's templates with those that are stored, by alias and hash: which are to be written, and which
// aliases are to be removed. It takes known apart.
func MirrorDiff(known map[string][32]byte, list []store.MirroredTemplate) (written []*store.MirroredTemplate, removed []string, change store.MirrorChange) {
	for i := range list {
		m := &list[i]
		hash, there := known[m.Alias]
		delete(known, m.Alias)
		switch {
		case !there:
			change.Added++
		case hash != m.Hash:
			change.Changed++
		default:
			continue
		}
		written = append(written, m)
	}
	for alias := range known {
		change.Removed++
		removed = append(removed, alias)
	}
	return written, removed, change
}
