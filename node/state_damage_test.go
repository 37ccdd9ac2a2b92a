package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// loseState damages the checkpoint on the disk of a node that is down.
func (c *cluster) loseState(id raft.NodeID) {
	c.disks[id].set(func(d *disk) { d.stateLost = true })
}

// A node whose checkpoint is damaged at the start serves nothing, leads nothing, writes no checkpoint and sends none,
// before a snapshot has replaced the state. A restart before that changes nothing (traps T54, T45).
func TestADamagedCheckpointIsRepairedByASnapshot(t *testing.T) {
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		victim := c.leader()
		c.write(victim, "k", 60)
		c.untilCut(victim, 20)
		c.kill(victim)
		c.loseState(victim)
		other := c.leader(c.followersOf(victim)...)
		for id := range c.running {
			c.disks[id].set(func(d *disk) { d.failOpen = errors.New("the snapshot is held back") })
		}
		c.write(other, "k", 5)
		for round := range 2 {
			r := c.start(victim)
			if err := r.Sound(); round > 0 && !errors.Is(err, node.ErrStateDiffers) {
				t.Fatalf("round %d: it serves at once: %v", round, err)
			}
			time.Sleep(5 * time.Second) // fake time
			c.wantWithoutState(victim)
			c.kill(victim)
		}
		for id := range c.running {
			c.disks[id].set(func(d *disk) { d.failOpen = nil })
		}
		r := c.start(victim)
		c.until("it is repaired", func() bool { return r.Sound() == nil && c.value(victim, "k") == "4" })
		if fact := c.disks[victim].fact(); fact != "0" || len(r.Status().Alarms) != 0 || r.Status().StateDiffers != 0 {
			t.Errorf("the fact is %q, and the alarms are %v", fact, r.Status().Alarms)
		}
		c.write(other, "k", 3)
		c.wantServing()
	})
}

// wantWithoutState checks that a node without its state does nothing that needs it, and its part for the log.
func (c *cluster) wantWithoutState(id raft.NodeID) {
	c.t.Helper()
	r, status := c.running[id], c.running[id].Status()
	if _, _, err := r.GetAt("k", 0); !errors.Is(err, node.ErrStateDiffers) {
		c.t.Errorf("it answers a read: %v", err)
	}
	if err := r.ReadBarrier(context.Background()); !errors.Is(err, node.ErrStateDiffers) {
		c.t.Errorf("it answers a read with a barrier: %v", err)
	}
	if _, err := r.OpenBackup(context.Background(), 1); !errors.Is(err, node.ErrStateDiffers) {
		c.t.Errorf("it has a backup made: %v", err)
	}
	if status.State != "FOLLOWER" || status.StateDiffers == 0 || c.level(id, api.AlarmState) != api.AlarmDiffers {
		c.t.Errorf("it is a %s, without a state since %d, and the alarms are %v", status.State, status.StateDiffers,
			status.Alarms)
	}
	if got := c.running[c.leader()].Status().LastLogIndex; status.LastLogIndex != got {
		c.t.Errorf("its log ends at %d, and the leader's at %d", status.LastLogIndex, got)
	}
	c.disks[id].set(func(d *disk) {
		if d.state != nil || d.stateLost || d.facts[snapshot.FactStateDiffers] == "" || d.opened > 0 {
			c.t.Errorf("its disk has a checkpoint, the fact %q, and %d copies were made", d.facts[snapshot.FactStateDiffers],
				d.opened)
		}
	})
}

// A log from entry 1 on is the whole state: no snapshot is needed, and neither does an only member refuse to start.
func TestAWholeLogReplacesADamagedCheckpoint(t *testing.T) { // T54
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		unstarted(t, nodes, func(t *testing.T, c *cluster) {
			c.adjust = func(id raft.NodeID, o *node.Options) {
				tidy(id, o)
				o.Window.Entries, o.Window.FollowerBytes, o.TailBytes = 1000, 1<<20, 1<<20
			}
			for _, m := range c.members {
				c.start(m.ID)
			}
			victim := c.leader()
			c.write(victim, "k", 30)
			time.Sleep(time.Second) // fake time: a checkpoint is written
			c.kill(victim)
			c.loseState(victim)
			r := c.start(victim)
			c.until("it has applied the log again", func() bool { return c.value(victim, "k") == "29" })
			if err := r.Sound(); err != nil || c.disks[victim].installed != 0 || c.disks[victim].fact() != "" {
				t.Errorf("%v, after %d snapshots, with the fact %q", err, c.disks[victim].installed, c.disks[victim].fact())
			}
			c.write(victim, "k", 3)
			c.until("a checkpoint follows", func() bool { return r.Status().CheckpointIndex >= 30 })
			c.wantServing()
		})
	}
}

