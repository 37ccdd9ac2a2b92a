package main

import "context"

// session is one client of a cluster: it sends a request when the one before was answered.
type session interface {
	// put writes a key and gives the revision that the write got.
	put(ctx context.Context, key int, id writeID) (revision uint64, err error)
	// get reads a key, linearizably or what the asked node happens to hold, and checks that the value is one
	// that was written to this key.
	get(ctx context.Context, key int, local bool) error
	// batch writes many keys in one request. outcome is told each key's revision or error.
	batch(ctx context.Context, keys []int, ids []writeID, outcome func(i int, revision uint64, err error)) error
	// read reads a key linearizably, with everything that the ledger checks.
	read(ctx context.Context, key int) (record, error)
}

// driver is one way to load a cluster.
type driver struct {
	name string
	// open makes the sessions of so many clients, spread over the nodes beginning with the first, and what
	// closes them.
	open func(ctx context.Context, clients, first int) ([]session, func(), error)
}
