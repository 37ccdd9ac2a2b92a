package raft

import (
	"slices"
	"testing"
)

// join starts a node with an empty disk, which is no member yet.
func (net *network) join(id NodeID, adjust ...func(*Config)) *testNode {
	net.t.Helper()
	cfg := testConfig(id, nil, 7)
	for _, f := range adjust {
		f(&cfg)
	}
	return net.add(cfg, HardState{}, nil)
}

// change proposes a change of the configuration in force.
func (net *network) change(leader *testNode, change Change) Index {
	net.t.Helper()
	change.Expected = leader.members.current.Index
	index, _, err := leader.ProposeChange(change)
	if err != nil {
		net.t.Fatalf("node %d refuses %+v: %v", leader.id, change, err)
	}
	return index
}

// newLearners starts a cluster with voters 1 to n, led by node 1, and the learners after them.
func newLearners(t testing.TB, n int, learners ...NodeID) (*network, *testNode) {
	t.Helper()
	net := newNetwork(t, n)
	leader := net.elect(1)
	var members []Member
	for _, id := range learners {
		net.join(id)
		members = append(members, memberAt(id))
	}
	net.change(leader, Change{Add: members})
	net.tick(2 * testHeartbeatTicks)
	return net, leader
}

// voters returns the voters of the configuration in force, without those that are only outgoing.
func (node *testNode) voters() []NodeID { return node.members.voters.incoming }

// soloLeader returns a leader of voters 1 to n that has committed the no-op of its term.
func soloLeader(t *testing.T, n int) *solo {
	t.Helper()
	s := newSolo(t, n, HardState{}, nil)
	sent := s.lead()
	for id := NodeID(2); int(id) <= n; id++ {
		s.step(success(the(t, appends(sent, id))))
	}
	wantEqual(t, "commit index", s.log.commit, 1)
	return s
}

// change proposes a change of the configuration in force, and returns what is sent.
func (s *solo) change(change Change) []Message {
	s.t.Helper()
	change.Expected = s.members.current.Index
	if _, _, err := s.ProposeChange(change); err != nil {
		s.t.Fatalf("%+v: %v", change, err)
	}
	return s.take()
}

// acknowledge steps a success of a node for the whole log.
func (s *solo) acknowledge(id NodeID) []Message {
	s.t.Helper()
	return s.step(Message{Type: MsgAppendEntriesResponse, From: id, Term: s.term, Success: true, MatchIndex: s.log.last()})
}

// A learner whose promotion has not reached it is a voter for the candidate, and its vote may be the only one left.
func TestALearnerVotesThoughItLacksItsPromotion(t *testing.T) { // T8
	t.Parallel()
	net, leader := newLearners(t, 3, 4)
	net.isolate(4)
	net.change(leader, Change{Promote: []NodeID{4}})
	net.settle()
	wantEqual(t, "committed without it", leader.members.committed.Index, leader.log.last())
	net.crash(1)
	net.heal()
	four := net.nodes[4]
	wantEqual(t, "role of node 4 by its own log", four.members.current.Members[3].Role, Learner)
	net.elect(2) // it needs three of four
	wantSlice(t, "voters after the election", four.voters(), []NodeID{1, 2, 3, 4})
}

func TestALearnerNeverCampaigns(t *testing.T) { // T8
	t.Parallel()
	net, leader := newLearners(t, 3, 4)
	wantEqual(t, "voters", len(leader.voters()), 3)
	four := net.nodes[4]
	for range 20 * testElectionTicks {
		four.Tick()
	}
	wantEqual(t, "role", four.role, Follower)
	if err := four.Step(Message{Type: MsgTimeoutNow, From: 1, To: 4, Term: four.term}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "role after an order to campaign", four.role, Follower)
	wantError(t, leader.TransferLeadership(4), ErrBadTarget)
}

// The only node that has the entry which removes it is the only one that can be elected.
func TestTheOnlyNodeWithItsRemovalCampaigns(t *testing.T) { // T9
	t.Parallel()
	net := newNetwork(t, 2)
	leader := net.elect(1)
	net.isolate(2)
	leader.lead.transfer.failed = true // it could not hand over
	net.change(leader, Change{Remove: []NodeID{1}, Force: true})
	for net.drain(leader) {
	}
	net.crash(1)
	net.heal()
	one := net.restart(1)
	wantSlice(t, "voters at node 1", one.voters(), []NodeID{2})
	net.tick(10 * testElectionTicks)
	two := net.nodes[2]
	wantEqual(t, "leader", net.leader(), two)
	wantSlice(t, "voters", two.voters(), []NodeID{2})
	wantEqual(t, "node 1 is removed", one.WasRemoved(), true)
	wantEqual(t, "role of node 1", one.role, Follower)
	net.propose(two, `"x"`)
	net.settle()
	wantEqual(t, "commit index", two.log.commit, two.log.last())
}

