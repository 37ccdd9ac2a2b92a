package node_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// tidy makes nodes write checkpoints and cut their logs after a few entries.
func tidy(_ raft.NodeID, o *node.Options) {
	o.Checkpoints = compaction.Checkpoints{Bytes: 1 << 20, After: 50 * time.Millisecond, Rest: 1}
	o.Window = compaction.Window{Entries: 5, FollowerBytes: 1, Chunk: 2}
	o.Retention = kv.Retention{Age: 60_000_000, Revisions: 50, Bytes: 1 << 20}
	o.SnapshotChunk, o.TailBytes = 700, 500
}

// tidied runs a test case with a cluster of three tidy nodes.
func tidied(t *testing.T, story func(t *testing.T, c *cluster)) {
	t.Helper()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.adjust = tidy
		c.startAll(1, 2, 3)
		story(t, c)
	})
}

// write puts so many values of a key.
func (c *cluster) write(id raft.NodeID, key string, count int) {
	c.t.Helper()
	for i := range count {
		c.mustPropose(id, fmt.Sprintf(`{"op":"set","key":%q,"value":%d}`, key, i))
	}
}

// untilCut waits until the log of a node starts after so many entries.
func (c *cluster) untilCut(id raft.NodeID, atLeast uint64) {
	c.t.Helper()
	c.until("the log is cut", func() bool { return c.running[id].Status().FirstIndex > atLeast })
}

// A node starts from its checkpoint and from what is in the log behind it, and answers as if it had never stopped.
func TestANodeStartsFromItsCheckpoint(t *testing.T) { // T44
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 40)
		for id := range c.running {
			c.untilCut(id, 10)
		}
		want := c.running[leader].Status().LastApplied
		c.killAll()
		c.startAll(1, 2, 3)
		for id, r := range c.running {
			c.until("it has what it had", func() bool { return c.value(id, "k") == "39" })
			if record, _, err := r.GetAt("k", want-3); err != nil || string(record.Value) != "36" {
				t.Errorf("node %d: three revisions ago the value was %q, %v; want 36", id, record.Value, err)
			}
			if s := r.Status(); s.FirstIndex <= 10 || s.FirstIndex > want {
				t.Errorf("node %d: after the restart the log starts at %d", id, s.FirstIndex)
			}
			c.wantLogFrom(id, raft.Index(r.Status().FirstIndex))
		}
		c.wantServing()
	})
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

// A follower that was away while the log was cut installs a snapshot, and goes on from there, with the whole history.
func TestAFollowerBehindTheLogGetsASnapshot(t *testing.T) {
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader, away := c.leader(), c.followers()[0]
		c.kill(away)
		c.write(leader, "k", 60)
		c.untilCut(leader, uint64(c.disks[away].hard.Commit)+10)
		c.start(away)
		c.until("it caught up", func() bool { return c.value(away, "k") == "59" })
		c.disks[away].set(func(d *disk) {
			if d.installed != 1 {
				t.Errorf("%d snapshots were installed, want 1", d.installed)
			}
		})
		c.write(leader, "after", 3)
		c.until("it follows", func() bool { return c.value(away, "after") == "2" })
		c.until("the copy is released", func() bool { return c.disks[leader].unreleased() == 0 })
		c.wantServing()
		c.until("all have applied the same", func() bool {
			return c.running[away].Applied() == c.running[leader].Applied()
		})
		ours, theirs := c.running[away].History("k", 0, 100), c.running[leader].History("k", 0, 100)
		if len(ours.Changes) < 10 || !reflect.DeepEqual(ours, theirs) {
			t.Errorf("the follower has the history %+v, and the leader %+v", ours, theirs)
		}
	})
}

// The leader that sends a snapshot goes away, and the next one sends its own.
func TestASnapshotOfTheNextLeader(t *testing.T) { // T36
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader, away := c.leader(), c.followers()[0]
		c.kill(away)
		c.write(leader, "k", 60)
		for id := range c.running {
			c.untilCut(id, uint64(c.disks[away].hard.Commit)+10)
		}
		other := c.followers()[0]
		c.start(away)
		c.until("a part of the snapshot is there", func() bool { return c.disks[away].received() > 700 })
		c.kill(leader)
		c.until("another node leads", func() bool {
			return c.running[other].Status().State == "LEADER" || c.running[away].Status().State == "LEADER"
		})
		c.until("it caught up", func() bool { return c.value(away, "k") == "59" })
	})
}

// unreleased returns how many snapshots are in use.
func (d *disk) unreleased() (count int) {
	d.set(func(d *disk) { count = d.opened - d.released })
	return count
}

// received returns how much of a snapshot is on the disk.
func (d *disk) received() (bytes int64) {
	d.set(func(d *disk) {
		if d.incoming != nil {
			bytes = int64(len(d.incoming.data))
		}
	})
	return bytes
}

