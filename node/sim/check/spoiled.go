package check

import (
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// spoiled is what is known of a node whose checkpoint got another value.
type spoiled struct {
	is    bool // its state, in memory or on the disk, may be another than the committed log leads to
	was   bool // and it was since
	found bool // its disk has recorded it
	lacks bool // its checkpoint was damaged, and what it lost is not known to be there again
}

// Spoil notes that a value in the checkpoint of a node was changed. Its state is not judged before it is right again.
func (w *Watch) Spoil(id raft.NodeID) { *w.spoiled.of(id) = spoiled{is: true, was: true} }

// Spoiled reports whether the state of a node may be another than the committed log leads to, in memory or on its disk.
func (w *Watch) Spoiled(id raft.NodeID) bool { return w.spoiled.of(id).is }

// AnySpoiled reports whether some node is spoiled.
func (w *Watch) AnySpoiled() bool {
	return slices.ContainsFunc(w.spoiled.list, func(s spoiled) bool { return s.is })
}

// Damage notes that the checkpoint of a node was damaged.
func (w *Watch) Damage(id raft.NodeID) {
	s := w.spoiled.of(id)
	s.was, s.lacks = true, true
}

// Lacks reports whether a node may lack the state that its damaged checkpoint had.
func (w *Watch) Lacks(id raft.NodeID) bool { return w.spoiled.of(id).lacks }

// AnyLacks reports whether some node does.
func (w *Watch) AnyLacks() bool {
	return slices.ContainsFunc(w.spoiled.list, func(s spoiled) bool { return s.lacks })
}

// spoiledStates: a node finds out only a state that is wrong, and does not take it for right again before it is
// replaced. It comes before all that judge states, because it notes whose is right again.
type spoiledStates struct{}

func (c *spoiledStates) invariant() string { return "a state that differs is found and replaced" }

func (c *spoiledStates) step(w *Watch, l *Step) error {
	s, id, knows := w.spoiled.of(l.node.ID()), l.node.ID(), l.node.StateDiffers()
	if s.is && c.isRight(w, l) {
		s.is = false // also because the value was overwritten
	}
	if s.lacks && !knows && l.Now.Applied > 0 {
		if c.isRightInMemory(w, l) {
			s.lacks = false // the log had all of it, or a snapshot replaced it
		} else if l.Now.Checkpoint == 0 {
			return fmt.Errorf("node %d takes the state for its own that is left of a damaged one", id)
		}
	}
	return c.judge(w, l, s, knows)
}

// judge judges what a node with a spoiled state has recorded.
func (c *spoiledStates) judge(w *Watch, l *Step, s *spoiled, knows bool) error {
	id := l.node.ID()
	switch {
	case s.is && knows:
		s.found = true
	case s.is && s.found && !knows && !c.isRightOnDisk(w, l):
		return fmt.Errorf("node %d takes its state for right again, and it is not", id)
	case knows && !s.was:
		return fmt.Errorf("node %d takes its state for another than that of the others, and it is right", id)
	case !s.is && !knows:
		s.found = false
	}
	return nil
}

// isRight reports whether the state of a node is what the committed log leads to, in memory and on the disk.
func (c *spoiledStates) isRight(w *Watch, l *Step) bool {
	return c.isRightInMemory(w, l) && c.isRightOnDisk(w, l)
}

// isRightInMemory reports whether the state machine of a node is what the committed log leads to.
func (c *spoiledStates) isRightInMemory(w *Watch, l *Step) bool {
	at := l.Now.Applied
	return at <= w.Committed.Last() && l.Store.Digest() == w.stateAt(at)
}

// isRightOnDisk reports whether the checkpoint of a node is the state that the committed log leads to.
func (c *spoiledStates) isRightOnDisk(w *Watch, l *Step) bool {
	file := l.node.Checkpoint()
	if file.Start.Index > w.Committed.Last() {
		return false
	}
	store, err := file.Load()
	return err == nil && store.Digest() == w.stateAt(file.Start.Index)
}
