package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// judgeHealth gives the verdict on a cluster from what an observer sees of it.
func judgeHealth(c ClusterStatus) Health {
	h := Health{Voters: len(c.Config.Members), Reasons: []string{}}
	h.Quorum = h.Voters/2 + 1
	for _, s := range c.Nodes {
		if s.Healthy {
			h.Reachable++
		}
	}
	h.Tolerates = max(h.Reachable-h.Quorum, 0)
	switch {
	case h.Voters == 0:
		h.State = NoQuorum
		h.Reasons = append(h.Reasons, "this node belongs to no cluster yet: it waits to be bootstrapped or added")
	case h.Reachable < h.Quorum:
		h.State = NoQuorum
		h.Reasons = append(h.Reasons, fmt.Sprintf("%d of %d voters answer node %d, and writes need %d",
			h.Reachable, h.Voters, c.Observer, h.Quorum))
	case c.LeaderID == 0:
		h.State = NoLeader
		h.Reasons = append(h.Reasons, "a majority answers, but none of them leads: an election is under way")
	case h.Reachable < h.Voters:
		h.State = Degraded
	default:
		h.State = Healthy
	}
	h.Reasons = append(h.Reasons, complaints(c, &h)...)
	return h
}

// lagLimit is how far a follower may be behind the leader before the verdict mentions it.
const lagLimit = 1000

// A disk is slow if its fsyncs take more than slowFsyncMs: the p99, or the median of fewer than tailSamples, whose p99
// would be the slowest one. Of fewer than leastSamples, or of what came within less than verdictSpan, nothing can be
// said: the first fsync of a new file, or one stall, is not what the disk is like.
const (
	slowFsyncMs  = 100
	tailSamples  = 100
	leastSamples = 10
	verdictSpan  = 20 * time.Second
)

// telling is the quantile that there are samples enough for, with its name.
func telling(q Quantiles) (string, float64) {
	if q.Count >= tailSamples {
		return "p99", q.P99
	}
	return "median", q.P50
}

func isSlowDisk(fsync Quantiles) bool {
	_, ms := telling(fsync)
	return fsync.Count >= leastSamples && ms > slowFsyncMs
}

// complaints says what is wrong with each member. A member that is slow makes the cluster degraded.
func complaints(c ClusterStatus, h *Health) []string {
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	commit := leaderCommit(c)
	for _, s := range c.Nodes {
		if s.Notice != "" {
			say("node %d %s", s.ID, s.Notice)
		}
		if s.Mismatch != "" {
			say("node %d %s", s.ID, s.Mismatch)
		}
		switch {
		case s.Error != "":
			say("node %d cannot be reached: %s", s.ID, s.Error)
			continue
		case s.AgeMs < 0:
			say("node %d was not seen yet", s.ID)
			continue
		case s.LifeCycle != StateMember:
			say("node %d takes no part yet", s.ID)
			continue
		}
		if commit > s.CommitIndex+lagLimit {
			say("node %d lags %d entries behind the leader", s.ID, commit-s.CommitIndex)
			h.degrade()
		}
		if s.Disk.Slow {
			name, ms := telling(s.Latency.Fsync)
			say("node %d has a slow disk: the %s of its fsync is %.0f ms (limit %d ms)", s.ID, name, ms, slowFsyncMs)
			h.degrade()
		}
	}
	for id, p := range leaderProgress(c) {
		if p.State == "refuses" {
			say("node %d rejects entries that it acknowledged: its disk lost data; replace the node", id)
			h.degrade()
		}
	}
	slices.Sort(reasons)
	return reasons
}

func (h *Health) degrade() {
	if h.State == Healthy {
		h.State = Degraded
	}
}

func leaderProgress(c ClusterStatus) map[raft.NodeID]Progress {
	for _, s := range c.Nodes {
		if s.ID == c.LeaderID && c.LeaderID != 0 {
			return s.Progress
		}
	}
	return nil
}

func leaderCommit(c ClusterStatus) raft.Index {
	for _, s := range c.Nodes {
		if s.ID == c.LeaderID && c.LeaderID != 0 {
			return s.CommitIndex
		}
	}
	return 0
}
