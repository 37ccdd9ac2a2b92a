package main

import "context"

// session is one client of a cluster: it sends a request after the response to the one before.
type session interface {
	// put writes a key and returns the revision of the write.
	put(ctx context.Context, key int, id writeID) (revision uint64, err error)
	// get reads a key, linearizably or from the node's own state, and checks that the value was written to this key.
	get(ctx context.Context, key int, local bool) error
	// batch writes many keys in one request. It calls outcome with each key's revision or error.
	batch(ctx context.Context, keys []int, ids []writeID, outcome func(i int, revision uint64, err error)) error
	// read reads a key linearizably, with everything that the account checks.
	read(ctx context.Context, key int) (record, error)
	// list reads so many keys from one on, linearizably, passes each to a function that is not nil, and returns their
	// number.
	list(ctx context.Context, from, limit int, each func(key int, got record)) (int, error)
}

// driver is one way to load a cluster.
type driver struct {
	name string
	// open opens the sessions of so many clients, spread over the nodes starting with the first, and returns a
	// function that closes them.
	open func(ctx context.Context, clients, first int) ([]session, func(), error)
}
