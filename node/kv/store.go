package kv

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/tidwall/btree"
)

// Record is one key with its value.
type Record struct {
	Key string
	// Value is shared with the store and the log, and must not be changed.
	Value       []byte
	ContentType string
	// CreateRevision is the revision that created the key, ModRevision the one that changed it last: log indexes.
	CreateRevision uint64
	ModRevision    uint64
	// Version counts the changes since the key was created; the first is 1.
	Version uint64
}

// Store is the state machine's state. It is not safe for concurrent use.
type Store struct {
	applied uint64
	records map[string]*Record // finds a key
	ordered btree.Map[string, *Record]
	// Invariant: records and ordered hold the same pointers under the same keys.

	parser Parser           // of Apply
	facts  map[string]facts // of large values, by key, once an operation depended on them
	read   int              // bytes of stored values that Apply has read; a measure for tests
}

// New returns an empty store, whose next entry has index 1.
func New() *Store {
	return &Store{records: map[string]*Record{}, parser: NewParser(), facts: map[string]facts{}}
}

// Get returns the record of a key.
func (s *Store) Get(key string) (Record, bool) {
	r, ok := s.records[key]
	if !ok {
		return Record{}, false
	}
	return *r, true
}

// Len returns the number of keys.
func (s *Store) Len() int { return len(s.records) }

// Applied returns the index of the last applied entry; 0 before the first.
func (s *Store) Applied() uint64 { return s.applied }

// Range returns the records whose keys begin with prefix and sort after the key after, in the order of the keys'
// bytes: at most limit of them, or all if limit is 0.
func (s *Store) Range(prefix, after string, limit int) []Record {
	var found []Record
	s.ordered.Ascend(max(prefix, after), func(key string, r *Record) bool {
		if !strings.HasPrefix(key, prefix) {
			// The keys ascend from the prefix on: no later key has it.
			return false
		}
		if key > after || after == "" {
			found = append(found, *r)
		}
		return limit <= 0 || len(found) < limit
	})
	return found
}

// Digest returns a checksum over the content of the store and its applied index: two nodes that applied the same
// entries have the same digest (trap T45).
func (s *Store) Digest() uint64 {
	hash := fnv.New64a()
	var buf []byte
	number := func(n uint64) { buf = binary.LittleEndian.AppendUint64(buf, n) }
	text := func(t string) {
		number(uint64(len(t)))
		buf = append(buf, t...)
	}
	number(s.applied)
	s.ordered.Scan(func(key string, r *Record) bool {
		text(key)
		number(uint64(len(r.Value)))
		buf = append(buf, r.Value...)
		text(r.ContentType)
		number(r.CreateRevision)
		number(r.ModRevision)
		number(r.Version)
		_, _ = hash.Write(buf) // never fails: hash.Hash
		buf = buf[:0]
		return true
	})
	_, _ = hash.Write(buf)
	return hash.Sum64()
}

// create adds a key with its first value.
func (s *Store) create(revision uint64, c *change) {
	r := &Record{
		Key: string(c.key), Value: c.value, ContentType: c.contentType,
		CreateRevision: revision, ModRevision: revision, Version: 1,
	}
	s.records[r.Key] = r
	s.ordered.Set(r.Key, r)
}

// update sets a new value of a key.
func (s *Store) update(revision uint64, c *change) {
	r := c.current
	delete(s.facts, r.Key)
	r.Value, r.ContentType, r.ModRevision = c.value, c.contentType, revision
	r.Version++
}

func (s *Store) remove(key string) {
	delete(s.facts, key)
	delete(s.records, key)
	s.ordered.Delete(key)
}

// advance counts an entry as applied.
func (s *Store) advance(index uint64) {
	if index != s.applied+1 {
		panic(fmt.Sprintf("kv: entry %d came after entry %d: entries must be applied in order, without a gap",
			index, s.applied))
	}
	s.applied = index
}
