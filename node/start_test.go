package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// cut removes the entries up to an index from a disk, and returns them.
func (d *disk) cut(upTo raft.Index) (removed []raft.Entry) {
	d.set(func(d *disk) {
		removed, d.entries = d.entries[:upTo], d.entries[upTo:]
		d.start.Index, d.start.Term = upTo, removed[upTo-1].Term
		for i := range removed {
			d.start.Digest = d.start.Digest.Extend(&removed[i])
			if seat, is := entryjson.Encoding().ParseSeat(removed[i].Command); is {
				d.start.Seats = append(d.start.Seats, seat)
			}
		}
	})
	return removed
}

// Nodes whose logs start later, each somewhere else, elect a leader, replicate, and show their logs from the first
// entry on. A node that is behind all of them waits for a snapshot, and changes nothing.
func TestLogsThatStartLater(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		behind := c.followers()[0]
		c.kill(behind)
		for i := range 30 {
			c.mustPropose(leader, fmt.Sprintf(`{"op":"set","key":"k","value":%d}`, i))
		}
		starts := map[raft.NodeID]raft.Index{}
		for id := range c.running {
			c.until("all is applied", func() bool { return c.value(id, "k") == "29" })
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			if id == behind {
				continue
			}
			c.kill(id)
			starts[id] = 10 + 5*raft.Index(id)
			removed := c.disks[id].cut(starts[id])
			c.start(id, func(n *node.Node) { n.Inspect(func(_ *raft.Core, store *kv.Store) { applyAll(store, removed) }) })
		}
		leader = c.leader()
		c.mustPropose(leader, `{"op":"set","key":"k","value":"new"}`)
		c.start(behind)
		c.until("the node behind waits for a snapshot", func() bool {
			return c.running[leader].Status().Progress[uint64(behind)].State == "snapshot"
		})
		c.mustPropose(leader, `{"op":"set","key":"k","value":"newer"}`)
		for id, start := range starts {
			c.until("it is applied", func() bool { return c.value(id, "k") == `"newer"` })
			c.wantLogFrom(id, start+1)
		}
		if s := c.running[behind].Status(); s.LeaderID != uint64(leader) || s.LastApplied >= 20 {
			t.Errorf("the node behind follows %d, and has applied %d", s.LeaderID, s.LastApplied)
		}
	})
}

// applyAll applies entries to a state machine, as a snapshot would bring it there.
func applyAll(store *kv.Store, entries []raft.Entry) {
	for _, e := range entries {
		applied := kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command}
		if e.Type != raft.EntryCommand {
			applied.Command = nil
		}
		store.Apply(applied)
	}
}

// wantLogFrom checks the pages of a log that starts at an index.
func (c *cluster) wantLogFrom(id raft.NodeID, first raft.Index) {
	c.t.Helper()
	for _, from := range []raft.Index{0, 1, first - 1, first, first + 1} {
		page, err := c.running[id].Log(context.Background(), from, 100)
		if err != nil || page.FirstIndex != first || len(page.Entries) == 0 || page.Entries[0].Index != max(from, first) {
			c.t.Errorf("node %d, from %d: the log starts at %d, want %d; %d entries, %v", id, from, page.FirstIndex, first,
				len(page.Entries), err)
		}
	}
	end, err := c.running[id].Log(context.Background(), 0, 3)
	if err != nil || len(end.Entries) != 3 || end.Entries[2].Index != end.LastIndex {
		c.t.Errorf("node %d: the end of the log up to %d is %+v, %v", id, end.LastIndex, end.Entries, err)
	}
}

// A log without the state before it cannot be started from.
func TestALogWithoutTheStateBeforeItIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		c.mustPropose(c.leader(), `{"op":"set","key":"k","value":1}`)
		c.kill(1)
		c.disks[1].cut(1)
		r := c.start(1)
		<-r.ended
		if r.err == nil || !strings.Contains(r.err.Error(), "the log starts after entry 1, but the state machine has") {
			t.Errorf("the node ends with %v", r.err)
		}
	})
}
