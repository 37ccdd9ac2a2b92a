package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// compared runs a test case with a cluster of so many tidy nodes that compare their states every 200 ms.
func compared(t *testing.T, nodes int, story func(t *testing.T, c *cluster)) {
	t.Helper()
	unstarted(t, nodes, func(t *testing.T, c *cluster) {
		c.adjust = func(id raft.NodeID, o *node.Options) {
			tidy(id, o)
			o.CheckInterval = 200 * time.Millisecond
		}
		for _, m := range c.members {
			c.start(m.ID)
		}
		story(t, c)
	})
}

// spoiled writes some entries, and restarts one node, which leads or follows afterwards, with another value of a key in
// its checkpoint, that no checksum shows.
func (c *cluster) spoiled(leads bool) (victim raft.NodeID) {
	c.t.Helper()
	victim = c.leader()
	c.mustPropose(victim, `{"op":"set","key":"x","value":1}`)
	c.write(victim, "k", 30)
	time.Sleep(time.Second) // fake time: checkpoints are written
	for id := range c.running {
		if id != victim {
			c.kill(id)
		}
	}
	c.kill(victim)
	c.disks[victim].set(func(d *disk) { d.state = d.state.Spoiled("x", []byte("666")) })
	adjust := c.adjust
	c.adjust = func(id raft.NodeID, o *node.Options) {
		if adjust(id, o); (id == victim) != leads {
			o.ElectionTimeout = 3 * time.Second
		}
	}
	for _, m := range c.members {
		c.start(m.ID)
	}
	c.until("it has loaded the wrong value", func() bool { return c.value(victim, "x") == "666" })
	return victim
}

// fact returns what a disk has of the fact that the state differs.
func (d *disk) fact() (text string) {
	d.set(func(d *disk) { text = d.facts[snapshot.FactStateDiffers] })
	return text
}

// A node whose state differs stops serving, hands over if it leads, and is repaired by a snapshot (trap T45).
func TestAStateThatDiffersIsRepaired(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{3, 5} {
		for _, leads := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d nodes, leads: %v", nodes, leads), func(t *testing.T) {
				t.Parallel()
				compared(t, nodes, func(t *testing.T, c *cluster) {
					victim := c.spoiled(leads)
					c.until("it stops serving", func() bool { return c.running[victim].Sound() != nil })
					r := c.running[victim]
					if r.Status().StateDiffers == 0 || c.disks[victim].fact() == "" {
						t.Errorf("the status shows %d, and the disk has %q", r.Status().StateDiffers, c.disks[victim].fact())
					}
					if err := r.ReadBarrier(context.Background()); !errors.Is(err, node.ErrStateDiffers) {
						t.Errorf("a read: %v", err)
					}
					if _, _, err := r.GetAt("x", 0); !errors.Is(err, node.ErrStateDiffers) {
						t.Errorf("a read of the present state: %v", err)
					}
					c.until("it is repaired", func() bool { return r.Sound() == nil })
					if got := c.value(victim, "x"); got != "1" {
						t.Errorf("x is %s after the repair", got)
					}
					if c.disks[victim].fact() != "0" || r.Status().StateDiffers != 0 {
						t.Errorf("the disk has %q", c.disks[victim].fact())
					}
					if leads && c.leader() == victim {
						t.Error("it leads again at once")
					}
					c.wantServing()
				})
			})
		}
	}
}

// A leader whose disk has no room for a checkpoint sends the snapshot later, and does not end (T53).
func TestAStateThatDiffersWaitsForRoomOfTheLeader(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		for _, id := range c.followers() { // one of them leads after the restart, and has no checkpoint at all
			c.disks[id].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
		}
		victim := c.spoiled(false)
		c.until("it stops serving", func() bool { return c.running[victim].Sound() != nil })
		time.Sleep(10 * time.Second) // fake time
		c.wantRunning()
		for id := range c.running {
			c.disks[id].set(func(d *disk) { d.failState = nil })
		}
		c.until("it is repaired", func() bool { return c.running[victim].Sound() == nil })
		c.wantServing()
	})
}

// A node that was stopped while its state differed serves nothing when it starts again, before it is repaired.
func TestAStateThatDiffersAcrossARestart(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 30)
		time.Sleep(time.Second) // fake time: checkpoints are written
		victim := c.followers()[0]
		c.kill(victim)
		c.disks[victim].set(func(d *disk) {
			d.state = d.state.Spoiled("k", []byte("666"))
			d.facts[snapshot.FactStateDiffers] = "7"
		})
		c.start(victim)
		r := c.running[victim]
		if err := r.Sound(); !errors.Is(err, node.ErrStateDiffers) {
			t.Fatalf("it serves after the start: %v", err)
		}
		c.until("it is repaired", func() bool { return r.Sound() == nil && len(r.Status().Alarms) == 0 })
		var levels []api.AlarmLevel
		for _, e := range c.alarms(victim) {
			levels = append(levels, e.Level)
		}
		if want := []api.AlarmLevel{api.AlarmDiffers, api.AlarmCleared}; !slices.Equal(levels, want) {
			t.Errorf("since the start its alarm had the levels %q, want %q", levels, want)
		}
		if got := c.value(victim, "k"); got != "29" {
			t.Errorf("k is %s after the repair", got)
		}
	})
}

