package kv

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Record is one key with its value, as one change left it. Records in a store are never changed.
type Record struct {
	Key string
	// Value is shared with the store and must not be changed.
	Value       []byte
	ContentType string
	// CreateRevision is the revision that created the key, ModRevision the one that made this value: log indexes.
	CreateRevision uint64
	ModRevision    uint64
	// Version counts the changes since the key was created; the first is 1, also after a delete.
	Version uint64
	// Modified is the replicated time of ModRevision, in microseconds since 1970.
	Modified int64
	// Position is the place of the change among the changes of its revision, from 0.
	Position int
}

// recordOverhead is the memory that a version takes beside its key, value and content type.
const recordOverhead = 200

// size returns the bytes that a record counts for in Stats and for a retention.
func (r *Record) size() int64 {
	return recordOverhead + int64(len(r.Key)) + int64(len(r.Value)) + int64(len(r.ContentType))
}

// version is a record in the store, or the tombstone of a deletion, whose Version is 0: its key, revision, time and
// position are set, and nothing else.
type version struct{ Record }

func (v *version) isTombstone() bool { return v.Version == 0 }

// sumOf returns the hash of a record. A store adds up those of all its versions, and subtracts that of a version that
// is cut: to keep it would take 16 bytes for each key.
func sumOf(r *Record) uint64 {
	var numbers [8 * 8]byte
	for i, n := range [...]uint64{
		uint64(len(r.Key)), uint64(len(r.Value)), uint64(len(r.ContentType)),
		r.CreateRevision, r.ModRevision, r.Version, uint64(r.Modified), uint64(r.Position),
	} {
		binary.LittleEndian.PutUint64(numbers[i*8:], n)
	}
	var hash xxhash.Digest
	hash.Reset()
	_, _ = hash.Write(numbers[:]) // never fails: hash.Hash
	_, _ = hash.WriteString(r.Key)
	_, _ = hash.Write(r.Value)
	_, _ = hash.WriteString(r.ContentType)
	return hash.Sum64()
}
