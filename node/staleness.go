package node

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// clock is the node's monotonic clock as the core counts it: microseconds since the start, and 1.
func (n *Node) clock() uint64 { return uint64(n.sched.Now().Sub(n.started).Microseconds()) + 1 }

// publishFreshness publishes up to when everything that was acknowledged is in the state machine. It is done after each
// pass, because the applier goes on meanwhile: the age of what is published only grows, whatever holds the loop up.
func (l *loop) publishFreshness() { l.node.freshness.Store(l.core.Freshness(l.node.Applied())) }

// Staleness returns a function that reports, whenever it is called, how old the state may be that the state machine had
// at the call of Staleness: everything that was acknowledged anywhere longer ago is in it. The age is rounded up; false
// if nothing is known yet. A reader takes the function before it reads and calls it afterwards, so that what it has
// read is not taken for younger because the process was stopped, and then caught up, in between.
func (n *Node) Staleness() func() (time.Duration, bool) {
	moment := n.freshness.Load()
	return func() (time.Duration, bool) { return n.ageOf(moment) }
}

func (n *Node) ageOf(moment uint64) (time.Duration, bool) {
	switch moment {
	case 0:
		return 0, false
	case raft.Always:
		return 0, true
	default:
		return time.Duration(n.clock()+1-moment) * time.Microsecond, true
	}
}

// stalenessMs is the staleness as the status has it.
func (n *Node) stalenessMs() int64 {
	age, known := n.ageOf(n.freshness.Load())
	if !known {
		return -1
	}
	return (age + time.Millisecond - 1).Milliseconds()
}
