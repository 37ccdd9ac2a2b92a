package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// A forged append has another command under the same index and term. Log Matching (paper 5.3) does not detect it; the
// digests of node/raft do. The node whose log then differs from the committed one has to repair it or stop, once
// it is in contact with a correct majority, and all others go on. The checkers compare entries, not digests, so they
// do not depend on how a node finds out.
//
// Appends are forged to one node of a chapter, and no disks are lost in that chapter, because a node that stops for its
// log counts as lost. The others may take the forged entry from that node, if it leads. Which of the two entries is the
// right one is decided by what is committed first.

// forger forges entries.
type forger struct {
	cluster *Cluster
	target  *engine.Machine // whose appends are forged; nil: none is yet
	count   int
	armed   bool // the next append to the target is forged, whatever the mix
}

// command returns a command that no client sends, and records its index.
func (f *forger) command(index raft.Index, term raft.Term) []byte {
	f.cluster.Watch.Forged.Add(index, term)
	f.count++
	c := &kv.Put{Key: []byte("forged"), Value: fmt.Append(nil, f.count), ContentType: kv.TypeJSON}
	return c.AppendJSON(nil)
}

// mayForge reports whether appends to a machine may be forged by chance: none to another was, all members have begun,
// and no disk was lost. An even number of nodes could split into two halves of which neither is a majority.
func (f *forger) mayForge(to *engine.Machine) bool {
	if f.target != nil {
		return f.target == to
	}
	if len(f.cluster.Machines) < 3 || len(f.cluster.Machines)%2 == 0 {
		return false
	}
	for _, m := range f.cluster.Machines {
		if m.IsLost() || !m.IsMember() {
			return false
		}
	}
	return true
}

// forge may change an entry of an append in flight, or send an append of its own.
func (f *forger) forge(m raft.Message) raft.Message {
	if m.Type != raft.MsgAppendEntries || len(m.Entries) == 0 {
		return m
	}
	w := f.cluster
	to, chance := w.Machine(m.To), w.Network.Chance
	if f.armed && f.target == to {
		return f.change(m, engine.Forge)
	}
	committed := m.Entries[len(m.Entries)-1].Index <= w.Watch.Committed.Last()
	switch {
	case w.healed:
	case committed && w.Mix.Happens(chance, engine.ForgeCommitted) && f.mayForge(to):
		return f.change(m, engine.ForgeCommitted)
	case w.Mix.Happens(chance, engine.Forge) && f.mayForge(to):
		if chance.IntN(4) == 0 {
			f.invent(to)
			return m
		}
		return f.change(m, engine.Forge)
	}
	return m
}

// change replaces the command of one of the entries of an append, if one has a client's command.
func (f *forger) change(m raft.Message, fault engine.Fault) raft.Message {
	var at []int
	for i := range m.Entries {
		if bytes.HasPrefix(m.Entries[i].Command, []byte(`{"op":`)) { // no no-op, and no seat
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return m
	}
	w := f.cluster
	e := &m.Entries[at[w.Network.Chance.IntN(len(at))]]
	forged := *e
	forged.Type, forged.Command = raft.EntryCommand, f.command(e.Index, e.Term)
	m.Entries = slices.Clone(m.Entries)
	m.Entries[e.Index-m.Entries[0].Index] = forged
	f.target, f.armed = w.Machine(m.To), false
	f.forged(fault, f.target, &forged)
	return m
}

func (f *forger) forged(fault engine.Fault, to *engine.Machine, e *raft.Entry) {
	f.cluster.Count(fault)
	f.cluster.NoteFault(to.ID, "is sent a forged entry %s", check.EntryName(e))
}

// invent sends a node an append in the name of the leader that it follows, with one entry after the last one of both.
// It returns false if their logs do not end alike.
func (f *forger) invent(to *engine.Machine) bool {
	w := f.cluster
	leader, p := w.Leader(), to.Process
	if leader == nil || leader == to || p == nil || p.Node == nil || !to.Up() {
		return false
	}
	a, b := &leader.Seen, &to.Seen
	if a.State.Term != b.State.Term || b.Leader != leader.ID || a.Last != b.Last || a.LastTerm != b.LastTerm {
		return false
	}
	e := raft.Entry{Index: b.Last + 1, Term: b.State.Term}
	f.target = to
	e.Command = f.command(e.Index, e.Term)
	m := raft.Message{
		Type: raft.MsgAppendEntries, From: leader.ID, To: to.ID, Term: e.Term, PrevLogIndex: b.Last, PrevLogTerm: b.LastTerm,
		Entries: []raft.Entry{e}, LeaderCommit: b.State.Commit,
	}
	f.forged(engine.Forge, to, &e)
	p.Go(func() { _, _ = p.Node.Deliver(p.Ctx, m) }) // the answer goes to the forger
	w.After(0, p, func() {})
	return true
}

// ForgeNext changes an entry of the next append to a node.
func (c *Cluster) ForgeNext(m *engine.Machine) error {
	f := &c.forger
	if err := f.only(m); err != nil {
		return err
	}
	f.target, f.armed = m, true
	return nil
}

// ForgeExtra sends a node an append in the name of its leader.
func (c *Cluster) ForgeExtra(m *engine.Machine) error {
	f := &c.forger
	if err := f.only(m); err != nil {
		return err
	}
	if !f.invent(m) {
		return fmt.Errorf("the logs of node %d and of its leader do not end alike", m.ID)
	}
	return nil
}

// only refuses a node if appends to another one were forged.
func (f *forger) only(m *engine.Machine) error {
	if f.target != nil && f.target != m {
		return fmt.Errorf("node %d was forged to already, and only one may be", f.target.ID)
	}
	return nil
}
