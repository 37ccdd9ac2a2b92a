// Package raft is the consensus core: the Raft paper as a deterministic state machine. It has no clock, no I/O, no
// goroutine and no logger. Time is passed in with Tick, messages with Step, and Ready returns what must be done.
//
// The caller repeats one pass, and nothing else may touch the core:
//
//	core.Tick(), core.Step(m), core.Propose(now, commands), core.ReadIndex() ... // all pending input
//	for core.HasReady() {
//		rd := core.Ready()
//		send(rd.Messages)                      // a leader's appends may leave before its own save
//		begin(rd.Fetches, rd.SnapshotTo)       // on other goroutines
//		if rd.MustSave {
//			save(rd.HardState, rd.Entries) // durably; on failure, end the process
//		}
//		send(rd.AfterSave)                     // votes and acknowledgements
//		apply(rd.Committed)
//		answer(rd.Reads, rd.DroppedReads)
//		core.Advance(rd)
//	}
//
// DESIGN.md explains the decisions, and lists the traps that the tests name.
package raft
