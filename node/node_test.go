package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestAnyNodeTakesAWriteAndAllApplyIt(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		for id := raft.NodeID(1); id <= 3; id++ {
			key := fmt.Sprintf("k%d", id)
			o := c.mustPropose(id, fmt.Sprintf(`{"op":"set","key":"%s","value":%d}`, key, id))
			if o.Index == 0 || o.Term == 0 || o.Result.Revision != uint64(o.Index) {
				t.Errorf("outcome %+v does not name its entry", o)
			}
			c.until("all apply it", func() bool {
				return c.value(1, key) != "" && c.value(2, key) != "" && c.value(3, key) != ""
			})
		}
	})
}

// A node whose save failed ends, and publishes nothing that it could not save: neither a term nor a leader.
func TestWhatWasNotSavedIsNotPublished(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		c.lan.split([]raft.NodeID{leader}) // so that a later term begins
		r := c.running[follower]
		before := r.Status()
		c.disks[follower].set(func(d *disk) { d.fail = errors.New("input/output error") })
		<-r.ended
		if after := r.Status(); after.CurrentTerm != before.CurrentTerm || uint64(r.ViewTerm()) != before.CurrentTerm {
			t.Errorf("the disk has term %d, and it publishes term %d and a view of term %d", before.CurrentTerm,
				after.CurrentTerm, r.ViewTerm())
		}
	})
}

func TestManyCommandsInOneCallEachGetTheirOwnResult(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		follower := c.followers()[0]
		var commands [][]byte
		for range 500 {
			commands = append(commands, []byte(`{"op":"incr","key":"n","by":1}`))
		}
		for i, o := range c.running[follower].Propose(context.Background(), commands) {
			if o.Err != nil || string(o.Result.Value) != fmt.Sprint(i+1) {
				t.Fatalf("command %d: %s, %v", i, o.Result.Value, o.Err)
			}
		}
	})
}

func TestRestartReplaysTheWholeLog(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		for range 10 {
			c.mustPropose(leader, `{"op":"incr","key":"n","by":1}`)
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			c.kill(id)
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			c.start(id)
		}
		leader = c.leader()
		if err := c.running[leader].ReadBarrier(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := c.value(leader, "n"); got != "10" {
			t.Errorf("after the restart n is %q, want 10", got)
		}
	})
}

func TestLeaderFailureAnotherOneTakesOver(t *testing.T) { // seed, failure scenario 1
	t.Parallel()
	inBubble(t, 5, func(_ *testing.T, c *cluster) {
		first := c.leader()
		c.mustPropose(first, `{"op":"set","key":"a","value":1}`)
		c.kill(first)
		second := c.leader()
		c.mustPropose(second, `{"op":"set","key":"b","value":2}`)
		c.start(first)
		c.until("the old leader catches up", func() bool { return c.value(first, "b") == "2" })
	})
}

func TestFollowerFailureItCatchesUp(t *testing.T) { // seed, failure scenario 2
	t.Parallel()
	inBubble(t, 3, func(_ *testing.T, c *cluster) {
		follower := c.followers()[0]
		c.kill(follower)
		for range 100 {
			c.mustPropose(c.leader(), `{"op":"incr","key":"n"}`)
		}
		c.start(follower)
		c.until("the follower catches up", func() bool { return c.value(follower, "n") == "100" })
	})
}

func TestPartitionMinorityRefusesMajorityGoesOn(t *testing.T) { // seed, failure scenario 3; T43
	t.Parallel()
	inBubble(t, 5, func(t *testing.T, c *cluster) {
		leader := c.leader()
		minority := []raft.NodeID{leader, leader%5 + 1}
		var majority []raft.NodeID
		for id := raft.NodeID(1); id <= 5; id++ {
			if !slices.Contains(minority, id) {
				majority = append(majority, id)
			}
		}
		c.lan.split(minority, majority)
		second := c.leader(majority...)
		c.mustPropose(second, `{"op":"set","key":"side","value":"majority"}`)
		c.until("the old leader gives up", func() bool { return c.running[leader].Status().LeaderID == 0 })
		start := time.Now()
		if o := c.propose(leader, `{"op":"set","key":"side","value":"minority"}`); !errors.Is(o.Err, node.ErrNoLeader) {
			t.Errorf("a write in the minority: %v, want ErrNoLeader", o.Err)
		}
		if err := c.running[minority[1]].ReadBarrier(context.Background()); !errors.Is(err, node.ErrNoLeader) {
			t.Errorf("a linearizable read in the minority: %v, want ErrNoLeader", err)
		}
		if waited := time.Since(start); waited > 2500*time.Millisecond { // fake time
			t.Errorf("the two refusals took %v: requests must not hang", waited)
		}
		c.lan.heal()
		c.until("all agree", func() bool {
			return c.value(minority[0], "side") == `"majority"` && c.value(minority[1], "side") == `"majority"`
		})
	})
}

func TestUncommittedWriteOfADeposedLeaderHasUnknownOutcome(t *testing.T) { // T49
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.lan.split([]raft.NodeID{leader})
		o := c.propose(leader, `{"op":"set","key":"a","value":1}`)
		if !errors.Is(o.Err, node.ErrOutcomeUnknown) {
			t.Errorf("outcome %v, want ErrOutcomeUnknown: the entry stands in a log and may yet win", o.Err)
		}
	})
}

func TestForwardThatLostItsAnswerHasUnknownOutcome(t *testing.T) { // T49
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		c.lan.mu.Lock()
		c.lan.cut = func(from, to raft.NodeID) bool { return from == leader && to == follower }
		c.lan.mu.Unlock()
		o := c.propose(follower, `{"op":"set","key":"a","value":1}`)
		if !errors.Is(o.Err, node.ErrOutcomeUnknown) {
			t.Errorf("outcome %v, want ErrOutcomeUnknown", o.Err)
		}
		if c.value(leader, "a") != "1" {
			t.Error("the write was expected to take effect")
		}
	})
}

