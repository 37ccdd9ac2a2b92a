package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// damage changes the command of the last entry on a stopped node's disk, as a bad disk or memory may.
func (d *disk) damage() {
	d.set(func(d *disk) {
		last := &d.entries[len(d.entries)-1]
		last.Command = []byte(`{"op":"set","key":"x","value":666}`)
	})
}

// wantStopped wants that a node ends because its log is damaged, and that the error names it.
func (c *cluster) wantStopped(id raft.NodeID) {
	c.t.Helper()
	select {
	case <-c.running[id].ended:
	case <-time.After(time.Minute): // fake time
		c.t.Fatalf("node %d has a damaged log and goes on", id)
	}
	var diverged *node.DivergedError
	if err := c.running[id].err; !errors.As(err, &diverged) || diverged.Node != id || diverged.Ours == diverged.Majority {
		c.t.Fatalf("node %d ended with %v", id, err)
	}
	c.kill(id)
}

// damaged restarts a cluster that holds some entries with a damaged log on one node, which leads or follows then. Nodes
// that are down stay so.
func (c *cluster) damaged(leads bool, down ...raft.NodeID) (victim raft.NodeID) {
	c.t.Helper()
	victim = c.leader()
	c.mustPropose(victim, `{"op":"set","key":"x","value":1}`)
	time.Sleep(time.Second)
	for _, id := range append(c.followersOf(victim), victim) {
		c.kill(id)
	}
	c.disks[victim].damage()
	c.adjust = func(id raft.NodeID, o *node.Options) {
		if (id == victim) != leads {
			o.ElectionTimeout = 3 * time.Second
		}
	}
	for _, m := range c.members {
		if !slices.Contains(down, m.ID) {
			c.start(m.ID)
		}
	}
	return victim
}

// The node whose log differs stops, whether it follows or leads, and the others go on.
func TestTheNodeWithADamagedLogStops(t *testing.T) { // T54
	t.Parallel()
	for _, nodes := range []int{3, 5} {
		for _, leads := range []bool{false, true} {
			inBubble(t, nodes, func(_ *testing.T, c *cluster) {
				victim := c.damaged(leads)
				c.wantStopped(victim)
				c.wantServing()
				c.start(victim)
				c.wantStopped(victim) // and again, until its disk is replaced
			})
		}
	}
}

// One of two that differ proves nothing: neither ends, and the alarm stands.
func TestWithoutAMajorityADivergenceEndsNobody(t *testing.T) { // T54
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, c *cluster) {
		victim := c.damaged(false)
		time.Sleep(30 * time.Second)
		c.wantRunning()
		if got := c.alarms(victim); len(got) == 0 {
			t.Error("no alarm was raised")
		}
	})
}

// A message that shows another log may be forged. It ends nobody, however often it comes, and the cluster serves.
func TestAForgedDigestEndsNobody(t *testing.T) { // T54
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
		time.Sleep(time.Second)
		s := c.running[leader].Status()
		for range 10 {
			for _, id := range followers {
				m := raft.Message{
					Type: raft.MsgAppendEntries, From: leader, To: id, Term: s.CurrentTerm, PrevLogIndex: s.LastLogIndex,
					PrevLogTerm: s.CurrentTerm, PrevLogDigest: 4711,
				}
				if _, err := c.running[id].Deliver(context.Background(), m); !errors.Is(err, raft.ErrDiverged) {
					t.Errorf("node %d: got %v, want ErrDiverged", id, err)
				}
			}
			for id := range c.running {
				forged := node.Fingerprint{Index: s.LastLogIndex, Term: s.CurrentTerm, Digest: 4711}
				got, err := c.running[id].HandleFingerprint(context.Background(), followers[0], forged)
				if err != nil || got.Index != forged.Index || got.Term != forged.Term || got.Digest == forged.Digest {
					t.Errorf("node %d: got %+v, %v", id, got, err)
				}
			}
			time.Sleep(time.Second)
		}
		c.wantServing()
	})
}
