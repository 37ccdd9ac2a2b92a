package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

const reserve = 1 << 20

// withRoom starts all nodes anew with limits, and with disks whose free bytes the test sets.
func (c *cluster) withRoom(limits room.Limits) (free map[raft.NodeID]*atomic.Int64) {
	c.t.Helper()
	free = map[raft.NodeID]*atomic.Int64{}
	for _, m := range c.members {
		free[m.ID] = &atomic.Int64{}
		free[m.ID].Store(1 << 40)
	}
	c.adjust = func(id raft.NodeID, o *node.Options) {
		o.Room = limits
		o.DiskSizes = func() api.Disk { return api.Disk{FreeBytes: free[id].Load()} }
	}
	for _, m := range c.members {
		c.kill(m.ID)
		c.start(m.ID)
	}
	return free
}

func put(key string, bytes int) string {
	return fmt.Sprintf(`{"op":"put","key":%q,"value":%q}`, key, strings.Repeat("v", bytes))
}

// wantNoRoom wants a command to be refused for want of room, whichever node it comes to.
func (c *cluster) wantNoRoom(command string, parts ...string) {
	c.t.Helper()
	for id := range c.running {
		err := c.propose(id, command).Err
		if !errors.Is(err, node.ErrQuotaExceeded) || node.ClientCode(err) != api.CodeQuotaExceeded {
			c.t.Errorf("%.60s through node %d: %v, want it refused for want of room", command, id, err)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				c.t.Errorf("%q does not have %q", err, part)
			}
		}
	}
}

// level returns the level of an alarm of a node.
func (c *cluster) level(id raft.NodeID, name api.AlarmName) api.AlarmLevel {
	for _, alarm := range c.running[id].Status().Alarms {
		if alarm.Name == name {
			return alarm.Level
		}
	}
	return api.AlarmCleared
}

// At the quota, every command that may add data is refused at every node, and all others go on, until enough is
// deleted.
func TestTheQuotaRefusesWhatAddsData(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		const quota = 100 << 10
		c.withRoom(room.Limits{Quota: quota})
		leader := c.leader()
		for i := range 85 {
			c.mustPropose(leader, put(fmt.Sprint(i), 800))
		}
		c.until("every node warns", func() bool {
			return c.level(1, api.AlarmQuota) == api.AlarmWarning && c.level(2, api.AlarmQuota) == api.AlarmWarning &&
				c.level(3, api.AlarmQuota) == api.AlarmWarning
		})
		last := 85
		for ; c.propose(leader, put(fmt.Sprint(last), 800)).Err == nil; last++ {
		}
		if live := c.running[leader].Status().Store.LiveBytes; live > quota+1100 {
			t.Errorf("the store has %d bytes, and the quota is %d", live, quota)
		}
		for _, command := range []string{
			put("x", 1), put("1", 1), `{"op":"set","key":"x","value":1}`, `{"op":"incr","key":"n","by":1}`,
			`{"op":"cas","key":"x","expected":null,"value":2}`,
			`{"op":"txn","then":[{"delete":{"key":"1"}},{"put":{"key":"2","value":""}}]}`,
			`{"op":"txn","if":[{"key":"a","exists":true}],"then":[],"else":[{"incr":{"key":"n","by":1}}]}`,
		} {
			c.wantNoRoom(command, "quota", "100 KiB", "95 KiB", "--quota-bytes", "delete keys")
		}
		c.mustPropose(c.followers()[0], `{"op":"delete","key":"1"}`)
		c.mustPropose(leader, `{"op":"txn","then":[{"delete":{"key":"2"}},{"get":{"key":"3"}}]}`)
		c.wantNoRoom(put("x", 1)) // not before it is below the second mark
		c.mustPropose(leader, `{"op":"compact","revision":20}`)
		for i := 3; i < 10; i++ {
			c.mustPropose(leader, fmt.Sprintf(`{"op":"delete","key":"%d"}`, i))
		}
		c.until("it clears", func() bool { return c.propose(leader, put("x", 1)).Err == nil })
		c.until("the alarm is a warning again", func() bool { return c.level(leader, api.AlarmQuota) == api.AlarmWarning })
		for i := range 40 {
			c.mustPropose(leader, fmt.Sprintf(`{"op":"delete","key":"%d"}`, i))
		}
		c.until("no alarm is left", func() bool { return c.level(leader, api.AlarmQuota) == api.AlarmCleared })
	})
}