func TestWriteWaitsForAnElectionInsteadOfFailing(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		follower := c.followers()[0]
		c.kill(c.leader())
		if o := c.propose(follower, `{"op":"set","key":"a","value":1}`); o.Err != nil {
			t.Errorf("a write during an election: %v, want it to wait", o.Err)
		}
	})
}

func TestFailedSaveEndsTheNode(t *testing.T) { // T53
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		broken := errors.New("input/output error")
		c.disks[leader].set(func(d *disk) { d.fail = broken })
		if o := c.propose(leader, `{"op":"set","key":"a","value":1}`); o.Err == nil {
			t.Error("a write that was never saved was acknowledged")
		}
		r := c.running[leader]
		<-r.ended
		if !errors.Is(r.err, broken) {
			t.Errorf("Run ended with %v, want the disk's error", r.err)
		}
	})
}

func TestHangingSaveCostsTheLeaderItsOfficeAndThenTheProcess(t *testing.T) { // T53, decision 6
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		hang := make(chan struct{})
		c.disks[leader].set(func(d *disk) { d.hang = hang })
		ctx, cancel := context.WithCancel(context.Background())
		go c.running[leader].Propose(ctx, [][]byte{[]byte(`{"op":"set","key":"a","value":1}`)})
		others := c.followersOf(leader)
		if second := c.leader(others...); second == leader {
			t.Error("a leader whose disk hangs is still followed")
		}
		if err := <-c.fatal; err == nil {
			t.Error("the watchdog ended the process without a reason")
		}
		cancel()
		close(hang)
	})
}

func (c *cluster) followersOf(leader raft.NodeID) []raft.NodeID {
	var ids []raft.NodeID
	for id := range c.running {
		if id != leader {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestAcknowledgementLeavesAfterTheSave(t *testing.T) { // T1, T14
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		hang := make(chan struct{})
		for _, id := range followers {
			c.disks[id].set(func(d *disk) { d.hang = hang })
		}
		done := make(chan node.Outcome, 1)
		go func() { done <- c.propose(leader, `{"op":"set","key":"a","value":1}`) }()
		time.Sleep(50 * time.Millisecond) // fake time, less than an election timeout
		synctest.Wait()
		select {
		case o := <-done:
			t.Errorf("committed (%v) though no follower has it on its disk", o.Err)
		default:
		}
		close(hang)
		if o := <-done; o.Err != nil {
			t.Errorf("after the disks went on: %v", o.Err)
		}
	})
}

func TestLinearizableReadSeesTheLastAcknowledgedWriteEverywhere(t *testing.T) { // T41
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		for i := range 20 {
			c.mustPropose(leader, fmt.Sprintf(`{"op":"set","key":"a","value":%d}`, i))
			for id := raft.NodeID(1); id <= 3; id++ {
				if err := c.running[id].ReadBarrier(context.Background()); err != nil {
					t.Fatalf("node %d: %v", id, err)
				}
				if got := c.value(id, "a"); got != fmt.Sprint(i) {
					t.Fatalf("node %d reads %s after %d was acknowledged", id, got, i)
				}
			}
		}
	})
}

func TestLeadershipIsHandedOver(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, target := c.leader(), c.followers()[1]
		if err := c.running[target].TransferLeadership(context.Background(), leader); !errors.Is(err, node.ErrNotLeader) {
			t.Errorf("a follower handed over: %v", err)
		}
		if err := c.running[leader].TransferLeadership(context.Background(), 99); !errors.Is(err, node.ErrBadTarget) {
			t.Errorf("an unidentified peer was accepted: %v", err)
		}
		term := raft.Term(c.running[leader].Status().CurrentTerm)
		err := c.running[leader].TransferLeadershipIn(context.Background(), term+1, target)
		if !errors.Is(err, node.ErrTermChanged) {
			t.Errorf("in term %d a transfer of the next one was answered with %v", term, err)
		}
		err = c.running[target].TransferLeadershipIn(context.Background(), term+1, leader)
		if !errors.Is(err, node.ErrNotLeader) {
			t.Errorf("a follower should name the leader, whatever the term: %v", err)
		}
		if err := c.running[leader].TransferLeadershipIn(context.Background(), term, target); err != nil {
			t.Fatal(err)
		}
		if got := c.leader(); got != target {
			t.Errorf("node %d leads, want %d", got, target)
		}
		if err := c.running[target].TransferLeadership(context.Background(), 0); err != nil {
			t.Errorf("handing over to the best: %v", err)
		}
	})
}

func TestSingleNodeElectsItselfAndCommits(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(_ *testing.T, c *cluster) {
		c.leader()
		c.mustPropose(1, `{"op":"set","key":"a","value":1}`)
	})
}

// What a leader measures is in its status, and only a leader has a view of the others' progress.
func TestTheStatusOfALeaderAndAfterIt(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		for range 2 {
			if err := c.running[leader].ReadBarrier(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second) // fake time
		s := c.running[leader].Status()
		if l := s.Latency; l.Write.Count != 1 || l.Read.Count != 2 || l.Fsync.Count == 0 || len(s.Progress) != 2 {
			t.Errorf("%+v with the progress of %d followers", l, len(s.Progress))
		}
		c.lan.split([]raft.NodeID{leader})
		c.until("it leads no more", func() bool { return c.running[leader].Status().LeaderID == 0 })
		time.Sleep(time.Second)
		if s := c.running[leader].Status(); s.Progress != nil || s.NextIndex != nil || s.MatchIndex != nil {
			t.Errorf("a follower reports the progress %v", s.Progress)
		}
	})
}
