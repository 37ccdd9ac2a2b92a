// Package node is one Raft node: the core (node/raft), a disk, a network and the state machine (node/kv), and
// the loop that is the only goroutine to touch the core.
package node
