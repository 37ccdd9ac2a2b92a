package raft

import "fmt"

// transfer is a leader's attempt to transfer leadership (thesis 3.10).
type transfer struct {
	target  NodeID // 0: none
	elapsed int    // ticks
	asked   bool   // TimeoutNow was sent
	failed  bool   // the last one, in this term
}

// TransferLeadership transfers leadership to another voter: proposals stop, and once the target has the whole log,
// TimeoutNow makes it campaign at once. If it does not become leader within one minimum election timeout, this leader
// continues. TransferLeadership returns ErrNotLeader; ErrBadTarget if the target is this node, no voter (trap T11), not
// seated, has a full disk, or needs a snapshot, which takes too long; ErrTransferring if a transfer to
// another node is in progress.
func (c *Core) TransferLeadership(to NodeID) error {
	switch {
	case c.role != Leader:
		return ErrNotLeader
	case to == c.id || c.progressOf(to) == nil || !c.mayLead(c.progressOf(to)):
		return ErrBadTarget
	case c.progressOf(to).needsSnapshot():
		return fmt.Errorf("%w: node %d needs a snapshot first", ErrBadTarget, to)
	case c.progressOf(to).disk == DiskFull:
		return fmt.Errorf("%w: the disk of node %d is full", ErrBadTarget, to)
	case c.lead.transfer.target == to:
		return nil
	case c.lead.transfer.target != 0:
		return ErrTransferring
	}
	c.lead.transfer = transfer{target: to}
	return nil
}

// tickTransfer cancels the transfer when the target took too long.
func (c *Core) tickTransfer() {
	t := &c.lead.transfer
	if t.target == 0 {
		return
	}
	t.elapsed++
	if t.elapsed < c.cfg.ElectionTicks {
		return
	}
	*t = transfer{failed: true}
	if c.differs {
		c.stepDown("its state differs from that of the other members")
	}
}

// canAskTarget reports whether the target has everything that it needs to win, and was not asked yet.
func (c *Core) canAskTarget() bool {
	t := &c.lead.transfer
	if t.target == 0 || t.asked {
		return false
	}
	p := c.progressOf(t.target)
	return !p.paused && p.match == c.log.last()
}

func (c *Core) askTarget() {
	c.lead.transfer.asked, c.lead.asked = true, true
	c.messages = append(c.messages, Message{
		Type: MsgTimeoutNow, From: c.id, To: c.lead.transfer.target, Term: c.term,
	})
}
