package raft

import "fmt"

// wantsSnapshot reports whether a snapshot should be sent to a follower: it needs one, it answers, its disk has room,
// none is on its way, and the last attempt did not just fail. A caretaker has no state to send.
func (c *Core) wantsSnapshot(p *progress) bool {
	return !c.differs && p.needsSnapshot() && !p.snapshotOut && !p.paused && p.ackTicks < c.patience() &&
		c.lead.ticks >= p.snapshotAt && p.disk == DiskOK && c.takesConfigurations(p)
}

// SnapshotSent reports that a follower of SnapshotTo installed a snapshot that ends at an index, or has committed that
// entry already. The leader probes from there on. A report of an earlier term is harmless: the follower's response to
// the probe decides.
func (c *Core) SnapshotSent(peer NodeID, index Index) {
	p := c.progressOf(peer)
	if p == nil {
		return
	}
	p.snapshotOut, p.requested = false, 0
	if p.state == awaitingSnapshot {
		p.probe(min(index+1, c.log.last())) // at least one entry, to which it responds
	}
}

// SnapshotFailed reports that a follower of SnapshotTo has no snapshot. If it still needs one, Ready returns it again
// after an election timeout.
func (c *Core) SnapshotFailed(peer NodeID) {
	if p := c.progressOf(peer); p != nil {
		p.snapshotOut = false
		p.snapshotAt = c.lead.ticks + uint64(c.cfg.ElectionTicks)
	}
}

// Restore moves this node's log to where a snapshot of the state machine ends, whose contents the caller has verified.
// If the log holds the snapshot's last entry, what follows it stays, else the whole log is discarded (trap T31). The
// snapshot's seats and its configuration replace those of the log, whatever entries those are from (trap T33). If it
// returns true, the caller makes the same change on the disk and in the state machine before it calls Ready again:
// entries that are returned as committed follow the snapshot.
//
// It returns false, and changes nothing, if this node leads, or has committed as much as the snapshot holds (trap T32):
// then it needs no snapshot. After RequestSnapshot it accepts an earlier one, which replaces the state alone: the log
// after it stays, and the caller applies again what of that was returned as committed. A caretaker takes it as well,
// one that was received before its election, and steps down: it may be the only state that is left.
//
// The error is an ErrBadMessage, or a DivergedError if the log and the snapshot differ at the same index and term.
//
// Nothing may wait in Ready, and everything that it returned must be done, so that the memory, the disk and the state
// machine are the same when they move.
func (c *Core) Restore(from NodeID, start LogStart) (installed bool, err error) {
	if c.readyOut || c.HasReady() {
		panic("raft: invariant broken: Restore was called before everything was done that Ready returns")
	}
	if err := c.checkSnapshot(from, &start); err != nil {
		return false, err
	}
	if c.role == Leader && !c.differs || !c.takesSnapshot(start.Index) {
		return false, nil
	}
	if c.role == Leader {
		c.stepDown("its state is replaced")
	}
	c.differs, c.deferred = false, 0
	if start.Index <= c.log.commit {
		c.log.removed = max(c.log.removed, start.Index)
		return true, nil
	}
	// Votes for a candidate were granted to another log.
	c.becomeFollower(c.term, fmt.Sprintf("it restores a snapshot up to entry %d", start.Index))
	c.log.restore(&start)
	c.configure()
	c.takeSeat()
	return true, nil
}

// checkSnapshot returns an error for a snapshot that no correct peer can have sent, or that differs from this log.
func (c *Core) checkSnapshot(from NodeID, start *LogStart) error {
	if err := start.validate(); err != nil {
		return refuse("%w", err)
	}
	switch {
	case from == 0 || from == c.id || c.isRemoved(from):
		return refuse("node %d, who sent the snapshot, is no other node, or was removed", from)
	case start.Index == 0 || start.Index > maxNumber:
		return refuse("no snapshot ends at index %d", start.Index)
	case start.Term > c.term:
		return refuse("the snapshot ends in term %d, and the current term is %d", start.Term, c.term)
	}
	for _, seat := range start.Seats {
		if seat.Member == 0 || seat.Incarnation > maxNumber {
			return refuse("the snapshot seats incarnation %d of node %d", seat.Incarnation, seat.Member)
		}
	}
	committed, index := c.members.committed.Index, start.Configuration.Index
	if index > start.Index || start.Index > c.log.commit && index < committed {
		return refuse("the snapshot ends at index %d with configuration %d, and configuration %d is committed", start.Index,
			index, committed)
	}
	return c.log.checkStart(from, start)
}

// checkStart returns an error for a snapshot that differs from this log where that is committed, or has the same term.
func (l *raftLog) checkStart(from NodeID, start *LogStart) error {
	committed := start.Index <= l.commit
	t, held := l.term(start.Index)
	switch {
	case !committed && start.Term < l.mustTerm(l.commit):
		return refuse("the snapshot ends at index %d in term %d, but entry %d of term %d is committed", start.Index,
			start.Term, l.commit, l.mustTerm(l.commit))
	case !held || !committed && t != start.Term:
		return nil
	case t != start.Term:
		return refuse("the snapshot ends with entry %d of term %d, but one of term %d is committed there", start.Index,
			start.Term, t)
	case start.Digest != l.digest(start.Index):
		return &DivergedError{from, start.Index, t, l.digest(start.Index), start.Digest}
	}
	return nil
}

// restore makes the log begin after a snapshot that ends beyond its commit index. The whole log is saved.
func (l *raftLog) restore(start *LogStart) {
	configurations := l.configurations
	seats := placeSeats(start.Seats)
	l.commit, l.handed, l.removed = start.Index, start.Index, start.Index
	l.startConfigurations(start.Configuration)
	if t, held := l.term(start.Index); held && t == start.Term {
		for _, s := range l.seats {
			if s.index > start.Index {
				seats = append(seats, s)
			}
		}
		for _, cfg := range configurations {
			if cfg.Index > start.Index {
				l.configurations = append(l.configurations, cfg)
			}
		}
		l.dropUpTo(start.Index)
	} else {
		l.offset, l.offsetTerm, l.offsetDigest = start.Index, start.Term, start.Digest
		l.entries, l.digests, l.bytes = nil, nil, 0
		l.saved, l.settled, l.settledBytes = start.Index, start.Index, 0
	}
	l.seats = seats
}
