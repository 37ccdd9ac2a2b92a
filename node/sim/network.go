package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// network carries messages between the machines. Each direction of each link may be cut by itself.
type network struct {
	world   *World
	chance  *rand.Rand
	latency time.Duration          // usual, one way
	cut     map[link]int           // by how many faults; none: open
	arrives map[link]time.Duration // when the last one arrives that keeps its place
	sent    int                    // messages, for the report
}

// link is one direction between two nodes.
type link struct{ from, to raft.NodeID }

func newNetwork(w *World, chance *rand.Rand, latency time.Duration) *network {
	return &network{world: w, chance: chance, latency: latency, cut: map[link]int{}, arrives: map[link]time.Duration{}}
}

func (n *network) isCut(l link) bool { return n.cut[l] > 0 }

// hold cuts links for a while.
func (n *network) hold(links []link, lasts time.Duration) {
	for _, l := range links {
		n.cut[l]++
	}
	n.world.after(lasts, nil, func() {
		for _, l := range links {
			if n.cut[l]--; n.cut[l] <= 0 {
				delete(n.cut, l)
			}
		}
		n.world.note(note{kind: noteFault, text: "heals: " + nameLinks(links)})
	})
}

// cutForGood cuts links until open, whatever ends meanwhile.
func (n *network) cutForGood(links []link) {
	for _, l := range links {
		n.cut[l] = forGood
	}
}

// open lets links carry again.
func (n *network) open(links []link) {
	for _, l := range links {
		delete(n.cut, l)
	}
}

// forGood is more faults than can end on a link.
const forGood = 1 << 30

// carry takes something from one machine to another, and hands it to the process that lives there when it arrives,
// nil if none does. slow is the fault that may make it slow. False if it was lost on the way, of which nobody hears.
func (n *network) carry(l link, slow Fault, deliver func(to *process)) bool {
	w := n.world
	n.sent++
	if n.isCut(l) || w.mix.happens(n.chance, Loss) {
		w.countIf(!n.isCut(l), Loss)
		return false
	}
	at := w.now + n.latency/2 + time.Duration(n.chance.Int64N(int64(n.latency)))
	switch {
	case w.mix.happens(n.chance, slow):
		w.count(slow)
		at += w.mix.lasts(n.chance, slow)
	case w.mix.happens(n.chance, Reorder):
		w.count(Reorder)
		at += w.mix.lasts(n.chance, Reorder)
	default:
		at = max(at, n.arrives[l])
		n.arrives[l] = at
	}
	n.arrive(at-w.now, l, deliver)
	return true
}

// slowness is the fault that may make a message slow.
func slowness(m *raft.Message) Fault {
	if m.Type == raft.MsgAppendEntries || m.Type == raft.MsgAppendEntriesResponse {
		return Spike
	}
	return LateElection
}

// arrive delivers after a while, if the link is not cut by then. A process that is frozen gets it when it goes on.
func (n *network) arrive(d time.Duration, l link, deliver func(to *process)) {
	w := n.world
	w.after(d, nil, func() {
		if n.isCut(l) {
			return
		}
		p := w.machine(l.to).process
		if p != nil && p.isFrozen() {
			p.mail = append(p.mail, func() { n.arrive(0, l, deliver) })
			return
		}
		deliver(p)
		if p != nil {
			w.settle(p)
		}
	})
}

// transport is a process's node.Transport.
type transport struct{ process *process }

// Send is node.Transport's.
func (t *transport) Send(messages []raft.Message) {
	w := t.process.world
	for i := range messages {
		t.request(messages[i])
		if w.mix.happens(w.order, LateTask) {
			t.process.sleep(w.mix.lasts(w.order, LateTask)) // a goroutine may lose its turn anywhere
		}
	}
}

// request takes one message to its target, and the answer back.
func (t *transport) request(m raft.Message) {
	p, n := t.process, t.process.world.network
	l := link{p.id(), m.To}
	n.world.leaves(p, &m)
	m = n.world.forge(m)
	if !n.carry(l, slowness(&m), func(to *process) { t.deliver(m, to) }) {
		t.lost(m)
		return
	}
	if n.world.mix.happens(n.chance, Duplicate) {
		n.world.count(Duplicate)
		n.arrive(n.world.mix.lasts(n.chance, Duplicate), l, func(to *process) { t.deliver(m, to) })
	}
}

// lost lets the sender know, sometimes and later, that a message did not arrive.
func (t *transport) lost(m raft.Message) {
	p, w := t.process, t.process.world
	if w.network.chance.IntN(2) == 0 {
		w.after(w.network.latency+time.Duration(w.network.chance.Int64N(int64(time.Second))), p, func() {
			if p.node != nil {
				p.node.Unreachable(m.To)
			}
		})
	}
}

// deliver hands a message to the node in a process, and takes its answer back.
func (t *transport) deliver(m raft.Message, to *process) {
	if to == nil || to.node == nil {
		t.lost(m) // the connection is refused
		return
	}
	w := to.world
	w.note(note{kind: noteArrives, node: to.id(), message: m})
	ctx, cancel := context.WithCancel(to.ctx)
	to.mayCancel(cancel)
	to.Go(func() {
		defer cancel()
		answer, err := to.node.Deliver(ctx, m)
		if errors.Is(err, raft.ErrBadMessage) || errors.Is(err, raft.ErrDiverged) && w.forgery.target == nil {
			w.broken("correct nodes send nothing wrong", "node %d refuses %s: %v", to.id(), describe(&m), err)
			return
		}
		if err != nil {
			t.lost(m)
			return
		}
		w.leaves(to, &answer)
		back := link{to.id(), t.process.id()}
		w.network.carry(back, slowness(&answer), func(back *process) { t.answered(answer, back) })
	})
}

