package engine

import (
	"slices"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// MovedMargin is how long after a sub-account was moved permits of messages claimed before may not be told from later ones: clocks
// of nodes differ, and a transaction lasts.
const MovedMargin = 5 * 60 * 1_000_000_000

// Branch is a sub-account as [Tree] sees it.
type Branch struct {
	Path    []int32 // the ids of those above it, the nearest first
	Deleted bool
}

// Tree is the sub-accounts of an account, by id. What no longer is counts for nothing but for its path.
type Tree map[int32]Branch

// Move puts a sub-account under another one, or under none (0), and returns those whose paths are others now. It fails with
// store.ErrNotFound, store.ErrCircle or store.ErrTooDeep, and changes nothing then.
func (t Tree) Move(id, parent int32) (changed []int32, err error) {
	b, known := t[id]
	if !known || b.Deleted {
		return nil, store.ErrNotFound
	}
	var path []int32
	if parent != 0 {
		p, known := t[parent]
		switch {
		case !known || p.Deleted:
			return nil, store.ErrNotFound
		case parent == id || slices.Contains(p.Path, id):
			return nil, store.ErrCircle
		}
		path = append([]int32{parent}, p.Path...)
	}
	if slices.Equal(path, b.Path) {
		return nil, nil
	}
	height := 0 // of what stands under it
	for other, o := range t {
		if i := slices.Index(o.Path, id); i >= 0 {
			changed = append(changed, other)
			if !o.Deleted {
				height = max(height, i+1)
			}
		}
	}
	if len(path)+1+height > directory.MaxLevels {
		return nil, store.ErrTooDeep
	}
	for _, other := range changed {
		o := t[other]
		o.Path = append(slices.Clone(o.Path[:slices.Index(o.Path, id)+1]), path...)
		t[other] = o
	}
	b.Path = path
	t[id] = b
	changed = append(changed, id)
	slices.Sort(changed)
	return changed, nil
}
