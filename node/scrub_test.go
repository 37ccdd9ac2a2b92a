package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// scrubbed runs a test case with one node that scrubs every second, and has a checkpoint of 20 writes.
func scrubbed(t *testing.T, story func(t *testing.T, c *cluster)) {
	t.Helper()
	unstarted(t, 1, func(t *testing.T, c *cluster) {
		c.adjust = func(id raft.NodeID, o *node.Options) {
			tidy(id, o)
			o.Window.Entries, o.Window.FollowerBytes, o.TailBytes = 1000, 1<<20, 1<<20
			o.ScrubInterval = time.Second
		}
		c.start(1)
		c.leader()
		c.write(1, "k", 20)
		time.Sleep(time.Second) // fake time: a checkpoint is written
		story(t, c)
	})
}

// What a scrub finds damaged on the disk is replaced from memory, while the node goes on (trap S10).
func TestDamageThatAScrubFinds(t *testing.T) {
	t.Parallel()
	scrubbed(t, func(t *testing.T, c *cluster) {
		before := 0
		c.disks[1].set(func(d *disk) {
			before, d.stateDamage, d.logDamage = d.whole, fmt.Errorf("key k: %w", snapshot.ErrDamagedState), 5
		})
		var whole int
		var start raft.Index
		c.until("both are repaired", func() bool {
			c.disks[1].set(func(d *disk) { whole, start = d.whole, d.start.Index })
			return whole == before+1 && start == 6
		})
		if found := c.alarms(1); len(found) < 2 || !strings.Contains(found[0].Reason, "key k") {
			t.Errorf("the alarms are %v", found)
		}
		c.wantServing()
	})
}

// A repair that finds no room on the disk ends nothing, and follows when there is room. What a scrub cannot read is not
// damage, and removes nothing.
func TestARepairThatFindsNoRoomIsPutOff(t *testing.T) { // T53: nothing was changed
	t.Parallel()
	scrubbed(t, func(t *testing.T, c *cluster) {
		before, start := 0, raft.Index(0)
		c.disks[1].set(func(d *disk) {
			before, d.failState = d.whole, fmt.Errorf("state.db: %w", snapshot.ErrNoRoom)
			d.stateDamage, d.logUnread = fmt.Errorf("key k: %w", snapshot.ErrDamagedState), 5
		})
		c.write(1, "k", 1)
		c.disks[1].set(func(d *disk) { // the checkpoint does not include it
			if d.logDamage = d.start.Index + raft.Index(len(d.entries)); d.state.Start.Index >= d.logDamage {
				t.Errorf("the checkpoint is of entry %d", d.state.Start.Index)
			}
		})
		time.Sleep(5 * time.Second) // fake time
		c.wantRunning()
		c.disks[1].set(func(d *disk) { d.failState, d.logDamage, start = nil, 0, d.start.Index })
		if start != 0 {
			t.Errorf("the log was cut at entry %d, because it could not be read", start)
		}
		c.write(1, "k", 1)
		whole := 0
		c.until("it is repaired", func() bool {
			c.disks[1].set(func(d *disk) { whole = d.whole })
			return whole == before+1
		})
		c.wantServing()
	})
}
