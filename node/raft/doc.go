// Package raft is the consensus core: the Raft paper as a deterministic state machine. It has no clock, no I/O,
// no goroutine and no logger; time comes in as Tick, messages as Step, and what must be done comes out as Ready.
package raft