// An only member refuses to start without what came before its log, states what would be right, and leaves its disk as
// it is.
func TestALoneMemberWithADamagedCheckpointRefuses(t *testing.T) { // T54
	t.Parallel()
	unstarted(t, 1, func(t *testing.T, c *cluster) {
		c.adjust = tidy
		c.start(1)
		c.write(c.leader(), "k", 60)
		c.untilCut(1, 20)
		c.kill(1)
		c.loseState(1)
		r := c.start(1)
		<-r.ended
		err := r.err
		if !errors.Is(err, snapshot.ErrDamagedState) || !strings.Contains(err.Error(), "raftctl restore") {
			t.Errorf("it ended: %v", err)
		}
		c.disks[1].set(func(d *disk) {
			if d.aside != 0 || !d.stateLost || d.facts[snapshot.FactStateDiffers] != "" {
				t.Errorf("its disk was changed")
			}
		})
	})
}

// Members without a state vote, so one that has its state leads, and repairs them. If none has, one leads as a
// caretaker in the end: nothing is accepted, nothing is served, and no log loses an entry.
func TestMostOrAllCheckpointsAreDamaged(t *testing.T) { // T54, T45
	t.Parallel()
	for _, whole := range []int{1, 0} {
		tidied(t, func(t *testing.T, c *cluster) {
			leader := c.leader()
			c.write(leader, "k", 60)
			for _, m := range c.members {
				c.untilCut(m.ID, 20)
			}
			time.Sleep(time.Second)
			c.killAll()
			for i, m := range c.members {
				if i >= whole {
					c.loseState(m.ID)
				}
			}
			c.startAll(1, 2, 3)
			if whole == 1 {
				c.until("all are repaired", func() bool {
					return c.value(1, "k") == "59" && c.value(2, "k") == "59" && c.value(3, "k") == "59" &&
						c.running[2].Sound() == nil && c.running[3].Sound() == nil
				})
				c.wantServing()
				return
			}
			c.untilSlowly("a caretaker", func() bool {
				return c.running[1].Status().LeaderID != 0 && c.running[2].Status().LeaderID != 0
			})
			if err := c.propose(1, put("a", 10)).Err; !errors.Is(err, node.ErrNoLeader) {
				t.Errorf("a put: %v", err)
			}
			for id, r := range c.running {
				if s := r.Status(); s.LastLogIndex < 60 || r.Sound() == nil {
					t.Errorf("node %d: a log up to %d: %v", id, s.LastLogIndex, r.Sound())
				}
				c.disks[id].set(func(d *disk) {
					if d.state != nil || d.start.Index+raft.Index(len(d.entries)) < 60 {
						t.Errorf("node %d: the log on the disk starts after %d and has %d entries", id, d.start.Index, len(d.entries))
					}
				})
			}
		})
	}
}

// A checkpoint that finds the file damaged is followed by one of everything, and ends nothing. As long as that finds no
// room, the alarm stays and no entry is removed from the log (trap T50).
func TestACheckpointThatFindsDamage(t *testing.T) { // T53, S10
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 30)
		time.Sleep(time.Second) // fake time: a checkpoint is written
		d, start := c.disks[leader], raft.Index(0)
		d.set(func(d *disk) { d.stateLost, d.failWhole = true, fmt.Errorf("full: %w", snapshot.ErrNoRoom) })
		c.write(leader, "k", 1)
		c.until("an alarm", func() bool { return c.level(leader, api.AlarmState) == api.AlarmWarning })
		d.set(func(d *disk) { start = d.start.Index })
		c.write(leader, "k", 40)
		time.Sleep(5 * time.Second) // fake time
		d.set(func(d *disk) {
			if d.start.Index != start {
				t.Errorf("the log was cut from %d to %d", start, d.start.Index)
			}
			d.failWhole = nil
		})
		if level := c.level(leader, api.AlarmState); level != api.AlarmWarning {
			t.Errorf("the alarm has the level %q", level)
		}
		c.until("it is written anew", func() bool { return c.level(leader, api.AlarmState) == api.AlarmCleared })
		d.set(func(d *disk) {
			if d.stateLost || d.state.Start.Index < 70 {
				t.Errorf("the checkpoint is of entry %d", d.state.Start.Index)
			}
		})
		c.untilCut(leader, uint64(start)+10)
		c.wantServing()
	})
}