func TestLeadershipGoesToIncomingVotersOnly(t *testing.T) { // T11
	t.Parallel()
	net, leader := newLearners(t, 3, 4, 5)
	net.drop = func(Message) bool { return true }
	net.change(leader, Change{Promote: []NodeID{4}, Remove: []NodeID{2}})
	wantEqual(t, "joint", leader.members.current.Joint(), true)
	wantError(t, leader.TransferLeadership(2), ErrBadTarget)
	wantError(t, leader.TransferLeadership(5), ErrBadTarget)
	wantError(t, leader.TransferLeadership(9), ErrBadTarget)
	wantError(t, leader.TransferLeadership(4), nil)
	_, _, err := leader.ProposeChange(Change{Expected: leader.members.current.Index, Remove: []NodeID{5}})
	wantError(t, err, ErrTransferring)
}

// Without this rule, two leaders that each change one voter of the same configuration have quorums without a common
// voter.
func TestNoChangeBeforeAnEntryOfTheTermIsCommitted(t *testing.T) { // T23
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, logOf(1))
	s.lead()
	_, _, err := s.ProposeChange(Change{Remove: []NodeID{3}})
	wantError(t, err, ErrTermNotCommitted)
	s.acknowledge(2)
	s.change(Change{Remove: []NodeID{3}, Force: true})
	wantPanic(t, "traps T23, T24", func() { s.appendConfiguration(initial(1)) })
}

func TestOneChangeIsInFlight(t *testing.T) { // T24
	t.Parallel()
	s := soloLeader(t, 3)
	add := func(id NodeID) Change { return Change{Expected: s.members.current.Index, Add: []Member{memberAt(id)}} }
	s.change(add(4))
	_, _, err := s.ProposeChange(add(5))
	wantError(t, err, ErrChangeInFlight)
	s.acknowledge(2)
	wantEqual(t, "commit index", s.log.commit, 2)
	s.change(add(5))
	_, _, err = s.ProposeChange(Change{Expected: 2, Remove: []NodeID{4}})
	wantError(t, err, ErrChangeInFlight)
	s.acknowledge(2)
	_, _, err = s.ProposeChange(Change{Expected: 2, Remove: []NodeID{4}})
	wantError(t, err, ErrConfigurationIndex)

	// A joint one is in flight until its second step is committed.
	for id := NodeID(4); id <= 5; id++ {
		s.progressOf(id).state = replicating
		s.acknowledge(id)
		s.acknowledge(id)
	}
	s.change(Change{Promote: []NodeID{4, 5}})
	s.acknowledge(2)
	wantEqual(t, "joint with two of three and of five", s.members.current.Joint(), true)
	s.acknowledge(4)
	wantEqual(t, "joint with three of five", s.members.current.Joint(), false)
	_, _, err = s.ProposeChange(Change{Expected: s.members.current.Index, Remove: []NodeID{4}})
	wantError(t, err, ErrChangeInFlight)
	s.acknowledge(2)
	s.acknowledge(4)
	s.change(Change{Remove: []NodeID{4}})
}

// A configuration is in force when it is appended, on a follower as well, and goes with its entry.
func TestATruncatedConfigurationIsGone(t *testing.T) { // T24
	t.Parallel()
	first, second := initial(1, 2), initial(1, 2, 3, 4)
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	at := func(index Index, cfg Configuration) []Entry { return []Entry{configEntry(index, 1, cfg)} }
	s.ask(Message{
		Type: MsgAppendEntries, Term: 1, PrevLogIndex: 1, PrevLogTerm: 1, LeaderCommit: 2, Entries: at(2, first),
	})
	s.ask(Message{Type: MsgAppendEntries, Term: 1, PrevLogIndex: 2, PrevLogTerm: 1, Entries: at(3, second)})
	wantSlice(t, "voters", s.voters(), []NodeID{1, 2, 3, 4})
	wantEqual(t, "committed", s.members.committed.Index, 2)

	r := s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesFrom(3, 2)})
	wantEqual(t, "accepted", r.Success, true)
	wantSlice(t, "voters after the truncation", s.voters(), []NodeID{1, 2})
	wantEqual(t, "configuration in force", s.Membership().Configuration.Index, 2)
}

