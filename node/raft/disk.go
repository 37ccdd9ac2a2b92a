package raft

// A node whose disk fills must not end, or the cluster loses a vote that it still has. It reports its disk in each
// response to an AppendEntries; once little is left, it takes no more entries, and the cluster continues with the
// others.

// DiskState is how much room the disk of a node has.
type DiskState uint8

// The states of a disk.
const (
	DiskOK DiskState = iota
	// DiskLow: there is room for entries, but no more data should be added.
	DiskLow
	// DiskFull: the node takes no entries that it does not hold. It votes, and answers heartbeats.
	DiskFull
)

// SetDisk sets the state of this node's disk. A leader with a full disk should not propose.
func (c *Core) SetDisk(s DiskState) { c.disk = s }

// QuorumTakes reports whether a quorum of the voters has a disk in a state up to a limit, by the last responses to this
// leader. It returns true on a node that does not lead.
func (c *Core) QuorumTakes(limit DiskState) bool {
	return c.role != Leader || c.members.voters.Agree(func(id NodeID) bool {
		if id == c.id {
			return c.disk <= limit
		}
		return c.progressOf(id).disk <= limit
	})
}

// SuccessorWithRoom returns the follower to transfer the leadership to because the leader's own disk is low: the best
// one, of those that reported room within the last ticks; 0 if there is none.
func SuccessorWithRoom(s Status, ticks int) NodeID {
	var fit []ProgressStatus
	for _, p := range s.Progress {
		if p.DiskKnown && p.Disk == DiskOK && p.AckTicks <= ticks {
			fit = append(fit, p)
		}
	}
	s.Progress = fit
	return BestSuccessor(s, ticks)
}

// held returns an append request without the entries that this log does not hold. The response then acknowledges less
// than was sent, which is always safe.
func (l *raftLog) held(m *Message) *Message {
	count := 0
	for count < len(m.Entries) {
		if t, ok := l.term(m.Entries[count].Index); !ok || t != m.Entries[count].Term {
			break
		}
		count++
	}
	if count == len(m.Entries) {
		return m
	}
	part := *m
	part.Entries = m.Entries[:count]
	return &part
}

// noteDisk records the disk of a follower. One whose disk is full receives only heartbeats, which find out when there
// is room again; then the leader probes.
func (p *progress) noteDisk(s DiskState) {
	p.disk, p.diskKnown = s, true
	if s == DiskFull {
		p.sendAgain()
	}
}
