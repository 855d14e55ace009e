package disktest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes whole. SQLite takes for granted that bytes outside of a write stay as they are (it calls
// that powersafe overwrite), and nothing else.
const sector = 512

// Platter follows a log and knows at every moment what is on disk for sure, and what may be.
type Platter struct {
	rng   *rand.Rand
	files map[int]*platterFile
	names map[string]int // the directory as it is on disk
	moves []Op           // changes of names that are not on disk for sure, in their order
}

type platterFile struct {
	disk    []byte // on disk for sure
	pending []Op   // since the last sync
	seen    []byte // what the running system sees
}

// NewPlatter returns an empty disk whose accidents are decided by rng.
func NewPlatter(rng *rand.Rand) *Platter {
	return &Platter{rng: rng, files: map[int]*platterFile{}, names: map[string]int{}}
}

// Apply performs the next operation of the log.
func (p *Platter) Apply(o Op) {
	f := p.files[o.File]
	switch o.Kind {
	case Create:
		p.files[o.File] = &platterFile{}
		p.moves = append(p.moves, o)
	case Delete:
		p.moves = append(p.moves, o)
	case SyncDir:
		move(p.names, p.moves)
		p.moves = nil
	case Write, Truncate:
		f.seen = write(f.seen, o)
		f.pending = append(f.pending, o)
	case Sync:
		for _, o := range f.pending {
			f.disk = write(f.disk, o)
		}
		f.pending = nil
	case FailSync:
		// Linux marks the pages clean all the same: what did not reach the disk now is never tried again, and the next
		// sync knows nothing of it (https://wiki.postgresql.org/wiki/Fsync_Errors).
		f.disk = p.accident().strike(f.disk, f.pending)
		f.pending = nil
	}
}

// Seen returns the files as the running system sees them.
func (p *Platter) Seen() map[string][]byte {
	names := maps.Clone(p.names)
	move(names, p.moves)
	out := map[string][]byte{}
	for name, id := range names {
		out[name] = p.files[id].seen
	}
	return out
}

// PowerLoss returns the files as they may be found after a loss of power at this moment. Each call invents another one, and
// a seed the same ones again: nothing goes by the order of a map.
func (p *Platter) PowerLoss() map[string][]byte {
	names := maps.Clone(p.names)
	moves := map[string][]Op{}
	for _, o := range p.moves {
		moves[o.Name] = append(moves[o.Name], o)
	}
	for _, name := range slices.Sorted(maps.Keys(moves)) { // names are independent of each other
		move(names, moves[name][:p.rng.IntN(len(moves[name])+1)])
	}
	a := p.accident()
	out := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := p.files[names[name]]
		out[name] = a.strike(slices.Clone(f.disk), f.pending)
	}
	return out
}

func move(names map[string]int, moves []Op) {
	for _, o := range moves {
		if o.Kind == Create {
			names[o.Name] = o.File
		} else {
			delete(names, o.Name)
		}
	}
}

// write performs a Write or Truncate. A write beyond the end leaves a hole of zeros.
func write(b []byte, o Op) []byte {
	if o.Kind == Truncate {
		return resize(b, o.Offset)
	}
	if end := o.Offset + int64(len(o.Data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[o.Offset:], o.Data)
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
