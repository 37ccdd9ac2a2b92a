package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// A member that is just starting up is no blank one: an empty disk must not find its majority with it (T28).
func TestLostDiskIsNotHelpedByAMemberThatIsStillLoading(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		victim, loading := followers[0], followers[1]
		for id := raft.NodeID(1); id <= 3; id++ {
			c.kill(id)
		}
		n, err := node.New(c.options(loading)) // its ports answer, its loop does not run yet
		if err != nil {
			t.Fatal(err)
		}
		c.lan.mu.Lock()
		c.lan.nodes[loading] = n
		c.lan.mu.Unlock()
		c.disks[victim] = newDisk()
		r := c.start(victim)
		time.Sleep(5 * time.Second) // fake time
		if s := r.Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("a node with a lost disk takes part as %s, though node %d was not asked", s.LifeCycle, leader)
		}
	})
}

// The last save of a node that stops is watched as well, or a dead disk keeps the process permanently (T53).
func TestHangingSaveEndsAlsoANodeThatStops(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		hang := make(chan struct{})
		defer close(hang)
		c.disks[leader].set(func(d *disk) { d.hang = hang })
		c.running[leader].cancel()
		select {
		case err := <-c.fatal:
			if err == nil {
				t.Error("the watchdog did not report why")
			}
		case <-time.After(time.Minute): // fake time
			t.Error("the watchdog did not notice that the last save hangs")
		}
	})
}

// hasty is the machine's scheduler with a clock on which an hour passes in every second.
type hasty struct {
	scheduler.Scheduler
	start time.Time
}

func (h *hasty) Now() time.Time { return h.start.Add(time.Since(h.start) * 3600) }

// A process that was stopped for long in the middle of a save has a disk that is well.
func TestClockThatJumpsDuringASaveEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, lan: &lan{nodes: map[raft.NodeID]*node.Node{}}, fatal: make(chan error, 1)}
		c.members = []identity.Member{{ID: 1, Address: "http://node"}}
		d := newDisk()
		c.disks = map[raft.NodeID]*disk{1: d}
		options := c.options(1)
		options.Scheduler = &hasty{&scheduler.Machine{}, time.Now()}
		options.Now = options.Scheduler.Now
		n, err := node.New(options)
		if err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		d.set(func(d *disk) { d.hang = hang })
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		time.Sleep(10 * time.Second) // fake time
		close(hang)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		select {
		case err := <-c.fatal:
			t.Errorf("the watchdog ended the process: %v", err)
		default:
		}
	})
}

// A node without an identity has no loop that would take the order, and must not be waited for when it stops.
func TestNodeWithoutIdentityHasNothingToHandOver(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		options := c.options(1)
		options.Storage, options.Join, options.ID, options.Members = newDisk(), true, 0, nil
		n, err := node.New(options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.TransferLeadership(ctx, 0); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("handing over: %v, want ErrNotReady", err)
		}
	})
}

// That the leader stops means nothing for the node that was asked: what surely was not done is tried again.
func TestFollowerOutlivesALeaderThatStops(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		r := c.running[leader]
		r.cancel()
		<-r.ended // but its port still answers
		if o := c.propose(follower, `{"op":"set","key":"a","value":1}`); o.Err != nil {
			t.Errorf("a write while the leader stops: %v, want it to wait for the next one", o.Err)
		}
	})
}

func TestFollowerReadsOutliveALeaderThatStops(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		r := c.running[leader]
		r.cancel()
		<-r.ended // but its port still answers
		if err := c.running[follower].ReadBarrier(context.Background()); err != nil {
			t.Errorf("a read while the leader stops: %v, want it to wait for the next one", err)
		}
	})
}

// A leader that hangs must not hold up what its followers send to the next one.
func TestFollowersTurnToTheNewLeaderWhileTheOldOneHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		old, followers := c.leader(), c.followers()
		resume := make(chan struct{})
		defer close(resume)
		c.running[old].Pause(resume)
		reads := make(chan error, len(followers))
		for _, id := range followers {
			for range 2 { // as many as may be in flight
				go c.propose(id, `{"op":"set","key":"a","value":1}`)
				time.Sleep(2 * latency) // fake time
			}
			go func() { reads <- c.running[id].ReadBarrier(context.Background()) }()
		}
		c.leader(followers...)
		start := time.Now()
		for _, id := range followers {
			if o := c.propose(id, `{"op":"set","key":"b","value":1}`); o.Err != nil {
				t.Errorf("a write through node %d after the election: %v", id, o.Err)
			}
			if err := c.running[id].ReadBarrier(context.Background()); err != nil {
				t.Errorf("a read on node %d after the election: %v", id, err)
			}
			if err := <-reads; err != nil {
				t.Errorf("a read that was asked of the old leader: %v", err)
			}
		}
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("they took %v", took)
		}
	})
}

// A leader that is cut off took a forwarded write and will never answer. A caller that waits for it learns within a
// second that the outcome is unknown (T49), not when the request's whole time is over.
func TestForwardToALeaderThatIsCutOffDoesNotHang(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		resume := make(chan struct{})
		defer close(resume)
		c.running[leader].Pause(resume)
		start := time.Now()
		o := c.propose(follower, `{"op":"set","key":"a","value":1}`)
		if !errors.Is(o.Err, node.ErrOutcomeUnknown) {
			t.Errorf("outcome %v, want ErrOutcomeUnknown", o.Err)
		}
		if waited := time.Since(start); waited > time.Second { // fake time
			t.Errorf("the answer took %v", waited)
		}
	})
}

// What still waited on the follower was never sent to the leader that hangs: it goes to the next one.
func TestWhatWaitedForALeaderThatFellGoesToTheNext(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		resume := make(chan struct{})
		defer close(resume)
		c.running[leader].Pause(resume)
		for range 2 { // as many as may be in flight
			go c.propose(follower, `{"op":"set","key":"a","value":1}`)
			time.Sleep(2 * latency) // fake time
		}
		start := time.Now()
		if o := c.propose(follower, `{"op":"set","key":"b","value":1}`); o.Err != nil {
			t.Errorf("a write that was not sent to the old leader: %v", o.Err)
		}
		if waited := time.Since(start); waited > time.Second { // fake time
			t.Errorf("it took %v", waited)
		}
	})
}

// What a caller received is committed, the leader's disk records as committed, also where no save follows: after a kill
// the node refuses whatever contradicts it.
func TestCommitIndexIsRecordedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3} {
		inBubble(t, size, func(t *testing.T, c *cluster) {
			leader := c.leader()
			for range 3 {
				o := c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
				recorded := raft.Index(0)
				c.disks[leader].set(func(d *disk) { recorded = d.commit })
				if recorded < o.Index {
					t.Errorf("of %d nodes: entry %d was answered, and the disk's commit index is %d", size, o.Index, recorded)
				}
			}
		})
	}
}

// A disk that cannot record what is committed ends the node, as one that cannot save (T53).
func TestFailureToRecordTheCommitIndexEndsTheNode(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.disks[leader].set(func(d *disk) { d.failNote = errors.New("planted") })
		_ = c.propose(leader, `{"op":"set","key":"a","value":1}`)
		<-c.running[leader].ended
		if err := c.running[leader].err; err == nil || !errors.Is(err, c.disks[leader].failNote) {
			t.Errorf("it ended with %v", err)
		}
	})
}