// A scrub finds the damage while a checkpoint of changes is written that meets it as well: one of everything follows,
// and the node goes on.
func TestAScrubFindsTheDamageThatACheckpointMeets(t *testing.T) { // T53, S10
	t.Parallel()
	scrubbed(t, func(t *testing.T, c *cluster) {
		d, before := c.disks[1], 0
		d.set(func(d *disk) {
			before = d.whole
			d.saving = func() {
				d.set(func(d *disk) {
					d.stateLost, d.stateDamage = true, fmt.Errorf("key k: %w", snapshot.ErrDamagedState)
				})
				time.Sleep(5 * time.Second) // fake time: the scrub finds it
			}
		})
		c.write(1, "k", 1)
		c.until("the alarm is raised", func() bool { return c.level(1, api.AlarmState) == api.AlarmWarning })
		c.until("it is written anew", func() bool { return c.level(1, api.AlarmState) == api.AlarmCleared })
		c.wantRunning()
		d.set(func(d *disk) {
			if d.stateLost || d.whole == before {
				t.Errorf("%d checkpoints of everything were written", d.whole-before)
			}
		})
		c.wantServing()
	})
}

// A backup of a checkpoint that a scrub found damaged would have the wrong row. It is refused until the file is written
// anew.
func TestNoBackupIsMadeOfADamagedCheckpoint(t *testing.T) { // S10
	t.Parallel()
	scrubbed(t, func(t *testing.T, c *cluster) {
		d, r := c.disks[1], c.running[1]
		d.set(func(d *disk) {
			d.stateDamage = fmt.Errorf("key k: %w", snapshot.ErrDamagedState)
			d.failWhole = fmt.Errorf("full: %w", snapshot.ErrNoRoom)
		})
		c.until("the alarm is raised", func() bool { return c.level(1, api.AlarmState) == api.AlarmWarning })
		if _, err := r.OpenBackup(t.Context(), 1); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("a backup of it: %v", err)
		}
		d.set(func(d *disk) {
			if d.opened != 0 {
				t.Error("it was copied")
			}
			d.failWhole = nil
		})
		source, err := r.OpenBackup(t.Context(), 1)
		if err != nil {
			t.Fatalf("with room for another one: %v", err)
		}
		source.Release()
		c.until("the alarm is cleared", func() bool { return c.level(1, api.AlarmState) == api.AlarmCleared })
		c.wantRunning()
	})
}

// What a copy finds damaged is written anew at once, and then copied: the next scrub may be a day away. So it is for a
// backup and for a follower.
func TestACopyThatFindsDamage(t *testing.T) { // S10
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		other := c.followersOf(leader)[0]
		c.kill(other)
		c.write(leader, "k", 60)
		c.untilCut(leader, 20)
		time.Sleep(time.Second) // fake time: a checkpoint is written
		d, r, before := c.disks[leader], c.running[leader], 0
		d.set(func(d *disk) { before, d.stateLost = d.whole, true })
		source, err := r.OpenBackup(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if record, _ := loaded(t, source).Get("k"); string(record.Value) != "59" {
			t.Errorf("the backup has %s", record.Value)
		}
		source.Release()
		d.set(func(d *disk) {
			if d.whole != before+1 {
				t.Errorf("%d checkpoints of everything were written", d.whole-before)
			}
			d.stateLost = true
		})
		c.start(other)
		c.until("the follower has a snapshot", func() bool { return c.value(other, "k") == "59" })
		d.set(func(d *disk) {
			if d.stateLost || d.whole != before+2 {
				t.Errorf("%d checkpoints of everything were written", d.whole-before)
			}
		})
		c.until("the alarm is cleared", func() bool { return c.level(leader, api.AlarmState) == api.AlarmCleared })
		c.wantServing()
	})
}

