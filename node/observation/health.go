package observation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/metrics"
)

// judgeHealth returns the verdict on a cluster from what an observer sees of it. A voter counts if it answers both the
// observer and the leader, with a seated disk: see uncounted. While the configuration is joint, a majority of the
// outgoing voters is needed as well; the figures are then those of the set that bears fewer losses.
func judgeHealth(c api.ClusterStatus) api.Health {
	h := api.Health{Reasons: []string{}}
	if why := belongsNowhere(c); why != "" {
		h.State = api.NoQuorum
		h.Reasons = append(h.Reasons, why)
		return h
	}
	leader := leaderAmong(c)
	count(&h, votersOf(c), c, leader)
	complete := h.Reachable == h.Voters
	if len(c.Config.Outgoing) > 0 {
		var before api.Health
		count(&before, c.Config.Outgoing, c, leader)
		complete = complete && before.Reachable == before.Voters
		if before.Reachable-before.Quorum < h.Reachable-h.Quorum {
			h.Voters, h.Reachable, h.Quorum = before.Voters, before.Reachable, before.Quorum
		}
	}
	h.Tolerates = max(h.Reachable-h.Quorum, 0)
	switch {
	case h.Reachable < h.Quorum:
		h.State = api.NoQuorum
		h.Reasons = append(h.Reasons, quorumLoss(c, &h)...)
	case leader == nil:
		h.State = api.NoLeader
		h.Reasons = append(h.Reasons, "a majority answers, but none of them leads: an election is in progress")
	case !complete:
		h.State = api.Degraded
	default:
		h.State = api.Healthy
	}
	h.Reasons = append(h.Reasons, complaints(c, leader, &h)...)
	return h
}

// belongsNowhere returns why the observer is a member of no cluster; "" if it is one of a cluster.
func belongsNowhere(c api.ClusterStatus) string {
	for i := range c.Nodes {
		if s := &c.Nodes[i]; s.ID == c.Observer && s.LifeCycle == api.StateRemoved {
			return "this node belongs to no cluster any more: " + Waits(&s.Status)
		}
	}
	if len(c.Config.Members) == 0 {
		return "this node belongs to no cluster yet: " + bootstrapIt
	}
	return ""
}

