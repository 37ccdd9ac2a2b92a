package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// network carries messages between the machines. Each direction of each link may be cut by itself.
type network struct {
	world   *World
	Chance  *rand.Rand
	latency time.Duration          // usual, one way
	cut     map[Link]int           // by how many faults; none: open
	arrives map[Link]time.Duration // when the last one arrives that keeps its place
}

// Link is one direction between two nodes.
type Link struct{ From, To raft.NodeID }

func newNetwork(w *World, chance *rand.Rand, latency time.Duration) *network {
	return &network{world: w, Chance: chance, latency: latency, cut: map[Link]int{}, arrives: map[Link]time.Duration{}}
}

func (n *network) isCut(l Link) bool { return n.cut[l] > 0 }

// Hold cuts links for a while.
func (n *network) Hold(links []Link, lasts time.Duration) {
	n.Close(links)
	n.world.After(lasts, nil, func() {
		for _, l := range links {
			if n.cut[l]--; n.cut[l] <= 0 {
				delete(n.cut, l)
			}
		}
		n.world.NoteFault(0, "heals: %s", NameLinks(links))
	})
}

// CutForGood cuts links until open, whatever ends meanwhile.
func (n *network) CutForGood(links []Link) {
	for _, l := range links {
		n.cut[l] = forGood
	}
}

// Close cuts links until all are opened, or one fault more than the others ends.
func (n *network) Close(links []Link) {
	for _, l := range links {
		n.cut[l]++
	}
}

// OpenAll lets all links carry again.
func (n *network) OpenAll() { clear(n.cut) }

// Open lets links carry again.
func (n *network) Open(links []Link) {
	for _, l := range links {
		delete(n.cut, l)
	}
}

// forGood is more faults than can end on a link.
const forGood = 1 << 30

