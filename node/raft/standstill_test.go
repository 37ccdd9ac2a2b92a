package raft

import "testing"

// A leader that sent nothing for as long as its followers wait at most steps down by itself: ticks that it missed are
// not made up for, so its check of the quorum would be late. No other node can take over from an only voter.
func TestALeaderThatStoodStillStepsDown(t *testing.T) { // T53
	t.Parallel()
	for _, c := range []struct {
		voters, ticks int
		want          Role
	}{
		{3, 2 * testElectionTicks, Follower},
		{3, 100 * testElectionTicks, Follower},
		{2, 2 * testElectionTicks, Follower},
		{3, 2*testElectionTicks - 1, Leader},
		{1, 100 * testElectionTicks, Leader},
	} {
		s := newSolo(t, c.voters, HardState{}, nil)
		if c.voters == 1 {
			s.ticks(2*testElectionTicks + 1) // it elects itself
		} else {
			s.lead()
		}
		wantEqual(t, "role before", s.role, Leader)
		term := s.term
		s.StoodStill(c.ticks)
		wantEqual(t, "role", s.role, c.want)
		wantEqual(t, "term", s.term, term)
	}
}
