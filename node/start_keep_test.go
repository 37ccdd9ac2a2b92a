package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// When writes stop, a checkpoint follows, and the log behind it is removed up to its window, on one node as well as on
// three.
func TestANodeWithoutWritesCutsItsLog(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		inBubble(t, nodes, func(t *testing.T, c *cluster) {
			const window, chunk = 100, 16
			c.adjust = func(_ raft.NodeID, o *node.Options) {
				o.Window = compaction.Window{Entries: window, FollowerBytes: 1, Chunk: chunk}
			}
			for _, m := range c.members {
				c.disks[m.ID].cutLater = true
				c.kill(m.ID)
				c.start(m.ID)
			}
			c.write(c.leader(), "k", 2000)
			time.Sleep(2 * time.Minute) // fake time
			for id := range c.running {
				c.disks[id].set(func(d *disk) {
					if left := len(d.entries); left >= window+2*chunk {
						t.Errorf("node %d of %d: %d entries are left of a window of %d", id, nodes, left, window)
					}
				})
			}
		})
	}
}

// A checkpoint for a backup that finds no room is written later, also if nothing else changes: the log waits for it.
func TestACheckpointForABackupThatFindsNoRoomIsPutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		c.leader()
		c.mustPropose(1, put("a", 10))
		index := raft.Index(c.running[1].Status().LastApplied)
		c.disks[1].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
		if _, err := c.running[1].OpenBackup(context.Background(), index); err == nil {
			t.Error("there is a backup of what is not saved")
		}
		c.disks[1].set(func(d *disk) { d.failState = nil })
		time.Sleep(2 * time.Minute) // fake time
		if s := c.running[1].Status(); s.CheckpointIndex != s.LastApplied {
			t.Errorf("the checkpoint is of entry %d of %d", s.CheckpointIndex, s.LastApplied)
		}
	})
}

// A damaged checkpoint whose replacement finds no room is replaced later, also if nothing changes.
func TestADamagedCheckpointIsReplacedWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) { o.ScrubInterval = 24 * time.Hour }
		c.kill(1)
		c.start(1)
		c.leader()
		c.mustPropose(1, put("a", 10))
		time.Sleep(time.Minute) // fake time: it is in the checkpoint
		c.disks[1].set(func(d *disk) {
			d.stateDamage = fmt.Errorf("a row: %w", snapshot.ErrDamagedState)
			d.failWhole = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom)
		})
		time.Sleep(25 * time.Hour) // it is found
		whole := 0
		c.disks[1].set(func(d *disk) { d.failWhole, whole = nil, d.whole })
		time.Sleep(2 * time.Minute)
		c.disks[1].set(func(d *disk) {
			if d.whole != whole+1 {
				t.Errorf("%d checkpoints of everything are written, want 1", d.whole-whole)
			}
		})
	})
}
