package raft

import (
	"strings"
	"testing"
)

// leadWithWindow leads three nodes; node 2 has acknowledged everything.
func leadWithWindow(t *testing.T, adjust func(*Config)) *solo {
	t.Helper()
	s := newSolo(t, 3, HardState{}, nil, adjust)
	s.leadAndCommit()
	return s
}

// With one message in flight, appends batch by themselves: commands that arrive meanwhile are sent together after the
// response.
func TestWindowOfOneBatchesByItself(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxInflightMessages = 1 })
	first := the(t, appends(s.replicate("1"), 2))
	wantEqual(t, "sent meanwhile", len(appends(s.replicate("2", "3", "4"), 2)), 0)
	next := the(t, appends(s.step(success(first)), 2))
	wantEqual(t, "entries", len(next.Entries), 3)
	wantEqual(t, "previous index", next.PrevLogIndex, 2)
	wantEqual(t, "it carries the commit index", next.LeaderCommit, 2)
}

// Many proposals before one Ready make one message per follower.
func TestWindowOneMessagePerPass(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxInflightMessages = 8 })
	m := the(t, appends(s.replicate("1", "2", "3"), 2))
	wantEqual(t, "entries", len(m.Entries), 3)
}

func TestWindowOfMessages(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxInflightMessages, cfg.MaxMessageEntries = 3, 2 })
	sent := appends(s.replicate("1", "2", "3", "4", "5", "6", "7", "8"), 2)
	wantEqual(t, "messages", len(sent), 3)
	for i, m := range sent {
		wantEqual(t, "previous index", m.PrevLogIndex, Index(1+2*i))
		wantEqual(t, "entries", len(m.Entries), 2)
	}
	wantEqual(t, "in flight", s.Status().Progress[0].InflightMessages, 3)
	wantEqual(t, "next", s.Status().Progress[0].Next, 8)

	// The responses arrive in the wrong order: the second confirms the first append as well.
	next := appends(s.step(success(sent[1])), 2)
	wantEqual(t, "sent after it", len(next), 1)
	wantEqual(t, "sent after the first one's answer", len(appends(s.step(success(sent[0])), 2)), 0)
	wantEqual(t, "match", s.progressOf(2).match, 5)
	wantEqual(t, "in flight", len(s.progressOf(2).inflight), 2)
}

func TestWindowOfBytes(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) {
		cfg.MaxInflightMessages, cfg.MaxMessageBytes, cfg.MaxInflightBytes = 10, 10, 25
	})
	five := strings.Repeat("x", 5)
	sent := appends(s.replicate(five, five, five, five, five, five), 2)
	wantEqual(t, "messages", len(sent), 3)
	wantEqual(t, "entries of the first", len(sent[0].Entries), 2)
	wantEqual(t, "room behind them, where an append would hit the log", cap(sent[0].Entries), 2)
	wantEqual(t, "entries of the second", len(sent[1].Entries), 2)
	wantEqual(t, "entries of the last, which fills the window", len(sent[2].Entries), 1)
	wantEqual(t, "entries after an answer", len(the(t, appends(s.step(success(sent[0])), 2)).Entries), 1)
}

// An entry larger than every limit is still sent, alone.
func TestWindowOneEntryAlwaysFits(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) {
		cfg.MaxInflightMessages, cfg.MaxMessageBytes, cfg.MaxInflightBytes, cfg.MaxUncommittedBytes = 10, 4, 8, 5000
	})
	m := the(t, appends(s.replicate(strings.Repeat("x", 1000), "y"), 2))
	wantEqual(t, "entries", len(m.Entries), 1)
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "command", string(m.Entries[0].Command), "y")
}

// While it is unknown where the logs agree, one append at a time finds out.
func TestWindowOfAProbe(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, func(cfg *Config) { cfg.MaxInflightMessages, cfg.MaxMessageEntries = 8, 1 })
	noop := the(t, appends(s.lead(), 2))
	wantEqual(t, "state", s.Status().Progress[0].State, "probe")
	wantEqual(t, "sent while probing", len(appends(s.replicate("1", "2", "3"), 2)), 0)
	wantEqual(t, "sent after the answer", len(appends(s.step(success(noop)), 2)), 3)
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")
}

