package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// hangs is a leader whose disk hangs in a save, in a cluster of three.
type hangs struct {
	*cluster
	old    raft.NodeID
	others []raft.NodeID
	sent   []raft.Message // by the old leader since the save began, behind the lock of the network
	resume chan struct{}
	stop   context.CancelFunc
}

// withHungLeader runs a test case with a leader whose save has just begun to hang.
func withHungLeader(t *testing.T, story func(t *testing.T, h *hangs)) {
	t.Helper()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		h := &hangs{cluster: c, old: c.leader(), resume: make(chan struct{})}
		h.others = c.followersOf(h.old)
		c.mustPropose(h.old, `{"op":"set","key":"a","value":1}`)
		time.Sleep(time.Second) // fake time: all is quiet
		c.disks[h.old].set(func(d *disk) { d.hang = h.resume })
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		go c.running[h.old].Propose(ctx, [][]byte{[]byte(`{"op":"set","key":"b","value":1}`)})
		time.Sleep(2 * latency)
		synctest.Wait()
		c.lan.spyBy(func(m raft.Message) {
			if m.From == h.old {
				h.sent = append(h.sent, m)
			}
		})
		defer cancel()
		story(t, h)
	})
}

// goOn ends the save.
func (h *hangs) goOn() {
	h.disks[h.old].set(func(d *disk) { d.hang = nil })
	close(h.resume)
}

func (h *hangs) sentByOld() int {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	return len(h.sent)
}

// The others elect a leader within the election timeout, because the heartbeats end with the save. Meanwhile the old
// leader answers nothing as a leader: no read, no write, no question of a follower, and no status.
func TestALeaderWhoseDiskHangsAnswersNothing(t *testing.T) { // T43, T53
	t.Parallel()
	withHungLeader(t, func(t *testing.T, h *hangs) {
		began, old := time.Now(), h.running[h.old]
		h.mustPropose(h.leader(h.others...), `{"op":"set","key":"a","value":2}`)
		if took := time.Since(began); took > 3*node.DefaultElectionTimeout {
			t.Errorf("the others were without a leader for %v; an election timeout is at most %v", took,
				2*node.DefaultElectionTimeout)
		}
		time.Sleep(time.Second) // fake time
		asked := time.Now()
		if err := old.ReadBarrier(context.Background()); !errors.Is(err, node.ErrNoLeader) {
			t.Errorf("a linearizable read: %v", err)
		}
		if o := old.Propose(context.Background(), [][]byte{[]byte(`{"op":"set","key":"a","value":3}`)}); !errors.Is(o[0].Err,
			node.ErrNoLeader) {
			t.Errorf("a write: %v", o[0].Err)
		}
		if took := time.Since(asked); took > 2*time.Second {
			t.Errorf("the two refusals took %v", took)
		}
		if _, err := old.HandleReadIndex(context.Background(), h.others[0], 0, false); !errors.Is(err, node.ErrNotLeader) {
			t.Errorf("a follower's read: %v", err)
		}
		o := old.HandlePropose(context.Background(), [][]byte{[]byte(`{"op":"set","key":"a","value":4}`)})
		if !errors.Is(o[0].Err, node.ErrNotLeader) {
			t.Errorf("a follower's write: %v", o[0].Err)
		}
		s := old.Status()
		if s.State != "FOLLOWER" || s.LeaderID != 0 || !strings.Contains(s.Reason, "has not finished a save") {
			t.Errorf("it reports that it is %s of %d: %s", s.State, s.LeaderID, s.Reason)
		}
		if age := time.Since(began).Milliseconds(); s.Disk.UnsyncedMs < age || s.Disk.UnsyncedMs > age+10 {
			t.Errorf("it reports an append that is not durable since %d ms, want %d", s.Disk.UnsyncedMs, age)
		}
		if sent := h.sentByOld(); sent != 0 {
			t.Errorf("it sent %d messages while it hung, the first %+v", sent, h.sent[0])
		}
		h.goOn()
		h.until("it follows", func() bool { return h.value(h.old, "a") == "2" && h.running[h.old].Status().LeaderID != 0 })
		if s := old.Status(); s.Disk.UnsyncedMs != 0 {
			t.Errorf("after the save an append is not durable since %d ms", s.Disk.UnsyncedMs)
		}
	})
}

// When the save ends, the old leader does not lead on, although it receives nothing from the others: the ticks that it
// missed are not made up for, so its check of the quorum would take another election timeout.
func TestALeaderWhoseDiskHungDoesNotLeadOn(t *testing.T) { // T43, T53
	t.Parallel()
	withHungLeader(t, func(t *testing.T, h *hangs) {
		h.lan.split([]raft.NodeID{h.old}) // before another one asks for votes
		h.leader(h.others...)
		time.Sleep(10 * time.Second) // fake time
		h.goOn()
		for range 100 {
			synctest.Wait()
			if s := h.running[h.old].Status(); s.State == "LEADER" {
				t.Fatalf("it leads term %d on", s.CurrentTerm)
			}
			time.Sleep(time.Millisecond)
		}
		h.lan.mu.Lock()
		for _, m := range h.sent {
			if m.Type == raft.MsgAppendEntries {
				t.Errorf("it sent a heartbeat or entries: %+v", m)
			}
		}
		h.lan.mu.Unlock()
		h.lan.heal()
		h.mustPropose(h.leader(), `{"op":"set","key":"c","value":1}`)
	})
}

// Slow is not dead: saves that are shorter than a follower waits at most cost nothing, and no other node can
// take over from an only member.
func TestASlowSaveCostsNoLeadership(t *testing.T) { // T53
	t.Parallel()
	for nodes, takes := range map[int]time.Duration{3: 100 * time.Millisecond, 1: time.Second} {
		inBubble(t, nodes, func(t *testing.T, c *cluster) {
			leader := c.leader()
			term := c.running[leader].Status().CurrentTerm
			for _, d := range c.disks {
				d.set(func(d *disk) { d.takes = takes })
			}
			for range 20 {
				c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
				if err := c.running[leader].ReadBarrier(context.Background()); err != nil {
					t.Errorf("%d nodes: a read: %v", nodes, err)
				}
			}
			if s := c.running[leader].Status(); s.CurrentTerm != term || s.State != "LEADER" {
				t.Errorf("%d nodes: the leader of term %d is %s of term %d", nodes, term, s.State, s.CurrentTerm)
			}
		})
	}
}
