package sim

import (
	"fmt"
	"strings"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// sight is what a node looked like after a step. The zero sight is a node that was not seen yet.
type sight struct {
	process  *process
	role     raft.Role
	leader   raft.NodeID
	state    raft.HardState
	last     raft.Index
	lastTerm raft.Term
	applied  raft.Index
	// What the node publishes: the applied index, and the term of its view.
	published raft.Index
	viewTerm  raft.Term
}

// look is a node that has just taken a step, before and after it.
type look struct {
	machine *machine
	core    *raft.Core
	store   *kv.Store
	before  sight
	now     sight
}

// newLife tells whether the node was never seen in this life before.
func (l *look) newLife() bool { return l.before.process != l.now.process }

// checker keeps watch over one promise. It sees every step that changed a node, and is silent until the promise is
// broken.
type checker interface {
	// promise is its name, as a violation shows it.
	promise() string
	// step looks at a node after a step that changed it. The error says in words what is wrong.
	step(w *World, l *look) error
}

// sendChecker is a checker that also looks at each message when it leaves a node.
type sendChecker interface {
	leaves(w *World, from *machine, m *raft.Message) error
}

// Violation is a promise that was broken.
type Violation struct {
	Seed    uint64   `json:"seed"`
	Step    int      `json:"step"` // over all chapters of the run
	Chapter int      `json:"chapter,omitempty"`
	Broken  string   `json:"invariant"`
	Detail  string   `json:"detail"`
	Last    []string `json:"last,omitempty"` // what happened before, in words
}

// Error tells all of it on one line.
func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s: %s", v.Seed, v.Step, v.Broken, v.Detail)
}

// broken ends the run.
func (w *World) broken(promise, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{
			Seed: w.cfg.Seed, Step: w.before + w.steps, Chapter: w.cfg.Chapter, Broken: promise,
			Detail: fmt.Sprintf(format, args...), Last: w.lastNotes(),
		}
	}
}

// observe looks at a node after a step, and asks every checker about what changed.
func (w *World) observe(p *process, core *raft.Core, store *kv.Store) {
	m := p.home
	now := sight{process: p, state: core.HardState(), last: core.LastIndex(), applied: raft.Index(store.Applied())}
	now.role, _, now.leader = core.Standing()
	now.lastTerm, _ = core.TermAt(now.last)
	now.published, now.viewTerm = p.node.Applied(), p.node.ViewTerm()
	w.digest.mix(uint64(w.now), uint64(m.id), uint64(now.state.Term), uint64(now.state.Commit), uint64(now.last))
	l := look{machine: m, core: core, store: store, before: m.seen, now: now}
	if now == m.seen {
		return
	}
	m.seen = now
	w.noteRole(&l)
	if l.elected() {
		w.loseFounders()
		w.springs(m)
	}
	for _, c := range w.checkers {
		if err := c.step(w, &l); err != nil {
			w.broken(c.promise(), "%v", err)
			return
		}
	}
}

func (w *World) noteRole(l *look) {
	if l.newLife() || l.before.role != l.now.role || l.before.state.Term != l.now.state.Term {
		w.note(note{
			kind: noteRole, node: l.machine.id, text: fmt.Sprintf("is %s in term %d", roleName(l.now.role), l.now.state.Term),
		})
	}
}

func roleName(r raft.Role) string {
	if r == raft.PreCandidate {
		return "pre-candidate"
	}
	return strings.ToLower(r.String())
}

// leaves is told of every message when it leaves a node.
func (w *World) leaves(p *process, m *raft.Message) {
	w.note(note{kind: noteSent, node: p.id(), message: *m})
	for _, c := range w.checkers {
		if s, ok := c.(sendChecker); ok {
			if err := s.leaves(w, p.home, m); err != nil {
				w.broken(c.promise(), "%v", err)
				return
			}
		}
	}
}

// leader is the machine whose node leads the highest term that anyone leads; nil if none does.
func (w *World) leader() *machine {
	var leader *machine
	for _, m := range w.machines {
		if m.process == nil || m.seen.process != m.process || m.seen.role != raft.Leader {
			continue
		}
		if leader == nil || m.seen.state.Term > leader.seen.state.Term {
			leader = m
		}
	}
	return leader
}

// digest is a checksum over everything that happened: two runs that differ anywhere have different ones.
type digest uint64

func (d *digest) mix(numbers ...uint64) {
	h := uint64(*d)
	for _, n := range numbers {
		h = (h ^ n) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	*d = digest(h)
}

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }
