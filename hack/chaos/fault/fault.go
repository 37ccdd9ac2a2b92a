// Package fault decides what goes wrong, when and where: pure functions of a seed. What comes out of them is a plan;
// whoever follows it finds out who leads at the moment.
package fault

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is one way to fail.
type Kind string

// The kinds.
const (
	Kill          Kind = "kill"           // kill -9 of one node, which starts again
	KillAll       Kind = "kill-all"       // kill -9 of all nodes at once
	Pause         Kind = "pause"          // SIGSTOP and, later, SIGCONT: a life that does not notice that time went on
	Split         Kind = "split"          // a majority and a minority that do not hear of each other
	IsolateLeader Kind = "isolate-leader" // the leader hears of nobody, and nobody of it
	OneWay        Kind = "one-way"        // one node is heard and does not hear, or the other way round
	Ring          Kind = "ring"           // each node only reaches its neighbours; of three, the ends of a chain do not
	Slow          Kind = "slow"           // every link takes its time
	Lossy         Kind = "lossy"          // every link loses some of what it carries
	DiskFull      Kind = "disk-full"      // no byte is free on the disk of one node
	DiskReadOnly  Kind = "disk-readonly"  // the disk of one node goes read-only
)

// Kinds are all of them.
var Kinds = []Kind{
	Kill, KillAll, Pause, Split, IsolateLeader, OneWay, Ring, Slow, Lossy, DiskFull, DiskReadOnly,
}

// Parse reads a list of kinds, separated by commas; "" is all.
func Parse(text string) ([]Kind, error) {
	if text == "" {
		return slices.Clone(Kinds), nil
	}
	var kinds []Kind
	for name := range strings.SplitSeq(text, ",") {
		kind := Kind(strings.TrimSpace(name))
		if !slices.Contains(Kinds, kind) {
			return nil, fmt.Errorf("%q is no fault; there are %v", kind, Kinds)
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// OfNetwork reports whether a fault lies between the nodes.
func (k Kind) OfNetwork() bool {
	return slices.Contains([]Kind{Split, IsolateLeader, OneWay, Ring, Slow, Lossy}, k)
}

// OfDisk reports whether a fault is one of a disk.
func (k Kind) OfDisk() bool { return k == DiskFull || k == DiskReadOnly }

// How long faults last and how long it is calm between them. What is short is over before anyone gives up, what is
// long is not.
const (
	shortest  = 1500 * time.Millisecond
	longest   = 6 * time.Second
	leastCalm = 2 * time.Second
	mostCalm  = 4 * time.Second
)

// Fault is one of an episode.
type Fault struct {
	Kind   Kind
	After  time.Duration // from the beginning of the episode
	Length time.Duration
	// Leader: of the nodes, the leader is hit. Otherwise Order says who is.
	Leader bool
	Order  []int // the indexes of all nodes, shuffled: the first are hit
	Flip   bool  // of two variants the other one
}

// End is when the fault is over, from the beginning of the episode.
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

// Length of the episode without its calm.
func (e *Episode) Length() time.Duration {
	var end time.Duration
	for i := range e.Faults {
		end = max(end, e.Faults[i].End())
	}
	return end
}

// Plan draws episodes for ever. The same seed draws the same ones.
type Plan struct {
	chance *rand.Rand
	nodes  int
	kinds  []Kind
	deck   []Kind // that did not come up since the deck was last shuffled
}

// NewPlan begins to draw for some nodes. The name of the network makes another plan of the same seed for each, so that
// a run in two networks sees twice as much.
func NewPlan(seed uint64, network string, nodes int, kinds []Kind) *Plan {
	name := fnv.New64()
	name.Write([]byte(network))
	return &Plan{chance: rand.New(rand.NewPCG(seed, name.Sum64()+uint64(nodes))), nodes: nodes, kinds: kinds}
}

// Next draws an episode. Every kind comes up before any comes up again, so that a short run sees them all.
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

// clash reports whether two faults would get into each other's way: each wants to end or start the same processes.
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
