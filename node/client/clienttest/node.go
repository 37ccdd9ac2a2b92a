package clienttest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// member is the rest.Node of a Node: it appends to the log of its cluster and reads the cluster's store.
type member struct{ *Node }

// lock locks the cluster and returns it.
func (m member) lock() *Cluster {
	m.cluster.mu.Lock()
	return m.cluster
}

func (m member) Propose(_ context.Context, commands [][]byte) []node.Outcome {
	c := m.lock()
	defer c.mu.Unlock()
	outcomes := make([]node.Outcome, len(commands))
	for i, command := range commands {
		if err := m.whyNot(); err != nil {
			outcomes[i].Err = err
			continue
		}
		outcomes[i] = c.append(command)
	}
	return outcomes
}

// append appends one command to the log and applies it. The cluster must be locked.
func (c *Cluster) append(command []byte) node.Outcome {
	e := raft.Entry{Index: raft.Index(len(c.log) + 1), Term: c.term, Timestamp: time.Now().UnixMicro(), Command: command}
	c.log = append(c.log, e)
	result := c.store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command})
	return node.Outcome{Index: e.Index, Term: e.Term, Result: result}
}

func (m member) ReadBarrier(context.Context) error {
	c := m.lock()
	defer c.mu.Unlock()
	return m.whyNot()
}

// whyNot returns why the node takes no request that needs the leader, nil if it does. The cluster must be locked.
func (m member) whyNot() error {
	if _, leader := m.sees(); leader == 0 {
		return node.ErrNoLeader
	}
	if !m.isMember() {
		return node.ErrNotReady
	}
	return nil
}

// BeginLeaseRead finds a lease wherever there is a leader.
func (m member) BeginLeaseRead(ctx context.Context) (node.LeaseRead, error) {
	return node.LeaseRead{Consistency: api.Lease, Holds: func() bool { return true }}, m.ReadBarrier(ctx)
}

func (m member) AwaitApplied(_ context.Context, index raft.Index) error {
	if uint64(index) > m.Revision() {
		return node.ErrNotReady
	}
	return nil
}

func (m member) Get(key string) (kv.Record, bool) {
	c := m.lock()
	defer c.mu.Unlock()
	return c.store.Get(key)
}

func (m member) GetAt(key string, revision uint64) (kv.Record, bool, error) {
	c := m.lock()
	defer c.mu.Unlock()
	return c.store.GetAt(key, revision)
}

func (m member) Scan(q kv.Query) (kv.Page, error) {
	c := m.lock()
	defer c.mu.Unlock()
	return c.store.Scan(q)
}

func (m member) Count(from, to string, revision uint64, maxVisits int) (node.Counted, error) {
	c := m.lock()
	defer c.mu.Unlock()
	keys, next, err := c.store.Count(from, to, revision, maxVisits)
	return node.Counted{Keys: keys, Next: next, Revision: cmp.Or(revision, c.store.Applied())}, err
}

func (m member) History(key string, before uint64, limit int) node.History {
	c := m.lock()
	defer c.mu.Unlock()
	return node.History{
		Changes: c.store.History(key, before, limit), Compacted: c.store.Compacted(), Revision: c.store.Applied(),
	}
}

func (m member) Sound() error { return nil }

func (m member) Revision() uint64 {
	c := m.lock()
	defer c.mu.Unlock()
	return c.store.Applied()
}

func (m member) Status() api.Status {
	c := m.lock()
	defer c.mu.Unlock()
	return m.status()
}

