package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
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
			identity.NodeNames(e.OtherFounders), e.Node)
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
func (l *loop) suspect(index raft.Index) {
	now := l.sched.Now()
	ours := l.fingerprint(index)
	if l.suspicion.inquiring || ours.Term == 0 || !l.suspicion.at.IsZero() && now.Sub(l.suspicion.at) < inquireEvery {
		return
	}
	l.suspicion = suspicion{inquiring: true, at: now}
	l.sched.Go(func() { inquiry{l.node.shared}.run(ours) })
}

// fingerprint returns this node's fingerprint at an index. Only the loop may call it.
func (l *loop) fingerprint(index raft.Index) Fingerprint {
	term, digest, ok := l.core.Digest(index)
	if !ok || index == 0 {
		return Fingerprint{Index: index}
	}
	return Fingerprint{index, term, digest}
}

// inquiry asks the other members about a divergence. It runs beside the loop.
type inquiry struct{ *shared }

// run asks all other members for their fingerprints at once, and hands the answers to the loop.
func (q inquiry) run(ours Fingerprint) {
	ctx, cancel := q.sched.WithTimeout(q.base, q.cfg.LeaderPatience)
	defer cancel()
	answers := askOthers(q, func(peer raft.NodeID) (Fingerprint, bool) {
		theirs, err := q.cfg.Transport.Fingerprint(ctx, peer, ours)
		return theirs, err == nil
	})
	var others []raft.NodeID
	if _, differs := majorityDigest(len(q.members()), ours, answers); differs {
		others = q.otherFounders(ctx)
	}
	q.inbox.put(func(in *intake) { in.orders = append(in.orders, func(l *loop) { l.conclude(ours, answers, others) }) })
}

// askOthers asks all other members at once and returns the answers that count, in no order.
func askOthers[A any](q inquiry, ask func(peer raft.NodeID) (answer A, counts bool)) []A {
	var mu sync.Mutex
	var answers []A
	var questions []func()
	self := q.self().ID
	for _, m := range q.members() {
		if m.ID == self {
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
	scheduler.Together(q.sched, questions)
	return answers
}

// otherFounders asks all other members who founded the cluster, and returns those that belong to another founding than
// this node. A false --found-by-majority makes a second one, and both have the cluster id of the same members.
func (q inquiry) otherFounders(ctx context.Context) []raft.NodeID {
	in := q.seating.Load()
	if in == nil {
		return nil
	}
	members := q.members()
	others := askOthers(q, func(peer raft.NodeID) (raft.NodeID, bool) {
		reply := identity.GenesisReply{}
		reply.GenesisAnswer, reply.Err = q.cfg.Transport.Genesis(ctx, peer, identity.GenesisRequest{})
		return peer, reply.Err == nil && reply.Founded && reply.Check(members) == nil &&
			!slices.Equal(reply.Founders, in.Founders)
	})
	slices.Sort(others)
	return others
}

// conclude looks for the first entry that is damaged, if the answers prove that this node's log is, and drops the log
// from there on. It ends the node if the damage is committed here: a state was made of it. It runs in the loop, because
// the entry may have been replaced since the question.
//
// If the members that differ belong to another founding, both logs are whole, so nothing is dropped.
func (l *loop) conclude(ours Fingerprint, answers []Fingerprint, otherFounders []raft.NodeID) {
	s := &l.suspicion
	s.inquiring = false
	if l.fingerprint(ours.Index) != ours {
		return
	}
	commit := l.core.Status().Commit
	digest, differs := majorityDigest(len(l.node.members()), ours, answers)
	switch {
	case differs:
		s.wrong = ours
		s.damage = &DivergedError{l.node.self().ID, ours.Index, ours.Term, ours.Digest, digest, otherFounders}
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
		middle := l.fingerprint(right + (s.wrong.Index-right)/2)
		l.sched.Go(func() { inquiry{l.node.shared}.run(middle) })
		return
	}
	l.dropDiverged()
}

// dropDiverged drops the log from the first damaged entry on.
func (l *loop) dropDiverged() {
	s := &l.suspicion
	if l.fingerprint(s.wrong.Index) != s.wrong {
		return // replaced meanwhile
	}
	if !l.core.DropDiverged(s.wrong.Index) {
		s.proof = s.damage // committed meanwhile
		return
	}
	l.pending.fail(ErrOutcomeUnknown) // what comes in its place may have the same index and term
	l.cfg.Logger.Warn("entries that are not committed here differ from those of a majority, and were dropped: a message "+
		"was damaged or forged; the leader sends the right ones", "node", l.node.self().ID, "damage", s.damage)
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
	var ours Fingerprint
	err := n.inLoop(ctx, func(l *loop) { ours = l.compare(from, theirs) })
	if err != nil {
		return Fingerprint{}, err // ours may still be written
	}
	return ours, nil
}

// compare returns this node's fingerprint at the index of another member's, and raises an alarm if the two
// differ.
func (l *loop) compare(from raft.NodeID, theirs Fingerprint) Fingerprint {
	ours := l.fingerprint(theirs.Index)
	if ours.Term != 0 && ours.Term == theirs.Term && ours.Digest != theirs.Digest {
		l.node.recorder.Diverged(from, l.currentStanding().Term, &raft.DivergedError{
			Peer: from, Index: ours.Index, Term: ours.Term, Ours: ours.Digest, Theirs: theirs.Digest,
		})
		l.suspect(ours.Index)
	}
	return ours
}