// What is admitted and not applied counts: however many commands come at once, one of them crosses the quota at most.
func TestWhatIsInFlightCountsForTheQuota(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		const quota, value = 100 << 10, 4000
		c.withRoom(room.Limits{Quota: quota})
		leader := c.leader()
		done := make(chan int)
		for caller := range 10 {
			var commands [][]byte
			for i := range 20 {
				commands = append(commands, []byte(put(fmt.Sprintf("%d-%d", caller, i), value)))
			}
			go func() {
				taken := 0
				for _, o := range c.running[leader].Propose(context.Background(), commands) {
					if o.Err == nil {
						taken++
					} else if !errors.Is(o.Err, node.ErrQuotaExceeded) {
						t.Error(o.Err)
					}
				}
				done <- taken
			}()
		}
		taken := 0
		for range 10 {
			taken += <-done
		}
		time.Sleep(time.Second) // fake time: the status is published
		live := c.running[leader].Status().Store.LiveBytes
		if live > quota+value+300 || live < quota*9/10 {
			t.Errorf("%d commands were taken, and the store has %d bytes; the quota is %d", taken, live, quota)
		}
	})
}

// A leader whose disk is low hands over to a member with room, and no client notices.
func TestALeaderWithALowDiskHandsOver(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		old := c.leader()
		free[old].Store(reserve / 2)
		for range 30 {
			c.mustPropose(old, put("a", 10))
			time.Sleep(100 * time.Millisecond) // fake time: the disk is measured
		}
		fit := c.leader()
		if fit == old {
			t.Fatal("it leads on")
		}
		low := 6 - old - fit
		free[low].Store(reserve / 2)
		time.Sleep(2 * time.Second)
		if c.level(old, api.AlarmDisk) != api.AlarmLow || c.level(fit, api.AlarmDisk) != api.AlarmCleared {
			t.Errorf("alarms: %q and %q", c.level(old, api.AlarmDisk), c.level(fit, api.AlarmDisk))
		}
		c.wantNoRoom(put("a", 10), "most members", "disk")
		c.mustPropose(old, `{"op":"delete","key":"a"}`)
		free[low].Store(2 * reserve)
		c.until("a majority has room", func() bool { return c.propose(old, put("a", 10)).Err == nil })
		if now := c.leader(); now != fit {
			t.Errorf("node %d leads", now)
		}
	})
}

// If no disk has room, what adds data is refused, and what removes it goes on, until there is room.
func TestADiskThatIsLowRefusesWhatAddsData(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		inBubble(t, nodes, func(t *testing.T, c *cluster) {
			free := c.withRoom(room.Limits{Reserve: reserve})
			leader := c.leader()
			c.mustPropose(leader, put("a", 10))
			for _, f := range free {
				f.Store(reserve - 1)
			}
			c.until("the disk is low", func() bool { return c.level(leader, api.AlarmDisk) == api.AlarmLow })
			time.Sleep(time.Second) // fake time: for all nodes
			leader = c.leader()
			c.wantNoRoom(put("b", 10), "disk", "--disk-reserve-bytes", "free some space")
			c.mustPropose(leader, `{"op":"delete","key":"a"}`)
			for _, f := range free {
				f.Store(reserve + 1000) // not enough: it would come and go
			}
			time.Sleep(2 * time.Second)
			c.wantNoRoom(put("b", 10))
			for _, f := range free {
				f.Store(2 * reserve)
			}
			c.until("it clears", func() bool { return c.propose(leader, put("b", 10)).Err == nil })
			c.wantRunning()
		})
	}
}

// What is written counts at once: the reserve is not used up while the disk does not answer how much is free.
func TestTheReserveIsKeptBetweenMeasurements(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		answers, end := make(chan int64, 1), make(chan struct{})
		defer close(end)
		answers <- 3 * reserve
		c.adjust = func(_ raft.NodeID, o *node.Options) {
			o.Room = room.Limits{Reserve: reserve}
			o.DiskSizes = func() api.Disk {
				select {
				case free := <-answers:
					return api.Disk{FreeBytes: free}
				case <-end:
					return api.Disk{FreeBytes: -1}
				}
			}
		}
		c.kill(1)
		c.start(1)
		c.leader()
		time.Sleep(time.Second) // fake time: it is measured, once
		written := 0
		for c.propose(1, put("a", 50_000)).Err == nil && written < 10*reserve {
			written += 50_000
			time.Sleep(time.Millisecond) // fake time: what is written waits for no checkpoint
		}
		if written > 2*reserve || written < reserve/2 {
			t.Errorf("%d bytes were written without a measurement, and %d were free beside the reserve", written, 2*reserve)
		}
	})
}

