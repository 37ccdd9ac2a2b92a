package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// inquireEvery is how often a node asks the others whether its log is the damaged one. Any message may be the cause.
const inquireEvery = time.Second

// DivergedError ends a node whose log differs from the one that a majority holds, this node not counted.
type DivergedError struct {
	Node     raft.NodeID // this node
	Index    raft.Index
	Term     raft.Term // of the entry at Index, in both logs
	Ours     raft.Digest
	Majority raft.Digest
	// OtherFounders are the members that belong to another founding of the cluster than this node. Then no log is damaged.
	OtherFounders []raft.NodeID
}

// Error implements error.
func (e *DivergedError) Error() string {
	if len(e.OtherFounders) > 0 {
		return fmt.Sprintf("node: this cluster was founded twice: the founders of %s are not those of node %d, so their "+
			"logs differ. Either log may hold acknowledged writes that the other does not: keep this data directory. To "+
			"read it, stop the other nodes and start this one alone: raftctl get KEY --consistency stale",
			nodeNames(e.OtherFounders), e.Node)
	}
	return fmt.Sprintf("node: the log of node %d is damaged: up to entry %d of term %d its digest is %08x, and a "+
		"majority without it has %08x; keep the directory aside and this node off; the cluster runs on as long as a "+
		"majority of its members do", e.Node, e.Index, e.Term, uint32(e.Ours), uint32(e.Majority))
}

// suspicion is what a node remembers of a divergence. It belongs to the loop.
type suspicion struct {
	inquiring bool
	at        time.Time // of the last inquiry but those that follow from it

	// wrong is the first entry that is proven wrong, and right the last one before it that was asked about and is not.
	// Between them lies the first that differs.
	wrong  Fingerprint
	right  raft.Index
	damage *DivergedError // of wrong

	proof error // a DivergedError, once this node is proven wrong in what is committed
}

// suspect asks the other members for their fingerprints, because a message showed another log than this node's. The
// message proves nothing: it may be forged. What the members answer on connections that this node makes decides.
func (n *Node) suspect(index raft.Index) {
	now := n.sched.Now()
	ours := n.fingerprint(index)
	if n.suspicion.inquiring || ours.Term == 0 || !n.suspicion.at.IsZero() && now.Sub(n.suspicion.at) < inquireEvery {
		return
	}
	n.suspicion = suspicion{inquiring: true, at: now}
	n.sched.Go(func() { n.inquire(ours) })
}

// fingerprint returns this node's fingerprint at an index. Only the loop may call it.
func (n *Node) fingerprint(index raft.Index) Fingerprint {
	term, digest, ok := n.core.Digest(index)
	if !ok || index == 0 {
		return Fingerprint{Index: index}
	}
	return Fingerprint{index, term, digest}
}

// inquire asks all other members at once, and hands the answers to the loop.
func (n *Node) inquire(ours Fingerprint) {
	ctx, cancel := n.sched.WithTimeout(n.readers.base, n.cfg.LeaderPatience)
	defer cancel()
	answers := askOthers(n, func(peer raft.NodeID) (Fingerprint, bool) {
		theirs, err := n.cfg.Transport.Fingerprint(ctx, peer, ours)
		return theirs, err == nil
	})
	var others []raft.NodeID
	if _, differs := majorityDigest(len(n.self().members), ours, answers); differs {
		others = n.otherFounders(ctx)
	}
	n.inbox.put(func(in *intake) { in.orders = append(in.orders, func() { n.conclude(ours, answers, others) }) })
}

