package raft

import "slices"

// membership is what the configurations of the log mean for this node. configure derives it, and nothing else records
// who the members are (trap T30).
type membership struct {
	current   *Configuration // the one in force: the last of the log (trap T24)
	committed *Configuration // the last one that is committed
	voters    quorums        // of the one in force
	electors  []NodeID       // the voters except this node, in ascending order
	others    []Member       // the members of either configuration except this node, in ascending order of id
}

// Membership is the configuration of a node, and what it means for it.
type Membership struct {
	// Configuration is in force; zero: this node is of no cluster yet.
	Configuration Configuration
	// Committed is the index of the last committed configuration; less than that of Configuration while it is in flight.
	Committed Index
	// Peers are the nodes to which messages may be sent: the other members of both, and those that were removed just now.
	Peers []Member
	// Removed reports that this node was a member. It will never be one again.
	Removed bool
}

// Membership returns the configuration of this node. Ready returns it when it changes.
func (c *Core) Membership() Membership {
	return Membership{
		Configuration: *c.members.current, Committed: c.members.committed.Index, Peers: c.peers(), Removed: c.WasRemoved(),
	}
}

// WasRemoved reports whether this node was removed from the cluster, by its log or by the response of another member.
func (c *Core) WasRemoved() bool { return c.removedBy != 0 || c.isRemoved(c.id) }

// configure follows the configurations of the log. It is called when its end or its commit index has moved.
func (c *Core) configure() {
	current, committed := c.log.configuration(), c.log.committedConfiguration()
	before := c.members
	if current == before.current && committed == before.committed {
		return
	}
	c.members = newMembership(c.id, current, committed)
	if before.current != nil && current.Same(*before.current) && committed.Same(*before.committed) {
		return // a snapshot has the same ones
	}
	c.memberNews = true
	if c.role != Leader {
		return
	}
	c.lead.departed = departure{until: c.lead.ticks + uint64(c.patience())}
	for _, m := range before.others {
		if !c.isMember(m.ID) {
			c.lead.departed.members = append(c.lead.departed.members, m)
		}
	}
	c.followMembers(current.Index) // a new member is probed with the entry that adds it
	c.confirmReads()
}

func newMembership(self NodeID, current, committed *Configuration) membership {
	m := membership{current: current, committed: committed, voters: current.quorums()}
	for _, id := range m.voters.union() {
		if id != self {
			m.electors = append(m.electors, id)
		}
	}
	for _, member := range current.Members {
		if member.ID != self {
			m.others = append(m.others, member)
		}
	}
	for _, member := range committed.Members { // a member is sent its removal until that is committed (trap T27)
		if member.ID != self && !current.Contains(member.ID) {
			member.Role = Leaving
			m.others = append(m.others, member)
		}
	}
	slices.SortFunc(m.others, byID)
	return m
}

// departure are members whose removal was committed last. The leader still sends to them for a while, so that they
// receive the entry that removes them, and its commit.
type departure struct {
	members []Member
	until   uint64 // in the leader's ticks
}

// peers returns the nodes to which this node may send.
func (c *Core) peers() []Member {
	peers := slices.Concat(c.members.others, c.lead.departed.members)
	slices.SortFunc(peers, byID)
	return peers
}

// followMembers gives every peer a record, and drops those of all other nodes, and a transfer to a node that is no
// voter any more. The first entry that a new record sends is next.
func (c *Core) followMembers(next Index) {
	peers := c.peers()
	records := make([]progress, len(peers))
	for i, m := range peers {
		records[i] = progress{id: m.ID, next: next} // optimistic (paper 5.3)
		if old := c.progressOf(m.ID); old != nil {
			records[i] = *old
		}
		records[i].member = m.Role
		if !c.isMember(m.ID) {
			records[i].member = Leaving
		}
	}
	c.lead.progress = records
	if t := &c.lead.transfer; t.target != 0 && !c.members.voters.incoming.Contains(t.target) {
		*t = transfer{}
	}
}

// isMember reports whether a node is a member by the configuration in force or by the last committed one.
func (c *Core) isMember(id NodeID) bool {
	return c.members.current.Contains(id) || c.members.committed.Contains(id)
}

// isRemoved reports whether a node was a member, or never will be one, by the last committed configuration.
func (c *Core) isRemoved(id NodeID) bool { return c.members.committed.removed(id) }

// screen judges a message by its sender. It returns false if the message must not be handled further:
//
//   - A removed node must not disturb the cluster (trap T27). Its requests are refused, which informs it; its term
//     counts for nothing. Its acknowledgements count for its own progress, as long as the leader sends to it.
//   - The response of a node that is no member is left over from an entry that was truncated.
//
// A request of any other node is handled: entries that this node lacks may make it a member (paper, section 6).
func (c *Core) screen(m *Message) bool {
	switch {
	case c.isRemoved(m.From):
		if m.Type == MsgAppendEntriesResponse && m.Term == c.term && c.role == Leader {
			return true
		}
		c.refuseRequest(m, c.members.committed.Index)
		return false
	case m.IsResponse() && !c.isMember(m.From):
		return false
	}
	c.noteRemoval(m)
	return true
}

// noteRemoval records that another member refused this node because it was removed.
func (c *Core) noteRemoval(m *Message) {
	if m.RemovedBy <= c.members.committed.Index || c.removedBy != 0 {
		return
	}
	c.removedBy, c.memberNews = m.RemovedBy, true
	why := "it was removed from the cluster"
	switch c.role {
	case Leader:
		c.stepDown(why)
	case PreCandidate, Candidate:
		c.becomeFollower(c.term, why)
	case Follower:
	}
}

// isVoter reports whether this node is a voter by the configuration in force or by the last committed one (trap T9).
func (c *Core) isVoter() bool {
	m, _ := c.members.committed.Member(c.id)
	return c.members.voters.Contains(c.id) || m.ID != 0 && m.Role == Voter ||
		slices.Contains(c.members.committed.Outgoing, c.id)
}
