package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// TransferLeadership hands the leadership to another voter, or to the one that has most of the log if to is 0,
// and waits until this node no longer leads. ErrNotLeader if it does not lead, ErrBadTarget if to cannot.
func (n *Node) TransferLeadership(ctx context.Context, to raft.NodeID) error {
	return n.TransferLeadershipIn(ctx, 0, to)
}

// TransferLeadershipIn is TransferLeadership for a leader of one term; 0: of any. ErrTermChanged if it leads in
// another.
func (n *Node) TransferLeadershipIn(ctx context.Context, term raft.Term, to raft.NodeID) error {
	var refusal error
	if err := n.inLoop(ctx, func(l *loop) { refusal = l.transfer(term, to) }); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	return n.awaitSuccessor(ctx, to)
}

// transfer begins a transfer, or returns why it cannot.
func (l *loop) transfer(term raft.Term, to raft.NodeID) error {
	if s := l.core.Status(); term != 0 && s.Role == raft.Leader && s.Term != term {
		return ErrTermChanged
	}
	if to == 0 {
		to = raft.BestSuccessor(l.core.Status(), 3*l.cfg.ticks(l.cfg.HeartbeatInterval))
	}
	return fromCore(l.core.TransferLeadership(to))
}

// awaitSuccessor waits until another node leads, for at most LeaderPatience beyond the transfer's own limit.
func (n *Node) awaitSuccessor(ctx context.Context, to raft.NodeID) error {
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience+2*n.cfg.ElectionTimeout)
	defer cancel()
	for {
		v := n.currentView()
		if v.leader != 0 && v.leader != n.self().ID {
			if to != 0 && v.leader != to {
				return fmt.Errorf("%w: node %d was elected instead of %d", ErrNoLeader, v.leader, to)
			}
			return nil
		}
		switch n.await(ctx, scheduler.Forever, v.changed) {
		case waitCanceled:
			return fmt.Errorf("%w: the transfer was not finished in time; it may be repeated", ErrNoLeader)
		case waitStopped:
			return ErrNotReady
		}
	}
}

// HandOver is TransferLeadershipIn for a caller that may have come to any node: one that does not lead passes the
// request on to the leader over the peer port, once, and waits until it follows the new one. ErrOutcomeUnknown if the
// leader may have got the request and does not answer; ErrOverloaded if this node passes one on already.
func (n *Node) HandOver(ctx context.Context, term raft.Term, to raft.NodeID) error {
	view := n.currentView()
	switch {
	case view.leader == 0 || view.lifeCycle != api.StateMember:
		return n.whyNoLeader(view)
	case view.leader == n.self().ID:
		return n.TransferLeadershipIn(ctx, term, to)
	case !n.passingOn.CompareAndSwap(false, true):
		return ErrOverloaded // its few connections to the leader are for proposals and reads
	}
	defer n.passingOn.Store(false)
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.RequestLimit)
	defer cancel()
	if err := n.cfg.Transport.Transfer(ctx, view.leader, term, to); err != nil {
		return ofLeader("the transfer", err)
	}
	deadline := n.sched.Now().Add(n.cfg.LeaderPatience)
	for now := n.currentView(); now.leader == view.leader || now.leader == 0; now = n.currentView() {
		if !n.awaitChange(ctx, now, deadline) {
			break // it is done all the same
		}
	}
	return nil
}

// ofLeader keeps what the leader itself answered to a request that was passed on, or that the request never left, and
// takes every other error for an unknown outcome.
func ofLeader(what string, err error) error {
	refusals := []error{
		ErrNotSent, ErrNotLeader, ErrNoLeader, ErrNotReady, ErrOverloaded, ErrBadTarget, ErrTermChanged, ErrConfigIndex,
		ErrBadChange, ErrChangeRefused,
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) && !errors.Is(err, ErrOutcomeUnknown) {
			return ofPeer(err)
		}
	}
	return fmt.Errorf("%w: the leader did not answer %s: %w", ErrOutcomeUnknown, what, err)
}