// The same if the configuration before it is in the log no longer.
func TestATruncationReturnsToTheConfigurationAtTheStartOfTheLog(t *testing.T) { // T24, T33
	t.Parallel()
	start := startOf(1, 1, 1)
	start.Configuration = initial(1, 2)
	start.Configuration.Index = 2
	s := newSoloFrom(t, 3, HardState{Term: 1, Commit: 3}, Log{
		Start: start, Removed: 3, Entries: []Entry{configEntry(4, 1, initial(1, 2, 5))},
	})
	wantSlice(t, "voters at the start", s.voters(), []NodeID{1, 2, 5})
	s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 3, PrevLogTerm: 1, Entries: entriesFrom(4, 2)})
	wantSlice(t, "voters after the truncation", s.voters(), []NodeID{1, 2})
	wantEqual(t, "configuration of a snapshot", s.ConfigurationUpTo(3).Index, 2)
}

// A log that begins with a checkpoint may hold configurations that are older than the checkpoint's.
func TestAnOlderConfigurationBehindTheCheckpointIsSkipped(t *testing.T) { // T25
	t.Parallel()
	start := startOf(1, 1)
	start.Configuration = initial(1, 2)
	start.Configuration.Index = 4
	s := newSoloFrom(t, 3, HardState{Term: 1, Commit: 5}, Log{Start: start, Removed: 2, Applied: 4, Entries: []Entry{
		configEntry(3, 1, initial(1, 2, 3, 4)), configEntry(4, 1, initial(1, 2)), entriesFrom(5, 1)[0],
	}})
	wantSlice(t, "voters", s.voters(), []NodeID{1, 2})
	wantEqual(t, "configurations", len(s.log.configurations), 1)
	wantEqual(t, "configuration at an entry before it", s.ConfigurationUpTo(3).Index, 4)
	wantPanic(t, "the commit index is 5", func() { s.ConfigurationUpTo(6) })
}

// The configurations that were replaced before the start of the log take no memory.
func TestConfigurationsBeforeTheLogAreDropped(t *testing.T) {
	t.Parallel()
	s := newSoloFrom(t, 3, HardState{Term: 1, Commit: 4}, Log{Entries: []Entry{
		configEntry(1, 1, initial(1, 2)), configEntry(2, 1, initial(1)), configEntry(3, 1, initial(1, 2)),
		entriesFrom(4, 1)[0],
	}})
	s.take()
	wantEqual(t, "configurations", len(s.log.configurations), 4)
	s.Removed(2)
	wantEqual(t, "configurations after a removal", len(s.log.configurations), 2)
	wantEqual(t, "the one at the start of the log", s.ConfigurationUpTo(2).Index, 2)
}

func TestANewLeaderHasTheConfigurationsOfItsLog(t *testing.T) { // T25
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, append(logOf(1), configEntry(2, 1, initial(1, 2, 3, 4, 5))))
	sent := s.lead() // with the votes of nodes 2 and 3
	wantEqual(t, "records", s.followers(), "[2 3 4 5]")
	s.step(success(the(t, appends(sent, 2))))
	wantEqual(t, "commit index with two of five", s.log.commit, 1)
	s.step(success(the(t, appends(sent, 5))))
	wantEqual(t, "commit index with three of five", s.log.commit, 3)
}

func TestTheSnapshotsConfigurationReplacesThoseOfTheLog(t *testing.T) { // T33
	t.Parallel()
	// The log has a later configuration that was never committed.
	s := newSolo(t, 3, HardState{Term: 2, Commit: 1}, append(logOf(1, 1), configEntry(3, 1, initial(7))))
	s.take()
	start := startOf(1, 2, 2, 2)
	start.Configuration = initial(1, 2, 4)
	start.Configuration.Index = 2
	if installed, err := s.restore(2, snapshot{start: start}); !installed || err != nil {
		t.Fatal(installed, err)
	}
	wantSlice(t, "voters", s.voters(), []NodeID{1, 2, 4})
	wantEqual(t, "committed", s.members.committed.Index, 2)

	// What follows the snapshot stays.
	s = newSolo(t, 3, HardState{Term: 1, Commit: 1}, append(logOf(1, 1), configEntry(3, 1, initial(7))))
	s.take()
	if installed, err := s.restore(2, snapshot{start: startOf(1, 1)}); !installed || err != nil {
		t.Fatal(installed, err)
	}
	wantSlice(t, "voters with a suffix", s.voters(), []NodeID{7})
	wantEqual(t, "committed with a suffix", s.members.committed.Index, 0)
}

