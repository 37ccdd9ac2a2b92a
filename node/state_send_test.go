package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// A leader whose state another member contradicts sends no snapshot: with the follower that receives it, a wrong state
// would be that of a majority. If the node that is wrong is stopped, the others go on from the right one.
func TestAStateThatIsContradictedIsNotSent(t *testing.T) { // T45
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		victim := c.leader()
		behind, right := c.followers()[0], c.followers()[1]
		c.mustPropose(victim, `{"op":"set","key":"x","value":1}`)
		time.Sleep(time.Second) // fake time: checkpoints are written
		c.kill(behind)
		c.write(victim, "k", 60)
		c.untilCut(victim, 20)
		c.untilCut(right, 20)
		time.Sleep(time.Second)
		c.kill(right)
		c.kill(victim)
		c.disks[victim].set(func(d *disk) { d.state = d.state.Spoiled("x", []byte("666")) })
		adjust := c.adjust
		c.adjust = func(id raft.NodeID, o *node.Options) {
			if adjust(id, o); id != victim {
				o.ElectionTimeout = 3 * time.Second
			}
		}
		c.startAll(1, 2, 3)
		c.until("the wrong one leads", func() bool { return c.running[victim].Status().State == "LEADER" })
		time.Sleep(9 * time.Second) // fake time
		if got := c.value(behind, "x"); got == "666" {
			t.Fatal("the wrong state was sent")
		}
		if c.value(behind, "k") != "" || c.value(victim, "x") != "666" || c.running[right].Sound() != nil {
			t.Errorf("k is %s, x is %s, and the right one: %v", c.value(behind, "k"), c.value(victim, "x"),
				c.running[right].Sound())
		}
		if found := c.alarms(right); len(found) == 0 || !strings.Contains(found[0].Reason, "no majority") {
			t.Errorf("the alarms are %v", found)
		}
		c.kill(victim)
		c.until("the right state is sent", func() bool { return c.value(behind, "k") == "59" })
		c.start(victim)
		c.mustPropose(right, `{"op":"set","key":"y","value":1}`)
		c.until("it is repaired", func() bool {
			return c.value(victim, "x") == "1" && c.running[victim].Sound() == nil
		})
		c.mustPropose(right, `{"op":"set","key":"y","value":2}`)
		c.until("a check clears the alarm", func() bool { return len(c.running[right].Status().Alarms) == 0 })
		c.wantServing()
	})
}

// A member that is down contradicts nothing, and neither does one whose state is proven wrong: it is repaired although
// no other member can confirm the leader's state.
func TestAnUnconfirmedStateIsSent(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.write(leader, "k", 30)
		time.Sleep(time.Second) // fake time: checkpoints are written
		victim := followers[0]
		c.kill(followers[1])
		c.kill(victim)
		c.disks[victim].set(func(d *disk) {
			d.state = d.state.Spoiled("k", []byte("666"))
			d.facts[snapshot.FactStateDiffers] = "7"
		})
		c.start(victim)
		c.until("it is repaired", func() bool {
			return c.running[victim].Sound() == nil && c.value(victim, "k") == "29"
		})
	})
}

// A node whose state differs answers no question about it, and sends it to no other.
func TestAStateThatDiffersIsNotSent(t *testing.T) { // T45
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		victim := c.spoiled(true)
		before := 0
		c.disks[victim].set(func(d *disk) { before = d.opened })
		c.until("it stops serving", func() bool { return c.running[victim].Sound() != nil })
		last := raft.Index(c.running[victim].Status().StateDiffers)
		if state, err := c.running[victim].HandleStateDigest(context.Background(), last); err != nil || state.Known {
			t.Errorf("its answer is %+v, %v", state, err)
		}
		if _, err := c.running[victim].OpenBackup(context.Background(), 1); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("a backup: %v", err)
		}
		c.until("it is repaired", func() bool { return c.running[victim].Sound() == nil })
		c.disks[victim].set(func(d *disk) {
			if d.opened != before {
				t.Errorf("it made %d snapshots", d.opened-before)
			}
		})
	})
}

// If there is no quorum without the member that needs a snapshot, nothing can be compared, and the snapshot is sent.
func TestASnapshotThatTheQuorumNeedsIsSent(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.kill(followers[0])
		c.write(leader, "k", 60)
		c.untilCut(leader, 20)
		c.untilCut(followers[1], 20)
		c.until("a check entry is the last one", func() bool {
			s := c.running[leader].Status()
			state, _ := c.running[leader].HandleStateDigest(context.Background(), raft.Index(s.LastApplied))
			return state.Known && s.LastApplied == s.LastLogIndex
		})
		c.mustPropose(leader, `{"op":"set","key":"z","value":1}`) // it is not checked
		c.kill(followers[1])
		c.start(followers[0])
		c.until("it catches up", func() bool { return c.value(followers[0], "k") == "59" })
		c.wantServing()
	})
}
