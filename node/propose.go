package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// call collects the outcomes of the commands that one caller waits for.
type call struct {
	outcomes []Outcome
	left     atomic.Int32
	done     chan struct{} // receives one value when the last outcome is there
	start    time.Time
	budget   AnswerBudget // of the values in the outcomes; nil: maxAnswerBytes
	kept     atomic.Int64 // bytes of values, if there is no budget
}

func newCall(ctx context.Context, n int, now time.Time) *call {
	c := &call{outcomes: make([]Outcome, n), done: make(chan struct{}, 1), start: now, budget: AnswerBudgetOf(ctx)}
	c.left.Store(int32(n))
	return c
}

// finish sets one outcome. Each slot is finished once, by the goroutine that learns its fate.
func (c *call) finish(slot int, o Outcome) {
	c.outcomes[slot] = o
	if c.left.Add(-1) == 0 {
		c.done <- struct{}{}
	}
}

// proposer carries the proposals of this node's callers to the node that leads, be it this one or another.
type proposer struct {
	*shared
	forwarder *forward.Batches[proposal]
}

func newProposer(s *shared) *proposer {
	p := &proposer{shared: s}
	p.forwarder = p.newForwarder()
	return p
}

// Propose replicates commands, each as an entry of its own, and waits until each is applied or its fate is
// known. It returns one outcome per command, in their order. Any node takes it: a follower hands the commands to
// the leader. What surely did not happen is tried again until LeaderPatience is over; what may have happened
// never is (trap T49).
func (p *proposer) Propose(ctx context.Context, commands [][]byte) []Outcome {
	start := p.sched.Now()
	view := p.currentView()
	outcomes := p.attempt(ctx, view, commands)
	deadline := start.Add(p.cfg.LeaderPatience)
	for slots := retryable(outcomes); len(slots) > 0; slots = retryable(outcomes) {
		if !p.awaitChange(ctx, view, deadline) {
			break
		}
		view = p.currentView()
		again := make([][]byte, len(slots))
		for i, slot := range slots {
			again[i] = commands[slot]
		}
		for i, outcome := range p.attempt(ctx, view, again) {
			outcomes[slots[i]] = outcome
		}
	}
	for _, slot := range retryable(outcomes) {
		outcomes[slot].Err = ErrNoLeader
	}
	p.metrics.Proposed(tally(outcomes))
	return outcomes
}

// tally counts outcomes by what became of the command.
func tally(outcomes []Outcome) (done, unknown, refused int) {
	for i := range outcomes {
		switch {
		case outcomes[i].Err == nil:
			done++
		case errors.Is(outcomes[i].Err, ErrOutcomeUnknown):
			unknown++
		default:
			refused++
		}
	}
	return done, unknown, refused
}

// retryable lists the slots whose command surely did not happen for want of a leader.
func retryable(outcomes []Outcome) []int {
	var slots []int
	for i := range outcomes {
		err := outcomes[i].Err
		if err != nil && (errors.Is(err, ErrNotLeader) || errors.Is(err, ErrNotSent) || errors.Is(err, ErrNoLeader)) {
			slots = append(slots, i)
		}
	}
	return slots
}

// attempt sends the commands where the leader is by the view, and waits for their outcomes.
func (p *proposer) attempt(ctx context.Context, view *view, commands [][]byte) []Outcome {
	if len(commands) == 0 {
		return nil // no outcome would ever end the wait
	}
	if view.leader == 0 || view.lifeCycle != api.StateMember {
		return failed(len(commands), p.whyNoLeader(view))
	}
	c := newCall(ctx, len(commands), p.sched.Now())
	p.sched.Preempt() // the view may be old by now
	var err error
	if view.leader == p.self().ID {
		err = p.inbox.propose(c, commands)
	} else {
		err = p.forward(view.leader, c, commands)
	}
	if err != nil {
		return failed(len(commands), err)
	}
	return p.awaitOutcomes(ctx, c)
}

// failed returns count outcomes with the same error.
func failed(count int, err error) []Outcome {
	outcomes := make([]Outcome, count)
	for i := range outcomes {
		outcomes[i].Err = err
	}
	return outcomes
}

// awaitOutcomes waits for the outcomes of a call. When the time is over, or the caller gone, the fate is unknown: the
// commands may be on their way.
func (p *proposer) awaitOutcomes(ctx context.Context, c *call) []Outcome {
	if p.await(ctx, p.cfg.RequestLimit, c.done) == waitDone {
		return c.outcomes
	}
	// The call stays with its holder; its outcomes may still be written, so they are not read here.
	return failed(len(c.outcomes), ErrOutcomeUnknown)
}

// HandlePropose appends commands that a follower forwarded. It does not forward them again: a node that does
// not lead refuses, and the follower looks for the leader. A command that no client could have brought here is refused
// with ErrBadCommand, and the others go on without it.
func (p *proposer) HandlePropose(ctx context.Context, commands [][]byte) []Outcome {
	view := p.currentView()
	if view.leader != p.self().ID || view.lifeCycle != api.StateMember {
		return failed(len(commands), ErrNotLeader)
	}
	outcomes := make([]Outcome, len(commands))
	admitted := make([][]byte, 0, len(commands))
	for i, command := range commands {
		entry, err := kv.Admit(command)
		if err != nil {
			outcomes[i].Err = fmt.Errorf("%w: %w", ErrBadCommand, err)
			continue
		}
		admitted = append(admitted, entry)
	}
	if len(admitted) == 0 {
		return outcomes
	}
	done := p.attempt(ctx, view, admitted)
	if len(admitted) == len(commands) {
		return done
	}
	for i := range outcomes {
		if outcomes[i].Err == nil {
			outcomes[i], done = done[0], done[1:]
		}
	}
	return outcomes
}
