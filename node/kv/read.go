package kv

import "fmt"

// CompactedError reports that a revision cannot be read any more.
type CompactedError struct {
	Oldest uint64 // revision that can be read
}

// Error returns the oldest revision that can be read.
func (e *CompactedError) Error() string {
	return fmt.Sprintf("the revision is compacted; the oldest that can be read is %d", e.Oldest)
}

// FutureError reports that a revision cannot be read yet.
type FutureError struct {
	Applied uint64 // the newest revision
}

// Error returns the newest revision.
func (e *FutureError) Error() string {
	return fmt.Sprintf("the revision is in the future; the newest is %d", e.Applied)
}

// readable returns the revision to read at: the newest for 0.
func (s *Store) readable(revision uint64) (uint64, error) {
	switch {
	case revision == 0:
		return s.applied, nil
	case revision < s.compacted:
		return 0, &CompactedError{Oldest: s.compacted}
	case revision > s.applied:
		return 0, &FutureError{Applied: s.applied}
	}
	return revision, nil
}

// Get returns the record of a key, and false if there is none.
func (s *Store) Get(key string) (Record, bool) {
	it, ok := s.items.Get(key)
	if !ok || it.newest.isTombstone() {
		return Record{}, false
	}
	return it.newest.Record, true
}

// GetAt returns the record that a key had at a revision, the newest for 0, and false if there was none. The error is a
// *CompactedError or a *FutureError.
func (s *Store) GetAt(key string, revision uint64) (Record, bool, error) {
	revision, err := s.readable(revision)
	if err != nil {
		return Record{}, false, err
	}
	it, ok := s.items.Get(key)
	if !ok {
		return Record{}, false, nil
	}
	v := it.at(revision)
	if v == nil {
		return Record{}, false, nil
	}
	return v.Record, true, nil
}

// Change is one change in the history of a key.
type Change struct {
	Revision uint64
	// Record is what the change made. Of a deletion it has the key, the time and the position.
	Record  Record
	Deleted bool
}

// History returns the changes of a key before a revision, 0 for all, newest first, as far as the history reaches: down
// to the one that made the value at the oldest revision that can be read. It returns at most limit, or all if that is
// 0.
func (s *Store) History(key string, before uint64, limit int) []Change {
	it, ok := s.items.Get(key)
	if !ok {
		return nil
	}
	oldest := it.from(s.compacted + 1)
	if oldest > 0 && !it.version(oldest-1).isTombstone() {
		oldest--
	}
	end := len(it.ended()) + 1
	if before > 0 {
		end = it.from(before)
	}
	var found []Change
	for i := end - 1; i >= oldest && (limit <= 0 || len(found) < limit); i-- {
		v := it.version(i)
		found = append(found, Change{Revision: v.ModRevision, Record: v.Record, Deleted: v.isTombstone()})
	}
	return found
}