func TestASnapshotWithAnOlderConfigurationIsRefused(t *testing.T) { // T33
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 2}, append(logOf(1), configEntry(2, 1, initial(1, 2))))
	s.take()
	start := startOf(1, 1, 1, 1)
	_, err := s.restore(2, snapshot{start: start})
	wantError(t, err, ErrBadMessage)
	start.Configuration = initial(1, 2)
	start.Configuration.Index = 5
	_, err = s.restore(2, snapshot{start: start})
	wantError(t, err, ErrBadMessage)
	start.Configuration.Index = 2
	if installed, err := s.restore(2, snapshot{start: start}); !installed || err != nil {
		t.Fatal(installed, err)
	}
}

// A leader that removes itself needs a majority of the others, and steps down when it has one.
func TestARemovedLeaderDoesNotCountItself(t *testing.T) { // T26
	t.Parallel()
	s := soloLeader(t, 4)
	s.Core.lead.transfer.failed = true
	s.change(Change{Remove: []NodeID{1}})
	s.acknowledge(2)
	wantEqual(t, "commit index with itself and one of three", s.log.commit, 1)
	wantEqual(t, "role", s.role, Leader)
	sent := s.acknowledge(3)
	wantEqual(t, "commit index with two of three", s.log.commit, 2)
	wantEqual(t, "role", s.role, Follower)
	wantEqual(t, "successor", the(t, ofType(sent, MsgTimeoutNow)).To, 2)
	wantEqual(t, "removed", s.WasRemoved(), true)
	wantEqual(t, "messages of a silent time", len(s.ticks(10*testElectionTicks)), 0)
}

// Proposals would stop for an election timeout if the leader just left, so it hands over, and the next one removes it.
func TestARemovedLeaderHandsOverFirst(t *testing.T) { // T26
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.tick(1)
	remove := Change{Remove: []NodeID{1}}
	_, _, err := leader.ProposeChange(remove)
	wantError(t, err, ErrHandingOver)
	net.settle() // without a tick
	next := net.leader()
	if next == nil || next == leader {
		t.Fatal("leadership was not handed over")
	}
	net.change(next, remove)
	net.tick(2 * testHeartbeatTicks)
	wantSlice(t, "voters", next.voters(), []NodeID{2, 3})
	wantEqual(t, "role", next.role, Leader)
	wantEqual(t, "node 1 is removed", leader.WasRemoved(), true)
}

// If none can take over in time, the leader removes itself.
func TestARemovedLeaderThatCannotHandOverLeads(t *testing.T) { // T26
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.tick(1)
	net.drop = func(m Message) bool { return m.Type == MsgTimeoutNow }
	remove := Change{Remove: []NodeID{1}}
	_, _, err := leader.ProposeChange(remove)
	wantError(t, err, ErrHandingOver)
	_, _, err = leader.ProposeChange(remove)
	wantError(t, err, ErrTransferring)
	net.tick(testElectionTicks)
	net.change(leader, remove)
	net.heal()
	net.settle()
	wantEqual(t, "role of the removed leader", leader.role, Follower)
	next := net.leader()
	wantSlice(t, "voters", next.voters(), []NodeID{2, 3})
	wantEqual(t, "term of the next leader", next.term, 2)
}

func TestAJointChangeRemovesTheLeader(t *testing.T) { // T26
	t.Parallel()
	net, leader := newLearners(t, 3, 4, 5)
	leader.lead.transfer.failed = true
	net.change(leader, Change{Promote: []NodeID{4, 5}, Remove: []NodeID{1, 2}})
	wantEqual(t, "role while it is joint", leader.role, Leader)
	net.tick(10 * testElectionTicks)
	next := net.leader()
	wantSlice(t, "voters", next.voters(), []NodeID{3, 4, 5})
	wantEqual(t, "joint", next.members.current.Joint(), false)
	for _, id := range net.ids() {
		wantEqual(t, "removed", net.nodes[id].WasRemoved(), id < 3)
	}
}