// What no leader of this node can send is refused, and what is old or in the wrong place changes nothing.
func TestChunksThatDoNotFit(t *testing.T) { // T32, T36
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		c.write(leader, "k", 5)
		c.until("it is applied", func() bool { return c.value(follower, "k") == "4" })
		s := c.running[follower].Status()
		good := snapshot.Chunk{
			Description: snapshot.Description{
				ID: "x", Size: 2000, Start: raft.LogStart{Index: 1000, Term: raft.Term(s.CurrentTerm), Digest: 1},
			},
			Term: raft.Term(s.CurrentTerm), From: leader, Data: make([]byte, 700),
		}
		for name, tale := range map[string]struct {
			change    func(c *snapshot.Chunk)
			err       error
			offset    int64
			installed bool
		}{
			"another term": {change: func(c *snapshot.Chunk) { c.Term++ }, err: node.ErrNotReady, offset: 2000},
			"another node": {change: func(c *snapshot.Chunk) { c.From = follower }, err: node.ErrNotReady, offset: 2000},
			"an old term":  {change: func(c *snapshot.Chunk) { c.Term--; c.Start.Term-- }, err: raft.ErrBadMessage},
			"no id":        {change: func(c *snapshot.Chunk) { c.ID = "" }, err: raft.ErrBadMessage},
			"too long":     {change: func(c *snapshot.Chunk) { c.Size = 600 }, err: raft.ErrBadMessage},
			"a gap":        {change: func(c *snapshot.Chunk) { c.Offset = 800 }, offset: 0},
			"what it has": {
				change: func(c *snapshot.Chunk) { c.Start.Index = raft.Index(s.LastApplied) }, offset: 2000, installed: true,
			},
		} {
			chunk := good
			tale.change(&chunk)
			answer, err := c.running[follower].HandleSnapshot(context.Background(), chunk)
			if !errors.Is(err, tale.err) || answer.Offset != tale.offset || answer.Installed != tale.installed {
				t.Errorf("%s: it answers %+v, %v", name, answer, err)
			}
		}
		for range 2 { // the second time it is known already
			answer, err := c.running[follower].HandleSnapshot(context.Background(), good)
			if err != nil || answer.Offset != 700 {
				t.Errorf("the first chunk: %+v, %v", answer, err)
			}
		}
		for offset := int64(700); offset < 2000; offset += 650 {
			good.Offset, good.Data = offset, make([]byte, 650)
			if answer, err := c.running[follower].HandleSnapshot(context.Background(), good); err != nil ||
				answer.Offset != offset+650 || answer.Installed {
				t.Errorf("the chunk at %d: %+v, %v", offset, answer, err)
			}
		}
		c.until("a snapshot that is damaged is discarded", func() bool { return c.disks[follower].received() == 0 })
		c.wantServing()
	})
}

// After a part that the disk does not take, the same snapshot is received again, from the beginning if nothing of it is
// left.
func TestAPartThatTheDiskDoesNotTake(t *testing.T) { // T36, T53
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		c.write(leader, "k", 5)
		c.until("it is applied", func() bool { return c.value(follower, "k") == "4" })
		term := raft.Term(c.running[follower].Status().CurrentTerm)
		chunk := snapshot.Chunk{
			Description: snapshot.Description{
				ID: "x", Size: 2000, Start: raft.LogStart{Index: 1000, Term: term, Digest: 1},
			},
			Term: term, From: leader, Data: make([]byte, 700),
		}
		broken := errors.New("the disk is broken")
		for _, tale := range []struct {
			offset, want int64
			err          error
		}{{0, 700, nil}, {700, 0, broken}, {700, 0, nil}, {0, 700, nil}, {700, 1400, nil}} {
			c.disks[follower].set(func(d *disk) { d.failPart = tale.err })
			chunk.Offset = tale.offset
			answer, err := c.running[follower].HandleSnapshot(context.Background(), chunk)
			if !errors.Is(err, tale.err) || err == nil && answer.Offset != tale.want {
				t.Errorf("the chunk at %d: %+v, %v", tale.offset, answer, err)
			}
		}
		c.wantServing()
	})
}

// A checkpoint that fails ends the node: what is on its disk is unknown.
func TestAFailedCheckpointEndsTheNode(t *testing.T) { // T53
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader, victim := c.leader(), c.followers()[0]
		c.disks[victim].set(func(d *disk) { d.failState = errors.New("the disk is broken") })
		c.write(leader, "k", 5)
		<-c.running[victim].ended
		if err := c.running[victim].err; err == nil || !strings.Contains(err.Error(), "the disk is broken") {
			t.Errorf("the node ends with %v", err)
		}
		delete(c.running, victim)
		c.wantServing()
	})
}

// A follower that is behind what the leader has in memory is sent what the leader reads from its disk.
func TestAFollowerBehindTheTailIsSentEntriesFromTheDisk(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) { o.TailBytes, o.MessageEntries = 2000, 8 }
		c.startAll(1, 2, 3)
		leader, away := c.leader(), c.followers()[0]
		c.kill(away)
		c.write(leader, "k", 200)
		c.start(away)
		c.until("it caught up", func() bool { return c.value(away, "k") == "199" })
		var reads, installed int
		c.disks[leader].set(func(d *disk) { reads = d.reads })
		c.disks[away].set(func(d *disk) { installed = d.installed })
		if reads == 0 || installed != 0 {
			t.Errorf("the leader read %d parts of its log, and the follower installed %d snapshots", reads, installed)
		}
	})
}

