package clienttest

import (
	"context"
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// membership is the configuration of a Cluster. A change is in force and committed at once; no configuration is joint.
type membership struct {
	config   api.Membership
	last     uint64 // the highest id that a member ever had
	progress map[uint64]learner
	refusal  error // of every change; nil: they are taken
	changes  []api.MemberChange
}

// learner is what the leader records of a learner.
type learner struct {
	match    uint64
	progress api.Progress
}

// SetMembers makes these nodes the only members that the cluster ever had: the others wait for an identity. It is
// called before the cluster is used.
func (c *Cluster) SetMembers(ids ...uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = membership{progress: map[uint64]learner{}}
	for _, n := range c.Nodes {
		if slices.Contains(ids, n.ID) {
			c.members.config.Members = append(c.members.config.Members, n.asMember())
			c.members.last = max(c.members.last, n.ID)
		}
	}
}

// asMember returns the node as one that was a member from the beginning.
func (n *Node) asMember() api.ConfigMember {
	return api.ConfigMember{ID: n.ID, Address: n.URL, APIAddress: n.URL, Role: api.RoleVoter}
}

// RefuseChanges makes the leader refuse every change of the members with an error of the node; nil: no more.
func (c *Cluster) RefuseChanges(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members.refusal = err
}

// Changes returns the changes of the members that were done.
func (c *Cluster) Changes() []api.MemberChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.members.changes)
}

// SetProgress sets what the leader records of a learner. One that has caught up is promoted if it is to be.
func (c *Cluster) SetProgress(id, match uint64, progress api.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members.progress[id] = learner{match, progress}
	members := slices.Clone(c.config().Members)
	i := find(members, id)
	if i >= 0 && progress.CaughtUp && members[i].AutoPromote {
		members[i].Role, members[i].AutoPromote = api.RoleVoter, false
		c.configure(members)
	}
}

// Members returns the configuration.
func (m member) Members() api.Membership { return m.Membership() }

// ChangeMembers changes the configuration like a node, as far as the changes of the tests need.
func (m member) ChangeMembers(_ context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	c := m.lock()
	defer c.mu.Unlock()
	_, leader := m.sees()
	config := c.config()
	switch {
	case !m.isMember():
		return api.MemberChangeResponse{}, node.ErrNotReady
	case leader == 0:
		return api.MemberChangeResponse{}, node.ErrNoLeader
	case c.members.refusal != nil:
		return api.MemberChangeResponse{}, c.members.refusal
	case change.ExpectedConfigIndex != nil && *change.ExpectedConfigIndex != config.Index:
		return api.MemberChangeResponse{}, &node.ConfigIndexError{Expected: *change.ExpectedConfigIndex, Config: config}
	}
	members, err := c.changed(slices.Clone(config.Members), &change)
	if err != nil {
		return api.MemberChangeResponse{}, err
	}
	members, added, err := c.extended(members, change.Add)
	if err != nil {
		return api.MemberChangeResponse{}, err
	}
	c.members.changes = append(c.members.changes, change)
	c.configure(members)
	if i := find(members, uint64(c.leader)); i < 0 && c.leader != 0 {
		c.elect(raft.NodeID(members[0].ID))
	}
	return api.MemberChangeResponse{Config: c.config(), Added: added}, nil
}

// configure puts a configuration into force. The cluster must be locked.
func (c *Cluster) configure(members []api.ConfigMember) {
	index := c.members.config.Index + 1
	c.members.config = api.Membership{Index: index, CommittedIndex: index, Members: members}
}

// changed returns the members after a change, without those that it adds.
func (c *Cluster) changed(members []api.ConfigMember, change *api.MemberChange) ([]api.ConfigMember, error) {
	for _, id := range change.Promote {
		i := find(members, id)
		switch {
		case i < 0:
			return nil, fmt.Errorf("%w: node %d is not a member, and cannot be promoted", node.ErrBadChange, id)
		case members[i].Role != api.RoleLearner:
			return nil, fmt.Errorf("%w: member %d is a voter already", node.ErrBadChange, id)
		case !c.members.progress[id].progress.CaughtUp:
			return nil, fmt.Errorf("%w: node %d has not caught up", node.ErrChangeRefused, id)
		}
		members[i].Role, members[i].AutoPromote = api.RoleVoter, false
	}
	for _, u := range change.Update {
		i := find(members, u.ID)
		if i < 0 {
			return nil, fmt.Errorf("%w: node %d is not a member, and cannot be updated", node.ErrBadChange, u.ID)
		}
		members[i].Address, members[i].APIAddress = u.Address, u.APIAddress
	}
	for _, id := range change.Remove {
		i := find(members, id)
		if i < 0 {
			return nil, fmt.Errorf("%w: node %d is not a member, and cannot be removed", node.ErrBadChange, id)
		}
		members = slices.Delete(members, i, i+1)
	}
	return members, nil
}

// extended returns the members with new ones, and the ids of these.
func (c *Cluster) extended(
	members []api.ConfigMember, add []api.NewMember,
) (all []api.ConfigMember, added []uint64, err error) {
	last := c.members.last
	for _, m := range add {
		id := m.ID
		if id == 0 {
			id = last + 1
		}
		taken := slices.IndexFunc(members, func(other api.ConfigMember) bool { return other.Address == m.Address })
		switch {
		case id <= last:
			return nil, nil, fmt.Errorf("%w: the id was used before: %d; use %d or a higher one", node.ErrBadChange,
				id, last+1)
		case taken >= 0:
			return nil, nil, fmt.Errorf("%w: another member has the address: member %d at %s", node.ErrBadChange,
				members[taken].ID, m.Address)
		}
		last = id
		added = append(added, id)
		members = append(members, api.ConfigMember{
			ID: id, Address: m.Address, APIAddress: m.APIAddress, Role: api.RoleLearner, AutoPromote: m.AutoPromote,
		})
	}
	for _, id := range added {
		c.members.progress[id] = learner{0, api.Progress{State: "probe"}}
	}
	c.members.last = last
	return members, added, nil
}

func find(members []api.ConfigMember, id uint64) int {
	return slices.IndexFunc(members, func(m api.ConfigMember) bool { return m.ID == id })
}

// config returns the configuration. The cluster must be locked.
func (c *Cluster) config() api.Membership { return c.members.config }

// LoseDisk takes the node its disk: it waits for an identity, and is not the member that it was.
func (n *Node) LoseDisk() {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.lost = n.id()
}

// isMember reports whether the node is a member. The cluster must be locked.
func (n *Node) isMember() bool {
	id := n.id()
	return id != n.lost && find(n.cluster.config().Members, id) >= 0
}

// id returns the id under which the node is a member: one whose disk was lost gets another one. The cluster must be
// locked.
func (n *Node) id() uint64 {
	for _, m := range n.cluster.config().Members {
		if m.Address == n.URL {
			return m.ID
		}
	}
	return n.ID
}

// lifeCycle returns how far the node is. The cluster must be locked.
func (n *Node) lifeCycle() api.LifeCycle {
	switch {
	case n.isMember():
		return api.StateMember
	case n.lost == 0 && n.ID <= n.cluster.members.last:
		return api.StateRemoved
	}
	return api.StateEmpty
}
