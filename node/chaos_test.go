package node_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ledger is what the clients of a counter received.
type ledger struct {
	mu      sync.Mutex
	results map[string]bool
	done    int
	unknown int
}

func (l *ledger) enter(t *testing.T, o node.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case o.Err == nil:
		value := string(o.Result.JSON())
		if l.results[value] {
			t.Errorf("two increments were both answered %s", value)
		}
		l.results[value] = true
		l.done++
	case errors.Is(o.Err, node.ErrOutcomeUnknown):
		l.unknown++
	}
}

// count gives the acknowledged increments so far.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// client increments through random nodes until it has to stop, and reads now and then.
func (c *cluster) client(random *rand.Rand, l *ledger, nodes *[5]atomic.Pointer[node.Node], stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		n := nodes[random.IntN(len(nodes))].Load()
		if random.IntN(4) > 0 {
			l.enter(c.t, n.Propose(context.Background(), [][]byte{[]byte(`{"op":"incr","key":"n"}`)})[0])
		} else if acknowledged := l.count(); n.ReadBarrier(context.Background()) == nil {
			record, _ := n.Get("n")
			if value, _ := strconv.Atoi(string(record.Value)); value < acknowledged {
				c.t.Errorf("a linearizable read gave %d after %d increments were acknowledged", value, acknowledged)
			}
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // fake time
	}
}

// disturb does one random bad thing, for a random while.
func (c *cluster) disturb(random *rand.Rand, nodes *[5]atomic.Pointer[node.Node]) {
	victim := raft.NodeID(random.IntN(5) + 1)
	while := time.Duration(random.IntN(1500)) * time.Millisecond
	switch random.IntN(4) {
	case 0:
		c.kill(victim)
		time.Sleep(while) // fake time, here and below
		nodes[victim-1].Store(c.start(victim).Node)
	case 1:
		resume := make(chan struct{})
		c.running[victim].Pause(resume)
		time.Sleep(while)
		close(resume)
	case 2:
		c.lan.split([]raft.NodeID{victim, victim%5 + 1})
		time.Sleep(while)
		c.lan.heal()
	case 3: // what it sends arrives, what is sent to it does not
		c.lan.mu.Lock()
		c.lan.cut = func(_, to raft.NodeID) bool { return to == victim }
		c.lan.mu.Unlock()
		time.Sleep(while)
		c.lan.heal()
	}
	time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
}

// Whatever happens to the cluster, a client never receives a wrong answer: what was acknowledged happened once, what
// was refused did not, and a linearizable read sees everything that was acknowledged before it (T39 to T49).
func TestNobodyIsToldALieWhileNodesFail(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			inBubble(t, 5, func(t *testing.T, c *cluster) {
				c.t = t
				random := rand.New(rand.NewPCG(seed, 1))
				c.leader()
				var nodes [5]atomic.Pointer[node.Node]
				for id, r := range c.running {
					nodes[id-1].Store(r.Node)
				}
				l := &ledger{results: map[string]bool{}}
				stop := make(chan struct{})
				var clients sync.WaitGroup
				for i := range uint64(8) {
					clients.Go(func() { c.client(rand.New(rand.NewPCG(seed, i+2)), l, &nodes, stop) })
				}
				for range 20 {
					c.disturb(random, &nodes)
				}
				close(stop)
				clients.Wait()
				leader := c.leader()
				if err := c.running[leader].ReadBarrier(context.Background()); err != nil {
					t.Fatal(err)
				}
				value, _ := strconv.Atoi(c.value(leader, "n"))
				t.Logf("%d acknowledged, %d unknown, the counter is at %d", l.done, l.unknown, value)
				if value < l.done || value > l.done+l.unknown {
					t.Errorf("the counter is at %d after %d increments, and %d that are unknown", value, l.done, l.unknown)
				}
			})
		})
	}
}
