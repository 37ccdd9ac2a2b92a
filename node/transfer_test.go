package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The followers have no API address of each other, as where the advertised one is for the world outside.
func TestAFollowerPassesATransferOn(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		ctx := context.Background()
		leader, asked, target := c.leader(), c.followers()[0], c.followers()[1]
		follower := c.running[asked]
		term := raft.Term(follower.Status().CurrentTerm)
		for name, refused := range map[string]struct {
			term raft.Term
			to   raft.NodeID
			want error
		}{
			"another term":         {term + 1, target, node.ErrTermChanged},
			"an unidentified node": {0, 99, node.ErrBadTarget},
			"itself leader":        {term, leader, node.ErrBadTarget},
		} {
			if err := follower.HandOver(ctx, refused.term, refused.to); !errors.Is(err, refused.want) {
				t.Errorf("%s: got %v, want %v", name, err, refused.want)
			}
		}
		if err := follower.HandOver(ctx, term, target); err != nil {
			t.Fatal(err)
		}
		if got := follower.Status(); got.LeaderID != uint64(target) || got.CurrentTerm <= uint64(term) {
			t.Errorf("after the answer the follower follows node %d in term %d", got.LeaderID, got.CurrentTerm)
		}
		if err := c.running[leader].HandOver(ctx, 0, asked); err != nil {
			t.Fatalf("the old leader passes one on: %v", err)
		}
		if err := follower.HandOver(ctx, 0, 0); err != nil {
			t.Fatalf("the leader itself: %v", err)
		}
	})
}

func TestAFollowerPassesOneTransferOnAtATime(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		follower := c.running[c.followers()[0]]
		first := make(chan error, 1)
		go func() { first <- follower.HandOver(context.Background(), 0, 0) }()
		time.Sleep(latency / 2) // it is on its way
		if err := follower.HandOver(context.Background(), 0, 0); !errors.Is(err, node.ErrOverloaded) {
			t.Errorf("the second was answered with %v", err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// Only an answer that was lost leaves a transfer open: a leader that was never reached did nothing.
func TestATransferIsUnknownOnlyIfItMayHaveArrived(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, asked := c.leader(), c.followers()[0]
		sever := func(cut func(from, to raft.NodeID) bool) {
			c.lan.mu.Lock()
			defer c.lan.mu.Unlock()
			c.lan.cut = cut
		}
		sever(func(from, to raft.NodeID) bool { return from == asked && to == leader })
		err := c.running[asked].HandOver(context.Background(), 0, 0)
		if !errors.Is(err, node.ErrNotSent) || errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("a leader that cannot be reached: %v", err)
		}
		sever(func(from, to raft.NodeID) bool { return from == leader && to == asked })
		err = c.running[asked].HandOver(context.Background(), 0, 99)
		if !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("an answer that was lost: %v", err)
		}
		sever(nil)
		for id := range c.running {
			if id != asked {
				c.kill(id)
			}
		}
		c.until("no leader", func() bool { return c.running[asked].Status().LeaderID == 0 })
		if err := c.running[asked].HandOver(context.Background(), 0, 0); !errors.Is(err, node.ErrNoLeader) {
			t.Errorf("without a leader: %v", err)
		}
	})
}
