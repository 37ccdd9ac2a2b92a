package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// What no client can bring into the log, no peer can: its other commands go on, and the log stays as readable and as
// easy to replicate as it was.
func TestForwardedCommandsAreCheckedAsTheAPIChecksThem(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		bad := []string{
			`[1,,2]`, `{"op":"put","key":"x","value":"`, `{"a":}`, `"\ud800"`, `{"op":"noop"}`, `[nul]`, `01x`, `null`,
			"\xff\xfe",
			`{"op":"put","key":"","value":"y"}`, `{"op":"set","key":"s\ud800","value":1}`, `{"op":"get","key":"x"}`,
			`{"op":"put","key":"x","value":"` + strings.Repeat("v", 15<<20) + `"}`,
		}
		commands := [][]byte{[]byte(`{"op":"incr","key":"n","by":1}`)}
		for _, command := range bad {
			commands = append(commands, []byte(command), []byte(`{"op":"incr","key":"n","by":1}`))
		}
		last := raft.Index(c.running[leader].Status().LastLogIndex)
		outcomes := c.running[leader].HandlePropose(context.Background(), commands)
		if len(outcomes) != len(commands) {
			t.Fatalf("%d outcomes for %d commands", len(outcomes), len(commands))
		}
		for i, o := range outcomes {
			if i%2 == 1 {
				if !errors.Is(o.Err, node.ErrBadCommand) || node.PeerCode(o.Err) != "bad_command" {
					t.Errorf("%.60s: %+v", commands[i], o)
				}
				continue
			}
			if want := raft.Index(i/2 + 1); o.Err != nil || o.Index != last+want {
				t.Errorf("command %d has index %d and error %v; want index %d", i, o.Index, o.Err, last+want)
			}
		}
		c.mustPropose(c.followers()[0], `{"op":"put","key":"after","value":"x"}`)
		page, err := c.running[leader].Log(context.Background(), last+1, 100)
		if err != nil || len(page.Entries) != len(bad)+2 {
			t.Errorf("%d entries came into the log, %v; want %d", len(page.Entries), err, len(bad)+2)
		}
	})
}

func TestForwardedCommandsBecomeCanonical(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		o := c.running[leader].HandlePropose(context.Background(), [][]byte{[]byte("{\"key\":\"a\",\n\"op\":\"delete\"}")})[0]
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		page, err := c.running[leader].Log(context.Background(), o.Index, 1)
		if err != nil || string(page.Entries[0].Command) != `{"op":"delete","key":"a"}` {
			t.Errorf("the entry is %s, %v", page.Entries[0].Command, err)
		}
	})
}

// An append that carries what is no entry is refused as what no correct peer sends, and the node goes on.
func TestAnAppendOfWhatIsNoEntryIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		c.mustPropose(leader, `{"op":"put","key":"a","value":"1"}`)
		r := c.running[follower]
		c.until("the follower has it", func() bool { return c.value(follower, "a") == "1" })
		c.lan.split([]raft.NodeID{1}, []raft.NodeID{2}, []raft.NodeID{3})
		s := r.Status()
		for _, command := range []string{
			``, `[1,,2]`, `{"op":"put"`, "\"\xff\"", "{}\x00", strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
			`"` + strings.Repeat("x", kv.MaxCommandBytes) + `"`,
		} {
			term, last := raft.Term(s.CurrentTerm), raft.Index(s.LastLogIndex)
			good := raft.Entry{Index: last + 1, Term: term, Command: []byte(`{"op":"delete","key":"a"}`)}
			bad := raft.Entry{Index: last + 2, Term: term, Command: []byte(command)}
			_, err := r.Deliver(context.Background(), raft.Message{
				Type: raft.MsgAppendEntries, From: leader, To: follower, Term: term, PrevLogIndex: last,
				PrevLogTerm: term, Entries: []raft.Entry{good, bad}, RequestID: 1 << 20,
			})
			if !errors.Is(err, raft.ErrBadMessage) {
				t.Errorf("%.60s: %v", command, err)
			}
		}
		if now := r.Status(); now.LastLogIndex != s.LastLogIndex {
			t.Errorf("the log ends at %d, and did at %d", now.LastLogIndex, s.LastLogIndex)
		}
		c.lan.heal()
		c.mustPropose(c.leader(), `{"op":"put","key":"a","value":"2"}`)
		c.until("the follower goes on", func() bool { return c.value(follower, "a") == "2" })
	})
}

// A log of an older version holds what today's doors refuse. A follower that has to catch up takes it, and all apply it
// alike.
func TestAFollowerCatchesUpOnALogThatTheDoorsWouldRefuse(t *testing.T) { // T45
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		behind := c.followers()[0]
		c.kill(behind)
		for _, old := range []string{
			`{"op":"set","key":"s","value":"\ud800"}`, `{"op":"put","key":"","value":"y"}`, `{"op":"fly"}`, `null`,
		} {
			if o := c.propose(leader, old); o.Err != nil { // this node's own door is its API, which is not here
				t.Fatalf("%s: %v", old, o.Err)
			}
		}
		c.mustPropose(leader, `{"op":"set","key":"last","value":1}`)
		c.start(behind)
		c.until("it caught up", func() bool { return c.value(behind, "last") == "1" })
		if got := c.value(behind, "s"); got != `"\ud800"` {
			t.Errorf("s is %s", got)
		}
	})
}
