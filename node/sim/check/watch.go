package check

import (
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Watch checks the invariants of one cluster. It holds what its checkers share: what was committed, where entries were
// forged, and who has committed a forged one.
type Watch struct {
	View
	Timing
	Committed Committed
	Forged    Forged

	nodes    []Node // by id
	checkers []checker
	astray   perNode[bool]
	spoiled  perNode[spoiled]

	reference reference
}

// NewWatch returns a watch over the nodes of a cluster, which come by rising id from 1 on.
func NewWatch(v View, nodes []Node, t Timing) *Watch {
	return &Watch{View: v, Timing: t, nodes: nodes, checkers: newCheckers()}
}

// Failure is an invariant that does not hold.
type Failure struct {
	Invariant string
	Detail    string
}

func fail(invariant, format string, args ...any) *Failure {
	return &Failure{invariant, fmt.Sprintf(format, args...)}
}

// Saw shows a step that changed a node to every checker. It returns the first invariant that does not hold; nil if all
// of them do.
func (w *Watch) Saw(id raft.NodeID, l *engine.Look) *Failure {
	s := Step{w.node(id), l}
	for _, c := range w.checkers {
		if err := c.step(w, &s); err != nil {
			return fail(c.invariant(), "%v", err)
		}
	}
	return nil
}

// Leaves shows a message that leaves a node to the checkers that look at messages.
func (w *Watch) Leaves(from raft.NodeID, m *raft.Message) *Failure {
	for _, c := range w.checkers {
		if s, ok := c.(sendChecker); ok {
			if err := s.leaves(w, w.node(from), m); err != nil {
				return fail(c.invariant(), "%v", err)
			}
		}
	}
	return nil
}

// Astray reports whether a node has committed another entry than was committed first, at a place that was forged, or
// its state was spoiled or damaged: its state is not judged.
func (w *Watch) Astray(id raft.NodeID) bool { return *w.astray.of(id) || w.Spoiled(id) || w.Lacks(id) }

func (w *Watch) node(id raft.NodeID) Node { return w.nodes[id-1] }

// quorum is how many nodes are a majority.
func (w *Watch) quorum() int { return len(w.nodes)/2 + 1 }

// checker checks one invariant. It sees every step that changed a node.
type checker interface {
	// invariant is its name, as a violation shows it.
	invariant() string
	// step looks at a node after a step that changed it. The error states what is wrong.
	step(w *Watch, l *Step) error
}

// sendChecker is a checker that also looks at each message when it leaves a node.
type sendChecker interface {
	leaves(w *Watch, from Node, m *raft.Message) error
}

// newCheckers makes one of each. The order counts: the first makes sure that the others may ask the core for what it
// reports to have, and stateMachineSafety writes down what was committed, which those after it read.
func newCheckers() []checker {
	return []checker{
		&coreOrder{}, &monotonic{}, &electionSafety{}, &oneVote{}, &majorityElects{}, &logMatching{},
		&stateMachineSafety{}, &spoiledStates{}, &commitsOwnTerm{}, &durability{}, &leaderCompleteness{}, &durableAcks{},
		&equalStates{}, &checkQuorum{}, &wholeHandover{}, &progressGrows{}, &answersInTerm{}, &publishedIsSo{},
		&recentReads{}, &checkpoints{}, &cutLogs{}, &leaseExcludes{},
	}
}

// wholeEvery is how many changes of a node pass before a checker that looks only at what changed looks at all of it
// again, in case something changed where nothing should.
const wholeEvery = 1000

// perNode is what a checker remembers of each node. The zero value remembers zero values.
type perNode[T any] struct{ list []T }

// of returns what is remembered of a node, to read or to change until the next call.
func (p *perNode[T]) of(id raft.NodeID) *T {
	for len(p.list) < int(id) {
		var zero T
		p.list = append(p.list, zero)
	}
	return &p.list[id-1]
}

// Step is a step that changed a node.
type Step struct {
	node Node
	*engine.Look
}

// logChanged reports whether the end of the log is not where it was. What changes only before the end goes unnoticed.
func (l *Step) logChanged() bool {
	return l.NewLife() || l.Now.Last != l.Before.Last || l.Now.LastTerm != l.Before.LastTerm
}

// logCut reports whether the log lost its end since the last step, whatever came after it.
func (l *Step) logCut() bool {
	if l.NewLife() || l.Before.Last < l.Core.TailStart() {
		return false
	}
	term, is := l.Core.TermAt(l.Before.Last)
	return !is || term != l.Before.LastTerm
}

// logStart returns the position before the first entry of the log that can be seen: on the disk, which holds what left
// the memory, or in memory if the disk does not have the position before it, because the log was replaced just now.
func (l *Step) logStart() (raft.Index, raft.Term) {
	tail := l.Core.TailStart()
	term, _ := l.Core.TermAt(tail)
	_, log := l.node.Durable()
	if onDisk, is := log.Term(tail); is && onDisk == term {
		return log.Start.Index, log.Start.Term
	}
	return tail, term
}

// termAt returns the term at an index from logStart on.
func (l *Step) termAt(i raft.Index) raft.Term {
	if term, is := l.Core.TermAt(i); is {
		return term
	}
	_, log := l.node.Durable()
	term, _ := log.Term(i)
	return term
}

// entries returns the entries of the log from one index to another one, which lie behind logStart.
func (l *Step) entries(from, to raft.Index) []raft.Entry {
	if from > to {
		return nil
	}
	tail := l.Core.TailStart()
	if from > tail {
		return l.Core.Entries(from, to)
	}
	_, log := l.node.Durable()
	list := slices.Clone(log.Entries[from-log.Start.Index-1 : min(tail, to)-log.Start.Index])
	return append(list, l.Core.Entries(tail+1, to)...)
}

// wiped reports whether a disk was lost between two runs: it had a term and has none. Nothing else takes a term away.
func (l *Step) wiped(before, now raft.HardState) bool {
	return l.NewLife() && before.Term > 0 && now.Term == 0
}

// EntryName describes an entry.
func EntryName(e *raft.Entry) string {
	command := e.Command
	if len(command) > 80 {
		command = command[:80]
	}
	return fmt.Sprintf("(%d, term %d, %s)", e.Index, e.Term, command)
}
