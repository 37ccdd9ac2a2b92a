package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Limits of one forwarded batch, and how many may be under way to one leader: few, so that they fill by themselves.
const (
	maxForwardCommands = 2048
	maxForwardBytes    = 1 << 20
	maxForwards        = 2
)

// forwarder carries the proposals that arrive at a follower to the leader, many in one request.
type forwarder struct {
	transport Transport
	sched     scheduler.Scheduler
	limit     time.Duration // of one exchange
	maxBytes  int           // of what waits
	base      context.Context

	mu    sync.Mutex
	count int // of what waits in all lanes
	bytes int // and of its commands
	lanes map[raft.NodeID]*forwardLane
}

// forwardLane is the way to one leader: what waits for a new one does not stand behind what an old one, which
// hangs, has not answered.
type forwardLane struct {
	waiting  []proposal
	running  int
	underWay []*context.CancelFunc // in the order in which they left
	// fallen stops the timer that gives up what is under way, when the leader has been no leader for a while; nil: it
	// leads.
	fallen func()
}

func newForwarder(
	base context.Context, sched scheduler.Scheduler, limit time.Duration, maxBytes int, t Transport,
) *forwarder {
	return &forwarder{
		transport: t, sched: sched, limit: limit, maxBytes: maxBytes, base: base, lanes: map[raft.NodeID]*forwardLane{},
	}
}

// propose queues the commands of a call for the leader, all or none.
func (f *forwarder) propose(leader raft.NodeID, c *call, commands [][]byte) error {
	size := 0
	for _, command := range commands {
		size += len(command)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count+len(commands) > maxPendingCommands || (f.bytes+size > f.maxBytes && f.bytes > 0) {
		return ErrOverloaded
	}
	f.count += len(commands)
	f.bytes += size
	lane := f.lanes[leader]
	if lane == nil {
		lane = &forwardLane{}
		f.lanes[leader] = lane // there are no more of them than members
	}
	for i, command := range commands {
		lane.waiting = append(lane.waiting, proposal{command: command, call: c, slot: i})
	}
	if lane.running < maxForwards {
		lane.running++
		f.sched.Go(func() { f.run(leader, lane) })
	}
	return nil
}

// run sends batch after batch until nothing waits.
func (f *forwarder) run(leader raft.NodeID, lane *forwardLane) {
	for {
		batch := f.take(lane)
		if len(batch) == 0 {
			return
		}
		ctx, cancel := f.sched.WithTimeout(f.base, f.limit)
		f.begin(lane, &cancel)
		f.send(ctx, leader, batch)
		f.end(lane, &cancel)
	}
}

func (f *forwarder) begin(lane *forwardLane, cancel *context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lane.underWay = append(lane.underWay, cancel)
}

func (f *forwarder) end(lane *forwardLane, cancel *context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(lane.underWay, cancel)
	lane.underWay = slices.Delete(lane.underWay, i, i+1)
	(*cancel)()
}

// leaderChanged hands back what waits for the old leader, which surely was not done and may go to the next one, and
// gives up what is under way to it unless it answers within patience: cut off from us, it may hang for long, and the
// fate of what it took is unknown in any case (trap T49).
func (f *forwarder) leaderChanged(was, is raft.NodeID, patience time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lane := f.lanes[is]; lane != nil && lane.fallen != nil {
		lane.fallen()
		lane.fallen = nil
	}
	lane := f.lanes[was]
	if lane == nil {
		return
	}
	f.handBack(lane)
	if lane.fallen != nil || len(lane.underWay) == 0 {
		return
	}
	lane.fallen = f.sched.AfterFunc(patience, func() { f.giveUp(lane) })
}

func (f *forwarder) giveUp(lane *forwardLane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lane.fallen == nil {
		return // it leads again
	}
	lane.fallen = nil
	f.handBack(lane) // what came with an older view in mind
	for _, cancel := range lane.underWay {
		(*cancel)()
	}
}

// handBack answers what waits in a lane, so that it is tried again. The caller holds the lock.
func (f *forwarder) handBack(lane *forwardLane) {
	for _, p := range lane.waiting {
		f.count--
		f.bytes -= len(p.command)
		p.call.finish(p.slot, Outcome{Err: ErrNotSent})
	}
	lane.waiting = nil
}

// take gives the next batch of a lane.
func (f *forwarder) take(lane *forwardLane) []proposal {
	f.mu.Lock()
	defer f.mu.Unlock()
	count, size := 0, 0
	for count < len(lane.waiting) && count < maxForwardCommands {
		next := len(lane.waiting[count].command)
		if count > 0 && size+next > maxForwardBytes {
			break
		}
		size += next
		count++
	}
	if count == 0 {
		lane.running--
		return nil
	}
	f.count -= count
	f.bytes -= size
	batch := lane.waiting[:count:count]
	lane.waiting = lane.waiting[count:]
	if len(lane.waiting) == 0 {
		lane.waiting = nil
	}
	return batch
}

func (f *forwarder) send(ctx context.Context, leader raft.NodeID, batch []proposal) {
	commands := make([][]byte, len(batch))
	for i := range batch {
		commands[i] = batch[i].command
	}
	outcomes, err := f.transport.Propose(ctx, leader, commands)
	for i := range batch {
		switch {
		case err == nil && len(outcomes) == len(batch):
			outcomes[i].Err = ofPeer(outcomes[i].Err)
			outcome := batch[i].call.keep(outcomes[i])
			outcome.Result.Value = bytes.Clone(outcome.Result.Value) // not a part of the whole answer
			batch[i].call.finish(batch[i].slot, outcome)
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
