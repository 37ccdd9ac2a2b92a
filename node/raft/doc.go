// Package raft is the consensus core: the Raft paper as a deterministic state machine. It has no clock, no I/O,
// no goroutine and no logger; time comes in as Tick, messages as Step, and what must be done comes out as Ready.
//
// Whoever drives it repeats one pass, and nothing else touches the core:
//
//	core.Tick(), core.Step(m), core.Propose(now, commands), core.ReadIndex() ... // whatever waits
//	for core.HasReady() {
//		rd := core.Ready()
//		send(rd.Messages)                      // a leader's appends may leave before its own save
//		if rd.MustSave {
//			save(rd.HardState, rd.Entries) // durably; if that fails, the process ends
//		}
//		send(rd.AfterSave)                     // votes and acknowledgements may not
//		apply(rd.Committed)
//		answer(rd.Reads, rd.DroppedReads)
//		core.Advance(rd)
//	}
//
// DESIGN.md says why it is shaped so, and lists the traps that the tests name.
package raft
