// Package kv is the state machine: string keys, values of bytes with a content type, in memory. What Apply
// does depends on the state and the entry alone: no clock, no chance, no map order (trap T45).
package kv
