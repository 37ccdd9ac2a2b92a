package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/tidwall/btree"
)

// Store is the state machine's state: every key with the versions that its history holds. It is not safe for concurrent
// use; reads do not change it, and may run beside each other.
type Store struct {
	applied   uint64
	time      int64 // the latest timestamp of an applied entry
	compacted uint64
	cut       uint64 // up to which the unreachable versions are removed; at most compacted
	sum       uint64 // of the sums of all versions held

	items  btree.Map[string, *item]
	recent recent
	stats  Stats
	volume Volume // of all changes

	changes changeList // that are not cut
	late    changeList // that are cut and that no checkpoint has: of each key the last one
	floor   uint64     // revision up to which a checkpoint has the changes

	parser  Parser           // of Apply
	pending []change         // of Apply
	steps   []step           // of a transaction
	changed map[string]int   // by a transaction
	types   contentTypes     // of records
	facts   map[string]facts // of large values, by key, once an operation depended on them
	read    int              // bytes of stored values that Apply has read; a measure for tests
}

// Stats is how much a store holds. Bytes count the keys, the values and the content types, and 200 for each version, so
// that they are about the memory that the store takes.
type Stats struct {
	Keys      int
	LiveBytes int64 // of the records of the keys
	// Versions and HistoryBytes are those of the history: values that were replaced or deleted, and deletions.
	Versions     int
	HistoryBytes int64
}

// New returns an empty store, whose next entry has index 1.
func New() *Store {
	return &Store{parser: NewParser(), types: contentTypes{}, facts: map[string]facts{}, changed: map[string]int{}}
}

// Applied returns the index of the last applied entry; 0 before the first.
func (s *Store) Applied() uint64 { return s.applied }

// Compacted returns the oldest revision that can be read; 0: nothing was compacted.
func (s *Store) Compacted() uint64 { return s.compacted }

// Len returns the number of keys.
func (s *Store) Len() int { return s.stats.Keys }

// Stats returns how much the store holds.
func (s *Store) Stats() Stats { return s.stats }

// Sum returns the sum of the hashes of all versions that the store holds, tombstones among them.
func (s *Store) Sum() uint64 { return s.sum }

// Digest returns a checksum of the state: two nodes that applied the same entries have the same digest (trap T45). Its
// cost does not depend on what the store holds.
func (s *Store) Digest() uint64 {
	var numbers [5 * 8]byte
	for i, n := range [...]uint64{s.sum, s.applied, s.compacted, s.cut, uint64(s.time)} {
		binary.LittleEndian.PutUint64(numbers[i*8:], n)
	}
	return xxhash.Sum64(numbers[:])
}

// find returns the item of a key, nil if it has no version, and its record, nil if the key is absent.
func (s *Store) find(key []byte) (*item, *Record) {
	it := s.recent.find(key)
	if it == nil {
		var ok bool
		if it, ok = s.items.Get(string(key)); !ok {
			return nil, nil
		}
	}
	if it.newest.isTombstone() {
		return it, nil
	}
	return it, &it.newest.Record
}

// advance counts an entry as applied.
func (s *Store) advance(e *Entry) {
	if e.Revision != s.applied+1 {
		panic(fmt.Sprintf("kv: entry %d came after entry %d: entries must be applied in order, without a gap",
			e.Revision, s.applied))
	}
	s.applied = e.Revision
	s.time = max(s.time, e.Timestamp)
}

// contentTypes has one copy of each content type of records.
type contentTypes map[string]string

const maxContentTypes = 256 // that are kept; records with others have copies of their own

func (t contentTypes) intern(name string) string {
	if known, ok := t[name]; ok {
		return known
	}
	if len(t) < maxContentTypes {
		t[name] = name
	}
	return name
}
