package kv

import "github.com/cespare/xxhash/v2"

// recent has the items that were written last, by the hash of their key: a write finds its key in the B-tree with about
// twenty comparisons of strings that are anywhere in memory, and here with one. An item that is out of the store stays
// here without a version, until another one takes its place.
type recent struct {
	items []*item // a power of two
}

// Limits of recent.
const (
	leastRecent = 64
	mostRecent  = 1 << 16
)

// find returns the item of a key, nil if it is not here.
func (r *recent) find(key []byte) *item {
	if len(r.items) == 0 {
		return nil
	}
	it := r.items[xxhash.Sum64(key)&uint64(len(r.items)-1)]
	if it == nil || it.newest == nil || it.newest.Key != string(key) {
		return nil
	}
	return it
}

// add takes an item of a store with so many keys. It has about as many places as that.
func (r *recent) add(it *item, keys int) {
	if len(r.items) < min(keys, mostRecent) {
		r.items = make([]*item, max(leastRecent, 2*len(r.items)))
	}
	if len(r.items) > 0 {
		r.items[xxhash.Sum64String(it.newest.Key)&uint64(len(r.items)-1)] = it
	}
}

// shrink gives the memory back that a store with so few keys does not need.
func (r *recent) shrink(keys int) {
	if len(r.items) > leastRecent && len(r.items) > 8*keys {
		r.items = nil
	}
}