// votersOf returns the ids of the voters of the configuration.
func votersOf(c api.ClusterStatus) []uint64 {
	var ids []uint64
	for _, m := range c.Config.Members {
		if m.Role != api.RoleLearner && m.Role != api.RoleLeaving {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// count sets how many of a set of voters there are, count, and must count.
func count(h *api.Health, voters []uint64, c api.ClusterStatus, leader *api.NodeStatus) {
	h.Voters, h.Quorum, h.Reachable = len(voters), len(voters)/2+1, 0
	for i := range c.Nodes {
		if slices.Contains(voters, c.Nodes[i].ID) && uncounted(&c.Nodes[i], leader) == "" {
			h.Reachable++
		}
	}
}

// quorumLoss returns what is missing for a quorum, and which disks would make one.
func quorumLoss(c api.ClusterStatus, h *api.Health) []string {
	var unseated []uint64
	var seats []uint64
	for i := range c.Nodes {
		s := &c.Nodes[i]
		if !answers(s) {
			continue
		}
		if s.Founding != nil {
			return []string{"the cluster is not founded yet"} // the members that wait report why
		}
		if isUnseated(s) {
			unseated = append(unseated, s.ID)
		}
		seats = append(seats, s.SeenMembers...)
	}
	if len(unseated) == 0 {
		return []string{fmt.Sprintf("%d of %d voters answer node %d, and writes need %d", h.Reachable, h.Voters, c.Observer,
			h.Quorum)}
	}
	reasons := []string{fmt.Sprintf("%d of %d voters answer node %d with a seated disk, and writes need %d", h.Reachable,
		h.Voters, c.Observer, h.Quorum)}
	var away []uint64
	for i := range c.Nodes {
		s := &c.Nodes[i]
		if !answers(s) && slices.Contains(seats, s.ID) {
			away = append(away, s.ID)
		}
	}
	if missing := h.Quorum - h.Reachable; missing <= len(away) {
		reasons = append(reasons, fmt.Sprintf("the seated disks of %s must come back, %d of %d; other disks cannot replace "+
			"them, and %s cannot be seated without them", identity.NodeNames(away), missing, len(away),
			identity.NodeNames(unseated)))
	}
	return reasons
}

// answers reports whether a member answered the observer lately, whatever it answered.
func answers(s *api.NodeStatus) bool { return s.Error == "" && s.AgeMs >= 0 }

// isUnseated reports whether a member reports that its disk has no seat.
func isUnseated(s *api.NodeStatus) bool {
	return s.LifeCycle == api.StateMember && s.Seated != nil && !*s.Seated
}

// A follower is cut off from a leader if it never received from it, or not for contactLimit, although both have run for
// contactGrace.
const (
	contactLimit = 10 * time.Second
	contactGrace = 3 * time.Second
)

// hangLimit is how long a save lasts at least that explains why a member does not answer the leader.
const hangLimit = 500 * time.Millisecond

// uncounted returns why a voter does not count for the quorum, "" if it counts. leader is nil if none is known.
func uncounted(s, leader *api.NodeStatus) string {
	switch {
	case s.Error != "":
		return "cannot be reached: " + s.Error
	case s.AgeMs < 0:
		return "was not seen yet"
	case s.LifeCycle == api.StateRemoved:
		return "takes no part: " + Waits(&s.Status)
	case s.LifeCycle == api.StateEmpty && lostDisk(s, leader):
		return "takes no part yet: " + ReplaceIt(s.ID)
	case s.LifeCycle != api.StateMember:
		return "takes no part yet: " + Waits(&s.Status)
	case isUnseated(s):
		return "has no seat yet, and does not count until a quorum of the others has seated it"
	case leader == nil || leader.ID == s.ID:
		return ""
	}
	return cutOff(s, leader)
}

// lostDisk reports whether a member that has no identity has a seat, by the leader.
func lostDisk(s, leader *api.NodeStatus) bool {
	return s.ClusterID == "" && leader != nil && slices.Contains(leader.SeenMembers, s.ID)
}

// ReplaceIt returns what to do about a member whose disk was lost (trap T28).
func ReplaceIt(id uint64) string {
	return fmt.Sprintf("its disk is empty, though it held entries or votes before; replace it by a new member "+
		"(raftctl member replace %d --with URL)", id)
}

// cutOff returns why a member that runs does not count for this leader, "" if it counts.
func cutOff(s, leader *api.NodeStatus) string {
	p := leader.Progress[s.ID]
	switch {
	case s.Founders != leader.Founders && s.Founders != "" && leader.Founders != "":
		return fmt.Sprintf("belongs to another founding of the cluster than node %d, the leader", leader.ID)
	case p.State == "refuses":
		return "rejects entries that it acknowledged: its disk lost data; stop it, and keep its data directory"
	case p.Unreachable && s.Disk.UnsyncedMs >= hangLimit.Milliseconds():
		return fmt.Sprintf("runs, but its disk has not finished a save for %d ms", s.Disk.UnsyncedMs)
	case p.Unreachable:
		return fmt.Sprintf("runs, but node %d, the leader, gets no answer from it: compare its --listen-peer with its peer "+
			"address, %s, and look at the network between them", leader.ID, s.Address)
	}
	if p.OldVersion {
		return "runs an older version, which takes no entries since the members were changed: start the present version there"
	}
	contact := time.Duration(s.LastContactMs) * time.Millisecond
	grace := contactGrace.Seconds()
	if (contact < 0 || contact > contactLimit) && s.UptimeSeconds > grace && leader.LeaderForSeconds > grace {
		return fmt.Sprintf("runs, but receives nothing from node %d, the leader: compare its --listen-peer with its peer "+
			"address, %s, and look at the network between them", leader.ID, s.Address)
	}
	return ""
}

// lagLimit is how far a follower may be behind the leader before the verdict mentions it.
const lagLimit = 1000

// complaints returns what is wrong with each member. A member that is slow makes the cluster degraded; a learner is
// behind until it has caught up.
func complaints(c api.ClusterStatus, leader *api.NodeStatus, h *api.Health) []string {
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	for i := range c.Nodes {
		s := &c.Nodes[i]
		if s.Notice != "" {
			say("node %d %s", s.ID, s.Notice)
		}
		if s.Mismatch != "" {
			say("node %d %s", s.ID, s.Mismatch)
		}
		if why := uncounted(s, leader); why != "" {
			say("node %d %s", s.ID, why)
		}
		if !answers(s) || s.LifeCycle != api.StateMember {
			continue
		}
		sentences, severe := alarmReasons(s)
		reasons = append(reasons, sentences...)
		if severe {
			degrade(h)
		}
		if leader != nil && leader.CommitIndex > s.CommitIndex+lagLimit && s.State != api.StateLearner {
			say("node %d lags %d entries behind the leader", s.ID, leader.CommitIndex-s.CommitIndex)
			degrade(h)
		}
		if s.Disk.Slow {
			name, ms := metrics.JudgedQuantile(s.Latency.Fsync)
			say("node %d has a slow disk: the %s of its fsync is %.0f ms (limit %d ms)", s.ID, name, ms, metrics.SlowFsyncMs)
			degrade(h)
		}
	}
	if twice := foundedTwice(c); twice != "" {
		reasons = append(reasons, twice)
		degrade(h)
	}
	slices.Sort(reasons)
	return reasons
}

// foundedTwice returns what to do about a cluster whose members belong to two foundings, as after a false
// --found-by-majority; "" if they belong to one.
func foundedTwice(c api.ClusterStatus) string {
	groups := map[string][]uint64{}
	for _, s := range c.Nodes {
		if s.Founders != "" {
			groups[s.Founders] = append(groups[s.Founders], s.ID)
		}
	}
	if len(groups) < 2 {
		return ""
	}
	var names []string
	for _, ids := range groups {
		names = append(names, identity.NodeNames(ids))
	}
	slices.Sort(names)
	return fmt.Sprintf("this cluster was founded twice: %s belong to different foundings, and each may hold acknowledged "+
		"writes that the others do not; keep every data directory", strings.Join(names, " and "))
}

func degrade(h *api.Health) {
	if h.State == api.Healthy {
		h.State = api.Degraded
	}
}

// leaderAmong returns the leader as the observer sees it, nil if it sees none.
func leaderAmong(c api.ClusterStatus) *api.NodeStatus {
	for i := range c.Nodes {
		if c.LeaderID != 0 && c.Nodes[i].ID == c.LeaderID {
			return &c.Nodes[i]
		}
	}
	return nil
}
