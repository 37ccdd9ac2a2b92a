package node_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// alarms gives the alarms that a node raised itself.
func (c *cluster) alarms(id raft.NodeID) []api.Event {
	var found []api.Event
	events, _ := c.running[id].Observation().Events(0)
	for _, e := range events {
		if e.Node == uint64(id) && e.Kind == api.EventAlarm {
			found = append(found, e.Event)
		}
	}
	return found
}

// wantRunning wants that no node ended.
func (c *cluster) wantRunning() {
	c.t.Helper()
	for id, r := range c.running {
		select {
		case <-r.ended:
			c.t.Fatalf("node %d ended: %v", id, r.err)
		default:
		}
	}
}

// wantServing wants that no node ended, and that each takes a write.
func (c *cluster) wantServing() {
	c.t.Helper()
	c.wantRunning()
	c.leader()
	for id := range c.running {
		c.mustPropose(id, `{"op":"set","key":"x","value":1}`)
	}
}

func TestASecondLeaderIsRefusedCountedAndAlarmed(t *testing.T) { // T10
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, followers := c.leader(), c.followers()
		term := raft.Term(c.running[leader].Status().CurrentTerm)
		forged := raft.Message{Type: raft.MsgAppendEntries, From: followers[1], Term: term}
		for _, id := range []raft.NodeID{leader, followers[0]} {
			for range 3 {
				forged.To = id
				if _, err := c.running[id].Deliver(context.Background(), forged); !errors.Is(err, raft.ErrSecondLeader) {
					t.Errorf("node %d: got %v, want ErrSecondLeader", id, err)
				}
			}
			if got := c.alarms(id); len(got) != 1 || got[0].From != uint64(followers[1]) ||
				got[0].Term != uint64(term) || got[0].Reason == "" {
				t.Errorf("node %d raised the alarms %+v, want one", id, got)
			}
			counted := "# HELP kontiki_messages_refused_total Refused messages of peers, by what is wrong.\n" +
				"# TYPE kontiki_messages_refused_total counter\nkontiki_messages_refused_total{kind=\"second_leader\"} 3\n"
			if err := testutil.CollectAndCompare(c.running[id].Metrics(), strings.NewReader(counted),
				"kontiki_messages_refused_total"); err != nil {
				t.Errorf("node %d: %v", id, err)
			}
			time.Sleep(10 * time.Second)
			_, _ = c.running[id].Deliver(context.Background(), forged)
			if got := c.alarms(id); len(got) != 2 {
				t.Errorf("10 s later node %d raised the alarms %+v, want two", id, got)
			}
		}
		c.wantServing()
	})
}

func TestATermThatNobodyReachedIsRefusedCountedAndAlarmed(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		before := c.running[leader].Status().CurrentTerm
		forged := raft.Message{Type: raft.MsgAppendEntries, From: follower, To: leader, Term: 1 << 53}
		if _, err := c.running[leader].Deliver(context.Background(), forged); !errors.Is(err, raft.ErrBadTerm) {
			t.Errorf("got %v, want ErrBadTerm", err)
		}
		c.running[leader].Receive(raft.Message{
			Type: raft.MsgAppendEntriesResponse, From: follower, To: leader, Term: math.MaxUint64,
		})
		time.Sleep(time.Second)
		if got := c.alarms(leader); len(got) != 1 {
			t.Errorf("alarms %+v, want one for both", got)
		}
		if after := c.running[leader].Status().CurrentTerm; after != before {
			t.Errorf("the term went from %d to %d", before, after)
		}
		c.wantServing()
	})
}

// forge makes a message that could be true in most of its fields, or in none.
func forge(random *rand.Rand, s api.Status) raft.Message {
	number := func(near uint64) uint64 {
		edges := []uint64{0, 1, 1 << 32, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MaxUint64}
		if random.IntN(12) == 0 {
			return edges[random.IntN(len(edges))]
		}
		return near + uint64(random.IntN(4)) - min(near, 2)
	}
	last := s.LastLogIndex
	m := raft.Message{
		Type: raft.MessageType(random.IntN(9)), From: raft.NodeID(random.IntN(5)), To: raft.NodeID(random.IntN(5)),
		Term: raft.Term(number(s.CurrentTerm)), LastLogIndex: raft.Index(number(last)),
		LastLogTerm: raft.Term(number(s.CurrentTerm)), PrevLogIndex: raft.Index(number(last)),
		PrevLogTerm: raft.Term(s.CurrentTerm), LeaderCommit: raft.Index(number(last)), MatchIndex: raft.Index(number(last)),
		ConflictIndex: raft.Index(number(last)), ConflictTerm: raft.Term(number(s.CurrentTerm)),
		RequestID: number(5), ReadSeq: number(1), PreVote: random.IntN(2) == 0, Transfer: random.IntN(2) == 0,
		VoteGranted: random.IntN(2) == 0, Success: random.IntN(2) == 0, Tag: number(3),
	}
	if random.IntN(4) > 0 {
		m.To = raft.NodeID(s.ID)
	}
	for i := range random.IntN(4) {
		entry := raft.Entry{Index: m.PrevLogIndex + raft.Index(i) + 1, Term: m.PrevLogTerm, Command: []byte(`{"op":"noop"}`)}
		m.Entries = append(m.Entries, entry)
	}
	return m
}

// Messages that lie about anything end no node. What a leader of their making may have committed is another matter:
// Raft does not withstand members that lie.
func TestNoMessageEndsANode(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		inBubble(t, 3, func(t *testing.T, c *cluster) {
			random := rand.New(rand.NewPCG(seed, 10))
			c.leader()
			for range 3000 {
				id := raft.NodeID(1 + random.IntN(3))
				m := forge(random, c.running[id].Status())
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				switch random.IntN(8) {
				case 0:
					_, _ = c.running[id].HandleReadIndex(ctx, m.From, m.Term, false)
				case 1:
					c.running[id].Receive(m)
				case 2:
					c.running[id].Unreachable(m.From)
				case 3:
					c.running[id].HandlePropose(ctx, [][]byte{[]byte(`{"op":"incr","key":"n","by":1}`), nil}[:random.IntN(3)])
				default:
					_, _ = c.running[id].Deliver(ctx, m)
				}
				cancel()
			}
			time.Sleep(5 * time.Second)
			c.wantRunning()
		})
	}
}

func TestNoCommandsHaveNoOutcomesAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		start := time.Now()
		if got := c.running[c.leader()].HandlePropose(context.Background(), nil); len(got) != 0 {
			t.Errorf("no commands have the outcomes %+v", got)
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("no commands were waited for, %v long", waited)
		}
	})
}
