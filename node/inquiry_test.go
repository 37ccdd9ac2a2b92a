package node_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// silence is a transport over which one peer never answers the questions about logs, states and founders: the caller
// waits until it gives up.
type silence struct {
	node.Transport
	peer raft.NodeID
}

func (s silence) Fingerprint(ctx context.Context, peer raft.NodeID, ours divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	if peer == s.peer {
		<-ctx.Done()
		return divergence.Fingerprint{}, ctx.Err()
	}
	return s.Transport.Fingerprint(ctx, peer, ours)
}

func (s silence) StateDigest(ctx context.Context, peer raft.NodeID, index raft.Index) (divergence.State, error) {
	if peer == s.peer {
		<-ctx.Done()
		return divergence.State{}, ctx.Err()
	}
	return s.Transport.StateDigest(ctx, peer, index)
}

func (s silence) Genesis(ctx context.Context, peer raft.NodeID, r identity.GenesisRequest) (
	identity.GenesisAnswer, error,
) {
	if peer == s.peer {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return identity.GenesisAnswer{}, ctx.Err()
	}
	return s.Transport.Genesis(ctx, peer, r)
}

// hush starts all nodes anew, which never get an answer from one member to what they ask about logs and states.
func (c *cluster) hush(peer raft.NodeID) {
	c.t.Helper()
	adjust := c.adjust
	c.adjust = func(id raft.NodeID, o *node.Options) {
		adjust(id, o)
		o.Transport = silence{o.Transport, peer}
	}
	c.killAll()
	for _, m := range c.members {
		c.start(m.ID)
	}
}

// A member that takes a question and never answers does not prevent the verdict on a log.
func TestAMemberThatNeverAnswersHidesNoDamagedLog(t *testing.T) { // T54
	t.Parallel()
	inBubble(t, 5, func(_ *testing.T, c *cluster) {
		victim := c.damaged(false, 1, 2, 3, 4, 5)
		c.hush(victim%5 + 1)
		c.wantStopped(victim)
		c.wantServing()
	})
}

// The same for the verdict on a state.
func TestAMemberThatNeverAnswersHidesNoWrongState(t *testing.T) { // T45
	t.Parallel()
	compared(t, 5, func(t *testing.T, c *cluster) {
		victim := c.spoiled(false)
		c.hush(victim%5 + 1)
		c.until("it stops serving", func() bool { return c.disks[victim].fact() != "" })
		c.until("it is repaired", func() bool { return c.running[victim].Sound() == nil })
		if got := c.value(victim, "x"); got != "1" {
			t.Errorf("x is %s after the repair", got)
		}
	})
}

// Nor does it hide that the cluster was founded twice: the disk of the first founding is not called damaged.
func TestAMemberThatNeverAnswersHidesNoSecondFounding(t *testing.T) { // T28, T54
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) {
			o.FoundByMajority, o.Transport = true, silence{o.Transport, 5}
		}
		found := func(key string, ids ...raft.NodeID) {
			c.startAll(ids...)
			time.Sleep(10 * time.Second) // fake time: each look at the members waits for the silent one
			c.mustPropose(c.leader(ids...), `{"op":"set","key":"`+key+`","value":1}`)
			time.Sleep(time.Second) // fake time: all have it
		}
		found("old", 1, 2, 3)
		c.killAll()
		c.disks[1], c.disks[3] = newDisk(), newDisk()
		found("new", 1, 3, 4)
		old := c.start(2)
		select {
		case <-old.ended:
		case <-time.After(time.Minute): // fake time
		}
		var diverged *divergence.Error
		if !errors.As(old.err, &diverged) || !slices.Equal(diverged.OtherFounders, []raft.NodeID{1, 3, 4}) {
			t.Errorf("the node of the first founding ends with %v", old.err)
		}
	})
}

// asked is a transport that records the terms in which its node asks the leader for a read index.
type asked struct {
	node.Transport
	mu    sync.Mutex
	terms []raft.Term
}

func (a *asked) ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term, lease bool) (
	raft.ReadPoint, error,
) {
	a.mu.Lock()
	a.terms = append(a.terms, term)
	a.mu.Unlock()
	return a.Transport.ReadIndex(ctx, leader, term, lease)
}

func (a *asked) last() raft.Term {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.terms[len(a.terms)-1]
}

// A member that joins late asks its leader in no term, because its disk does not count, and from when it is seated in
// the leader's term, though neither leader nor term changed.
func TestAMemberAsksInATermFromWhenItIsSeated(t *testing.T) { // T28, T39
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		record := &asked{}
		c.adjust = func(id raft.NodeID, o *node.Options) {
			if id == 5 {
				record.Transport = o.Transport
				o.Transport = record
			}
		}
		c.startAll(1, 2, 3, 4)
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		late := c.start(5)
		c.until("it is seated", func() bool {
			s := late.Status()
			return s.Seated != nil && *s.Seated && slices.Contains(c.running[leader].Status().SeenMembers, 5)
		})
		if err := late.ReadBarrier(context.Background()); err != nil {
			t.Fatal(err)
		}
		if now := c.leader(); now != leader || record.last() != raft.Term(late.Status().CurrentTerm) {
			t.Errorf("led by node %d, and before by node %d, it asked in the term %d", now, leader, record.last())
		}
	})
}
