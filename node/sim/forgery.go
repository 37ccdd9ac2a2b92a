package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A forged append puts another command where index and term stay the same. Log Matching (paper 5.3) does not see it;
// the digests of node/raft do. The node whose log then differs from the committed one has to repair it or stop, once
// it is in contact with a correct majority, and all others go on. The checkers compare entries, not digests, so they
// do not depend on how a node finds out.
//
// Appends are forged to one node of a chapter, and no disks are lost in that chapter, because a node that stops for its
// log counts as lost. The others may take the forged entry from that node, if it leads. Which of the two entries is the
// right one is decided by what is committed first.

// position is where entries differ rightly, because one of them was forged.
type position struct {
	index raft.Index
	term  raft.Term
}

// forgery is what the world keeps of it.
type forgery struct {
	target    *machine // whose appends are forged; nil: nobody's yet
	positions map[position]bool
	count     int
	armed     bool // the next append to the target is forged, whatever the mix says
}

// isForged reports whether two entries differ only because one of them was forged.
func (f *forgery) isForged(a, b *raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && f.positions[position{a.Index, a.Term}]
}

// command returns another command than any client sends, and notes where it stands.
func (f *forgery) command(index raft.Index, term raft.Term) []byte {
	if f.positions == nil {
		f.positions = map[position]bool{}
	}
	f.positions[position{index, term}] = true
	f.count++
	c := kv.Command{Op: kv.OpPut, Key: "forged", Value: fmt.Append(nil, f.count), ContentType: kv.TypeJSON}
	return c.AppendJSON(nil)
}

// mayForge reports whether appends to a machine may be forged by chance: none to another was, all members have begun,
// and no disk was lost. An even number of nodes could split into two halves of which neither is a majority.
func (w *World) mayForge(to *machine) bool {
	if w.forgery.target != nil {
		return w.forgery.target == to
	}
	if len(w.machines) < 3 || len(w.machines)%2 == 0 {
		return false
	}
	for _, m := range w.machines {
		if m.isLost() || !m.isMember() {
			return false
		}
	}
	return true
}

// forge changes an entry of an append on its way, sometimes; or it invents an append of its own.
func (w *World) forge(m raft.Message) raft.Message {
	if m.Type != raft.MsgAppendEntries || len(m.Entries) == 0 {
		return m
	}
	to, f, chance := w.machine(m.To), &w.forgery, w.network.chance
	if f.armed && f.target == to {
		return w.change(m, Forge)
	}
	switch {
	case w.healed:
	case m.Entries[len(m.Entries)-1].Index <= w.ledger.last() && w.mix.happens(chance, ForgeCommitted) && w.mayForge(to):
		return w.change(m, ForgeCommitted)
	case w.mix.happens(chance, Forge) && w.mayForge(to):
		if chance.IntN(4) == 0 {
			w.invent(to)
			return m
		}
		return w.change(m, Forge)
	}
	return m
}

// change puts another command into one of the entries of an append, if a client's command is in any.
func (w *World) change(m raft.Message, fault Fault) raft.Message {
	var at []int
	for i := range m.Entries {
		if bytes.HasPrefix(m.Entries[i].Command, []byte(`{"op":`)) { // no no-op, and no seat
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return m
	}
	f, e := &w.forgery, &m.Entries[at[w.network.chance.IntN(len(at))]]
	forged := *e
	forged.Command = f.command(e.Index, e.Term)
	m.Entries = slices.Clone(m.Entries)
	m.Entries[e.Index-m.Entries[0].Index] = forged
	f.target, f.armed = w.machine(m.To), false
	w.forged(fault, f.target, &forged)
	return m
}

func (w *World) forged(fault Fault, to *machine, e *raft.Entry) {
	w.count(fault)
	w.note(note{kind: noteFault, node: to.id, text: "is sent a forged entry " + name(e)})
}

// invent sends a node an append in the name of the leader that it follows, with one entry after the last one of both.
// False if their logs do not end alike.
func (w *World) invent(to *machine) bool {
	leader, p := w.leader(), to.process
	if leader == nil || leader == to || p == nil || p.node == nil || to.seen.process != p {
		return false
	}
	a, b := &leader.seen, &to.seen
	if a.state.Term != b.state.Term || b.leader != leader.id || a.last != b.last || a.lastTerm != b.lastTerm {
		return false
	}
	e := raft.Entry{Index: b.last + 1, Term: b.state.Term}
	w.forgery.target = to
	e.Command = w.forgery.command(e.Index, e.Term)
	m := raft.Message{
		Type: raft.MsgAppendEntries, From: leader.id, To: to.id, Term: e.Term, PrevLogIndex: b.last, PrevLogTerm: b.lastTerm,
		Entries: []raft.Entry{e}, LeaderCommit: b.state.Commit,
	}
	w.forged(Forge, to, &e)
	p.Go(func() { _, _ = p.node.Deliver(p.ctx, m) }) // the answer goes to whoever forged it
	w.after(0, p, func() {})
	return true
}

// differs reports whether the log on a machine's disk holds another entry than the committed one at a forged place, or
// one of which is not decided yet whether it is the right one.
func (m *machine) differs() bool {
	w := m.world
	_, entries := m.disk.durable()
	for p := range w.forgery.positions {
		if p.index > raft.Index(len(entries)) || entries[p.index-1].Term != p.term {
			continue
		}
		if p.index > w.ledger.last() || !sameEntry(w.ledger.at(p.index), &entries[p.index-1]) {
			return true
		}
	}
	return false
}

// differsUpTo reports whether the log on the disk holds another entry than the committed one up to an index.
func (m *machine) differsUpTo(i raft.Index) bool {
	w := m.world
	_, entries := m.disk.durable()
	for p := range w.forgery.positions {
		if p.index <= min(i, w.ledger.last(), raft.Index(len(entries))) &&
			!sameEntry(w.ledger.at(p.index), &entries[p.index-1]) {
			return true
		}
	}
	return false
}

// findOut demands that every log that differs is repaired, or its node stopped, while writes go on. It returns those of
// the machines that run.
func (w *World) findOut(machines []*machine) []*machine {
	if w.forgery.target == nil {
		return machines
	}
	next, round := w.now, 0
	write := func() {
		next = w.now + time.Second
		round++
		for _, m := range w.machines {
			p := m.process
			if p == nil || p.node == nil {
				continue
			}
			c := kv.Command{Op: kv.OpPut, Key: "calm", Value: fmt.Appendf(nil, "round %d %d", round, m.id)}
			text := c.AppendJSON(nil)
			p.Go(func() { p.node.Propose(p.ctx, [][]byte{text}) })
			w.settle(p)
		}
	}
	var running []*machine
	w.until("a log that differs is found out", "a node serves another state, or takes no part", func() bool {
		if w.now >= next {
			write()
		}
		leader := w.leader()
		running = running[:0]
		for _, m := range machines {
			if m.gone != "" {
				continue
			}
			if leader == nil || m.process == nil || m.seen.process != m.process || m.seen.leader != leader.id ||
				m.seen.applied != leader.seen.last || m.differs() || m.astray {
				return false
			}
			running = append(running, m)
		}
		return len(running) >= w.quorum()
	})
	return running
}
