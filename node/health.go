package node

import (
	"fmt"
	"slices"

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

// slowFsyncMs is the p99 of the disk above which the verdict mentions it.
const slowFsyncMs = 100

// complaints says what is wrong with each member. A member that is slow makes the cluster degraded.
func complaints(c ClusterStatus, h *Health) []string {
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	commit := leaderCommit(c)
	for _, s := range c.Nodes {
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
		if s.Latency.Fsync.Count > 0 && s.Latency.Fsync.P99 > slowFsyncMs {
			say("node %d has a slow disk: the p99 of its fsync is %.0f ms (limit %d ms)", s.ID, s.Latency.Fsync.P99,
				slowFsyncMs)
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
