package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/divergence"
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
	var diverged *divergence.Error
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

// A message that shows another log may be forged. It ends no node, however often it comes, and the cluster serves.
func TestAForgedDigestEndsNobody(t *testing.T) { // T54
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
		time.Sleep(time.Second)
		s := c.running[leader].Status()
		term, last := raft.Term(s.CurrentTerm), raft.Index(s.LastLogIndex)
		for range 10 {
			for _, id := range followers {
				m := raft.Message{
					Type: raft.MsgAppendEntries, From: leader, To: id, Term: term, PrevLogIndex: last,
					PrevLogTerm: term, PrevLogDigest: 4711,
				}
				if _, err := c.running[id].Deliver(context.Background(), m); !errors.Is(err, raft.ErrDiverged) {
					t.Errorf("node %d: got %v, want ErrDiverged", id, err)
				}
			}
			for id := range c.running {
				forged := divergence.Fingerprint{Index: last, Term: term, Digest: 4711}
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

// wantOneLog wants that all nodes come to hold the same log, and that no node ends.
func (c *cluster) wantOneLog() {
	c.t.Helper()
	c.wantServing()
	c.until("one log", func() bool {
		c.wantRunning()
		index := raft.Index(c.running[c.leader()].Status().LastLogIndex)
		logs := map[divergence.Fingerprint]bool{}
		for _, r := range c.running {
			f, err := r.HandleFingerprint(context.Background(), 1, divergence.Fingerprint{Index: index})
			logs[f] = true
			if err != nil || f.Term == 0 {
				return false
			}
		}
		return len(logs) == 1
	})
}

// While only the follower whose append was damaged answers, nothing is acknowledged: it does not have the entry. Then
// the third node proves the damage, and the follower gets what it should have had.
func TestADamagedAppendIsNeitherCountedNorKept(t *testing.T) { // T54
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
		c.lan.split([]raft.NodeID{leader, followers[0]}, followers[1:])
		c.lan.damageBy(func(m *raft.Message) {
			m.Entries = slices.Clone(m.Entries) // the leader's own are not damaged
			for i := range m.Entries {
				m.Entries[i].Command = []byte(`{"op":"set","key":"x","value":666}`)
			}
		})
		if o := c.propose(leader, `{"op":"set","key":"x","value":2}`); o.Err == nil {
			t.Errorf("a write is acknowledged that only the leader has: %+v", o)
		}
		c.lan.damageBy(nil)
		c.lan.heal()
		c.wantOneLog()
		if got := c.value(followers[0], "x"); got != "1" { // what wantServing wrote last
			t.Errorf("x is %s at the follower whose append was damaged", got)
		}
	})
}

// A forged append of the leader's name, term and place brings an entry that the leader never wrote.
func TestAForgedEntryThatIsNotCommittedIsReplaced(t *testing.T) { // T54
	t.Parallel()
	for _, nodes := range []int{3, 5} {
		inBubble(t, nodes, func(t *testing.T, c *cluster) {
			leader, victim := c.leader(), c.followers()[0]
			c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
			time.Sleep(time.Second)
			s := c.running[leader].Status()
			term, last, commit := raft.Term(s.CurrentTerm), raft.Index(s.LastLogIndex), raft.Index(s.CommitIndex)
			forged := raft.Message{
				Type: raft.MsgAppendEntries, From: leader, To: victim, Term: term, PrevLogIndex: last,
				PrevLogTerm: term, LeaderCommit: commit,
			}
			for i := range raft.Index(300) {
				forged.Entries = append(forged.Entries, raft.Entry{
					Index: last + 1 + i, Term: term, Command: []byte(`{"op":"set","key":"x","value":666}`),
				})
			}
			if r, err := c.running[victim].Deliver(context.Background(), forged); err != nil || !r.Success {
				t.Fatalf("the forged append is answered %+v, %v", r, err)
			}
			c.wantOneLog()
			if got := c.alarms(victim); len(got) == 0 {
				t.Error("no alarm was raised")
			}
		})
	}
}

// The same forged entry comes to both followers, so that they prove the correct leader wrong. It ends no node: the
// leader follows, and a caller that waits for its own entry in that place does not receive that it was done.
func TestALeaderThatIsProvenWrongFollows(t *testing.T) { // T54, T49
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
		time.Sleep(time.Second)
		s := c.running[leader].Status()
		term, last, commit := raft.Term(s.CurrentTerm), raft.Index(s.LastLogIndex), raft.Index(s.CommitIndex)
		c.lan.split([]raft.NodeID{leader}, followers)
		outcome := make(chan node.Outcome, 1)
		go func() { outcome <- c.propose(leader, `{"op":"set","key":"mine","value":1}`) }()
		time.Sleep(10 * time.Millisecond)
		for _, id := range followers {
			forged := raft.Message{
				Type: raft.MsgAppendEntries, From: leader, To: id, Term: term, PrevLogIndex: last,
				PrevLogTerm: term, LeaderCommit: commit, Entries: []raft.Entry{{
					Index: last + 1, Term: term, Command: []byte(`{"op":"set","key":"x","value":666}`),
				}},
			}
			if r, err := c.running[id].Deliver(context.Background(), forged); err != nil || !r.Success {
				t.Fatalf("the forged append is answered %+v, %v", r, err)
			}
		}
		c.lan.heal()
		if o := <-outcome; o.Err == nil {
			t.Errorf("a write is acknowledged whose place another entry has: %+v", o)
		}
		c.wantOneLog()
		for id := range c.running {
			if got := c.value(id, "mine"); got != "" {
				t.Errorf("node %d has %s under a key whose write was not done", id, got)
			}
		}
	})
}
