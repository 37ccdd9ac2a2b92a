package snapshottest

import (
	"maps"
	"slices"
)

// Spoiled returns a copy of the file in which a key has another value, as if the state machine had come to it: no
// checksum of the file shows it. It returns nil if the file does not have the key.
func (f *File) Spoiled(key string, value []byte) *File {
	r, found := f.rows[key]
	if !found {
		return nil
	}
	next := &File{Meta: f.Meta, Start: f.Start, Facts: f.Facts, rows: maps.Clone(f.rows), past: f.past}
	next.Meta.Sum -= r.Sum()
	r.Value = value
	next.Meta.Sum += r.Sum()
	next.rows[key] = r
	return next
}

// Keys returns the keys that have a value, in order.
func (f *File) Keys() []string { return slices.Sorted(maps.Keys(f.rows)) }
