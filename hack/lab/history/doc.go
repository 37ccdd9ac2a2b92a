// Package history is the history of a store: the operations of the clients, with their times and outcomes. It finds
// the longest time without a successful write and checks whether the whole is linearizable.
package history
