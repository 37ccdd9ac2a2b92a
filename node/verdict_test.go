package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// wantVerdict wants that a node comes to see the cluster in a state, with so many voters that count and with a reason.
func (c *cluster) wantVerdict(observer raft.NodeID, state api.HealthState, reachable, tolerates int, reason string) {
	c.t.Helper()
	var h api.Health
	for range 60 {
		time.Sleep(500 * time.Millisecond) // fake time
		h = c.running[observer].Observation().Observe(context.Background()).Health
		said := strings.Join(h.Reasons, "\n")
		if h.State == state && h.Reachable == reachable && h.Tolerates == tolerates && strings.Contains(said, reason) {
			return
		}
	}
	c.t.Errorf("node %d sees %+v, want %s, %d reachable, %d tolerated, %q", observer, h, state, reachable, tolerates,
		reason)
}

// A node that listens at another address than the members have reaches them, and no member reaches it.
func TestANodeThatNoMemberReachesDoesNotCount(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(_ *testing.T, c *cluster) {
		victim := c.followers()[0]
		leader := c.leader()
		for id := range c.running {
			c.wantVerdict(id, api.Healthy, 3, 1, "")
		}
		c.lan.cutBy(func(_, to raft.NodeID) bool { return to == victim })
		c.wantVerdict(victim, api.Degraded, 2, 0, "the leader, gets no answer from it")
		c.wantVerdict(leader, api.Degraded, 2, 0, "cannot be reached")
		c.kill(victim)
		c.start(victim) // it never received from the leader
		c.wantVerdict(victim, api.Degraded, 2, 0, "the leader, gets no answer from it")
		c.lan.heal()
		c.wantVerdict(victim, api.Healthy, 3, 1, "")
	})
}

// cutBy loses what goes from one node to another where cut returns true.
func (l *lan) cutBy(cut func(from, to raft.NodeID) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// Two of the founders' disks are lost before the fifth member was seated: no quorum of seated disks is left.
func TestAMemberWithoutASeatDoesNotCount(t *testing.T) {
	t.Parallel()
	unstarted(t, 5, func(_ *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		c.kill(1)
		c.kill(2)
		c.start(5)
		c.wantVerdict(3, api.NoQuorum, 2, 0, "the seated disks of nodes 1 and 2 must come back, 1 of 2")
		c.wantVerdict(5, api.NoQuorum, 2, 0, "node 5 has no seat yet")
		c.start(1)
		c.wantVerdict(3, api.Degraded, 4, 1, "node 2 cannot be reached")
	})
}

// Members of a new cluster that wait report which members are missing, also to those that ask them to write.
func TestANewClusterSaysWhichMembersAreMissing(t *testing.T) {
	t.Parallel()
	const flag = "or give --found-by-majority if no member ever had data"
	for _, story := range []struct {
		members int
		started []raft.NodeID
		want    string
	}{
		{3, []raft.NodeID{1, 2}, "node 3 does not answer, and a new cluster of 3 members needs all 3 at its first start; " +
			"start node 3, " + flag},
		{3, []raft.NodeID{2}, "nodes 1 and 3 do not answer, and a new cluster of 3 members needs all 3 at its first start; " +
			"start nodes 1 and 3"},
		{5, []raft.NodeID{1, 2, 3}, "nodes 4 and 5 do not answer, and a new cluster of 5 members needs 4 of them at its " +
			"first start; start 1 of nodes 4 and 5, " + flag},
	} {
		unstarted(t, story.members, func(t *testing.T, c *cluster) {
			c.startAll(story.started...)
			id := story.started[0]
			c.wantVerdict(id, api.NoQuorum, 0, 0, story.want)
			o := c.propose(id, `{"op":"set","key":"a","value":1}`)
			if !errors.Is(o.Err, node.ErrNotReady) || !strings.HasSuffix(o.Err.Error(), story.want) {
				t.Errorf("a write fails with %v, want %s", o.Err, story.want)
			}
			for _, m := range c.members {
				if !slices.Contains(story.started, m.ID) {
					c.start(m.ID)
				}
			}
			c.wantVerdict(id, api.Healthy, story.members, (story.members-1)/2, "")
			if f := c.running[id].Status().Founding; f != nil {
				t.Errorf("a founded cluster waits for %v", f)
			}
		})
	}
}

func TestANodeWithoutAnIdentityAsksToBeBootstrapped(t *testing.T) {
	t.Parallel()
	unstarted(t, 1, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) {
			o.Join, o.ID, o.ClusterID, o.Members = true, 0, "", nil
		}
		c.start(1)
		c.wantVerdict(1, api.NoQuorum, 0, 0, "bootstrap it")
		if o := c.propose(1, `{"op":"set","key":"a","value":1}`); !strings.Contains(o.Err.Error(), "bootstrap it") {
			t.Errorf("a write fails with %v", o.Err)
		}
	})
}
