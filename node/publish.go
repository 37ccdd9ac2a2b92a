package node

import (
	"cmp"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// slowStatusEvery is how often what is dear to compute is published anew: latencies.
const slowStatusEvery = 500 * time.Millisecond

// publish makes the loop's state visible: at once what requests act upon; at the next tick all of it, if anything
// happened since.
func (l *loop) publish(tick bool) {
	l.publishView()
	if tick && (l.busy || l.sched.Now().Sub(l.slowStatusAt) >= slowStatusEvery) {
		l.busy, l.changed = false, false
		l.publishStatus()
	}
}

// publishView publishes what requests act upon, if it changed. It is done before a vote leaves, so that no question
// to an older leader can follow that vote in the name of the older term (raft.(*Core).ReadIndexFor).
func (l *loop) publishView() {
	old := l.node.view.Load()
	now := view{lifeCycle: api.StateMember, leader: l.standing.Leader, role: l.standing.Role, term: l.standing.Term}
	now.seated = l.core.Seated()
	if old.lifeCycle == now.lifeCycle && old.leader == now.leader && old.role == now.role && old.term == now.term &&
		old.seated == now.seated {
		return
	}
	l.publishStatus()
	now.changed = make(chan struct{})
	l.sched.Preempt()
	l.node.view.Store(&now)
	close(old.changed)
	l.sched.Preempt()
	if old.leader != now.leader {
		l.node.forwarder.LeaderChanged(old.leader, now.leader, 2*l.cfg.ElectionTimeout)
	}
}

func (l *loop) publishStatus() {
	s := *l.node.status.Load()
	c := l.core.Status()
	s.LifeCycle, s.Founding = api.StateMember, nil
	seated := l.core.Seated()
	s.Seated = &seated
	if s.Founders == "" {
		s.Founders = l.node.seating.Load().Digest()
	}
	s.State, s.Reason = c.Role.String(), c.Reason
	if m, _ := l.node.membership().Configuration.Member(c.ID); c.Role == raft.Follower && m.Role == raft.Learner {
		s.State = api.StateLearner
	}
	s.CurrentTerm, s.VotedFor, s.LeaderID = uint64(c.Term), uint64(c.Vote), uint64(c.Leader)
	s.CommitIndex, s.FirstIndex, s.LastLogIndex = uint64(c.Commit), uint64(c.FirstIndex), uint64(c.LastIndex)
	s.LastContactMs = l.contactMs(c)
	s.LeaderCommit = uint64(c.LeaderCommit)
	s.Pending = len(l.pending.list)
	if seats := l.core.Seats(); len(seats) != len(s.seats) {
		s.seats, s.SeenMembers = seats, identity.SeatedMembers(seats)
	}
	s.NextIndex, s.MatchIndex, s.Progress = nil, nil, nil
	if c.Role == raft.Leader {
		l.publishProgress(&s.Status, c)
	}
	slow := s.Disk.Slow
	s.Disk = l.node.space.sizes()
	s.Disk.Slow = slow
	if now := l.sched.Now(); now.Sub(l.slowStatusAt) >= slowStatusEvery {
		l.slowStatusAt = now
		s.Latency, s.Rates = l.node.metrics.Summary()
		s.Disk.Slow = l.node.metrics.SlowDisk()
		s.Store = l.node.storeSize()
	}
	s.at = l.sched.Now().Sub(l.node.started)
	l.node.status.Store(&s)
}

func (l *loop) contactMs(c raft.Status) int64 {
	if c.Role == raft.Leader {
		return 0
	}
	if c.LeaderContactTicks < 0 {
		return -1
	}
	return int64(c.LeaderContactTicks) * l.cfg.tick().Milliseconds()
}

func (l *loop) publishProgress(s *api.Status, c raft.Status) {
	s.NextIndex = make(map[uint64]uint64, len(c.Progress))
	s.MatchIndex = make(map[uint64]uint64, len(c.Progress)+1)
	s.Progress = make(map[uint64]api.Progress, len(c.Progress))
	for _, p := range c.Progress {
		id := uint64(p.ID)
		s.NextIndex[id], s.MatchIndex[id] = uint64(p.Next), uint64(p.Match)
		if p.ID == c.ID {
			continue
		}
		s.Progress[id] = api.Progress{
			State: p.State, Inflight: p.InflightMessages, RTTMs: l.node.metrics.RoundTripMs(p.ID),
			AckAgeMs:    int64(p.AckTicks) * l.cfg.tick().Milliseconds(),
			Unreachable: p.Silent, CaughtUp: p.CaughtUp, OldVersion: p.OldVersion,
		}
	}
}

// emptyStatus is what a node reports before its log is loaded. One that has an identity reports its term as well, or an
// empty peer would take it for blank (trap T28, identity.Judge), and what was known to be committed, or its replay
// would seem over before it has begun (trap O23).
func emptyStatus(n *shared, who *identity.Stored) *publishedStatus {
	s := &publishedStatus{Status: api.Status{
		ID: uint64(n.self().ID), ClusterID: n.self().ClusterID, APIAddress: n.cfg.APIAddress, Version: n.cfg.Version,
		Notice:  n.notice(),
		Address: cmp.Or(identity.AddressOf(n.members(), n.self().ID), n.cfg.PeerAddress), LifeCycle: api.StateEmpty,
		State: raft.Follower.String(), LastContactMs: -1, StalenessMs: -1, SeenMembers: []uint64{},
	}}
	if in := n.seating.Load(); in != nil {
		s.seats, s.SeenMembers = in.Founders, identity.SeatedMembers(in.Founders)
		s.Founders = in.Digest()
	}
	if who != nil {
		s.LifeCycle, s.CurrentTerm, s.CommitIndex = api.StateMember, uint64(who.Term), uint64(who.Commit)
		if who.Removed {
			s.LifeCycle = api.StateRemoved
		}
	}
	return s
}

// Status is this node's view of itself: at most two ticks old, or one heartbeat interval if only heartbeats came. While
// the loop hangs the last contact grows, on a leader too, so that it is not taken for one that works (trap O22). While
// a save hangs, a leader does not report that it leads.
func (n *Node) Status() api.Status {
	s := *n.status.Load()
	now := n.sched.Now()
	s.LastApplied = uint64(n.Applied())
	s.StateDiffers = n.differs.Load()
	s.CheckpointIndex = n.checkpointer.saved.Load()
	s.Address = cmp.Or(identity.AddressOf(n.members(), n.self().ID), s.Address)
	s.StalenessMs = n.stalenessMs()
	s.Alarms = n.observation.Alarms()
	if n.cfg.Mismatch != nil {
		s.Mismatch = n.cfg.Mismatch()
	}
	s.Disk.UnsyncedMs = n.watchdog.Saving().Milliseconds()
	uptime := now.Sub(n.started)
	s.UptimeSeconds = uptime.Seconds()
	age := uptime - s.at
	grows := s.LeaderID != s.ID || age > 2*slowStatusEvery // a leader has contact with itself, unless its loop hangs
	if s.LastContactMs > 0 || (s.LastContactMs == 0 && s.LeaderID != 0 && grows) {
		s.LastContactMs += age.Milliseconds()
	}
	if since, leads := n.observation.LedSince(); leads {
		s.LeaderForSeconds = now.Sub(since).Seconds()
	}
	if n.hangs(raft.NodeID(s.LeaderID)) {
		s.State, s.LeaderID, s.LeaderForSeconds = raft.Follower.String(), 0, 0
		s.NextIndex, s.MatchIndex, s.Progress = nil, nil, nil
		s.Reason = fmt.Sprintf("its disk has not finished a save for %d ms, so the others elect another leader",
			s.Disk.UnsyncedMs)
	}
	return s.Status
}
