package node

import (
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// errRemoved ends the loop of a node that was removed from the cluster. The node stays, inert.
var errRemoved = errors.New("node: this node was removed from the cluster")

// membership returns the configuration as the loop published it last. Before the log is loaded it is that of the
// members which came with the identity, who are all voters.
func (s *shared) membership() *raft.Membership {
	if m := s.memberNews.Load(); m != nil {
		return m
	}
	initial := &raft.Membership{}
	for _, m := range s.members() {
		initial.Configuration.Members = append(initial.Configuration.Members, raft.Member{
			ID: m.ID, Address: m.Address, APIAddress: m.APIAddress,
		})
	}
	return initial
}

// deciders returns the other voters, and of how many nodes a majority decides whose log or state is right. This node is
// one of these nodes even if it is no voter: then more of the voters must agree. While the configuration is joint, all
// of its voters must.
func (s *shared) deciders() (others []raft.NodeID, count int) {
	cfg, self := s.membership().Configuration, s.self().ID
	count = 1
	for _, m := range cfg.Members {
		if m.Role != raft.Learner && m.ID != self {
			others = append(others, m.ID)
			count++
		}
	}
	if cfg.Joint() {
		count = 2*count - 1
	}
	return others, count
}

// followMembers makes a configuration that came into force, was committed or was truncated known to everything in this
// node that depends on the members. That this node was removed is made durable first: its log may show it later than
// the response of another member did.
func (l *loop) followMembers(m *raft.Membership) error {
	if m == nil {
		return nil
	}
	if m.Removed && !l.removalSaved {
		if err := l.node.saveFacts(identity.RemovedFacts()); err != nil {
			return err
		}
		l.removalSaved = true
	}
	before := l.node.membership()
	l.node.publishMembers(m)
	l.cfg.Transport.SetPeers(l.node.reachable(m))
	l.recorder.Reconfigured(l.standing.Term, &before.Configuration, m)
	l.changed = true
	return nil
}

// reachable returns the nodes to which this one may send, and this one itself, if it is a member.
func (n *Node) reachable(m *raft.Membership) []identity.Member {
	list := identity.MembersOf(m.Peers)
	if own, ok := m.Configuration.Member(n.self().ID); ok {
		list = append(list, identity.MembersOf([]raft.Member{own})...)
	}
	return list
}

// publishMembers publishes the members, and whether this node was started as one of them. The loop calls it, and boot.
func (n *Node) publishMembers(m *raft.Membership) {
	members := identity.MembersOf(m.Configuration.Members)
	n.memberList.Store(&members)
	n.memberNews.Store(m)
	status := *n.status.Load()
	status.Notice = n.notice()
	n.status.Store(&status)
}

// notice returns the warning about how this node was started.
func (s *shared) notice() string {
	if s.self().ID == 0 {
		return ""
	}
	return s.cfg.Notice(s.self().ID, s.membership().Configuration)
}

// end returns why this node must stop taking part; nil if it goes on. A leader whose removal is committed steps down
// first.
func (l *loop) end() error {
	switch {
	case l.core.WasRemoved() && l.standing.Role != raft.Leader:
		return errRemoved
	case !l.core.Seated() && l.core.SeatLost():
		return identity.DiskLost(l.node.self().ID, "the log gives its seat to another disk")
	}
	return nil
}

// retire publishes that this node was removed, and serves nothing from here on.
func (n *Node) retire() {
	status := *n.status.Load()
	status.LifeCycle, status.State, status.LeaderID = api.StateRemoved, raft.Follower.String(), 0
	status.NextIndex, status.MatchIndex, status.Progress = nil, nil, nil
	n.status.Store(&status)
	n.sched.Preempt()
	old := n.view.Load()
	n.view.Store(&view{lifeCycle: api.StateRemoved, term: old.term, changed: make(chan struct{})})
	close(old.changed)
}

// stayRemoved waits until ctx ends. The node keeps its files, and answers only how it is.
func (n *Node) stayRemoved(done <-chan struct{}) {
	n.cfg.Logger.Warn("this node was removed from the cluster and serves nothing; stop it, and add it with an empty data "+
		"directory if it is to be a member again", "node", n.self().ID, "cluster", n.self().ClusterID)
	n.sched.Wait(scheduler.Forever, scheduler.Signals{done})
}

// membersOf returns the members by a log that was loaded from the disk.
func (n *Node) membersOf(log *raft.Log) ([]identity.Member, error) {
	position := raft.LogStart{Configuration: log.Start.Configuration}
	for i := range log.Entries {
		if log.Entries[i].Type != raft.EntryConfig {
			continue
		}
		var err error
		if position, err = position.After(&log.Entries[i], 0, entryjson.Encoding()); err != nil {
			return nil, fmt.Errorf("node: cannot start from what is on the disk: %w", err)
		}
	}
	if position.Configuration.Index == 0 {
		return n.assigned.Load().Members, nil
	}
	return identity.MembersOf(position.Configuration.Members), nil
}
