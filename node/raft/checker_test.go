package raft

import (
	"bytes"
	"fmt"
	"slices"
)

// checker checks the properties of the paper's figure 3 over a whole cluster. It runs after every step; the first
// violation ends the run.
type checker struct {
	net     *network
	shapes  shapes
	leaders map[Term]NodeID
	votes   map[Term]map[NodeID]NodeID // by term and voter
	known   [][]lineage                // by index: every entry ever seen in a log
	done    []Entry                    // everything ever committed, from index 1 on
	seen    map[NodeID]seenNode

	recovering bool // there may be several steps between two checks, and votes are not recorded
}

// lineage is one entry with the term of the entry before it. If no two entries with the same index and term differ
// in this, logs that agree in one place agree in all places before it (Log Matching).
type lineage struct {
	term, previous Term
	command        []byte
}

// seenNode is the state of a node after the last step.
type seenNode struct {
	core     *Core
	state    HardState
	last     Index
	lastTerm Term
	leads    bool
	members  *Configuration // in force
	removed  bool
}

func newChecker(net *network) *checker {
	return &checker{
		net: net, shapes: shapes{checked: map[*Configuration]bool{}, overlap: map[string]bool{}}, leaders: map[Term]NodeID{},
		votes: map[Term]map[NodeID]NodeID{}, seen: map[NodeID]seenNode{},
	}
}

