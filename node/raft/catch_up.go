package raft

import "fmt"

// maxLag is how many entries a learner may lack when it is promoted.
const maxLag = 1000

// catchUp measures whether a learner keeps up with the log, in rounds (thesis 4.2.1): each round is what the log held
// when the round began. Once one takes at most an election timeout, the new voter delays commits by no more than that.
type catchUp struct {
	target Index  // the end of the current round
	began  uint64 // in the leader's ticks
	took   uint64 // the last complete round, in ticks
	rounds int    // complete ones
}

// acknowledged ends the current round, if the learner has all of it, and begins the next.
func (u *catchUp) acknowledged(match, last Index, now uint64) {
	if u.target != 0 && match >= u.target {
		u.took = now - u.began
		u.rounds++
		u.target = 0
	}
	if u.target == 0 {
		u.target, u.began = last, now
	}
}

// checkCaughtUp returns the reason why a learner should not be promoted now; nil if it may be. One without a seat would
// be a voter that does not vote (traps T8, T28).
func (c *Core) checkCaughtUp(id NodeID) error {
	p := c.progressOf(id)
	if p == nil || !p.answeredTerm || p.ackTicks >= c.cfg.ElectionTicks {
		return fmt.Errorf("%w: node %d has not responded within an election timeout", ErrNotCaughtUp, id)
	}
	lag := c.log.last() - p.match
	switch {
	case p.unseated:
		return fmt.Errorf("%w: the disk of node %d has no seat yet", ErrNotCaughtUp, id)
	case p.needsSnapshot() || p.state != replicating:
		return fmt.Errorf("%w: node %d is in state %s, and must be in %s", ErrNotCaughtUp, id, p.label(), replicating)
	case p.disk != DiskOK:
		return fmt.Errorf("%w: the disk of node %d has too little room", ErrNotCaughtUp, id)
	case lag > maxLag:
		return fmt.Errorf("%w: node %d lacks %d entries, and may lack %d", ErrNotCaughtUp, id, lag, maxLag)
	case p.catchUp.rounds == 0 || p.catchUp.took > uint64(c.cfg.ElectionTicks):
		return fmt.Errorf("%w: node %d took %d ticks for its last round, and may take %d", ErrNotCaughtUp, id,
			p.catchUp.took, c.cfg.ElectionTicks)
	}
	return nil
}
