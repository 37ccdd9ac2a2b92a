package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// untilSeen waits until a node has learned that another has held entries or votes: it may learn that late.
func (c *cluster) untilSeen(by, member raft.NodeID) {
	c.t.Helper()
	c.until("the member is seen", func() bool {
		return slices.Contains(c.running[by].Status().SeenMembers, uint64(member))
	})
}

func TestLostDiskIsRefusedUnderItsOldId(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, victim := c.leader(), c.followers()[0]
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.untilSeen(leader, victim)
		c.kill(victim)
		c.disks[victim] = newDisk()
		r := c.start(victim)
		<-r.ended
		if !errors.Is(r.err, identity.ErrDiskLost) {
			t.Errorf("a member with an empty disk: %v, want ErrDiskLost", r.err)
		}
	})
}

func TestLostDiskWaitsWhileThoseWhoMayKnowItAreSilent(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, victim := c.leader(), c.followers()[0]
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.untilSeen(leader, victim)
		rest := c.followers()[1]
		c.kill(victim)
		c.kill(leader)
		c.kill(rest)
		c.disks[victim] = newDisk()
		r := c.start(victim)
		time.Sleep(10 * time.Second) // fake time
		if s := r.Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("the node takes part as %s, though no other member was asked", s.LifeCycle)
		}
		c.start(rest)
		<-r.ended
		if !errors.Is(r.err, identity.ErrDiskLost) {
			t.Errorf("after the leader answered: %v, want ErrDiskLost", r.err)
		}
	})
}

func TestNewClusterStartsWithOneMemberMissing(t *testing.T) {
	t.Parallel()
	inBubble(t, 5, func(t *testing.T, c *cluster) {
		c.leader()
		c.kill(5)
		c.disks[5] = newDisk()
		for id := raft.NodeID(1); id <= 4; id++ {
			c.kill(id)
			c.disks[id] = newDisk()
		}
		c.lan.sent.Wait() // nothing of the former life arrives in this one
		for id := raft.NodeID(1); id <= 4; id++ {
			c.start(id)
		}
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		late := c.start(5) // empty and never seen by anyone: it may join late
		c.until("the late member takes part", func() bool { return c.value(5, "a") == "1" })
		if s := late.Status(); s.LifeCycle != api.StateMember {
			t.Errorf("the late member is %s", s.LifeCycle)
		}
	})
}

func TestDiskOfAnotherNodeIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		c.kill(2)
		options := c.options(3)
		options.Storage = c.disks[2]
		if _, err := node.New(options); !errors.Is(err, identity.ErrWrongIdentity) {
			t.Errorf("node 3 on the disk of node 2: %v, want ErrWrongIdentity", err)
		}
	})
}

func TestJoiningNodeIsInert(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		options := c.options(1)
		options.Storage, options.Join, options.ID, options.Members = newDisk(), true, 0, nil
		n, err := node.New(options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		time.Sleep(5 * time.Second) // fake time
		if s := n.Status(); s.LifeCycle != api.StateEmpty || s.CurrentTerm != 0 {
			t.Errorf("a node without identity acts: %+v", s)
		}
		request := raft.Message{Type: raft.MsgRequestVote, From: 2, Term: 9}
		if _, err := n.Deliver(ctx, request); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("it answers a vote request with %v, want ErrNotReady", err)
		}
		if o := n.Propose(ctx, [][]byte{[]byte(`{}`)})[0]; !errors.Is(o.Err, node.ErrNotReady) {
			t.Errorf("it answers a proposal with %v, want ErrNotReady", o.Err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestClusterIDDependsOnMembersNotTheirOrder(t *testing.T) {
	t.Parallel()
	a := identity.Member{ID: 1, Address: "http://a:7080"}
	b := identity.Member{ID: 2, Address: "http://b:7080"}
	if identity.StaticClusterID([]identity.Member{a, b}) != identity.StaticClusterID([]identity.Member{b, a}) {
		t.Error("the order of the members changes the cluster id")
	}
	if identity.StaticClusterID([]identity.Member{a, b}) == identity.StaticClusterID([]identity.Member{a}) {
		t.Error("other members have the same cluster id")
	}
}

// Nodes 1 and 2 committed, node 3 never ran. Node 2 loses its disk while node 1 is down: it and node 3 are blank, and
// are a majority, but node 1 has what was committed.
func TestLostDiskBesideAMemberThatNeverRanMakesNoNewCluster(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		for id := raft.NodeID(1); id <= 3; id++ {
			c.kill(id)
		}
		c.lan.sent.Wait()
		c.disks[2], c.disks[3] = newDisk(), newDisk()
		two, three := c.start(2), c.start(3)
		time.Sleep(10 * time.Second) // fake time
		if two.Status().LifeCycle != api.StateEmpty || three.Status().LifeCycle != api.StateEmpty {
			t.Error("two empty nodes made a new cluster beside one that holds the old")
		}
	})
}

// The name of a peer may lead to a node that waits for an identity of quite another cluster, and answers that it is
// empty. That means nothing for the peer.
func TestALostDiskIsNotExcusedByEmptyStrangers(t *testing.T) { // T28, O20
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		witness, victim := c.leader(), c.followers()[0]
		c.mustPropose(witness, `{"op":"set","key":"a","value":1}`)
		c.untilSeen(witness, victim)
		for id := raft.NodeID(1); id <= 3; id++ {
			c.kill(id)
		}
		c.adjust = func(id raft.NodeID, o *node.Options) {
			if id != victim {
				o.Join, o.ID, o.ClusterID, o.Members = true, 0, "", nil
			}
		}
		known := c.disks[witness]
		for id := range c.disks {
			c.disks[id] = newDisk()
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			if id != victim {
				c.start(id) // unidentified peers, at the addresses of the members
			}
		}
		r := c.start(victim)
		time.Sleep(10 * time.Second) // fake time
		if s := r.Status(); s.LifeCycle != api.StateEmpty {
			t.Fatalf("the node takes part as %s, though no member was asked", s.LifeCycle)
		}
		c.kill(witness)
		c.disks[witness], c.adjust = known, nil
		c.start(witness)
		<-r.ended
		if !errors.Is(r.err, identity.ErrDiskLost) {
			t.Errorf("after a member answered: %v, want ErrDiskLost", r.err)
		}
	})
}

// Until its log is loaded a node reports what was known to be committed, or /startupz would take it for done at once.
func TestANodeThatLoadsItsLogHasNotAppliedIt(t *testing.T) { // O23
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		time.Sleep(time.Second) // fake time: every node has learned it
		victim := c.followers()[0]
		c.kill(victim)
		n, err := node.New(c.options(victim)) // and does not run yet
		if err != nil {
			t.Fatal(err)
		}
		if s := n.Status(); s.CommitIndex == 0 || s.LastApplied >= s.CommitIndex {
			t.Errorf("it has applied %d of %d", s.LastApplied, s.CommitIndex)
		}
	})
}
