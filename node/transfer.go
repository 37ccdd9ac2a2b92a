package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// HandOver is TransferLeadershipIn for a caller that may have come to any node: one that does not lead passes the
// request on to the leader over the peer port, once, and waits until it follows the new one. ErrOutcomeUnknown if the
// leader may have got the request and does not answer; ErrOverloaded if this node passes one on already.
func (n *Node) HandOver(ctx context.Context, term raft.Term, to raft.NodeID) error {
	view := n.view.Load()
	switch {
	case view.leader == 0 || view.lifeCycle != api.StateMember:
		return n.whyNoLeader(view)
	case view.leader == n.self().id:
		return n.TransferLeadershipIn(ctx, term, to)
	case !n.passingOn.CompareAndSwap(false, true):
		return ErrOverloaded // its few connections to the leader are for proposals and reads
	}
	defer n.passingOn.Store(false)
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.RequestLimit)
	defer cancel()
	if err := n.cfg.Transport.Transfer(ctx, view.leader, term, to); err != nil {
		return ofTransfer(err)
	}
	deadline := n.sched.Now().Add(n.cfg.LeaderPatience)
	for now := n.view.Load(); now.leader == view.leader || now.leader == 0; now = n.view.Load() {
		if !n.awaitChange(ctx, now, deadline) {
			break // it is done all the same
		}
	}
	return nil
}

// ofTransfer keeps what the leader itself said, or that the request never left, and takes every other error for an
// unknown outcome.
func ofTransfer(err error) error {
	said := []error{ErrNotSent, ErrNotLeader, ErrNoLeader, ErrNotReady, ErrOverloaded, ErrBadTarget, ErrTermChanged}
	for _, refusal := range said {
		if errors.Is(err, refusal) && !errors.Is(err, ErrOutcomeUnknown) {
			return ofPeer(err)
		}
	}
	return fmt.Errorf("%w: the leader did not answer the transfer: %w", ErrOutcomeUnknown, err)
}