// carry takes something from one machine to another, and hands it to the process that runs there when it arrives, nil
// if none does. slow is the fault that may make it slow. False if it was lost on the way, without any report.
func (n *network) carry(l Link, slow Fault, deliver func(to *Process)) bool {
	w := n.world
	if n.isCut(l) || w.Mix.Happens(n.Chance, Loss) {
		w.countIf(!n.isCut(l), Loss)
		return false
	}
	at := w.now + n.latency/2 + time.Duration(n.Chance.Int64N(int64(n.latency)))
	switch {
	case w.Mix.Happens(n.Chance, slow):
		w.Count(slow)
		at += w.Mix.Lasts(n.Chance, slow)
	case w.Mix.Happens(n.Chance, Reorder):
		w.Count(Reorder)
		at += w.Mix.Lasts(n.Chance, Reorder)
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
func (n *network) arrive(d time.Duration, l Link, deliver func(to *Process)) {
	w := n.world
	w.After(d, nil, func() {
		if n.isCut(l) {
			return
		}
		p := w.Machine(l.To).Process
		if p != nil && p.isFrozen() {
			p.mail = append(p.mail, func() { n.arrive(0, l, deliver) })
			return
		}
		deliver(p)
		if p != nil {
			w.Settle(p)
		}
	})
}

// Reach is how long a message can be on its way.
func (n *network) Reach() time.Duration {
	d := 2*n.latency + catalogue[Reorder].longest
	if n.world.Mix[Spike] > 0 {
		d += catalogue[Spike].longest
	}
	return d
}

// leaves is called for every message when it leaves a node.
func (w *World) leaves(p *Process, m *raft.Message) {
	w.note(note{kind: noteSent, node: p.ID(), message: *m})
	w.observer.Leaves(p.home, m)
}

// MayCancel ends the context of a call at some moment, if chance wants it.
func (p *Process) MayCancel(cancel context.CancelFunc) {
	w := p.world
	if !w.Mix.Happens(w.Network.Chance, Cancel) {
		return
	}
	w.Count(Cancel)
	w.After(w.Mix.Lasts(w.Network.Chance, Cancel), p, cancel)
}

// transport is a process's node.Transport.
type transport struct{ process *Process }

// Send is node.Transport's.
func (t *transport) Send(messages []raft.Message) {
	w := t.process.world
	for i := range messages {
		t.request(messages[i])
		if w.Mix.Happens(w.order, LateTask) {
			t.process.Sleep(w.Mix.Lasts(w.order, LateTask)) // a goroutine may lose its turn anywhere
		}
	}
}

// SetPeers is node.Transport's. The members of a simulated cluster do not change.
func (t *transport) SetPeers([]identity.Member) {}

// request takes one message to its target, and the answer back.
func (t *transport) request(m raft.Message) {
	p, n := t.process, t.process.world.Network
	l := Link{p.ID(), m.To}
	n.world.leaves(p, &m)
	m = n.world.observer.Forge(m)
	if !n.carry(l, slowness(&m), func(to *Process) { t.deliver(m, to) }) {
		t.lost(m)
		return
	}
	if n.world.Mix.Happens(n.Chance, Duplicate) {
		n.world.Count(Duplicate)
		n.arrive(n.world.Mix.Lasts(n.Chance, Duplicate), l, func(to *Process) { t.deliver(m, to) })
	}
}

// lost reports to the sender, sometimes and later, that a message did not arrive.
func (t *transport) lost(m raft.Message) {
	p, w := t.process, t.process.world
	if w.Network.Chance.IntN(2) == 0 {
		w.After(w.Network.latency+time.Duration(w.Network.Chance.Int64N(int64(time.Second))), p, func() {
			if p.Node != nil {
				p.Node.Unreachable(m.To)
			}
		})
	}
}

// deliver hands a message to the node in a process, and takes its answer back.
func (t *transport) deliver(m raft.Message, to *Process) {
	if to == nil || to.Node == nil {
		t.lost(m) // the connection is refused
		return
	}
	w := to.world
	w.note(note{kind: noteArrives, node: to.ID(), message: m})
	ctx, cancel := context.WithCancel(to.Ctx)
	to.MayCancel(cancel)
	to.Go(func() {
		defer cancel()
		answer, err := to.Node.Deliver(ctx, m)
		if err != nil {
			w.observer.Refused(to.home, &m, err)
			t.lost(m)
			return
		}
		w.leaves(to, &answer)
		back := Link{to.ID(), t.process.ID()}
		w.Network.carry(back, slowness(&answer), func(back *Process) { t.answered(answer, back) })
	})
}

// answered hands an answer to its asker. Another life of it gets it only by a fault: connections end with the process.
func (t *transport) answered(answer raft.Message, back *Process) {
	w := t.process.world
	if back == nil || back.Node == nil {
		return
	}
	if back != t.process {
		if !w.Mix.Happens(w.Network.Chance, FormerLife) {
			return
		}
		w.Count(FormerLife)
	}
	w.note(note{kind: noteArrives, node: back.ID(), message: answer})
	back.Node.Receive(answer)
}

// ErrHungUp is what becomes of a call whose answer will not come.
var ErrHungUp = errors.New("sim: the connection broke before the answer came")

// call asks something of another node and waits for the answer, or for the end of ctx. The request arrives at most
// once. The error wraps node.ErrNotSent only if it surely never did.
func call[T any](ctx context.Context, p *Process, to raft.NodeID,
	ask func(ctx context.Context, n *node.Node) T,
) (T, error) {
	w := p.world
	var result T
	var failed error
	done := make(chan struct{}, 1)
	finish := func(d time.Duration, err error) {
		w.After(d, p, func() {
			failed = err
			select {
			case done <- struct{}{}:
			default:
			}
		})
	}
	patience := func() time.Duration { return time.Duration(w.Network.Chance.Int64N(int64(2 * time.Second))) }
	hangUp := func() {}
	carried := w.Network.carry(Link{p.ID(), to}, Spike, func(other *Process) {
		if other == nil || other.Node == nil {
			finish(w.Network.latency, fmt.Errorf("%w: node %d does not listen", node.ErrNotSent, to))
			return
		}
		asked, cancel := context.WithCancel(context.Background())
		hangUp = func() {
			cancel()
			w.Settle(other)
		}
		other.MayCancel(cancel)
		other.Go(func() {
			r := ask(asked, other.Node)
			cancel()
			back := w.Network.carry(Link{to, p.ID()}, Spike, func(back *Process) {
				if back != p {
					return
				}
				result = r
				finish(0, nil)
			})
			if !back {
				finish(patience(), ErrHungUp)
			}
		})
	})
	if !carried {
		finish(patience(), lostCall(w.Network.Chance, to))
	}
	if p.Wait(scheduler.Forever, scheduler.Signals{done, ctx.Done()}) == 1 {
		w.After(w.Network.latency, nil, func() { hangUp() })
		return result, ctx.Err()
	}
	return result, failed
}

// lostCall is what the caller learns of a request that was lost: that there was no connection, or nothing.
func lostCall(chance *rand.Rand, to raft.NodeID) error {
	if chance.IntN(2) == 0 {
		return fmt.Errorf("%w: node %d cannot be reached", node.ErrNotSent, to)
	}
	return ErrHungUp
}

// Propose is node.Transport's.
func (t *transport) Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]node.Outcome, error) {
	commands = slices.Clone(commands)
	return call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) []node.Outcome {
		return n.HandlePropose(ctx, commands)
	})
}