// askOthers asks all other members at once and returns the answers that count, in no order.
func askOthers[A any](n *Node, ask func(peer raft.NodeID) (answer A, counts bool)) []A {
	var mu sync.Mutex
	var answers []A
	var questions []func()
	who := n.self()
	for _, m := range who.members {
		if m.ID == who.id {
			continue
		}
		questions = append(questions, func() {
			answer, counts := ask(m.ID)
			if !counts {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	}
	together(n.sched, questions)
	return answers
}

// otherFounders asks all other members who founded the cluster, and returns those that belong to another founding than
// this node. A false --found-by-majority makes a second one, and both have the cluster id of the same members.
func (n *Node) otherFounders(ctx context.Context) []raft.NodeID {
	in := n.seating.Load()
	if in == nil {
		return nil
	}
	members := n.self().members
	others := askOthers(n, func(peer raft.NodeID) (raft.NodeID, bool) {
		reply := genesisReply{}
		reply.GenesisAnswer, reply.err = n.cfg.Transport.Genesis(ctx, peer, GenesisRequest{})
		return peer, reply.err == nil && reply.Founded && reply.check(members) == nil &&
			!slices.Equal(reply.Founders, in.founders)
	})
	slices.Sort(others)
	return others
}

// conclude looks for the first entry that is damaged, if the answers prove that this node's log is, and drops the log
// from there on. It ends the node if the damage is committed here: a state was made of it. It runs in the loop, because
// the entry may have been replaced since the question.
//
// If the members that differ belong to another founding, both logs are whole, so nothing is dropped.
func (n *Node) conclude(ours Fingerprint, answers []Fingerprint, otherFounders []raft.NodeID) {
	s := &n.suspicion
	s.inquiring = false
	if n.fingerprint(ours.Index) != ours {
		return
	}
	commit := n.core.Status().Commit
	digest, differs := majorityDigest(len(n.self().members), ours, answers)
	switch {
	case differs:
		s.wrong = ours
		s.damage = &DivergedError{n.self().id, ours.Index, ours.Term, ours.Digest, digest, otherFounders}
		if len(otherFounders) > 0 || ours.Index <= commit {
			s.proof = s.damage
			return
		}
	case s.wrong.Index == 0:
		return
	default:
		s.right = ours.Index
	}
	right := max(s.right, commit)
	if s.wrong.Index-right > 1 {
		s.inquiring = true
		middle := n.fingerprint(right + (s.wrong.Index-right)/2)
		n.sched.Go(func() { n.inquire(middle) })
		return
	}
	n.dropDiverged()
}

// dropDiverged drops the log from the first damaged entry on.
func (n *Node) dropDiverged() {
	s := &n.suspicion
	if n.fingerprint(s.wrong.Index) != s.wrong {
		return // replaced meanwhile
	}
	if !n.core.DropDiverged(s.wrong.Index) {
		s.proof = s.damage // committed meanwhile
		return
	}
	n.pending.fail(ErrOutcomeUnknown) // what comes in its place may have the same index and term
	n.cfg.Logger.Warn("entries that are not committed here differ from those of a majority, and were dropped: a message "+
		"was damaged or forged; the leader sends the right ones", "node", n.self().id, "damage", s.damage)
}

// majorityDigest returns the digest that differs from ours where index and term are the same and that a majority of all
// members has, counting only those that answered. Then ours is the damaged log: an entry that was committed with this
// node's help is held by at least one of them. A minority proves nothing, since its logs may be the damaged ones.
func majorityDigest(members int, ours Fingerprint, answers []Fingerprint) (raft.Digest, bool) {
	holders := map[raft.Digest]int{}
	for _, theirs := range answers {
		if theirs.Index != ours.Index || theirs.Term != ours.Term || theirs.Digest == ours.Digest || theirs.Digest == 0 {
			continue
		}
		holders[theirs.Digest]++
		if holders[theirs.Digest] > members/2 {
			return theirs.Digest, true
		}
	}
	return 0, false
}

// HandleFingerprint answers a member that found a divergence and asks for this node's fingerprint. If the two differ,
// this node asks the others as well: the damaged log may be its own. For the transport.
func (n *Node) HandleFingerprint(ctx context.Context, from raft.NodeID, theirs Fingerprint) (Fingerprint, error) {
	if n.view.Load().lifeCycle != api.StateMember {
		return Fingerprint{}, ErrNotReady
	}
	var ours Fingerprint
	found := make(chan struct{})
	ordered := n.inbox.put(func(in *intake) {
		in.orders = append(in.orders, func() {
			ours = n.fingerprint(theirs.Index)
			if ours.Term != 0 && ours.Term == theirs.Term && ours.Digest != theirs.Digest {
				n.noteDiverged(from, &raft.DivergedError{
					Peer: from, Index: ours.Index, Term: ours.Term, Ours: ours.Digest, Theirs: theirs.Digest,
				})
			}
			close(found)
		})
	})
	if !ordered {
		return Fingerprint{}, ErrNotReady
	}
	switch n.sched.Wait(Forever, Signals{found, ctx.Done(), n.stopped}) {
	case 0:
		return ours, nil
	case 1:
		return Fingerprint{}, ctx.Err()
	}
	return Fingerprint{}, ErrNotReady
}

// noteDiverged raises an alarm for a divergence, and finds out which of the two logs is damaged.
func (n *Node) noteDiverged(peer raft.NodeID, err error) {
	n.alarm(alarmKey{peer, kindDiverged}, err)
	var diverged *raft.DivergedError
	if errors.As(err, &diverged) {
		n.suspect(diverged.Index)
	}
}
