// Package kv is the state machine: string keys, and values of bytes with a content type, in memory, with the versions
// of each key since a compaction. The result of Apply depends on the state and the entry alone: no clock, no
// randomness, no map order (trap T45).
package kv
