package node

import (
	"bytes"
	"context"
	"errors"

	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// newForwarder returns what carries the proposals that arrive at a follower to the leader.
func (p *proposer) newForwarder() *forward.Batches[proposal] {
	return forward.NewBatches(p.base, forward.Config[proposal]{
		Scheduler: p.sched, Limit: p.cfg.RequestLimit, MostItems: maxPendingCommands, MostBytes: p.cfg.QueueBytes,
		Size:    func(q proposal) int { return len(q.command) },
		Send:    p.send,
		NotSent: func(q proposal) { q.call.finish(q.slot, Outcome{Err: ErrNotSent}) },
	})
}

// forward queues the commands of a call for the leader, all or none.
func (p *proposer) forward(leader raft.NodeID, c *call, commands [][]byte) error {
	proposals := make([]proposal, len(commands))
	for i, command := range commands {
		proposals[i] = proposal{command: command, call: c, slot: i}
	}
	if !p.forwarder.Put(leader, proposals) {
		return ErrOverloaded
	}
	return nil
}

// send has the leader propose a batch, and finishes each proposal with its outcome.
func (p *proposer) send(ctx context.Context, leader raft.NodeID, batch []proposal) {
	commands := make([][]byte, len(batch))
	for i := range batch {
		commands[i] = batch[i].command
	}
	outcomes, err := p.cfg.Transport.Propose(ctx, leader, commands)
	for i := range batch {
		switch {
		case err == nil && len(outcomes) == len(batch):
			outcomes[i].Err = ofPeer(outcomes[i].Err)
			outcome := batch[i].call.keep(outcomes[i], batch[i].command)
			outcome.Result.Value = bytes.Clone(outcome.Result.Value) // not a part of the whole answer
			batch[i].call.finish(batch[i].slot, outcome)
		case err != nil && errors.Is(err, ErrNotSent):
			batch[i].call.finish(batch[i].slot, Outcome{Err: ErrNotSent})
		default:
			batch[i].call.finish(batch[i].slot, Outcome{Err: unknownUnlessRefused(err)})
		}
	}
}

// unknownUnlessRefused keeps an error by which the leader itself reports that it did nothing, and takes every other
// for an unknown outcome.
func unknownUnlessRefused(err error) error {
	for _, refusal := range []error{ErrNotLeader, ErrNotReady, ErrOverloaded, ErrNoLeader} {
		if errors.Is(err, refusal) {
			return ofPeer(refusal)
		}
	}
	return ErrOutcomeUnknown
}

// ofPeer returns what a peer's error means here: a leader that is not ready leads no more, which means nothing for this
// node, and another one can be asked.
func ofPeer(err error) error {
	if errors.Is(err, ErrNotReady) {
		return ErrNotLeader
	}
	return err
}
