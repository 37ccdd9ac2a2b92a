package node_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A list begins on one node and is continued on another. Each node answers the same at one revision, and a compaction
// that one of them took ends the past on all.
func TestEveryNodeReadsTheSamePast(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		var last raft.Index
		for i := range 6 {
			last = c.mustPropose(leader, fmt.Sprintf(`{"op":"set","key":"k%d","value":%d}`, i%3, i)).Index
		}
		then := uint64(last)
		for i := range 3 {
			last = c.mustPropose(leader, fmt.Sprintf(`{"op":"delete","key":"k%d"}`, i)).Index
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			n := c.running[id]
			c.until("it is applied", func() bool { return n.Applied() >= last })
			page, err := n.Scan(kv.Query{Revision: then, Limit: 2})
			if err != nil || len(page.Items) != 2 || page.Next != "k2" || string(page.Items[1].Value) != "4" {
				t.Errorf("node %d has the page %+v, %v", id, page, err)
			}
			if now, err := n.Scan(kv.Query{}); err != nil || len(now.Items) != 0 || now.Revision < uint64(last) {
				t.Errorf("node %d has %+v now, %v", id, now, err)
			}
			if counted, err := n.Count("k1", "", then, 1); err != nil || counted.Keys != 1 || counted.Next != "k2" ||
				counted.Revision != then {
				t.Errorf("node %d counts %+v, %v", id, counted, err)
			}
			if counted, err := n.Count("", "", 0, 1); err != nil || counted.Keys != 0 || counted.Revision < uint64(last) {
				t.Errorf("node %d counts %+v now, %v", id, counted, err)
			}
			if r, ok, err := n.GetAt("k0", then); err != nil || !ok || r.Version != 2 || string(r.Value) != "3" {
				t.Errorf("node %d has k0 as %+v, %t, %v", id, r, ok, err)
			}
			if h := n.History("k0", 0, 9); len(h.Changes) != 3 || !h.Changes[0].Deleted || h.Compacted != 0 {
				t.Errorf("node %d has the history %+v", id, h)
			}
		}
		last = c.mustPropose(c.followers()[0], fmt.Sprintf(`{"op":"compact","revision":%d}`, then+1)).Index
		for id := raft.NodeID(1); id <= 3; id++ {
			n := c.running[id]
			c.until("it is applied", func() bool { return n.Applied() >= last })
			_, err := n.Scan(kv.Query{Revision: then})
			var compacted *kv.CompactedError
			if !errors.As(err, &compacted) || compacted.Oldest != then+1 {
				t.Errorf("node %d reads what is compacted: %v", id, err)
			}
			var future *kv.FutureError
			if _, _, err := n.GetAt("k0", uint64(last)+1000); !errors.As(err, &future) {
				t.Errorf("node %d reads the future: %v", id, err)
			}
			c.until("the status has it", func() bool {
				store := n.Status().Store
				return store.CompactedRevision == then+1 && store.Keys == 0 && store.HistoryVersions > 0
			})
		}
	})
}
