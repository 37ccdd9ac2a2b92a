package kv

import (
	"cmp"
	"math"
	"slices"
)

// Meta is what a store is beside its versions.
type Meta struct {
	Applied   uint64
	Time      int64 // the latest timestamp of an entry
	Compacted uint64
	Cut       uint64 // up to which the versions are gone that cannot be read
	Sum       uint64
	Keys      int // that have a record
}

// Delta is what changed in a store after a revision. It refers to records of the store, which are never changed, so
// that it can be used without a lock.
type Delta struct {
	// Since is the revision that the delta begins after. It is 0, and the changes are all that the store has, if the
	// store no longer has the list of changes after the revision that was asked for.
	Since uint64
	Meta  Meta // of the store after the changes
	// Changes are in the order in which they were made. Of those that are cut, a key has at least the last one.
	Changes []DeltaChange

	upTo uint64 // revision up to which the changes are there
}

// DeltaChange is one change of a key.
type DeltaChange struct {
	Revision uint64
	Position int // among the changes of the revision
	Modified int64
	Key      string
	Record   *Record // nil: the key was deleted
	// Past is the version that the change ended. It is in the history until Revision is cut; nil if the key was absent, or
	// if the version is cut.
	Past *Record
}

func (s *Store) meta() Meta {
	return Meta{
		Applied: s.applied, Time: s.time, Compacted: s.compacted, Cut: s.cut, Sum: s.sum, Keys: s.stats.Keys,
	}
}

// Delta returns what changed after a revision, for a checkpoint that has everything up to there. Its cost depends on
// the number of changes, unless a checkpoint later than since is reported: then it goes through the whole store.
func (s *Store) Delta(since uint64) *Delta {
	d := NewDelta(since)
	for s.Extend(d, math.MaxInt) {
	}
	return d
}

// NewDelta returns a delta that begins after a revision, for Extend.
func NewDelta(since uint64) *Delta { return &Delta{Since: since, upTo: since} }

// Extend adds about so many of the next changes to a delta, whole revisions, and reports whether there are more.
// Between two calls the store may change: so a long delta is made without keeping writes waiting for long. The delta is
// complete, and has its Meta, when Extend returns false.
func (s *Store) Extend(d *Delta, limit int) (more bool) {
	if d.Since < s.floor {
		d.Since, d.Changes, d.Meta = 0, deltaOf(s.held(0)), s.meta()
		return false
	}
	count := 0
	for _, list := range [...]*changeList{&s.late, &s.changes} {
		for from := list.after(d.upTo); from < list.next; from++ {
			c := list.at(from)
			if count >= limit && c.made.ModRevision > d.upTo {
				return true
			}
			d.Changes = append(d.Changes, deltaChange(c))
			d.upTo = c.made.ModRevision
			count++
		}
	}
	d.Meta = s.meta()
	d.forgetCut()
	return false
}

// forgetCut drops past versions that were cut while the delta was made.
func (d *Delta) forgetCut() {
	for i := range d.Changes {
		if d.Changes[i].Revision > d.Meta.Cut {
			return
		}
		d.Changes[i].Past = nil
	}
}

func deltaOf(changes []listed) []DeltaChange {
	list := make([]DeltaChange, 0, len(changes))
	for _, c := range changes {
		list = append(list, deltaChange(c))
	}
	return list
}

func deltaChange(c listed) DeltaChange {
	v := c.made
	change := DeltaChange{
		Revision: v.ModRevision, Position: v.Position, Modified: v.Modified, Key: v.Key, Past: c.item.before(v),
	}
	if !v.isTombstone() {
		change.Record = &v.Record
	}
	return change
}

// held returns the changes after a revision that made the versions which the store holds, in their order.
func (s *Store) held(since uint64) []listed {
	var list []listed
	s.items.Scan(func(_ string, it *item) bool {
		ended := it.ended()
		for _, v := range ended[indexFrom(ended, since+1):] {
			list = append(list, listed{v, it})
		}
		if it.newest.ModRevision > since {
			list = append(list, listed{it.newest, it})
		}
		return true
	})
	sortListed(list)
	return list
}

// sortListed sorts changes by their order in the log.
func sortListed(list []listed) {
	slices.SortFunc(list, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.made.ModRevision, b.made.ModRevision), cmp.Compare(a.made.Position, b.made.Position))
	})
}

// Checkpointed notes that a durable checkpoint has everything up to a revision. The store drops its list of cut changes
// up to there.
func (s *Store) Checkpointed(applied uint64) {
	s.floor = max(s.floor, min(applied, s.applied))
	for end := s.late.after(s.floor); s.late.first < end; {
		s.late.drop()
	}
}
