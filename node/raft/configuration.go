package raft

import "slices"

// configuration is the membership of the cluster (paper, section 6). Whatever depends on who the members are asks the
// core's, because it will change while the core runs.
type configuration struct {
	voters Voters
	others []NodeID // all members except this node, in ascending order
}

// configure puts a configuration into force. A leader keeps its record of the members that stay.
func (c *Core) configure(voters Voters) {
	c.members = configuration{
		voters: voters,
		others: slices.DeleteFunc(slices.Clone(voters), func(id NodeID) bool { return id == c.id }),
	}
	if c.role == Leader {
		c.followMembers()
	}
}

// followMembers gives every other member a record, and drops those of nodes that are not members, and a transfer to one
// of them.
func (c *Core) followMembers() {
	records := make([]progress, len(c.members.others))
	for i, id := range c.members.others {
		records[i] = progress{id: id, next: c.log.last() + 1} // optimistic (paper 5.3)
		if old := c.progressOf(id); old != nil {
			records[i] = *old
		}
	}
	c.lead.progress = records
	if t := &c.lead.transfer; t.target != 0 && !c.members.voters.Contains(t.target) {
		*t = transfer{}
	}
}
