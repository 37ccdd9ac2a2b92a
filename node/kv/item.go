package kv

import "sort"

// item is a key with its versions. An update replaces what is in the item and not the item itself, because the arrays
// of the B-tree keep old pointers: those of versions would retain the values of versions that are gone.
type item struct {
	newest *version // may be a tombstone; nil once the key is out of the store
	past   *past    // nil: no version before newest is held
}

// past is the versions of a key before the newest one, by rising revision, with tombstones.
type past struct {
	versions []*version
	first    int // what lies before it was cut
}

func (it *item) ended() []*version {
	if it.past == nil {
		return nil
	}
	return it.past.versions[it.past.first:]
}

// push makes a version the newest.
func (it *item) push(v *version) {
	if it.newest != nil {
		it.append(it.newest)
	}
	it.newest = v
}

// pop removes the oldest of the ended versions.
func (it *item) pop() {
	p := it.past
	p.versions[p.first] = nil
	p.first++
	switch {
	case p.first == len(p.versions):
		it.past = nil
	case p.first*2 < len(p.versions):
	case cap(p.versions) > 4*len(it.ended())+64: // of a history that was longer once
		p.versions, p.first = append([]*version(nil), it.ended()...), 0
	default:
		n := copy(p.versions, it.ended())
		clear(p.versions[n:])
		p.versions, p.first = p.versions[:n], 0
	}
}

// from returns the index of the first version from a revision on: the newest has the index len(ended).
func (it *item) from(revision uint64) int {
	ended := it.ended()
	if i := indexFrom(ended, revision); i < len(ended) || it.newest.ModRevision >= revision {
		return i
	}
	return len(ended) + 1
}

func (it *item) version(i int) *version {
	if ended := it.ended(); i < len(ended) {
		return ended[i]
	}
	return it.newest
}

// at returns the record of a key at a revision, nil if it was absent.
func (it *item) at(revision uint64) *version {
	v := it.newest
	if v.ModRevision > revision {
		i := it.from(revision + 1)
		if i == 0 {
			return nil
		}
		v = it.version(i - 1)
	}
	if v.isTombstone() {
		return nil
	}
	return v
}

// before returns the record that the change which made a version ended; nil if there was none, or if it is cut.
func (it *item) before(v *version) *Record {
	ended := it.ended()
	if it.newest != v {
		ended = ended[:indexFrom(ended, v.ModRevision)]
	}
	if len(ended) == 0 || ended[len(ended)-1].isTombstone() {
		return nil
	}
	return &ended[len(ended)-1].Record
}

// indexFrom returns the index of the first version from a revision on.
func indexFrom(versions []*version, revision uint64) int {
	return sort.Search(len(versions), func(i int) bool { return versions[i].ModRevision >= revision })
}

// append adds a version behind the ended ones.
func (it *item) append(v *version) {
	if it.past == nil {
		it.past = &past{}
	}
	it.past.versions = append(it.past.versions, v)
}

// takeLast removes the last of the ended versions.
func (it *item) takeLast() *version {
	last := len(it.past.versions) - 1
	v := it.past.versions[last]
	it.past.versions[last] = nil
	it.past.versions = it.past.versions[:last]
	return v
}
