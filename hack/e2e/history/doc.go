// Package history is what the end-to-end tests know of a store's behaviour: the operations that a client tried, when
// and with what outcome. It finds the longest time without a successful write, and tells whether the whole is
// linearizable.
package history
