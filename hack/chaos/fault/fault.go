// Package fault decides which faults are injected, when and where: pure functions of a seed. The result is a plan; the
// program that follows it determines the leader at that moment.
package fault

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is one kind of fault.
type Kind string

// The kinds.
const (
	Kill          Kind = "kill"           // kill -9 of one node, which starts again
	KillAll       Kind = "kill-all"       // kill -9 of all nodes at once
	Pause         Kind = "pause"          // SIGSTOP and, later, SIGCONT: the process does not notice the time
	Split         Kind = "split"          // a majority and a minority without messages between them
	IsolateLeader Kind = "isolate-leader" // the leader neither sends nor receives
	OneWay        Kind = "one-way"        // one node can send and not receive, or the other way round
	Ring          Kind = "ring"           // each node only reaches its neighbors; of three, the ends of a chain do not
	Slow          Kind = "slow"           // every link has a delay
	Lossy         Kind = "lossy"          // every link loses some packets
	DiskFull      Kind = "disk-full"      // the disk of one node is full
	DiskReadOnly  Kind = "disk-readonly"  // the disk of one node turns read-only
	WrongState    Kind = "wrong-state"    // the state of one node gets a wrong value while the process is down
)

// Kinds are all kinds.
var Kinds = []Kind{
	Kill, KillAll, Pause, Split, IsolateLeader, OneWay, Ring, Slow, Lossy, DiskFull, DiskReadOnly, WrongState,
}

// Parse parses a list of kinds, separated by commas; "" is all.
func Parse(text string) ([]Kind, error) {
	if text == "" {
		return slices.Clone(Kinds), nil
	}
	var kinds []Kind
	for name := range strings.SplitSeq(text, ",") {
		kind := Kind(strings.TrimSpace(name))
		if !slices.Contains(Kinds, kind) {
			return nil, fmt.Errorf("unknown fault %q; want one of %v", kind, Kinds)
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// OfNetwork reports whether a fault is one of the network.
func (k Kind) OfNetwork() bool {
	return slices.Contains([]Kind{Split, IsolateLeader, OneWay, Ring, Slow, Lossy}, k)
}

// OfDisk reports whether a fault is one of a disk.
func (k Kind) OfDisk() bool { return k == DiskFull || k == DiskReadOnly }

// The durations of faults and of the calm between them. A short fault is over before any timeout, a long one is not.
const (
	shortest  = 1500 * time.Millisecond
	longest   = 6 * time.Second
	leastCalm = 2 * time.Second
	mostCalm  = 4 * time.Second
)

// Fault is one fault of an episode.
type Fault struct {
	Kind   Kind
	After  time.Duration // from the start of the episode
	Length time.Duration
	// Leader: the leader is among the affected nodes. Otherwise Order determines them.
	Leader bool
	Order  []int // the indexes of all nodes, shuffled: the first are affected
	Flip   bool  // the second of two variants
}

// End is when the fault is over, from the start of the episode.
func (f *Fault) End() time.Duration { return f.After + f.Length }

// Episode is one fault or two that overlap, and the calm after them.
type Episode struct {
	Faults []Fault
	Calm   time.Duration
}

// Name is the kind of the fault, or both.
func (e *Episode) Name() string {
	var names []string
	for _, f := range e.Faults {
		names = append(names, string(f.Kind))
	}
	return strings.Join(names, " + ")
}

// Length is the length of the episode without its calm.
func (e *Episode) Length() time.Duration {
	var end time.Duration
	for i := range e.Faults {
		end = max(end, e.Faults[i].End())
	}
	return end
}

// Plan draws episodes without end. The same seed draws the same ones.
type Plan struct {
	chance *rand.Rand
	nodes  int
	kinds  []Kind
	deck   []Kind // not drawn since the deck was last shuffled
}

// NewPlan returns a plan for some nodes. The name of the network changes the plan of a seed, so that a run in two
// networks covers twice as much.
func NewPlan(seed uint64, network string, nodes int, kinds []Kind) *Plan {
	name := fnv.New64()
	name.Write([]byte(network))
	return &Plan{chance: rand.New(rand.NewPCG(seed, name.Sum64()+uint64(nodes))), nodes: nodes, kinds: kinds}
}

// Kinds are the kinds that the plan draws from.
func (p *Plan) Kinds() []Kind { return p.kinds }

// Next draws an episode. Every kind is drawn before any is drawn again, so that a short run has them all.
func (p *Plan) Next() Episode {
	e := Episode{Faults: []Fault{p.draw()}, Calm: between(p.chance, leastCalm, mostCalm)}
	if len(p.kinds) > 1 && p.chance.IntN(4) == 0 {
		second, first := p.draw(), &e.Faults[0]
		if !clash(first.Kind, second.Kind) {
			second.After = between(p.chance, 0, first.Length)
			e.Faults = append(e.Faults, second)
		} else {
			p.deck = append(p.deck, second.Kind)
		}
	}
	return e
}

// clash reports whether two faults conflict: each starts or stops the same processes.
func clash(a, b Kind) bool {
	return a == b || a.OfDisk() && b.OfDisk() || !a.OfNetwork() && !b.OfNetwork()
}

func (p *Plan) draw() Fault {
	if len(p.deck) == 0 {
		p.deck = slices.Clone(p.kinds)
		p.chance.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	kind := p.deck[0]
	p.deck = p.deck[1:]
	return Fault{
		Kind: kind, Length: between(p.chance, shortest, longest), Leader: p.chance.IntN(2) == 0,
		Order: p.chance.Perm(p.nodes), Flip: p.chance.IntN(2) == 0,
	}
}

func between(chance *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(chance.Int64N(int64(most-least)))
}