// checkNode checks the node that made the last step.
func (k *checker) checkNode(id NodeID) error {
	node, before := k.net.nodes[id], k.seen[id]
	now := seenNode{
		core: node.Core, state: HardState{Term: node.term, Vote: node.vote, Commit: node.log.commit},
		last: node.log.last(), lastTerm: node.log.lastTerm(), leads: node.role == Leader,
		members: node.members.current, removed: node.WasRemoved(),
	}
	k.seen[id] = now
	if err := k.checkTail(node); err != nil {
		return fmt.Errorf("node %d: %w", id, err)
	}
	k.shapes.noteStep(before, now)
	if before.core == now.core {
		if err := checkMonotonic(before.state, now.state); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	if now.last != before.last || now.lastTerm != before.lastTerm || before.core != now.core {
		if err := k.checkLogMatching(node); err != nil {
			return err
		}
	}
	inForce := before.members // when the step began
	if before.core != now.core {
		inForce = now.members
	}
	if now.leads && !before.leads {
		if err := k.checkElection(node, inForce); err != nil {
			return err
		}
	}
	if before.core != now.core || now.state.Commit > before.state.Commit {
		if err := k.checkCommit(node, inForce); err != nil {
			return err
		}
	}
	if err := k.checkConfigurations(node); err != nil {
		return fmt.Errorf("node %d: %w", id, err)
	}
	return nil
}

func checkMonotonic(before, now HardState) error {
	switch {
	case now.Term < before.Term:
		return fmt.Errorf("the term went from %d to %d", before.Term, now.Term)
	case now.Term == before.Term && before.Vote != 0 && now.Vote != before.Vote:
		return fmt.Errorf("the vote in term %d went from %d to %d", now.Term, before.Vote, now.Vote)
	case now.Commit < before.Commit:
		return fmt.Errorf("the commit index went from %d to %d", before.Commit, now.Commit)
	}
	return nil
}

// checkTail: what the memory holds, what the disk holds, and how far each index is, fit together.
func (k *checker) checkTail(node *testNode) error {
	l, applied := &node.log, Index(len(node.applied))
	if l.removed > node.disk.start.Index || node.disk.start.Index > Index(len(node.disk.checkpoint)) {
		return fmt.Errorf("entries up to %d were removed, the disk begins after %d, the checkpoint has %d", l.removed,
			node.disk.start.Index, len(node.disk.checkpoint))
	}
	if !inOrder(l.removed, applied, l.handed, l.commit, l.last()) || !inOrder(l.offset, l.handed) ||
		!inOrder(l.offset, l.saved, l.last()) || !inOrder(l.offset, l.settled, l.last()) {
		return fmt.Errorf("out of order: removed %d, applied %d, handed %d, commit %d, last %d; tail from %d, saved %d, "+
			"settled %d", l.removed, applied, l.handed, l.commit, l.last(), l.offset, l.saved, l.settled)
	}
	bytes, settled := 0, 0
	for i := range l.entries {
		bytes += memoryOf(&l.entries[i])
		if l.entries[i].Index <= l.settled {
			settled += memoryOf(&l.entries[i])
		}
	}
	if bytes != l.bytes || settled != l.settledBytes || len(l.digests) != len(l.entries) {
		return fmt.Errorf("the tail takes %d bytes, %d of them settled, and not %d and %d", bytes, settled, l.bytes,
			l.settledBytes)
	}
	for i := range node.lead.progress {
		if p := &node.lead.progress[i]; p.match >= p.next {
			return fmt.Errorf("follower %d: match %d, next %d", p.id, p.match, p.next)
		}
	}
	return nil
}

func inOrder(indexes ...Index) bool { return slices.IsSorted(indexes) }

// checkLogMatching: if two logs hold an entry with the same index and term, they are identical up to it.
func (k *checker) checkLogMatching(node *testNode) error {
	previous := node.log.offsetTerm
	for _, e := range node.log.entries {
		i := int(e.Index) - 1
		if len(k.known) == i {
			k.known = append(k.known, nil)
		}
		mine := lineage{e.Term, previous, e.Command}
		at := slices.IndexFunc(k.known[i], func(l lineage) bool { return l.term == e.Term })
		if at < 0 {
			k.known[i] = append(k.known[i], mine)
		} else if other := k.known[i][at]; other.previous != previous || !bytes.Equal(other.command, e.Command) {
			return fmt.Errorf("log matching: two entries (%d, term %d): %v and %v", e.Index, e.Term, other, mine)
		}
		previous = e.Term
	}
	return nil
}

// checkElection: one leader per term (Election Safety), elected by a quorum of the voters that it counted with, and its
// log holds every committed entry (Leader Completeness).
func (k *checker) checkElection(node *testNode, inForce *Configuration) error {
	voted := func(id NodeID) bool { return id == node.id || k.votes[node.term][id] == node.id }
	committed := k.shapes.committedUpTo(node.log.commit)
	if !mayDecide(inForce, node.id) && committed != nil && !mayDecide(committed, node.id) {
		return fmt.Errorf("node %d leads term %d, and is no voter", node.id, node.term)
	}
	if !k.recovering && !decides(inForce, voted) {
		return fmt.Errorf("node %d leads term %d by the votes %v, which are no quorum of %+v", node.id, node.term,
			k.votes[node.term], *inForce)
	}
	if other, ok := k.leaders[node.term]; ok && other != node.id {
		return fmt.Errorf("election safety: nodes %d and %d lead term %d", other, node.id, node.term)
	}
	k.leaders[node.term] = node.id
	return k.checkCompleteness(node)
}

func (k *checker) checkCompleteness(node *testNode) error {
	for _, e := range k.done {
		if e.Index < node.log.offset {
			continue // removed
		}
		if t, ok := node.log.term(e.Index); e.Term < node.term && (!ok || t != e.Term) {
			return fmt.Errorf("leader completeness: the leader of term %d, node %d, lacks (%d, term %d)",
				node.term, node.id, e.Index, e.Term)
		}
	}
	return nil
}

// checkCommit: nodes commit the same entry at the same index (State Machine Safety), a majority had it on disk when
// it was committed first, and every later leader has it.
func (k *checker) checkCommit(node *testNode, inForce *Configuration) error {
	if i := node.log.offset; i > 0 && k.done[i-1].Term != node.log.offsetTerm {
		return fmt.Errorf("the log of node %d starts after (%d, term %d), but term %d is committed there",
			node.id, i, node.log.offsetTerm, k.done[i-1].Term)
	}
	for _, e := range node.log.slice(node.log.offset+1, node.log.commit) {
		if int(e.Index) <= len(k.done) {
			if other := k.done[e.Index-1]; other.Term != e.Term || !bytes.Equal(other.Command, e.Command) {
				return fmt.Errorf("state machine safety: node %d commits (%d, term %d), another one term %d",
					node.id, e.Index, e.Term, other.Term)
			}
			continue
		}
		holds := func(id NodeID) bool {
			n := k.net.nodes[id]
			own := n.disk.whole().Entry(e.Index)
			return e.Index <= n.disk.start.Index || own != nil && own.Term == e.Term
		}
		if !decides(inForce, holds) && (!k.recovering || !decides(node.members.current, holds)) {
			return fmt.Errorf("durability: node %d commits (%d, term %d), and no quorum of %+v holds it", node.id, e.Index,
				e.Term, *inForce)
		}
		k.done = append(k.done, e)
		if err := k.shapes.note(&e); err != nil {
			return err
		}
	}
	for _, n := range k.net.nodes {
		if n.role == Leader && n.term >= node.term && !k.net.down[n.id] {
			if err := k.checkCompleteness(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSent checks the messages that are sent after a save against the disk.
func (k *checker) checkSent(node *testNode, messages []Message) error {
	for _, m := range messages {
		switch {
		case m.Type == MsgRequestVoteResponse && m.VoteGranted && !m.PreVote:
			if err := k.checkVote(m.Term, m.From, m.To, node.disk.state); err != nil {
				return err
			}
		case m.Type == MsgRequestVote && !m.PreVote:
			if err := k.checkVote(m.Term, m.From, m.From, node.disk.state); err != nil {
				return err
			}
		case m.Type == MsgAppendEntriesResponse && m.Success && m.MatchIndex > node.disk.whole().Last():
			if m.Term < node.disk.state.Term {
				continue // the leader of a later term may have replaced it in the same pass
			}
			return fmt.Errorf("durability: node %d acknowledges %d, and its disk ends at %d",
				node.id, m.MatchIndex, node.disk.whole().Last())
		}
	}
	return nil
}

// checkVote: a vote is on the disk before it is sent, or the disk is in a later term already; and no node votes twice
// in a term.
func (k *checker) checkVote(term Term, voter, candidate NodeID, disk HardState) error {
	if disk.Term < term || disk.Term == term && disk.Vote != candidate {
		return fmt.Errorf("durability: node %d votes for %d in term %d; its disk has %+v", voter, candidate, term, disk)
	}
	if k.votes[term] == nil {
		k.votes[term] = map[NodeID]NodeID{}
	}
	if other, ok := k.votes[term][voter]; ok && other != candidate {
		return fmt.Errorf("node %d votes for %d and %d in term %d", voter, other, candidate, term)
	}
	k.votes[term][voter] = candidate
	return nil
}
