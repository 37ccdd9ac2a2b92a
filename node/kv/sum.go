package kv

// Sum returns the hash of the record, as it is counted in the sum of a store that holds it.
func (r *Record) Sum() uint64 { return sumOf(r) }
