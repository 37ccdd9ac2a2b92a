package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Limits of one forwarded batch, and how many may be under way at once: few, so that they fill by themselves.
const (
	maxForwardCommands = 2048
	maxForwardBytes    = 1 << 20
	maxForwards        = 2
)

// forwarder carries the proposals that arrive at a follower to the leader, many in one request.
type forwarder struct {
	transport Transport
	limit     time.Duration // of one exchange
	base      context.Context

	mu      sync.Mutex
	waiting []forward
	bytes   int // of the commands in waiting
	running int
}

type forward struct {
	leader raft.NodeID
	proposal
}

// propose queues the commands of a call for the leader, all or none.
func (f *forwarder) propose(leader raft.NodeID, c *call, commands [][]byte) error {
	size := 0
	for _, command := range commands {
		size += len(command)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting)+len(commands) > maxPendingCommands || (f.bytes+size > maxPendingBytes && f.bytes > 0) {
		return ErrOverloaded
	}
	f.bytes += size
	for i, command := range commands {
		f.waiting = append(f.waiting, forward{leader, proposal{command: command, call: c, slot: i}})
	}
	if f.running < maxForwards {
		f.running++
		go f.run()
	}
	return nil
}

// run sends batch after batch until nothing waits.
func (f *forwarder) run() {
	for {
		batch := f.take()
		if len(batch) == 0 {
			return
		}
		f.send(batch)
	}
}

// take gives the next batch, all for the same leader.
func (f *forwarder) take() []forward {
	f.mu.Lock()
	defer f.mu.Unlock()
	count, size := 0, 0
	for count < len(f.waiting) && count < maxForwardCommands {
		next := f.waiting[count]
		size += len(next.command)
		if count > 0 && (size > maxForwardBytes || next.leader != f.waiting[0].leader) {
			break
		}
		count++
	}
	if count == 0 {
		f.running--
		return nil
	}
	batch := f.waiting[:count:count]
	for i := range batch {
		f.bytes -= len(batch[i].command)
	}
	f.waiting = f.waiting[count:]
	if len(f.waiting) == 0 {
		f.waiting = nil
	}
	return batch
}

func (f *forwarder) send(batch []forward) {
	commands := make([][]byte, len(batch))
	for i := range batch {
		commands[i] = batch[i].command
	}
	ctx, cancel := context.WithTimeout(f.base, f.limit)
	defer cancel()
	outcomes, err := f.transport.Propose(ctx, batch[0].leader, commands)
	for i := range batch {
		switch {
		case err == nil && len(outcomes) == len(batch):
			outcomes[i].Err = ofPeer(outcomes[i].Err)
			batch[i].call.finish(batch[i].slot, outcomes[i])
		case err != nil && errors.Is(err, ErrNotSent):
			batch[i].call.finish(batch[i].slot, Outcome{Err: ErrNotSent})
		default:
			batch[i].call.finish(batch[i].slot, Outcome{Err: unknownUnlessRefused(err)})
		}
	}
}

// unknownUnlessRefused keeps an error with which the leader itself says that it did nothing, and takes every
// other for an unknown outcome.
func unknownUnlessRefused(err error) error {
	for _, refusal := range []error{ErrNotLeader, ErrNotReady, ErrOverloaded, ErrNoLeader} {
		if errors.Is(err, refusal) {
			return ofPeer(refusal)
		}
	}
	return ErrOutcomeUnknown
}

// ofPeer tells what a peer's error means here: a leader that is not ready leads no more, which says nothing of this
// node, and another one can be asked.
func ofPeer(err error) error {
	if errors.Is(err, ErrNotReady) {
		return ErrNotLeader
	}
	return err
}
