package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
)

// A leader whose disk is low and that gets the leadership back keeps it for 10 s after it handed over, and then hands
// over again: otherwise members whose disks are all near the limit would pass the leadership around.
func TestALeaderWithALowDiskHandsOverOnceInAWhile(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		low := c.leader()
		free[low].Store(reserve / 2)
		began := time.Now()
		c.until("it hands over", func() bool { return c.running[low].Status().State != "LEADER" })
		handedOver := time.Now()
		if took := handedOver.Sub(began); took > 3*time.Second {
			t.Errorf("it hands over after %v", took)
		}
		next := c.leader()
		if err := c.running[next].TransferLeadership(context.Background(), low); err != nil {
			t.Fatal(err)
		}
		if now := c.leader(); now != low {
			t.Fatalf("node %d leads, want node %d", now, low)
		}
		for time.Since(handedOver) < 9*time.Second { // fake time
			if now := c.leader(); now != low {
				t.Fatalf("it handed over again after %v", time.Since(handedOver))
			}
			time.Sleep(100 * time.Millisecond)
		}
		c.until("it hands over again", func() bool { return c.running[low].Status().State != "LEADER" })
		if after := time.Since(handedOver); after > 12*time.Second {
			t.Errorf("it handed over again after %v, and may after 10 s", after)
		}
		c.wantServing()
	})
}

// A leader whose own disk is full refuses every command if no follower can lead: the others could take entries, and it
// must not write.
func TestALeaderWithAFullDiskRefusesEveryCommand(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		leader := c.leader()
		c.mustPropose(leader, put("a", 10))
		for _, id := range c.followers() {
			free[id].Store(reserve / 2)
		}
		time.Sleep(3 * time.Second) // fake time: they report it
		free[leader].Store(0)
		c.until("its disk is full", func() bool { return c.level(leader, api.AlarmDisk) == api.AlarmFull })
		last := c.running[leader].Status().LastLogIndex
		c.wantNoRoom(`{"op":"delete","key":"a"}`, "disk", "takes no entries")
		c.wantNoRoom(put("a", 10), "disk")
		if s := c.running[leader].Status(); s.LastLogIndex != last || s.State != "LEADER" {
			t.Errorf("as %s, its log grew from %d to %d", s.State, last, s.LastLogIndex)
		}
		for _, f := range free {
			f.Store(2 * reserve)
		}
		c.until("it clears", func() bool { return c.propose(leader, put("b", 10)).Err == nil })
		c.wantServing()
	})
}

// A leader whose disk is full refuses at once, also while its followers answer nothing: what waits for them could not
// be appended afterwards, either.
func TestALeaderWithAFullDiskRefusesAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		patient := c.adjust
		c.adjust = func(id raft.NodeID, o *node.Options) {
			patient(id, o)
			o.ElectionTimeout = 10 * time.Second
		}
		c.killAll()
		c.startAll(1, 2, 3)
		time.Sleep(20 * time.Second) // fake time: it elects
		leader, hang := c.leader(), make(chan struct{})
		for _, id := range c.followers() {
			c.disks[id].set(func(d *disk) { d.hang = hang })
		}
		waits := make(chan node.Outcome, 1)
		go func() { waits <- c.propose(leader, put("a", 10)) }()
		time.Sleep(time.Second) // fake time: it is with the followers, whose disks hang
		free[leader].Store(0)
		c.until("its disk is full", func() bool { return c.level(leader, api.AlarmDisk) == api.AlarmFull })
		began := time.Now()
		o := c.propose(leader, `{"op":"delete","key":"a"}`)
		if took := time.Since(began); !errors.Is(o.Err, node.ErrQuotaExceeded) || took > 200*time.Millisecond {
			t.Errorf("after %v: %v, want it refused at once for want of room", took, o.Err)
		}
		for _, id := range c.followers() {
			c.disks[id].set(func(d *disk) { d.hang = nil })
		}
		close(hang)
		if o := <-waits; o.Err != nil {
			t.Errorf("what came before: %v", o.Err)
		}
		free[leader].Store(2 * reserve)
		c.until("it clears", func() bool { return c.propose(leader, put("b", 10)).Err == nil })
	})
}

// A caretaker has nothing to hand over for, and no command succeeds once its disk has room: the answer is that there is
// no leader.
func TestACaretakerWithAFullDiskRefusesForWantOfALeader(t *testing.T) { // T53, T54
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		var free atomic.Int64
		free.Store(1 << 40)
		c.adjust = func(id raft.NodeID, o *node.Options) {
			tidy(id, o)
			o.Room = room.Limits{Reserve: reserve}
			o.DiskSizes = func() api.Disk { return api.Disk{FreeBytes: free.Load()} }
		}
		c.startAll(1, 2, 3)
		c.write(c.leader(), "k", 60)
		for _, m := range c.members {
			c.untilCut(m.ID, 20)
		}
		c.killAll()
		for _, m := range c.members {
			c.loseState(m.ID)
		}
		c.startAll(1, 2, 3)
		c.untilSlowly("a caretaker", func() bool { return c.running[1].Status().LeaderID != 0 })
		caretaker := raft.NodeID(c.running[1].Status().LeaderID)
		free.Store(0)
		c.until("its disk is full", func() bool { return c.level(caretaker, api.AlarmDisk) == api.AlarmFull })
		if err := c.propose(caretaker, put("a", 10)).Err; !errors.Is(err, node.ErrNoLeader) {
			t.Errorf("a put: %v", err)
		}
		if s := c.running[caretaker].Status(); s.State != "LEADER" {
			t.Errorf("it is a %s", s.State)
		}
	})
}

