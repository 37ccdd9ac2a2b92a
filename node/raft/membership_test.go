package raft

import (
	"fmt"
	"testing"
)

// force puts a configuration into force by an entry, whatever the current one is.
func (s *solo) force(cfg Configuration) {
	e := configEntry(s.log.last()+1, max(s.term, s.log.lastTerm()), cfg)
	s.log.append(e)
	s.Core.lead.uncommittedBytes += len(e.Command)
	s.configure()
}

// followers lists the members of which a leader has a record.
func (s *solo) followers() string {
	var ids []NodeID
	for _, p := range s.Status().Progress {
		ids = append(ids, p.ID)
	}
	return fmt.Sprint(ids)
}

// A configuration is replaced in one place, and everything that depends on who the members are follows.
func TestALeaderFollowsTheConfiguration(t *testing.T) { // paper, section 6
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.step(success(the(t, appends(s.lead(), 2))))
	wantEqual(t, "records", s.followers(), "[2 3]")
	if err := s.TransferLeadership(3); err != nil {
		t.Fatal(err)
	}

	s.force(initial(1, 2, 4, 5))
	wantEqual(t, "records while the removal is not committed", s.followers(), "[2 3 4 5]")
	wantEqual(t, "match index of a member that stays", s.progressOf(2).match, 1)
	wantEqual(t, "match index of a new member", s.progressOf(4).match, 0)
	wantEqual(t, "target of the transfer", s.Status().TransferTarget, 0)
	wantEqual(t, "transfer to a node that is no member", s.TransferLeadership(3), ErrBadTarget)

	if _, _, err := s.Propose(1, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	sent := s.take()
	s.step(success(the(t, appends(sent, 2))))
	s.step(Message{Type: MsgAppendEntriesResponse, From: 3, Term: s.term, Success: true, MatchIndex: 3})
	wantEqual(t, "commit index with two of four, and one that was removed", s.log.commit, 1)
	four := the(t, appends(sent, 4))
	wantEqual(t, "first entry for a new member", four.Entries[0].Index, 2)
	s.step(success(four))
	wantEqual(t, "commit index with three of four", s.log.commit, 3)

	for range 2 * s.patience() { // check-quorum
		for _, m := range s.ticks(1) {
			if m.Type == MsgAppendEntries && m.To == 2 {
				s.step(success(m))
			}
		}
	}
	wantEqual(t, "leads with two of four", s.role == Leader, false)
}

func TestAnElectionFollowsTheConfiguration(t *testing.T) { // paper, section 6
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	s.force(initial(1, 4, 5))
	s.campaign()
	wantEqual(t, "pre-votes requested of", fmt.Sprint(s.members.electors), "[4 5]")
	s.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: s.term + 1, PreVote: true, VoteGranted: true})
	wantEqual(t, "role with the vote of a node that is no voter", s.role, PreCandidate)
	s.step(Message{Type: MsgRequestVoteResponse, From: 4, Term: s.term + 1, PreVote: true, VoteGranted: true})
	s.step(Message{Type: MsgRequestVoteResponse, From: 5, Term: s.term, VoteGranted: true})
	wantEqual(t, "role", s.role, Leader)
	wantEqual(t, "records", s.followers(), "[2 3 4 5]")

	s.force(initial(1))
	wantEqual(t, "records", s.followers(), "[2 3 4 5]")
	if _, _, err := s.Propose(1, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	s.take()
	wantEqual(t, "commit index of a single voter", s.log.commit, s.log.last())

	s = newSolo(t, 3, HardState{Term: 1}, logOf(1))
	s.force(initial(2, 3))
	s.log.commitTo(s.log.last())
	s.configure()
	s.ticks(10 * testElectionTicks)
	wantEqual(t, "term of a node that is no voter", s.term, 1)
}