// The leader sends to a removed member until it has its removal and the commit of that.
func TestARemovedMemberReceivesItsRemoval(t *testing.T) { // T27
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	index := net.change(leader, Change{Remove: []NodeID{3}})
	wantEqual(t, "peers", len(leader.Membership().Peers), 2)
	net.tick(2 * testHeartbeatTicks)
	three := net.nodes[3]
	wantEqual(t, "commit index of node 3", three.log.commit, index)
	wantEqual(t, "removed", three.WasRemoved(), true)
	wantEqual(t, "node 3 in the status", leader.Status().Progress[1].Member, Leaving)
	net.tick(3 * testElectionTicks)
	wantEqual(t, "records of the leader", len(leader.lead.progress), 1)
	wantEqual(t, "peers later", len(leader.Membership().Peers), 1)
	wantEqual(t, "leader", net.leader(), leader)
	wantEqual(t, "term", leader.term, 1)
}

// A member that missed its removal is informed when it campaigns, and its term counts for nothing.
func TestARemovedMemberDisturbsNoLeader(t *testing.T) { // T27, T6, T7
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.isolate(3)
	net.change(leader, Change{Remove: []NodeID{3}})
	net.tick(4 * testElectionTicks)
	three := net.nodes[3]
	wantEqual(t, "role of node 3", three.role, PreCandidate)
	three.setTerm(three.term + 5) // as if it had campaigned
	net.heal()
	net.settle()
	for _, m := range []Message{
		{Type: MsgRequestVote, Term: 9},
		{Type: MsgRequestVote, Term: 9, Transfer: true},
		{Type: MsgAppendEntries, Term: 9},
		{Type: MsgTimeoutNow, Term: 9},
		{Type: MsgAppendEntriesResponse, Term: 9},
	} {
		m.From, m.To = 3, 2
		net.deliver(m)
	}
	net.settle()
	wantEqual(t, "term of node 2", net.nodes[2].term, 1)
	net.tick(4 * testElectionTicks)
	wantEqual(t, "leader", net.leader(), leader)
	wantEqual(t, "term", leader.term, 1)
	wantEqual(t, "removed", three.WasRemoved(), true)
	wantEqual(t, "removed by its log", three.members.committed.Contains(3), true)
	wantEqual(t, "role of node 3", three.role, Follower)
	wantEqual(t, "campaigns", three.mayCampaign(), false)
}

// Also a leader: partitioned, it may not have noticed that the others have another one, and removed it.
func TestARemovedLeaderIsInformed(t *testing.T) { // T27
	t.Parallel()
	s := soloLeader(t, 3)
	s.take()
	s.step(Message{Type: MsgAppendEntriesResponse, From: 2, Term: 1, RemovedBy: 9})
	wantEqual(t, "role", s.role, Follower)
	wantEqual(t, "removed", s.WasRemoved(), true)
	wantEqual(t, "messages of a silent time", len(s.ticks(10*testElectionTicks)), 0)

	// What its own log has seen is newer.
	s = newSolo(t, 3, HardState{Term: 1, Commit: 2}, append(logOf(1), configEntry(2, 1, initial(1, 2, 3))))
	s.step(Message{Type: MsgAppendEntriesResponse, From: 2, Term: 1, RemovedBy: 2})
	wantEqual(t, "removed by an older configuration", s.WasRemoved(), false)
}

// Entries that this node lacks may make the sender of a request a member.
func TestARequestOfAnUnknownNodeIsHandled(t *testing.T) { // paper, section 6
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	r := s.ask(Message{Type: MsgRequestVote, From: 7, Term: 2, LastLogIndex: 1, LastLogTerm: 1})
	wantEqual(t, "vote granted", r.VoteGranted, true)
	r = s.ask(Message{
		Type: MsgAppendEntries, From: 7, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1,
		Entries: []Entry{configEntry(2, 2, initial(1, 2, 3, 7))},
	})
	wantEqual(t, "accepted", r.Success, true)
	wantEqual(t, "leader", s.leader, 7)
	wantEqual(t, "member", s.isMember(7), true)
}

// A new node is no member of any configuration until the log has one. It takes entries, and does nothing else.
func TestANodeThatJoinsWaits(t *testing.T) { // T8, T27
	t.Parallel()
	net := newNetwork(t, 3)
	four := net.join(4)
	net.tick(5 * testElectionTicks)
	wantEqual(t, "role", four.role, Follower)
	wantEqual(t, "members", len(four.Membership().Configuration.Members), 0)
	leader := net.leader()
	net.compactAll()
	net.change(leader, Change{Add: []Member{memberAt(4)}})
	net.tick(2 * testElectionTicks)
	wantEqual(t, "log", four.terms(), leader.terms())
	wantEqual(t, "members", len(four.Membership().Configuration.Members), 4)
	wantEqual(t, "removed", four.WasRemoved(), false)
}

