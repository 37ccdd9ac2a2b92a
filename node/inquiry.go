package node

import (
	"context"
	"slices"
	"sync"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// suspect asks the other members for their fingerprints, because a message showed another log than this node's.
func (l *loop) suspect(index raft.Index) {
	if ours, ask := l.search.Begin(index, l.sched.Now()); ask {
		l.sched.Go(func() { inquiry{l.node.shared}.run(ours) })
	}
}

// inquiry asks the other members about a divergence. It runs beside the loop.
type inquiry struct{ *shared }

// run asks all other voters for their fingerprints at once, and hands the answers to the loop.
func (q inquiry) run(ours divergence.Fingerprint) {
	ctx, cancel := q.sched.WithTimeout(q.base, q.cfg.LeaderPatience)
	defer cancel()
	voters, count := q.deciders()
	answers := askEach(q, voters, func(peer raft.NodeID) (divergence.Fingerprint, bool) {
		theirs, err := q.cfg.Transport.Fingerprint(ctx, peer, ours)
		return theirs, err == nil
	})
	var others []raft.NodeID
	if divergence.IsDamaged(count, ours, answers) {
		others = q.otherFounders()
	}
	q.inbox.order(func(l *loop) { l.conclude(ours, count, answers, others) })
}

// askEach asks some other members at once and returns the answers that count, in no order.
func askEach[A any](q inquiry, peers []raft.NodeID, ask func(peer raft.NodeID) (answer A, counts bool)) []A {
	var mu sync.Mutex
	var answers []A
	var questions []func()
	for _, peer := range peers {
		questions = append(questions, func() {
			answer, counts := ask(peer)
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
// this node. A false --found-by-majority makes a second one, and both have the cluster id of the same members. It has a
// limit of its own: a member that does not answer uses up that of the question before.
func (q inquiry) otherFounders() []raft.NodeID {
	in := q.seating.Load()
	if in == nil {
		return nil
	}
	ctx, cancel := q.sched.WithTimeout(q.base, q.cfg.LeaderPatience)
	defer cancel()
	founding := q.assigned.Load().Members // none on a node that was added later
	voters, _ := q.deciders()
	others := askEach(q, voters, func(peer raft.NodeID) (raft.NodeID, bool) {
		reply := identity.GenesisReply{}
		reply.GenesisAnswer, reply.Err = q.cfg.Transport.Genesis(ctx, peer, identity.GenesisRequest{})
		sound := reply.Err == nil && reply.Founded && (len(founding) == 0 || reply.Check(founding) == nil)
		return peer, sound && !slices.Equal(reply.Founders, in.Founders)
	})
	slices.Sort(others)
	return others
}

// conclude acts on the answers of the others, where a majority of count nodes decides. It runs in the loop, because the
// entry may have been replaced since the question.
func (l *loop) conclude(
	ours divergence.Fingerprint, count int, answers []divergence.Fingerprint, otherFounders []raft.NodeID,
) {
	c := l.search.Conclude(count, ours, answers, otherFounders)
	if c.Ask.Index != 0 {
		l.sched.Go(func() { inquiry{l.node.shared}.run(c.Ask) })
	}
	if c.Dropped != nil {
		l.pending.fail(ErrOutcomeUnknown) // what comes in its place may have the same index and term
		l.cfg.Logger.Warn("entries that are not committed here differ from those of a majority, and were dropped: a message "+
			"was damaged or forged; the leader sends the right ones", "node", l.node.self().ID, "damage", c.Dropped)
	}
}

// HandleFingerprint answers a member that found a divergence and asks for this node's fingerprint. If the two differ,
// this node asks the others as well: the damaged log may be its own. For the transport.
func (n *Node) HandleFingerprint(ctx context.Context, from raft.NodeID, theirs divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	var ours divergence.Fingerprint
	err := n.inLoop(ctx, func(l *loop) { ours = l.compare(from, theirs) })
	if err != nil {
		return divergence.Fingerprint{}, err // ours may still be written
	}
	if ours.Term == 0 {
		ours = n.storedFingerprint(theirs.Index)
	}
	return ours, nil
}

// storedFingerprint returns this node's fingerprint at an index that is no longer in memory, if the disk has it.
func (n *Node) storedFingerprint(index raft.Index) divergence.Fingerprint {
	none := divergence.Fingerprint{Index: index}
	if s := n.Status(); index == 0 || uint64(index) >= s.LastLogIndex || uint64(index) < s.FirstIndex {
		return none
	}
	part, err := n.cfg.Storage.ReadLog(index+1, 1, 1)
	if err != nil {
		return none
	}
	return divergence.Fingerprint{Index: index, Term: part.Start.Term, Digest: part.Start.Digest}
}

// compare returns this node's fingerprint at the index of another member's, and raises an alarm if the two
// differ.
func (l *loop) compare(from raft.NodeID, theirs divergence.Fingerprint) divergence.Fingerprint {
	ours := l.search.Fingerprint(theirs.Index)
	if ours.Term != 0 && ours.Term == theirs.Term && ours.Digest != theirs.Digest {
		l.recorder.Diverged(from, l.currentStanding().Term, &raft.DivergedError{
			Peer: from, Index: ours.Index, Term: ours.Term, Ours: ours.Digest, Theirs: theirs.Digest,
		})
		l.suspect(ours.Index)
	}
	return ours
}