// While the checkpoint on the disk is damaged, the alarm stays, although the state in memory is that of a majority.
func TestAgreementClearsNoAlarmOfADamagedCheckpoint(t *testing.T) { // S10
	t.Parallel()
	compared(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 30)
		time.Sleep(time.Second) // fake time: a checkpoint is written
		d := c.disks[leader]
		d.set(func(d *disk) { d.stateLost, d.failWhole = true, fmt.Errorf("full: %w", snapshot.ErrNoRoom) })
		c.write(leader, "k", 1)
		c.until("an alarm", func() bool { return c.level(leader, api.AlarmState) == api.AlarmWarning })
		for range 100 { // the states are compared every 200 ms
			c.write(leader, "k", 1)
			time.Sleep(50 * time.Millisecond) // fake time
			if level := c.level(leader, api.AlarmState); level != api.AlarmWarning {
				t.Fatalf("the alarm has the level %q", level)
			}
		}
		d.set(func(d *disk) { d.failWhole = nil })
		c.until("it is written anew", func() bool { return c.level(leader, api.AlarmState) == api.AlarmCleared })
	})
}

// A backup that is being read when damage is found in the checkpoint ends with an error: the copy may have the damage,
// and its hash is right. The next one is of a checkpoint that is written anew.
func TestABackupEndsWhenItsCheckpointIsFoundDamaged(t *testing.T) { // S10
	t.Parallel()
	scrubbed(t, func(t *testing.T, c *cluster) {
		r := c.running[1]
		source, err := r.OpenBackup(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Release()
		part := make([]byte, 10)
		if _, err := source.ReadAt(part, 0); err != nil {
			t.Fatal(err)
		}
		c.disks[1].set(func(d *disk) { d.stateDamage = fmt.Errorf("key k: %w", snapshot.ErrDamagedState) })
		c.until("it is found and written anew", func() bool {
			_, err = source.ReadAt(part, 10)
			return err != nil && c.level(1, api.AlarmState) == api.AlarmCleared
		})
		if n, err := source.ReadAt(part, 10); n != 0 || !errors.Is(err, snapshot.ErrGivenUp) {
			t.Errorf("%d bytes are read, %v", n, err)
		}
		next, err := r.OpenBackup(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Release()
		if record, _ := loaded(t, next).Get("k"); record.Key != "k" {
			t.Errorf("the next backup has %+v", record)
		}
	})
}

// untilSlowly is until with more time.
func (c *cluster) untilSlowly(what string, condition func() bool) {
	c.t.Helper()
	for range 600 {
		if condition() {
			return
		}
		time.Sleep(100 * time.Millisecond) // fake time
	}
	c.t.Fatalf("never happened: %s", what)
}

// The one member that has its state lacks entries that only members without have: one of these sends them, and hands
// over. Nothing that was acknowledged is lost.
func TestAMemberWithoutItsStateLeadsIfItMust(t *testing.T) { // T54
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.adjust = func(id raft.NodeID, o *node.Options) {
			tidy(id, o)
			o.Window.Entries, o.TailBytes = 20, 10_000
		}
		c.startAll(1, 2, 3)
		leader := c.leader()
		c.write(leader, "k", 60)
		for _, m := range c.members {
			c.untilCut(m.ID, 20)
		}
		whole := c.followers()[0]
		c.kill(whole)
		c.write(leader, "late", 3)
		time.Sleep(time.Second) // fake time
		c.killAll()
		for _, m := range c.members {
			if m.ID != whole {
				c.loseState(m.ID)
			}
		}
		c.startAll(1, 2, 3)
		c.untilSlowly("all are repaired", func() bool {
			for id, r := range c.running {
				if r.Sound() != nil || c.value(id, "late") != "2" || c.value(id, "k") != "59" {
					return false
				}
			}
			return true
		})
		c.wantServing()
	})
}
