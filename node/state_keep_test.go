package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// A node removes nothing from its log while its state differs, neither behind the window nor what a scrub finds
// damaged: a snapshot that is on its way must reach what is there. It does once the state is repaired.
func TestANodeWhoseStateDiffersKeepsItsLog(t *testing.T) { // T45, T50
	t.Parallel()
	for name, removes := range map[string]struct {
		window compaction.Window
		damage raft.Index
	}{
		"the window is small": {window: compaction.Window{Entries: 5, FollowerBytes: 1, Chunk: 2}},
		"an entry is damaged": {window: roomyWindow, damage: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unstarted(t, 3, func(t *testing.T, c *cluster) {
				c.adjust = roomy
				c.startAll(1, 2, 3)
				leader, victim := c.leader(), c.followers()[0]
				c.write(leader, "k", 40)
				time.Sleep(time.Second) // fake time: checkpoints are written
				c.kill(victim)
				for _, d := range c.disks {
					d.set(func(d *disk) { d.failOpen = errors.New("no snapshot is made for now") })
				}
				c.disks[victim].set(func(d *disk) {
					d.facts[snapshot.FactStateDiffers], d.logDamage = "7", removes.damage
					if d.state == nil || d.state.Start.Index < 30 || d.start.Index != 0 {
						t.Fatalf("the log starts at %d", d.start.Index)
					}
				})
				c.adjust = func(id raft.NodeID, o *node.Options) {
					roomy(id, o)
					o.Window, o.ScrubInterval = removes.window, time.Second
				}
				c.start(victim)
				time.Sleep(10 * time.Second) // fake time: scrubs, and ticks that would cut
				c.wantRunning()
				start := func() (index raft.Index) {
					c.disks[victim].set(func(d *disk) { index = d.start.Index })
					return index
				}
				if c.running[victim].Sound() == nil || start() != 0 {
					t.Errorf("the log was cut at %d, and the state is %v", start(), c.running[victim].Sound())
				}
				for _, d := range c.disks {
					d.set(func(d *disk) { d.failOpen = nil })
				}
				c.until("it is repaired", func() bool { return c.running[victim].Sound() == nil })
				c.until("the entries are removed", func() bool { return start() > 5 })
				c.wantServing()
			})
		})
	}
}

// roomyWindow keeps every entry of a test.
var roomyWindow = compaction.Window{Entries: 1000, FollowerBytes: 1 << 20, Chunk: 256}

// roomy are tidy options of a node that keeps its log.
func roomy(id raft.NodeID, o *node.Options) {
	tidy(id, o)
	o.Window, o.TailBytes = roomyWindow, 1<<20
}