// An append without a response for the maximum election timeout is sent again, as a probe.
func TestWindowLostAppendIsSentAgain(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxInflightMessages = 2 })
	lost := the(t, appends(s.replicate("1"), 2))
	for tick := range 2 * testElectionTicks {
		s.progressOf(2).answeredNow(0)
		sent := appends(s.ticks(1), 2)
		wantEqual(t, "sent again", len(sent), (tick+1)/(2*testElectionTicks))
		if len(sent) > 0 {
			wantEqual(t, "previous index", sent[0].PrevLogIndex, lost.PrevLogIndex)
			wantEqual(t, "has a number of its own", sent[0].RequestID > lost.RequestID, true)
		}
	}
	wantEqual(t, "state", s.progressOf(2).state, probing)
}

// The loss that the transport reports is repaired at the next tick after any response of the peer.
func TestWindowReportedLossIsRepairedSoon(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxInflightMessages = 2 })
	s.replicate("1")
	s.ReportUnreachable(2)
	s.ReportUnreachable(2)
	s.ReportUnreachable(99) // no member
	wantEqual(t, "sent at once", len(s.take()), 0)
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "sent on the answer", len(s.step(success(beat))), 0)
	wantEqual(t, "sent at the next tick", len(appends(s.ticks(1), 2)), 1)
}

func TestUncommittedBytesAreBounded(t *testing.T) {
	t.Parallel()
	s := leadWithWindow(t, func(cfg *Config) { cfg.MaxUncommittedBytes = 10 })
	m := the(t, appends(s.replicate("123456"), 2))
	_, _, err := s.Propose(0, [][]byte{[]byte("12345")})
	wantError(t, err, ErrOverloaded)
	s.step(success(m))
	first, term, err := s.Propose(7, [][]byte{[]byte("123"), []byte("45")})
	wantError(t, err, nil)
	wantEqual(t, "first index", first, 3)
	wantEqual(t, "term", term, 1)
	m = the(t, appends(s.take(), 2))
	wantEqual(t, "time stamp", m.Entries[1].Timestamp, 7)
	s.step(success(m))
	wantEqual(t, "uncommitted bytes", s.Core.lead.uncommittedBytes, 0)
	first, _, err = s.Propose(0, [][]byte{make([]byte, 1000)})
	wantError(t, err, nil) // larger than the limit, but nothing else is uncommitted
	wantEqual(t, "first index", first, 5)
	_, _, err = s.Propose(0, [][]byte{[]byte("1")})
	wantError(t, err, ErrOverloaded)
}

// A new leader counts what the old one left uncommitted.
func TestUncommittedBytesOfAnInheritedLog(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, logOf(1, 1, 1))
	size := len(s.log.entries[1].Command) + len(s.log.entries[2].Command) + len(testEncoding.NoOp)
	noop := the(t, appends(s.lead(), 2))
	wantEqual(t, "uncommitted bytes", s.Core.lead.uncommittedBytes, size)
	s.step(success(noop))
	wantEqual(t, "uncommitted bytes", s.Core.lead.uncommittedBytes, 0)
}

// While every window is full a proposal would only wait in the log: TakesProposals returns false.
func TestProposalsAreTakenWhenAWindowIsOpen(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	wantEqual(t, "taken at rest", leader.TakesProposals(), true)
	wantEqual(t, "taken by a follower, which refuses them", net.nodes[2].TakesProposals(), true)
	net.isolate(3)
	net.propose(leader, "1")
	net.drain(leader)
	wantEqual(t, "taken while both appends are unanswered", leader.TakesProposals(), false)
	net.settle()
	wantEqual(t, "taken after one answer", leader.TakesProposals(), true)
}

func TestSingleVoterAlwaysTakesProposals(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 1)
	wantEqual(t, "taken", net.elect(1).TakesProposals(), true)
}