// A snapshot that repairs a state may be older than what is applied: what the log has after it is applied again, and
// the applied index never goes back.
func TestARepairAppliesTheLogAgain(t *testing.T) { // T32
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		victim := c.spoiled(false)
		r, last := c.running[victim], raft.Index(0)
		for i := 0; r.Sound() != nil || last == 0; i++ {
			c.propose(c.leader(), fmt.Sprintf(`{"op":"set","key":"n","value":%d}`, i))
			if now := r.Applied(); now < last {
				t.Fatalf("the applied index went from %d to %d", last, now)
			} else if r.Sound() != nil {
				last = now
			}
			if i > 2000 {
				t.Fatal("it is not repaired under load")
			}
		}
		if got := c.value(victim, "x"); got != "1" {
			t.Errorf("x is %s after the repair", got)
		}
		want := c.propose(c.leader(), `{"op":"incr","key":"n","by":1}`)
		c.until("it has applied all", func() bool { return r.Applied() >= want.Index })
		if got := c.value(victim, "n"); got != c.value(c.leader(), "n") {
			t.Errorf("n is %s, and %s on the leader", got, c.value(c.leader(), "n"))
		}
	})
}

// One of two that differ proves nothing: both go on, with an alarm.
func TestTwoStatesThatDiffer(t *testing.T) {
	t.Parallel()
	compared(t, 2, func(t *testing.T, c *cluster) {
		victim := c.spoiled(false)
		c.until("an alarm", func() bool { return len(c.alarms(victim)) > 0 })
		for id, r := range c.running {
			if err := r.Sound(); err != nil {
				t.Errorf("node %d: %v", id, err)
			}
			c.until("its status has the alarm", func() bool {
				alarms := r.Status().Alarms
				return len(alarms) == 1 && alarms[0].Name == api.AlarmState && alarms[0].Level == api.AlarmWarning
			})
		}
	})
}

// A cluster without writes appends no check entries, and one with writes does not append them without end.
func TestChecksFollowWrites(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"x","value":1}`)
		time.Sleep(time.Second) // fake time
		last := c.running[leader].Status().LastLogIndex
		if last < 3 {
			t.Fatalf("no check entry: the log ends at %d", last)
		}
		time.Sleep(time.Minute) // fake time
		if now := c.running[leader].Status().LastLogIndex; now != last {
			t.Errorf("without writes the log grew from %d to %d", last, now)
		}
		entries, err := c.disks[leader].Range(raft.Index(last), 1)
		if err != nil || len(entries) != 1 || entries[0].Type != raft.EntryCheck {
			t.Errorf("the last entry is %+v, %v", entries, err)
		}
		for id, r := range c.running {
			state, err := r.HandleStateDigest(context.Background(), raft.Index(last))
			if err != nil || !state.Known {
				t.Errorf("node %d: %+v, %v", id, state, err)
			}
		}
	})
}

// Under load there is a check entry every CheckInterval, and no more.
func TestChecksKeepTheirPace(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		first, began := raft.Index(c.running[leader].Status().LastLogIndex), time.Now()
		checks := 0
		for time.Since(began) < 2*time.Second { // fake time
			c.mustPropose(leader, `{"op":"incr","key":"n","by":1}`)
			time.Sleep(5 * time.Millisecond)
		}
		last := raft.Index(c.running[leader].Status().LastLogIndex)
		for i := first + 1; i <= last; i++ {
			if state, _ := c.running[leader].HandleStateDigest(context.Background(), i); state.Known {
				checks++
			}
		}
		if checks < 8 || checks > 11 {
			t.Errorf("%d check entries in 2 s, at one every 200 ms", checks)
		}
	})
}

// Leaders that change more often than CheckInterval put no check entry off: each goes on with the time of the last one,
// whichever leader proposed it.
func TestChecksAreMadeWhileLeadersChange(t *testing.T) {
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		adjust := c.adjust
		c.adjust = func(id raft.NodeID, o *node.Options) {
			adjust(id, o)
			o.CheckInterval = time.Minute
		}
		for _, m := range c.members {
			c.kill(m.ID)
			c.start(m.ID)
		}
		began, changes := time.Now(), 0
		for ; time.Since(began) < 10*time.Minute; changes++ { // fake time
			leader := c.leader()
			c.mustPropose(leader, `{"op":"incr","key":"n","by":1}`)
			time.Sleep(20 * time.Second)
			if err := c.running[leader].TransferLeadership(t.Context(), c.followers()[0]); err != nil {
				t.Fatal(err)
			}
			c.until("another leads", func() bool { return c.leader() != leader })
		}
		checks := 0
		leader := c.leader()
		for i := raft.Index(1); i <= raft.Index(c.running[leader].Status().LastLogIndex); i++ {
			if state, _ := c.running[leader].HandleStateDigest(t.Context(), i); state.Known {
				checks++
			}
		}
		if checks < 7 || checks > 10 {
			t.Errorf("%d check entries in 10 minutes with %d leaders, at one a minute", checks, changes)
		}
	})
}