// ReadIndex is node.Transport's.
func (t *transport) ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term, lease bool) (
	raft.ReadPoint, error,
) {
	type answer struct {
		point raft.ReadPoint
		err   error
	}
	from := t.process.ID()
	a, err := call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) answer {
		point, err := n.HandleReadIndex(ctx, from, term, lease)
		return answer{point, err}
	})
	if err != nil {
		return raft.ReadPoint{}, err
	}
	return a.point, a.err
}

// Genesis is node.Transport's.
func (t *transport) Genesis(
	ctx context.Context, peer raft.NodeID, r identity.GenesisRequest,
) (identity.GenesisAnswer, error) {
	type reply struct {
		answer identity.GenesisAnswer
		err    error
	}
	a, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) reply {
		answer, err := n.HandleGenesis(ctx, r)
		return reply{answer, err}
	})
	if err != nil {
		return identity.GenesisAnswer{}, err
	}
	return a.answer, a.err
}

// Fingerprint is node.Transport's.
func (t *transport) Fingerprint(ctx context.Context, peer raft.NodeID, ours divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	type answer struct {
		theirs divergence.Fingerprint
		err    error
	}
	from := t.process.ID()
	a, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) answer {
		theirs, err := n.HandleFingerprint(ctx, from, ours)
		return answer{theirs, err}
	})
	if err != nil {
		return divergence.Fingerprint{}, err
	}
	return a.theirs, a.err
}

// StateDigest is node.Transport's.
func (t *transport) StateDigest(ctx context.Context, peer raft.NodeID, index raft.Index) (divergence.State, error) {
	type answer struct {
		state divergence.State
		err   error
	}
	a, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) answer {
		state, err := n.HandleStateDigest(ctx, index)
		return answer{state, err}
	})
	if err != nil {
		return divergence.State{}, err
	}
	return a.state, a.err
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

// ChangeMembers is node.Transport's.
func (t *transport) ChangeMembers(ctx context.Context, leader raft.NodeID, change api.MemberChange) (
	api.MemberChangeResponse, error,
) {
	type answer struct {
		response api.MemberChangeResponse
		err      error
	}
	a, err := call(ctx, t.process, leader, func(ctx context.Context, n *node.Node) answer {
		response, err := n.HandleMemberChange(ctx, change)
		return answer{response, err}
	})
	if err != nil {
		return api.MemberChangeResponse{}, err
	}
	return a.response, a.err
}

// Offer is node.Transport's.
func (t *transport) Offer(ctx context.Context, peer raft.NodeID, offer identity.Offer) error {
	refusal, err := call(ctx, t.process, peer, func(ctx context.Context, n *node.Node) error {
		return n.HandleOffer(ctx, offer)
	})
	if err != nil {
		return err
	}
	return refusal
}

// StatusAt is node.Transport's. A simulated cluster has no nodes but its members.
func (t *transport) StatusAt(_ context.Context, url string) (node.PeerStatus, error) {
	return node.PeerStatus{}, fmt.Errorf("%w: there is no node at %s", node.ErrNotSent, url)
}

// Snapshot is node.Transport's. A part may arrive twice, the second time when others have followed.
func (t *transport) Snapshot(ctx context.Context, peer raft.NodeID, chunk snapshot.Chunk) (snapshot.Answer, error) {
	type answer struct {
		snapshot.Answer
		err error
	}
	p := t.process
	chunk.Data = slices.Clone(chunk.Data)
	take := func(ctx context.Context, n *node.Node, at *Machine) answer {
		a, err := n.HandleSnapshot(ctx, chunk)
		if errors.Is(err, raft.ErrBadMessage) {
			p.world.observer.Misused(p.home, fmt.Errorf("node %d refuses a part of a snapshot: %w", at.ID, err))
		}
		return answer{a, err}
	}
	if w := p.world; w.Mix.Happens(w.Network.Chance, Duplicate) {
		w.Count(Duplicate)
		w.Network.arrive(w.Mix.Lasts(w.Network.Chance, Duplicate), Link{p.ID(), peer}, func(to *Process) {
			if to != nil && to.Node != nil {
				to.Go(func() { take(to.Ctx, to.Node, to.home) })
			}
		})
	}
	a, err := call(ctx, p, peer, func(ctx context.Context, n *node.Node) answer {
		return take(ctx, n, p.world.Machine(peer))
	})
	if err != nil {
		return snapshot.Answer{}, err
	}
	return a.Answer, a.err
}

// Status is node.Transport's.
func (t *transport) Status(ctx context.Context, peer raft.NodeID) (node.PeerStatus, error) {
	return call(ctx, t.process, peer, func(_ context.Context, n *node.Node) node.PeerStatus { return n.HandleStatus() })
}
