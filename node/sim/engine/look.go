package engine

import (
	"fmt"
	"strings"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Observed is the state of a node after a step. The zero value is a node that was not observed yet.
type Observed struct {
	Life     int // of the machine, from 1 on
	Role     raft.Role
	Leader   raft.NodeID
	State    raft.HardState
	Last     raft.Index
	LastTerm raft.Term
	Applied  raft.Index
	Digest   uint64 // of the state machine
	// Removed is where the log on the disk starts, and Checkpoint the position of state.db: what a start would find.
	Removed, Checkpoint raft.Index
	// What the node publishes: the applied index, and the term of its view.
	Published raft.Index
	ViewTerm  raft.Term
}

// Look is a node that has just taken a step, before and after it.
type Look struct {
	Core   *raft.Core
	Store  *kv.Store
	Before Observed
	Now    Observed
}

// NewLife reports whether the node was never seen in this life before.
func (l *Look) NewLife() bool { return l.Before.Life != l.Now.Life }

// Elected reports whether the node came to lead with this step.
func (l *Look) Elected() bool {
	return l.Now.Role == raft.Leader &&
		(l.NewLife() || l.Before.Role != raft.Leader || l.Before.State.Term != l.Now.State.Term)
}

// look inspects a node after a step, and reports changes to the observer.
func (w *World) look(p *Process, core *raft.Core, store *kv.Store) {
	m := p.home
	now := Observed{Life: p.life, State: core.HardState(), Last: core.LastIndex(), Applied: raft.Index(store.Applied())}
	now.Digest = store.Digest()
	now.Role, _, now.Leader = core.Standing()
	now.LastTerm, _ = core.TermAt(now.Last)
	now.Published, now.ViewTerm = p.Node.Applied(), p.Node.ViewTerm()
	_, log := m.Disk.Durable()
	now.Removed, now.Checkpoint = log.Start.Index, m.Disk.Checkpoint().Start.Index
	w.Digest.Add(uint64(w.now), uint64(m.ID), uint64(now.State.Term), uint64(now.State.Commit), uint64(now.Last))
	l := Look{Core: core, Store: store, Before: m.Seen, Now: now}
	if now == m.Seen {
		return
	}
	m.Seen = now
	w.noteRole(m, &l)
	w.observer.Saw(m, &l)
}

func (w *World) noteRole(m *Machine, l *Look) {
	if l.NewLife() || l.Before.Role != l.Now.Role || l.Before.State.Term != l.Now.State.Term {
		w.note(note{
			kind: noteRole, node: m.ID, text: fmt.Sprintf("is %s in term %d", roleName(l.Now.Role), l.Now.State.Term),
		})
	}
}

func roleName(r raft.Role) string {
	if r == raft.PreCandidate {
		return "pre-candidate"
	}
	return strings.ToLower(r.String())
}

// Leader is the machine whose node leads the highest term that any node leads; nil if none does.
func (w *World) Leader() *Machine {
	var leader *Machine
	for _, m := range w.Machines {
		if m.Leads() && (leader == nil || m.Seen.State.Term > leader.Seen.State.Term) {
			leader = m
		}
	}
	return leader
}

// Standing describes the state of every node.
func (w *World) Standing() string {
	text := ""
	for _, m := range w.Machines {
		if m.Process == nil {
			text += fmt.Sprintf("node %d is down %s; ", m.ID, m.Gone)
			continue
		}
		s := m.Seen
		text += fmt.Sprintf("node %d is %s in term %d, follows %d, log from %d to (%d, term %d), "+
			"checkpoint %d, commit %d, applied %d; ", m.ID, roleName(s.Role), s.State.Term, s.Leader, s.Removed+1, s.Last,
			s.LastTerm, s.Checkpoint, s.State.Commit, s.Applied)
	}
	return text
}

// Digest is a checksum over everything that happened: two runs that differ anywhere have different ones.
type Digest uint64

// Add adds numbers to the sum.
func (d *Digest) Add(numbers ...uint64) {
	h := uint64(*d)
	for _, n := range numbers {
		h = (h ^ n) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	*d = Digest(h)
}

func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }
