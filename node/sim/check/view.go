package check

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// View is what the checkers see of a cluster as a whole. With Node it is all that they see: no checker reaches for
// anything else of the simulator.
type View interface {
	// Now is the time of the simulated world.
	Now() time.Duration
	// Moment returns the latest moment that an age on the clock of a node can mean, by the world's clock.
	Moment(age time.Duration) time.Duration
}

// Node is what the checkers see of one node, whether it runs or not.
type Node interface {
	ID() raft.NodeID
	// Life counts the starts of the node.
	Life() int
	// Up reports whether it runs and was seen in this life.
	Up() bool
	// Seen is what it looked like after its last step.
	Seen() *engine.Observed
	// Durable is what its disk holds: what a start would find. The entries are shared and read-only.
	Durable() (raft.HardState, raft.Log)
	// Checkpoint is the checkpoint of its state machine on the disk: what a start would find.
	Checkpoint() *snapshottest.File
	// StateDiffers reports whether its disk has recorded that its state is not that of the others.
	StateDiffers() bool
	// Lost reports whether its disk was lost, or it ended for good.
	Lost() bool
	// Store is its state machine; nil unless it runs.
	Store() *kv.Store
	// ViewTerm is the term of its published view; false if it does not run.
	ViewTerm() (raft.Term, bool)
	// LeaseTerm is the term in which it has a lease now, by its own clock; 0 if it has none or does not run.
	LeaseTerm() raft.Term
	// Age returns how old its state is by its own account; false if that is unknown.
	Age() (time.Duration, bool)
}

// Timing is the configured timing of the nodes, and how long the network takes at most.
type Timing struct {
	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	Reach           time.Duration // how long a message can be on its way
}

// leads reports whether a node is up and leads, as it was seen last.
func leads(n Node) bool { return n.Up() && n.Seen().Role == raft.Leader }
