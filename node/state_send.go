package node

import (
	"errors"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// errContradicted means that no snapshot is sent, because nothing proves that its state is the right one.
var errContradicted = errors.New("node: another member has another state, and no majority has this one")

// sendQuestions is how often the others are asked before a snapshot is sent, a heartbeat interval apart.
const sendQuestions = 3

// confirmState compares the state with those of the others before it is sent as a snapshot: with the member that
// receives it, a wrong state could be that of a majority. It returns an error if another member has another state, and
// no majority has this one. Members that do not answer contradict nothing: if they are down, the quorum may need the
// member that waits for the snapshot. Of two members neither can be proven wrong, so they compare nothing.
func (n *Node) confirmState() error {
	if _, count := n.deciders(); n.cfg.CheckInterval <= 0 || count <= 2 {
		return nil
	}
	index, err := n.presentCheck()
	if err != nil {
		return err
	}
	ctx, cancel := n.sched.WithTimeout(n.base, n.cfg.LeaderPatience)
	defer cancel()
	if n.AwaitApplied(ctx, index) != nil {
		return n.Sound() // without the receiver there is no quorum
	}
	q := stateInquiry{Node: n, ours: n.applier.stateAt(index)}
	for range sendQuestions {
		answers, count := q.ask()
		if divergence.JudgeState(count, q.ours, answers) == divergence.Same {
			return nil
		}
		if divergence.Contradicts(q.ours, answers) {
			return errContradicted
		}
		n.sched.Wait(n.cfg.HeartbeatInterval, scheduler.Signals{n.stopped})
	}
	return nil
}

// presentCheck returns the index of a check entry after which nothing was applied, or else proposes one.
func (n *Node) presentCheck() (index raft.Index, err error) {
	index = raft.Index(n.applier.checked.Load())
	if index != 0 && n.Applied() == index && n.applier.stateAt(index).Known {
		return index, nil
	}
	looped := n.inLoop(n.base, func(l *loop) { index, err = l.core.ProposeCheck() })
	return index, errors.Join(looped, fromCore(err))
}