// status is Status of a cluster that is locked.
func (m member) status() api.Status {
	c := m.cluster
	term, leader := m.sees()
	last := uint64(len(c.log))
	s := api.Status{
		ID: m.id(), ClusterID: c.id, Address: m.URL, APIAddress: m.URL, Version: version,
		LifeCycle: m.lifeCycle(), State: "FOLLOWER", CurrentTerm: uint64(term), LeaderID: uint64(leader),
		CommitIndex: last, LastApplied: last, LastLogIndex: last, FirstIndex: 1,
	}
	if s.LifeCycle == api.StateEmpty {
		s.ID, s.ClusterID, s.LeaderID = 0, "", 0
	}
	if s.LeaderID == s.ID && s.ID != 0 {
		s.State = "LEADER"
		s.MatchIndex, s.Progress = map[uint64]uint64{}, map[uint64]api.Progress{}
		for id, l := range c.members.progress {
			s.MatchIndex[id], s.Progress[id] = l.match, l.progress
		}
	}
	for _, n := range c.config().Members {
		s.SeenMembers = append(s.SeenMembers, n.ID)
	}
	return s
}

func (member) Staleness() func() (time.Duration, bool) {
	return func() (time.Duration, bool) { return 0, true }
}

func (m member) Observe(context.Context) api.ClusterStatus {
	c := m.lock()
	defer c.mu.Unlock()
	voters := len(c.config().Members)
	s := api.ClusterStatus{
		ClusterID: c.id, Observer: m.ID, LeaderID: uint64(c.leader), Term: uint64(c.term), Config: c.config(),
		Health: api.Health{
			State: api.Healthy, Voters: voters, Reachable: voters, Quorum: voters/2 + 1, Tolerates: (voters - 1) / 2,
		},
	}
	for _, n := range c.Nodes {
		switch {
		case n.isMember():
			s.Nodes = append(s.Nodes, api.NodeStatus{Status: member{n}.status(), Healthy: true})
		case n.lost != 0 && n.lost == n.id():
			s.Nodes = append(s.Nodes, api.NodeStatus{Status: api.Status{ID: n.lost}, Error: "the node has no identity"})
		}
	}
	return s
}

func (m member) Membership() api.Membership {
	c := m.lock()
	defer c.mu.Unlock()
	return c.config()
}

func (m member) Log(_ context.Context, from raft.Index, limit int) (node.LogPage, error) {
	c := m.lock()
	defer c.mu.Unlock()
	last := raft.Index(len(c.log))
	page := node.LogPage{FirstIndex: 1, LastIndex: last, CommitIndex: last}
	if from <= last {
		page.Entries = slices.Clone(c.log[from-1 : min(int(from)-1+limit, len(c.log))])
	}
	return page, nil
}

// Events returns no events.
func (member) Events(uint64) ([]api.ObservedEvent, <-chan struct{}) { return nil, nil }

func (m member) HandOver(_ context.Context, term raft.Term, to raft.NodeID) error {
	c := m.lock()
	defer c.mu.Unlock()
	if term != 0 && term != c.term {
		return node.ErrTermChanged
	}
	voters := raft.NodeID(len(c.Nodes))
	if to == 0 {
		to = c.leader%voters + 1
	}
	if to == c.leader || to > voters {
		return node.ErrBadTarget
	}
	c.elect(to)
	return nil
}

// Bootstrap answers as a node that is bootstrapped already.
func (m member) Bootstrap(_ context.Context, clusterID string, id raft.NodeID, members []identity.Member) error {
	c := m.lock()
	defer c.mu.Unlock()
	var own []identity.Member
	for _, n := range c.Nodes {
		own = append(own, identity.Member{ID: raft.NodeID(n.ID), Address: n.URL, APIAddress: n.URL})
	}
	if clusterID != c.id || id != raft.NodeID(m.ID) || !slices.Equal(members, own) {
		return node.ErrIdentityTaken
	}
	return nil
}

// OpenBackup returns the whole state, in the form of package snapshottest.
func (m member) OpenBackup(_ context.Context, including raft.Index) (snapshot.Source, error) {
	c := m.lock()
	defer c.mu.Unlock()
	if uint64(including) > c.store.Applied() {
		return nil, node.ErrNotReady
	}
	start := raft.LogStart{Index: raft.Index(c.store.Applied()), Term: c.term, Digest: 1}
	file := (&snapshottest.File{}).With(&snapshot.Checkpoint{Delta: c.store.Delta(0)}, start)
	return snapshottest.NewSource(file.Encode(), start, nil), nil
}

func (member) Stalled() bool { return false }
