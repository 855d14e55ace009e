package disktest

import (
	"math/rand/v2"
	"slices"
)

// accident is how bad one loss is: shares of the operations since the last sync, from 0 to 1.
type accident struct {
	rng     *rand.Rand
	survive float64 // reach the disk whole
	torn    float64 // of the others: reach it in part
	grown   float64 // of those that are lost: the file has grown by them, and holds zeros there
	shuffle bool    // they reach it in any order
	garbage bool    // a sector in the middle of being written may hold anything
}

// accident invents one. The ends of the scale, nothing survives and everything does, are made often.
func (p *Platter) accident() accident {
	shares := []float64{0, 0, 0.2, 0.5, 0.8, 0.97, 1}
	return accident{
		rng:     p.rng,
		survive: shares[p.rng.IntN(len(shares))],
		torn:    shares[p.rng.IntN(len(shares))],
		grown:   shares[p.rng.IntN(len(shares))],
		shuffle: p.rng.IntN(2) == 0,
		garbage: p.rng.IntN(4) == 0,
	}
}

// strike returns what is on disk when ops were under way.
func (a accident) strike(disk []byte, ops []Op) []byte {
	ops = slices.Clone(ops)
	if a.shuffle {
		a.rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	}
	for _, o := range ops {
		switch {
		case a.rng.Float64() < a.survive:
			disk = write(disk, o)
		case o.Kind == Truncate:
		case a.rng.Float64() < a.torn:
			for _, part := range a.tear(o) {
				disk = write(disk, part)
			}
		case a.rng.Float64() < a.grown:
			if end := o.Offset + int64(len(o.Data)); end > int64(len(disk)) {
				disk = resize(disk, end)
			}
		}
	}
	return disk
}

// tear returns what remains of a write: some of its sectors, or its beginning.
func (a accident) tear(o Op) (parts []Op) {
	if a.rng.IntN(3) == 0 {
		return []Op{{Kind: Write, Offset: o.Offset, Data: o.Data[:a.rng.IntN(len(o.Data)+1)]}}
	}
	for from := 0; from < len(o.Data); {
		to := min(from+sector-int((o.Offset+int64(from))%sector), len(o.Data)) // sectors of the disk, not of the write
		part := Op{Kind: Write, Offset: o.Offset + int64(from), Data: o.Data[from:to]}
		if a.rng.IntN(2) == 0 {
			parts = append(parts, part)
		} else if a.garbage && a.rng.IntN(8) == 0 {
			part.Data = make([]byte, to-from)
			for i := range part.Data {
				part.Data[i] = byte(a.rng.Uint32())
			}
			parts = append(parts, part)
		}
		from = to
	}
	return parts
}
