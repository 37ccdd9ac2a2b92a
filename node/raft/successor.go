package raft

// BestSuccessor returns the follower to transfer the leadership to, 0 if there is none: one that answered within the
// last ticks before one that is only not given up yet, because that may have just failed (trap O25: a stop must not
// cost an election); then the one with the longest log; then the one that answered last.
func BestSuccessor(s Status, ticks int) NodeID {
	best := ProgressStatus{}
	for _, p := range s.Progress {
		can := p.ID != s.ID && p.Member == Voter && p.Active && p.State != awaitingSnapshot.String() && p.Disk != DiskFull
		if can && (best.ID == 0 || isBetter(p, best, ticks)) {
			best = p
		}
	}
	return best.ID
}

// isBetter reports whether a is a better successor than b.
func isBetter(a, b ProgressStatus, ticks int) bool {
	if lively := a.AckTicks <= ticks; lively != (b.AckTicks <= ticks) {
		return lively
	}
	if a.Match != b.Match {
		return a.Match > b.Match
	}
	return a.AckTicks < b.AckTicks
}
