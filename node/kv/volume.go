package kv

// Volume is how much changes give a checkpoint to write. Bytes count as in Stats.
type Volume struct {
	Records  int64 // that they made
	Removals int64 // pages of removed keys, see removedPages
	Made     int64 // bytes of the records
	Ended    int64 // bytes of the versions that they ended, which the checkpoint moves to the history
}

// Plus returns the sum of two volumes.
func (v Volume) Plus(w Volume) Volume {
	return Volume{v.Records + w.Records, v.Removals + w.Removals, v.Made + w.Made, v.Ended + w.Ended}
}

// Minus returns what v has more than w.
func (v Volume) Minus(w Volume) Volume {
	return Volume{v.Records - w.Records, v.Removals - w.Removals, v.Made - w.Made, v.Ended - w.Ended}
}

// Volume returns that of all changes since the store was made or loaded, so that the difference of two is that of the
// changes in between. It is a bound: what is cut meanwhile still counts.
func (s *Store) Volume() Volume { return s.volume }

// count adds a change, which made a version and moved bytes to the history.
func (v *Volume) count(made *version, ended int64) {
	v.Ended += ended
	switch {
	case !made.isTombstone():
		v.Records++
		v.Made += made.size()
	default:
		v.Removals += removedPages(made.Position)
	}
}

// removedPages returns how many pages the removal of a key changes, by the position of the change in its revision. Keys
// that operations of a transaction name may be anywhere. What comes after as many is removed by ranges: these are
// neighbors, of which a page has four at least.
func removedPages(position int) int64 {
	if position < MaxTxnOperations || position%neighbors == 0 {
		return 1
	}
	return 0
}

const neighbors = 4

// Volume returns that of the changes. A version that a change made and a later one ended counts once, and not at all if
// it is cut, because the checkpoint that the delta follows does not have it. last has the last change of each key.
func (d *Delta) Volume(last []*DeltaChange) Volume {
	var sum Volume
	for _, c := range last {
		switch {
		case c.Record != nil:
			sum.Records++
			sum.Made += c.Record.size()
		default:
			sum.Removals += removedPages(c.Position)
		}
	}
	for i := range d.Changes {
		switch past := d.Changes[i].Past; {
		case past == nil:
		case past.ModRevision > d.Since:
			sum.Made += past.size()
		default:
			sum.Ended += past.size()
		}
	}
	return sum
}