const (
	tightQuota = 100 << 10
	largeValue = 4000
)

// large returns 20 commands that take most of the quota.
func large(name string) (commands [][]byte) {
	for i := range 20 {
		commands = append(commands, []byte(put(fmt.Sprint(name, i), largeValue)))
	}
	return commands
}

// proposeLarge proposes large commands through a node, in one call, and returns the outcomes.
func (c *cluster) proposeLarge(id raft.NodeID, name string) []node.Outcome {
	return c.running[id].Propose(context.Background(), large(name))
}

// proposeLargeEverywhere proposes large commands through every node at once, so that they wait at the next leader when
// it is elected, and returns the outcomes.
func (c *cluster) proposeLargeEverywhere() (outcomes []node.Outcome) {
	done := make(chan []node.Outcome)
	for id := range c.running {
		go func() { done <- c.proposeLarge(id, fmt.Sprint("at", id)) }()
	}
	for range c.running {
		outcomes = append(outcomes, <-done...)
	}
	return outcomes
}

// wantWithinQuota wants that the store of a node uses most of the quota, and exceeds it by one command at most.
func (c *cluster) wantWithinQuota(id raft.NodeID, outcomes []node.Outcome) {
	c.t.Helper()
	taken := 0
	for _, o := range outcomes {
		if o.Err == nil {
			taken++
		} else if !errors.Is(o.Err, node.ErrQuotaExceeded) {
			c.t.Error(o.Err)
		}
	}
	time.Sleep(time.Second) // fake time: the status is published
	live := c.running[id].Status().Store.LiveBytes
	if live > tightQuota+largeValue+300 || live < tightQuota*9/10 {
		c.t.Errorf("%d commands were taken, and the store has %d bytes; the quota is %d", taken, live, tightQuota)
	}
}

// What a log holds that is not applied counts for the quota of a leader that has just started: its entries from before
// the start are not known to be committed before an entry of its term is.
func TestWhatWasInFlightBeforeAStartCountsForTheQuota(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.withRoom(room.Limits{Quota: tightQuota})
		c.leader()
		for _, o := range c.proposeLarge(c.leader(), "before") {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		time.Sleep(time.Second) // fake time: all nodes have it
		for _, d := range c.disks {
			d.set(func(d *disk) { d.failState = errors.New("the process was killed") })
		}
		c.killAll()
		for _, d := range c.disks {
			d.set(func(d *disk) { d.failState, d.hard.Commit, d.commit = nil, 0, 0 }) // it may lag
		}
		c.startAll(1, 2, 3)
		for id := range c.running {
			c.until("it has begun", func() bool { return c.running[id].Status().LastLogIndex > 0 })
		}
		outcomes := c.proposeLargeEverywhere()
		c.wantWithinQuota(c.leader(), outcomes)
	})
}

// A follower that becomes the leader counts what it holds and has not applied, which others appended.
func TestWhatAnEarlierLeaderAppendedCountsForTheQuota(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.withRoom(room.Limits{Quota: tightQuota})
		leader, followers := c.leader(), c.followers()
		commit := raft.Index(c.running[leader].Status().CommitIndex)
		c.lan.damageBy(func(m *raft.Message) { m.LeaderCommit = min(m.LeaderCommit, commit) })
		for _, o := range c.proposeLarge(leader, "before") {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		time.Sleep(20 * time.Millisecond) // fake time: both followers have it, and does not count it as committed
		for _, id := range followers {
			if s := c.running[id].Status(); s.LastLogIndex < 20 || s.LastApplied >= 20 {
				t.Fatalf("node %d has the entries up to %d, and applied those up to %d", id, s.LastLogIndex, s.LastApplied)
			}
		}
		c.kill(leader)
		c.lan.damageBy(nil)
		outcomes := c.proposeLargeEverywhere()
		c.wantWithinQuota(c.leader(), outcomes)
	})
}

// What a leader appended and lost with the leadership counts no more when it leads again: others replaced it.
func TestWhatWasReplacedCountsNoMoreForTheQuota(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.withRoom(room.Limits{Quota: tightQuota})
		leader, followers := c.leader(), c.followers()
		time.Sleep(time.Second)                                           // fake time: nothing is in flight
		c.lan.cutBy(func(_, to raft.NodeID) bool { return to == leader }) // no message is reported as lost
		ctx, cancel := context.WithCancel(context.Background())
		lost := make(chan []node.Outcome, 1)
		go func() { lost <- c.running[leader].Propose(ctx, large("lost")) }()
		next := c.leader(followers...)
		cancel() // no command is tried again
		for _, o := range <-lost {
			if !errors.Is(o.Err, node.ErrOutcomeUnknown) {
				t.Errorf("what was appended and is replaced: %v", o.Err)
			}
		}
		c.lan.heal()
		c.until("it follows", func() bool { return c.leader() == next })
		if err := c.running[next].TransferLeadership(context.Background(), leader); err != nil {
			t.Fatal(err)
		}
		for i, o := range c.proposeLarge(leader, "after") {
			if o.Err != nil {
				t.Fatalf("command %d of an empty store is refused: %v", i, o.Err)
			}
		}
	})
}
