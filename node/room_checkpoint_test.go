package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// limited is a disk with so many bytes for the log and for the checkpoint, whose files never shrink. A checkpoint
// leaves half of the reserve, as production does.
type limited struct {
	*disk
	total, log int64
	files      snapshot.Files
	wal        int64
	slow       time.Duration // which a checkpoint takes
}

// free returns the bytes that no file takes.
func (l *limited) free() (free int64) {
	l.set(func(d *disk) {
		bytes := int64(0)
		for i := range d.entries {
			bytes += 2 * int64(len(d.entries[i].Command))
		}
		l.log = max(l.log, bytes)
		free = l.total - l.log - l.files.State - l.wal
	})
	return free
}

func (l *limited) sizes() api.Disk { return api.Disk{FreeBytes: l.free()} }

func (l *limited) stateFiles() (files snapshot.Files) {
	l.set(func(*disk) { files = l.files })
	return files
}

func (l *limited) SaveState(c snapshot.Checkpoint) error {
	time.Sleep(l.slow) // fake time
	made := map[string]*kv.DeltaChange{}
	for i := range c.Delta.Changes {
		made[c.Delta.Changes[i].Key] = &c.Delta.Changes[i]
	}
	var last []*kv.DeltaChange
	for _, change := range made {
		last = append(last, change)
	}
	volume := c.Delta.Volume(last)
	takes, leaves := l.stateFiles().Room(volume)
	if free := l.free(); takes > 0 && free-reserve/2 < takes {
		return fmt.Errorf("%w: it takes %d bytes, and %d are free", snapshot.ErrNoRoom, takes, free)
	}
	if err := l.disk.SaveState(c); err != nil {
		return err
	}
	l.set(func(*disk) {
		l.wal = max(l.wal, volume.Made+volume.Ended)
		l.files.State += max(0, volume.Made-l.files.Reusable)
		l.files.Reusable, l.files.Spare = leaves+volume.Ended, l.wal
	})
	return nil
}

// onLimitedDisks starts all nodes anew on disks of a size.
func (c *cluster) onLimitedDisks(total int64, slow time.Duration) map[raft.NodeID]*limited {
	disks := map[raft.NodeID]*limited{}
	for id, d := range c.disks {
		disks[id] = &limited{disk: d, total: total, slow: slow}
	}
	c.adjust = func(id raft.NodeID, o *node.Options) {
		o.Room, o.Storage = room.Limits{Reserve: reserve}, disks[id]
		o.DiskSizes, o.StateFiles = disks[id].sizes, disks[id].stateFiles
		o.Window.Entries, o.TailBytes = 1, 1
		o.Window.Chunk = 1
	}
	for _, m := range c.members {
		c.kill(m.ID)
		c.start(m.ID)
	}
	return disks
}

// A burst fills the disks before a checkpoint is due by its time, or within the time that one takes. What it leaves
// holds the next one, whose log is then removed, and deletes make room for other data.
func TestABurstLeavesRoomForItsCheckpoint(t *testing.T) {
	t.Parallel()
	for size, slow := range map[int]time.Duration{100: 0, 20_000: 0, 20_001: 5 * time.Second} {
		inBubble(t, 3, func(t *testing.T, c *cluster) {
			disks := c.onLimitedDisks(12*reserve, slow)
			leader := c.leader()
			written := 0
			for c.propose(leader, put(fmt.Sprint(written), size)).Err == nil {
				written++
			}
			if slow == 0 && written*size < reserve {
				t.Errorf("%d values of %d bytes are taken on disks of %d", written, size, 12*reserve)
			}
			time.Sleep(time.Minute) // fake time
			for id, r := range c.running {
				if s := r.Status(); s.CheckpointIndex != s.LastApplied {
					t.Errorf("node %d: the checkpoint is of entry %d of %d, and %d bytes are free", id, s.CheckpointIndex,
						s.LastApplied, disks[id].free())
				}
			}
			for i := range written {
				c.mustPropose(leader, fmt.Sprintf(`{"op":"delete","key":"%d"}`, i))
			}
			time.Sleep(time.Minute)
			if err := c.propose(leader, put("after", size)).Err; err != nil {
				t.Errorf("all was deleted, and a put is refused: %v", err)
			}
		})
	}
}

// Followers whose disks are smaller than that of the leader keep room for their checkpoints as well. If one of them is
// low, the leader goes on taking what adds data; if both are, it refuses that before there is more than they take, so
// that deletes go on.
func TestASmallDiskOfAFollowerLeavesRoomForItsCheckpoint(t *testing.T) {
	t.Parallel()
	for _, slow := range []time.Duration{0, 5 * time.Second} {
		for small, value := range map[int]int{1: 20_000, 2: 2000} {
			inBubble(t, 3, func(t *testing.T, c *cluster) {
				disks := c.onLimitedDisks(1000*reserve, slow)
				leader := c.leader()
				for _, id := range c.followers()[:small] {
					disks[id].set(func(*disk) { disks[id].total = 12 * reserve })
				}
				time.Sleep(3 * time.Second) // fake time: the disks are measured
				most := 8_000_000 / value
				written := c.fill(leader, most, value)
				if (written == most) != (small == 1) {
					t.Errorf("%d small disks: %d of %d puts are taken", small, written, most)
				}
				time.Sleep(time.Minute)
				for _, id := range c.followers() {
					if s := c.running[id].Status(); s.CheckpointIndex != s.LastApplied {
						t.Errorf("%d small disks, %v: node %d: the checkpoint is of entry %d of %d, and %d bytes are free",
							small, slow, id, s.CheckpointIndex, s.LastApplied, disks[id].free())
					}
				}
				for i := range 10 {
					c.mustPropose(leader, fmt.Sprintf(`{"op":"delete","key":"%d"}`, i))
				}
			})
		}
	}
}

// fill puts values until one is refused, many at a time, and returns how many were taken.
func (c *cluster) fill(leader raft.NodeID, most, value int) (written int) {
	for written < most {
		var commands [][]byte
		for i := range min(most-written, value/200) {
			commands = append(commands, []byte(put(fmt.Sprint(written+i), value)))
		}
		for _, o := range c.running[leader].Propose(context.Background(), commands) {
			if o.Err != nil {
				return written
			}
			written++
		}
	}
	return written
}