// answered hands an answer to its asker. Another life of it gets it only by a fault: connections end with the process.
func (t *transport) answered(answer raft.Message, back *process) {
	w := t.process.world
	if back == nil || back.node == nil {
		return
	}
	if back != t.process {
		if !w.mix.happens(w.network.chance, FormerLife) {
			return
		}
		w.count(FormerLife)
	}
	w.note(note{kind: noteArrives, node: back.id(), message: answer})
	back.node.Receive(answer)
}

// errHungUp is what becomes of a call whose answer will not come.
var errHungUp = errors.New("sim: the connection broke before the answer came")

// call asks something of another node and waits for the answer, or for the end of ctx. The request arrives at most
// once. The error wraps node.ErrNotSent only if it surely never did.
func call[T any](ctx context.Context, p *process, to raft.NodeID,
	ask func(ctx context.Context, n *node.Node) T,
) (T, error) {
	w := p.world
	var result T
	var failed error
	done := make(chan struct{}, 1)
	finish := func(d time.Duration, err error) {
		w.after(d, p, func() {
			failed = err
			select {
			case done <- struct{}{}:
			default:
			}
		})
	}
	patience := func() time.Duration { return time.Duration(w.network.chance.Int64N(int64(2 * time.Second))) }
	hangUp := func() {}
	carried := w.network.carry(link{p.id(), to}, Spike, func(other *process) {
		if other == nil || other.node == nil {
			finish(w.network.latency, fmt.Errorf("%w: node %d does not listen", node.ErrNotSent, to))
			return
		}
		asked, cancel := context.WithCancel(context.Background())
		hangUp = func() {
			cancel()
			w.settle(other)
		}
		other.mayCancel(cancel)
		other.Go(func() {
			r := ask(asked, other.node)
			cancel()
			back := w.network.carry(link{to, p.id()}, Spike, func(back *process) {
				if back != p {
					return
				}
				result = r
				finish(0, nil)
			})
			if !back {
				finish(patience(), errHungUp)
			}
		})
	})
	if !carried {
		finish(patience(), lostCall(w.network.chance, to))
	}
	if p.Wait(node.Forever, node.Signals{done, ctx.Done()}) == 1 {
		w.after(w.network.latency, nil, func() { hangUp() })
		return result, ctx.Err()
	}
	return result, failed
}

// lostCall is what the caller knows of a request that was lost: perhaps that no connection came about, perhaps nothing.
func lostCall(chance *rand.Rand, to raft.NodeID) error {
	if chance.IntN(2) == 0 {
		return fmt.Errorf("%w: node %d cannot be reached", node.ErrNotSent, to)
	}
	return errHungUp
}

// Propose is node.Transport's.
func (t *transport) Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]node.Outcome, error) {
	commands = slices.Clone(commands)
	return call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) []node.Outcome {
		return n.HandlePropose(ctx, commands)
	})
}

// ReadIndex is node.Transport's.
func (t *transport) ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term) (raft.Index, error) {
	type answer struct {
		index raft.Index
		err   error
	}
	from := t.process.id()
	a, err := call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) answer {
		index, err := n.HandleReadIndex(ctx, from, term)
		return answer{index, err}
	})
	if err != nil {
		return 0, err
	}
	return a.index, a.err
}

// Genesis is node.Transport's.
func (t *transport) Genesis(ctx context.Context, peer raft.NodeID, r node.GenesisRequest) (node.GenesisAnswer, error) {
	type reply struct {
		answer node.GenesisAnswer
		err    error
	}
	a, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) reply {
		answer, err := n.HandleGenesis(ctx, r)
		return reply{answer, err}
	})
	if err != nil {
		return node.GenesisAnswer{}, err
	}
	return a.answer, a.err
}

// Fingerprint is node.Transport's.
func (t *transport) Fingerprint(ctx context.Context, peer raft.NodeID, ours node.Fingerprint) (
	node.Fingerprint, error,
) {
	type answer struct {
		theirs node.Fingerprint
		err    error
	}
	from := t.process.id()
	a, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) answer {
		theirs, err := n.HandleFingerprint(ctx, from, ours)
		return answer{theirs, err}
	})
	if err != nil {
		return node.Fingerprint{}, err
	}
	return a.theirs, a.err
}

// Transfer is node.Transport's.
func (t *transport) Transfer(ctx context.Context, leader raft.NodeID, term raft.Term, to raft.NodeID) error {
	refusal, err := call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) error {
		return n.TransferLeadershipIn(ctx, term, to)
	})
	if err != nil {
		return err
	}
	return refusal
}

// Status is node.Transport's.
func (t *transport) Status(ctx context.Context, peer raft.NodeID) (node.PeerStatus, error) {
	return call(ctx, t.process, peer, func(_ context.Context, n *node.Node) node.PeerStatus { return n.HandleStatus() })
}
