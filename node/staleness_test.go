package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ages holds a node to what it reports of the age of its state. A writer counts up; each number has the time when it
// was acknowledged.
type ages struct {
	c      *cluster
	acked  map[int]time.Time
	newest int
	fresh  map[raft.NodeID]int // how often a node was sure enough to serve a read with max_stale=500ms
}

func newAges(c *cluster) *ages {
	return &ages{c: c, acked: map[int]time.Time{}, fresh: map[raft.NodeID]int{}}
}

func (a *ages) write(id raft.NodeID) {
	r := a.c.running[id]
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	o := r.Propose(ctx, [][]byte{[]byte(`{"op":"incr","key":"x","by":1}`)})[0]
	if o.Err != nil {
		return
	}
	number, _ := strconv.Atoi(string(o.Result.Value))
	a.acked[number] = time.Now()
	a.newest = max(a.newest, number)
}

// check requires that whatever a node misses was acknowledged no longer ago than it reports.
func (a *ages) check() {
	a.c.t.Helper()
	for id, r := range a.c.running {
		held, _ := strconv.Atoi(a.c.value(id, "x"))
		ms := r.Status().StalenessMs
		if ms < 0 {
			continue
		}
		if ms <= 500 {
			a.fresh[id]++
		}
		for missed := held + 1; missed <= a.newest; missed++ {
			at, ok := a.acked[missed]
			if age := time.Since(at); ok && age > time.Duration(ms)*time.Millisecond {
				a.c.t.Fatalf("node %d has %d and reports that its state is %d ms old; %d was acknowledged %v ago: %+v",
					id, held, ms, missed, age, r.Status())
			}
		}
	}
}

// pass lets time pass, with a write and a check in each step.
func (a *ages) pass(d time.Duration, writer func() raft.NodeID) {
	a.c.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		a.write(writer())
		a.check()
		time.Sleep(3 * time.Millisecond)
	}
}

// The bound holds on every node whatever happens to the cluster, and a healthy one is sure of it.
func TestStalenessBoundsWhatANodeMisses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, 3, func(_ *testing.T, c *cluster) {
				random := rand.New(rand.NewPCG(seed, 13))
				c.adjust = func(id raft.NodeID, o *node.Options) {
					o.Rand = rand.New(rand.NewPCG(uint64(id), random.Uint64()))
					o.MessageEntries = 3 // a node that comes back takes a while
				}
				c.leader()
				a := newAges(c)
				anyone := func() raft.NodeID { return raft.NodeID(1 + random.IntN(3)) }
				a.pass(time.Second, anyone)
				for range 12 {
					a.disturb(random)
					a.pass(time.Duration(100+random.IntN(1500))*time.Millisecond, anyone)
				}
				c.lan.heal()
				for _, m := range c.members {
					if c.running[m.ID] == nil {
						c.start(m.ID)
					}
				}
				a.pass(3*time.Second, anyone)
				c.leader()
				a.fresh = map[raft.NodeID]int{}
				a.pass(time.Second, anyone)
				for _, m := range c.members {
					if n := a.fresh[m.ID]; n < 100 {
						c.t.Errorf("node %d was sure of an age of 500 ms only %d times within a second", m.ID, n)
					}
				}
			})
		})
	}
}

func (a *ages) disturb(random *rand.Rand) {
	c, one := a.c, raft.NodeID(1+random.IntN(3))
	leader := one
	for id, r := range c.running {
		if r.Status().State == raft.Leader.String() {
			leader = id
		}
	}
	switch random.IntN(7) {
	case 0:
		c.lan.split([]raft.NodeID{leader}) // it cannot send, and what others send it arrives
	case 1:
		c.lan.split([]raft.NodeID{leader}, c.followersOf(leader))
	case 2:
		c.lan.split([]raft.NodeID{one})
	case 3:
		c.lan.heal()
	case 4, 5:
		if r := c.running[leader]; r != nil {
			resume := make(chan struct{})
			r.Pause(resume)
			time.AfterFunc(time.Duration(random.IntN(2000))*time.Millisecond, func() { close(resume) })
		}
	default:
		if c.running[one] != nil {
			c.kill(one)
		} else {
			c.start(one)
		}
	}
}

// A leader that is cut off cannot be sure of anything from then on, nor can a follower that is cut off with it.
func TestACutOffLeaderGrowsOld(t *testing.T) {
	t.Parallel()
	inBubble(t, 5, func(t *testing.T, c *cluster) {
		leader, follower := c.leader(), c.followers()[0]
		time.Sleep(time.Second)
		cut := time.Now()
		c.lan.split([]raft.NodeID{leader, follower}, c.followersOf(leader)[1:])
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			for _, id := range []raft.NodeID{leader, follower} {
				if ms := c.running[id].Status().StalenessMs; ms < time.Since(cut).Milliseconds() {
					t.Fatalf("node %d was cut off %v ago and reports that its state is %d ms old", id, time.Since(cut), ms)
				}
			}
		}
	})
}

// A process that was stopped does not serve an old age when it goes on.
func TestAPausedNodeKnowsThatItIsOld(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		a := newAges(c)
		a.pass(time.Second, func() raft.NodeID { return leader })
		resume := make(chan struct{})
		c.running[leader].Pause(resume)
		other := c.followersOf(leader)[0]
		a.pass(3*time.Second, func() raft.NodeID { return other })
		close(resume)
		a.pass(time.Second, func() raft.NodeID { return other })
		if a.newest < 100 {
			t.Errorf("%d writes came through", a.newest)
		}
	})
}

func TestAHealthyClusterIsYoung(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2, 3, 5} {
		inBubble(t, nodes, func(t *testing.T, c *cluster) {
			c.mustPropose(c.leader(), `{"op":"set","key":"x","value":1}`)
			time.Sleep(time.Second)
			most := int64(220) // two heartbeat intervals, the way of the messages, and ticks
			if nodes == 1 {
				most = 0
			}
			for range 100 {
				time.Sleep(7 * time.Millisecond)
				for id, r := range c.running {
					if ms := r.Status().StalenessMs; ms < 0 || ms > most {
						t.Fatalf("of %d nodes, node %d has a state that is %d ms old", nodes, id, ms)
					}
				}
			}
		})
	}
}