// A follower whose disk is full takes no entries, and stays: the others go on, and it catches up when there is room.
func TestAFollowerWithAFullDiskStays(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		leader, full := c.leader(), c.followers()[0]
		c.mustPropose(leader, put("a", 10))
		free[full].Store(100)
		c.until("its disk is full", func() bool { return c.level(full, api.AlarmDisk) == api.AlarmFull })
		time.Sleep(time.Second) // fake time
		before := c.running[full].Status().LastLogIndex
		for range 100 {
			c.mustPropose(full, put("a", 10)) // through it as well
		}
		if after := c.running[full].Status().LastLogIndex; after > before {
			t.Errorf("its log grew from %d to %d", before, after)
		}
		free[full].Store(2 * reserve)
		c.until("it catches up", func() bool { return c.running[full].Applied() >= c.running[leader].Applied() })
		if now := c.leader(); now != leader {
			t.Errorf("node %d leads, and led by node %d before", now, leader)
		}
		c.wantServing()
	})
}

// If too few disks take entries, every command is refused at once, rather than left to hang in a log.
func TestAMajorityOfFullDisksIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		c.leader()
		for _, f := range free {
			f.Store(0)
		}
		time.Sleep(3 * time.Second) // fake time
		began := time.Now()
		c.wantNoRoom(`{"op":"delete","key":"a"}`, "disk")
		c.wantNoRoom(put("a", 10), "disk")
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		for _, f := range free {
			f.Store(2 * reserve)
		}
		c.until("it clears", func() bool { return c.propose(1, put("b", 10)).Err == nil })
		c.wantServing()
	})
}

// A checkpoint that finds no room ends nothing: it is tried again, less and less often, and the log is cut later.
func TestACheckpointThatFindsNoRoomIsPutOff(t *testing.T) { // T53: nothing was changed
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		c.withRoom(room.Limits{})
		c.leader()
		c.disks[1].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
		c.mustPropose(1, put("a", 10))
		time.Sleep(5 * time.Minute) // fake time
		c.wantRunning()
		if saved := c.running[1].Status().CheckpointIndex; saved != 0 {
			t.Errorf("the checkpoint is of entry %d", saved)
		}
		c.mustPropose(1, put("b", 10))
		c.disks[1].set(func(d *disk) { d.failState = nil })
		time.Sleep(time.Minute)
		if s := c.running[1].Status(); s.CheckpointIndex != s.LastApplied {
			t.Errorf("the checkpoint is of entry %d of %d", s.CheckpointIndex, s.LastApplied)
		}
	})
}

// Proposals of one pass share what is free beside the reserve.
func TestTheProposalsOfAPassShareTheDisk(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		free := c.withRoom(room.Limits{Reserve: reserve})
		free[1].Store(reserve + 300_000)
		c.kill(1)
		c.start(1)
		c.leader()
		var commands [][]byte
		for i := range 5 {
			commands = append(commands, []byte(put(fmt.Sprint("k", i), 50_000))) // 100 kB of the disk
		}
		taken := 0
		for _, o := range c.running[1].Propose(context.Background(), commands) {
			if o.Err == nil {
				taken++
			} else if !errors.Is(o.Err, node.ErrQuotaExceeded) {
				t.Error(o.Err)
			}
		}
		if taken == 0 || taken > 3 {
			t.Errorf("%d of 5 are taken, and there is room for 3 at most", taken)
		}
	})
}

// A leader without room for the checkpoint that a follower needs sends no snapshot, and goes on until there is room.
func TestALeaderWithoutRoomForASnapshotGoesOn(t *testing.T) { // T53: nothing was changed
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.disks[leader].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
		victim := c.followers()[0]
		c.write(leader, "k", 60)
		c.untilCut(victim, 20)
		c.kill(victim)
		c.disks[victim].set(func(d *disk) { d.facts[snapshot.FactStateDiffers] = "7" })
		c.start(victim)
		time.Sleep(5 * time.Second) // fake time
		c.wantRunning()
		if err := c.running[victim].Sound(); err == nil {
			t.Error("it was repaired by a checkpoint that ends before its log begins")
		}
		c.disks[leader].set(func(d *disk) { d.failState = nil })
		c.until("it is repaired", func() bool { return c.running[victim].Sound() == nil })
		c.wantServing()
	})
}
