package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// leaseRead begins a read under a lease, and fails the test if it cannot.
func (c *cluster) leaseRead(id raft.NodeID) node.LeaseRead {
	c.t.Helper()
	read, err := c.running[id].BeginLeaseRead(context.Background())
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	return read
}

// The leader answers without a message, and a follower after one exchange with it.
func TestEveryNodeReadsUnderTheLease(t *testing.T) { // T42
	t.Parallel()
	inBubble(t, 5, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		time.Sleep(time.Second)
		for id := raft.NodeID(1); id <= 5; id++ {
			began := time.Now()
			read := c.leaseRead(id)
			if read.Consistency != api.Lease || !read.Holds() || c.value(id, "a") != "1" {
				t.Errorf("node %d: %q, holds %v, a is %q", id, read.Consistency, read.Holds(), c.value(id, "a"))
			}
			if took := time.Since(began); id == leader && took > 0 {
				t.Errorf("the leader waited %v", took)
			}
		}
	})
}

// A follower that asks under the lease has not applied yet what was just written through the leader.
func TestAFollowerAppliesWhatALeaseReadCovers(t *testing.T) { // T41, T42
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		time.Sleep(time.Second)
		for i := range 20 {
			c.mustPropose(leader, `{"op":"incr","key":"n"}`)
			id, want := followers[i%2], c.value(leader, "n")
			if read := c.leaseRead(id); read.Consistency != api.Lease || c.value(id, "n") != want {
				t.Fatalf("node %d: %q, n is %s, want %s", id, read.Consistency, c.value(id, "n"), want)
			}
		}
	})
}

// A read that began under a lease is not linearizable once the lease has ended, and the leader confirms no read of a
// follower then. Nothing has to happen for that: the clock alone ends it.
func TestALeaseEndsByTheClock(t *testing.T) { // T42, T43
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		time.Sleep(time.Second)
		read := c.leaseRead(leader)
		c.lan.split([]raft.NodeID{leader})
		time.Sleep(node.DefaultElectionTimeout)
		r := c.running[leader]
		if r.Status().State != raft.Leader.String() {
			t.Fatal("the leader has stepped down already, and this shows nothing")
		}
		if read.Holds() || r.LeaseTerm() != 0 {
			t.Error("the lease of a leader that was cut off for an election timeout holds")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if point, err := r.HandleReadIndex(ctx, 2, 1, true); err == nil {
			t.Errorf("it confirms the read of a follower: %+v", point)
		}
		if _, err := r.BeginLeaseRead(context.Background()); err == nil {
			began := c.leaseRead(leader)
			if began.Holds() {
				t.Error("another read begins under it")
			}
		}
	})
}

// The old leader has no lease any more when the target of a transfer is elected.
func TestATransferEndsTheLease(t *testing.T) { // T42, T11
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, target := c.leader(), c.followers()[0]
		time.Sleep(time.Second)
		read := c.leaseRead(leader)
		if err := c.running[leader].TransferLeadership(context.Background(), target); err != nil {
			t.Fatal(err)
		}
		if read.Holds() {
			t.Error("the lease holds although another node leads")
		}
		again := c.leaseRead(leader)
		if !again.Holds() {
			t.Error("a read that began after the transfer was not confirmed")
		}
	})
}

// A node that has stopped serves nothing under its last lease.
func TestANodeThatStoppedHasNoLease(t *testing.T) { // T42
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		r := c.running[c.leader()]
		read := c.leaseRead(1)
		if !read.Holds() {
			t.Error("the leader of a cluster of one has no lease")
		}
		c.kill(1)
		if read.Holds() {
			t.Error("it has one after its end")
		}
		if _, err := r.BeginLeaseRead(context.Background()); !errors.Is(err, node.ErrNotReady) &&
			!errors.Is(err, node.ErrNoLeader) {
			t.Errorf("a read after its end: %v", err)
		}
	})
}
