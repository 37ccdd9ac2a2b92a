package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestWholeHandover(t *testing.T) { // T11, thesis 3.10
	t.Parallel()
	order := raft.Message{Type: raft.MsgTimeoutNow, From: 1, To: 2, Term: 2}
	// This makes node 1 lead term 2 with a log of two entries, and node 2 hold some log on its disk.
	office := func(s *stage, target []raft.Entry) (*raft.Core, string) {
		begun := all(s.boot(2, in(2, 0), target), s.boot(1, in(1, 0), logOf(1)))
		core := s.elect(1)
		return core, all(begun, s.sees(1))
	}
	// transfer makes node 1 hand over to node 2, which has acknowledged its whole log, and sends the order.
	transfer := func(s *stage) (*raft.Core, string) {
		core, begun := office(s, logOf(1, 2))
		ack := raft.Message{
			Type: raft.MsgAppendEntriesResponse, From: 2, To: 1, Term: 2, Success: true, MatchIndex: 2, RequestID: 1,
		}
		if err := core.Step(ack); err != nil {
			s.t.Fatal(err)
		}
		if err := core.TransferLeadership(2); err != nil {
			s.t.Fatal(err)
		}
		return core, all(begun, s.hears(order))
	}
	more := func(now *engine.Observed) { now.Last++ }
	play(t, alone(func() checker { return &wholeHandover{} }), []tale{
		{"the target has the whole log", 3, func(s *stage) string {
			_, begun := transfer(s)
			return all(begun, s.sees(1))
		}, false},
		{"the target's log on the disk is shorter", 3, func(s *stage) string {
			_, begun := office(s, logOf(1))
			return all(begun, s.hears(order))
		}, true},
		{"the target's log ends with another entry", 3, func(s *stage) string {
			_, begun := office(s, logOf(1, 1))
			return all(begun, s.hears(order))
		}, true},
		{"the target had it, and lost its disk", 3, func(s *stage) string {
			_, begun := office(s, nil)
			s.actor(2).lost = true
			return all(begun, s.hears(order))
		}, false},
		{"the leader takes a proposal after the order", 3, func(s *stage) string {
			_, begun := transfer(s)
			return all(begun, s.sees(1, more))
		}, true},
		{"the leader takes a proposal when the transfer is over", 3, func(s *stage) string {
			core, begun := transfer(s)
			for range 100 {
				core.Tick()
			}
			return all(begun, s.sees(1), s.sees(1, more))
		}, false},
	})
}
