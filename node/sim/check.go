package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// newCheckers makes one of each. The order counts: the first makes sure that the others may ask the core for what it
// says it has, and stateMachineSafety writes the ledger that those after it read.
func newCheckers() []checker {
	return []checker{
		&coreOrder{}, &monotonic{}, &electionSafety{}, &oneVote{}, &majorityElects{}, &logMatching{},
		&stateMachineSafety{}, &commitsOwnTerm{}, &durability{}, &leaderCompleteness{}, &durableAcks{},
		&equalStates{}, &checkQuorum{}, &wholeHandover{}, &progressGrows{}, &answersInTerm{}, &publishedIsSo{},
		&recentReads{},
	}
}

// wholeEvery is how many changes of a node pass before a checker that looks only at what changed looks at all of it
// again, in case something changed where nothing should.
const wholeEvery = 1000

// perNode is what a checker remembers of each node. The zero value remembers zero values.
type perNode[T any] struct{ list []T }

// of gives what is remembered of a node, to read or to change until the next call.
func (p *perNode[T]) of(id raft.NodeID) *T {
	for len(p.list) < int(id) {
		var zero T
		p.list = append(p.list, zero)
	}
	return &p.list[id-1]
}

// quorum is how many nodes are a majority.
func (w *World) quorum() int { return len(w.machines)/2 + 1 }

// inOffice tells whether the node on a machine is up and leads, as it was seen last.
func (m *machine) inOffice() bool {
	return m.process != nil && m.seen.process == m.process && m.seen.role == raft.Leader
}

// elected tells whether the node came into office with this step.
func (l *look) elected() bool {
	return l.now.role == raft.Leader &&
		(l.newLife() || l.before.role != raft.Leader || l.before.state.Term != l.now.state.Term)
}

// logChanged tells whether the end of the log is not where it was. What changes only before the end goes unnoticed.
func (l *look) logChanged() bool {
	return l.newLife() || l.now.last != l.before.last || l.now.lastTerm != l.before.lastTerm
}

// logCut tells whether the log lost its end since the last step, whatever came after it.
func (l *look) logCut() bool {
	if l.newLife() {
		return false
	}
	term, is := l.core.TermAt(l.before.last)
	return !is || term != l.before.lastTerm
}

// wiped tells whether a disk was lost between two lives: it had a term and has none. Nothing else takes a term away.
func (l *look) wiped(before, now raft.HardState) bool {
	return l.newLife() && before.Term > 0 && now.Term == 0
}

// name is how people name an entry.
func name(e *raft.Entry) string {
	command := e.Command
	if len(command) > 80 {
		command = command[:80]
	}
	return fmt.Sprintf("(%d, term %d, %s)", e.Index, e.Term, command)
}