// compactAll makes every node remove from its disk what it has applied.
func (net *network) compactAll() {
	for _, id := range net.ids() {
		if n := Index(len(net.nodes[id].applied)); n > 0 {
			net.compact(id, n)
		}
	}
}

// A configuration that cannot be read was written by a later version, or damaged: it is refused, in a message and at a
// start.
func TestAnUnreadableConfigurationIsRefused(t *testing.T) { // T30
	t.Parallel()
	bad := []Entry{{Index: 1, Term: 1, Type: EntryConfig, Command: []byte(`config {"members":[]}`)}}
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	wantRefused(t, s, Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1, Entries: bad})
	if _, err := New(testConfig(1, []NodeID{1}, 1), HardState{Term: 1}, Log{Entries: bad}); err == nil {
		t.Error("a start from it")
	}
	wantPanic(t, "entry 1 cannot be read", func() { s.log.append(bad...) })
}

// What a node returns when its membership changes is what its log has.
func TestReadyReturnsTheMembership(t *testing.T) { // T30
	t.Parallel()
	s := soloLeader(t, 3)
	if _, _, err := s.ProposeChange(Change{Add: []Member{memberAt(4)}}); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	if rd.Membership == nil {
		t.Fatal("a change is not returned")
	}
	wantEqual(t, "index", rd.Membership.Configuration.Index, 2)
	wantEqual(t, "committed", rd.Membership.Committed, 0)
	wantEqual(t, "peers", len(rd.Membership.Peers), 3)
	if !slices.ContainsFunc(rd.Messages, func(m Message) bool { return m.To == 4 }) {
		t.Error("nothing is sent to the new member")
	}
	s.disk.save(rd)
	s.Advance(rd)
	if rd := s.Ready(); rd.Membership != nil {
		t.Error("no change, and it is returned")
	} else {
		s.Advance(rd)
	}
	m := Message{Type: MsgAppendEntriesResponse, From: 2, To: 1, Term: 1, Success: true, MatchIndex: 2}
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	rd = s.Ready()
	if rd.Membership == nil || rd.Membership.Committed != 2 {
		t.Fatalf("its commit is not returned: %+v", rd.Membership)
	}
	s.Advance(rd)
}

// Seats of removed members would make the start of the log grow with every member that is replaced.
func TestSeatsOfRemovedMembersAreDropped(t *testing.T) { // T28
	t.Parallel()
	with := func(ids ...NodeID) Configuration {
		cfg := initial(ids...)
		cfg.LastID = 5
		return cfg
	}
	entries := []Entry{
		configEntry(1, 1, with(1, 2, 3, 4)),
		seatEntry(2, 1, Seat{4, 400}),
		configEntry(3, 1, with(1, 2, 3, 5)),
		seatEntry(4, 1, Seat{5, 500}),
		entriesFrom(5, 1)[0],
	}
	at, digest := LogStart{}, Digest(0)
	for i := range entries {
		var err error
		digest = digest.Extend(&entries[i])
		if at, err = at.After(&entries[i], digest, testEncoding); err != nil {
			t.Fatal(err)
		}
	}
	wantSlice(t, "members with a seat", membersOf(at.Seats), []NodeID{5})
	wantEqual(t, "configuration", at.Configuration.Index, 3)

	s := newSolo(t, 3, HardState{Term: 1, Commit: 5}, entries, foundedBy(3))
	s.take()
	wantSlice(t, "members with a seat, early", membersOf(s.SeatsUpTo(2)), []NodeID{4})
	wantSlice(t, "members with a seat", membersOf(s.SeatsUpTo(5)), []NodeID{5})
	s.Removed(4)
	wantEqual(t, "seats in memory", len(s.log.seats), 1)

	for _, bad := range []Entry{
		{Index: 6, Term: 1, Type: EntrySeat, Command: []byte("x")}, {Index: 6, Term: 1, Type: EntryConfig},
	} {
		if _, err := at.After(&bad, 1, testEncoding); err == nil {
			t.Errorf("%+v is read", bad)
		}
	}
}

func membersOf(seats []Seat) []NodeID {
	var ids []NodeID
	for _, s := range seats {
		ids = append(ids, s.Member)
	}
	return ids
}