// History is cut at the same revision on every node, by an entry, when it grows beyond the retention; then no further
// entry follows.
func TestHistoryIsCompactedByAnEntry(t *testing.T) {
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 120)
		time.Sleep(10 * time.Second) // fake time
		last := c.running[leader].Status().LastLogIndex
		time.Sleep(10 * time.Minute) // fake time
		for id, r := range c.running {
			if s := r.Status(); s.LastApplied != last {
				t.Errorf("node %d: in ten minutes without a write the log grew from %d to %d", id, last, s.LastApplied)
			}
			compacted := r.Status().Store.CompactedRevision
			if compacted != c.running[leader].Status().Store.CompactedRevision || compacted+70 < last || compacted+40 > last {
				t.Errorf("node %d: history is cut at %d, and the log ends at %d", id, compacted, last)
			}
		}
	})
}

// The storage may leave a cut to the next saves. On an idle node there are none, and a second call has the entries
// removed.
func TestAnIdleNodeCutsItsLog(t *testing.T) {
	t.Parallel()
	unstarted(t, 1, func(t *testing.T, c *cluster) {
		c.adjust = tidy
		c.disks[1].cutLater = true
		c.startAll(1)
		c.write(c.leader(), "k", 40)
		c.until("the entries are removed from the disk", func() (is bool) {
			last := c.running[1].Status().LastApplied
			c.disks[1].set(func(d *disk) { is = uint64(d.start.Index)+5+1 >= last }) // less than a chunk more than the window
			return is
		})
	})
}

// A log without the state before it cannot be started from: a storage that does not report what is missing is broken.
func TestALogWithoutTheStateBeforeItIsRefused(t *testing.T) {
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.write(leader, "k", 40)
		c.untilCut(leader, 10)
		c.kill(leader)
		c.disks[leader].set(func(d *disk) { d.state = &snapshottest.File{} })
		r := c.start(leader)
		<-r.ended
		if r.err == nil || !strings.Contains(r.err.Error(), "but the state machine has applied the entries up to 0") {
			t.Errorf("the node ends with %v", r.err)
		}
	})
}

// A node answers questions about entries that are no longer in memory from its disk.
func TestFingerprintsOfWhatIsNotInMemory(t *testing.T) { // T54
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) { o.TailBytes = 1000 }
		c.startAll(1, 2, 3)
		leader := c.leader()
		c.write(leader, "k", 100)
		c.until("it is applied", func() bool { return c.value(c.followers()[0], "k") == "99" })
		ask := divergence.Fingerprint{Index: 10}
		first, err := c.running[leader].HandleFingerprint(context.Background(), c.followers()[0], ask)
		if err != nil || first.Term == 0 || first.Digest == 0 || first.Index != 10 {
			t.Errorf("the leader answers %+v, %v", first, err)
		}
		for _, id := range c.followers() {
			if got, err := c.running[id].HandleFingerprint(context.Background(), leader, ask); err != nil || got != first {
				t.Errorf("node %d answers %+v, %v; want %+v", id, got, err, first)
			}
		}
		ask.Index = 1 << 40
		if got, err := c.running[leader].HandleFingerprint(context.Background(), c.followers()[0], ask); err != nil ||
			got != ask {
			t.Errorf("an entry to come has the fingerprint %+v, %v", got, err)
		}
	})
}

// A long log behind the checkpoint is applied again at a start. A checkpoint of that follows without any write, when it
// is due by its bytes or by its age.
func TestWhatAStartAppliesAgainIsSavedInACheckpoint(t *testing.T) { // T44
	t.Parallel()
	for name, due := range map[string]compaction.Checkpoints{
		"by bytes": {Bytes: 500, After: time.Hour, Rest: 1},
		"by age":   {Bytes: 1 << 30, After: 50 * time.Millisecond, Rest: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unstarted(t, 1, func(t *testing.T, c *cluster) {
				c.adjust = tidy
				c.disks[1].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
				c.startAll(1)
				c.leader()
				c.write(1, "k", 100)
				last := c.running[1].Status().LastLogIndex
				c.killAll()
				c.disks[1].set(func(d *disk) {
					if d.failState = nil; d.state != nil || d.start.Index != 0 {
						t.Fatalf("there is a checkpoint, and the log starts at %d", d.start.Index)
					}
				})
				c.adjust = func(id raft.NodeID, o *node.Options) {
					tidy(id, o)
					o.Checkpoints = due
				}
				c.startAll(1)
				const left = 16 // entries at most that have fewer bytes than are due
				c.until("a checkpoint has it", func() (is bool) {
					c.disks[1].set(func(d *disk) { is = d.state != nil && uint64(d.state.Start.Index)+left >= last })
					return is
				})
			})
		})
	}
}
