package raft

import "fmt"

// maxNumber bounds indexes and counters in messages. JSON tools read integers up to here exactly, no cluster runs
// long enough to need more, and sums cannot overflow.
const maxNumber = 1 << 53

// check returns an error for a message that no correct peer can send. All input from other nodes passes through it,
// so the rest of the core may rely on it.
func (c *Core) check(m *Message) error {
	switch {
	case m.To != c.id:
		return refuse("it is for node %d, this is node %d", m.To, c.id)
	case m.From == 0 || m.From == c.id:
		return refuse("node %d, who sent it, is no other node", m.From)
	case m.RemovedBy > maxNumber:
		return refuse("it names configuration %d, and indexes are at most 2^53", m.RemovedBy)
	case m.Term == 0 && m.Type == MsgRequestVoteResponse && m.PreVote && !m.VoteGranted:
		return nil // from an empty disk without a seat, which has no term and does not vote
	}
	if err := c.checkTerm(m.Term); err != nil {
		return err
	}
	switch m.Type {
	case MsgRequestVote:
		return checkVoteRequest(m)
	case MsgAppendEntries:
		return c.checkAppend(m)
	case MsgTimeoutNow:
		return c.checkLeader(m)
	case MsgAppendEntriesResponse:
		return c.checkAppendResponse(m)
	case MsgRequestVoteResponse, MsgTimeoutNowResponse:
		return nil
	}
	return refuse("message type %d is unknown", m.Type)
}

// checkAppend refuses an append or a heartbeat that contradicts itself, the leader of its term or this node's log.
func (c *Core) checkAppend(m *Message) error {
	if err := checkAppendRequest(m); err != nil {
		return err
	}
	if err := c.checkLeader(m); err != nil {
		return err
	}
	if err := c.checkCommitted(m); err != nil {
		return err
	}
	if err := c.cfg.Encoding.checkConfigurations(m.Entries); err != nil {
		return refuse("%w", err)
	}
	return c.checkDigest(m)
}

func checkVoteRequest(m *Message) error {
	if m.LastLogIndex > maxNumber || (m.LastLogIndex == 0) != (m.LastLogTerm == 0) {
		return refuse("no log ends at index %d in term %d", m.LastLogIndex, m.LastLogTerm)
	}
	if m.LastLogTerm >= m.Term {
		return refuse("a candidate of term %d cannot have entries of term %d", m.Term, m.LastLogTerm)
	}
	return nil
}

func checkAppendRequest(m *Message) error {
	if m.PrevLogIndex > maxNumber || (m.PrevLogIndex == 0) != (m.PrevLogTerm == 0) {
		return refuse("no log has an entry at index %d in term %d", m.PrevLogIndex, m.PrevLogTerm)
	}
	if m.PrevLogIndex == 0 && m.PrevLogDigest != 0 {
		return refuse("an empty log has no digest; it is %08x", uint32(m.PrevLogDigest))
	}
	if m.CommitIndex > maxNumber || m.CommitIndex != 0 && m.CommitIndex < m.LeaderCommit {
		return refuse("its commit index is %d and the part of it that counts here %d", m.CommitIndex, m.LeaderCommit)
	}
	index, term := m.PrevLogIndex, m.PrevLogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != index+1 {
			return refuse("entry %d follows entry %d", e.Index, index)
		}
		if e.Term < term || e.Term == 0 {
			return refuse("entry %d has term %d and follows term %d", e.Index, e.Term, term)
		}
		index, term = e.Index, e.Term
	}
	if term > m.Term {
		return refuse("a leader of term %d cannot have entries of term %d", m.Term, term)
	}
	return nil
}

// checkCommitted refuses entries that differ from committed entries of this node. A leader of this term or a later
// one has every committed entry (paper 5.4.3, Leader Completeness), so the sender is not one, or has lost its disk.
// The refusal is safe: it changes nothing here and acknowledges nothing (trap T17). A leader of an older term may
// have other entries there, and has to receive this node's term.
func (c *Core) checkCommitted(m *Message) error {
	if m.Term < c.term {
		return nil
	}
	contradicts := func(i Index, term Term) bool {
		t, ok := c.log.term(i)
		return ok && i <= c.log.commit && t != term
	}
	if contradicts(m.PrevLogIndex, m.PrevLogTerm) {
		return refuse("its entry %d has term %d, but one of term %d is committed there",
			m.PrevLogIndex, m.PrevLogTerm, c.log.mustTerm(m.PrevLogIndex))
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index > c.log.commit {
			return nil
		}
		if contradicts(e.Index, e.Term) {
			return refuse("it has entry %d with term %d, but one of term %d is committed there",
				e.Index, e.Term, c.log.mustTerm(e.Index))
		}
	}
	return nil
}

// checkAppendResponse refuses the response to a request that this node did not send in this term. Request 0 stands
// for a request of an older term; such a response carries nothing about it.
func (c *Core) checkAppendResponse(m *Message) error {
	if m.Incarnation > maxNumber {
		return refuse("incarnation %d is not below 2^53", m.Incarnation)
	}
	if m.Disk > DiskFull {
		return refuse("disk state %d is unknown; the highest is %d", m.Disk, DiskFull)
	}
	if m.VoteHold > maxNumber {
		return refuse("it holds its vote for %d us", m.VoteHold)
	}
	if m.RequestSnapshot > maxNumber {
		return refuse("it requests a snapshot of entry %d", m.RequestSnapshot)
	}
	if c.role != Leader || m.Term != c.term {
		return nil
	}
	return c.checkEchoes(m)
}

// checkEchoes refuses a response in the term of this leader that does not answer one of its requests.
func (c *Core) checkEchoes(m *Message) error {
	switch {
	case m.RequestID > c.lead.requestID:
		return refuse("it answers request %d, the last one was %d", m.RequestID, c.lead.requestID)
	case m.ReadSeq > c.lead.reads.round:
		return refuse("it confirms read round %d, the last one was %d", m.ReadSeq, c.lead.reads.round)
	case m.SentAt > c.fresh.clock:
		return refuse("it answers a message made at %d us, and it is %d us now", m.SentAt, c.fresh.clock)
	case m.Success && m.MatchIndex > c.log.last():
		return refuse("it acknowledges entry %d, the log ends at %d", m.MatchIndex, c.log.last())
	case !m.Success && m.RequestID != 0 && m.ConflictIndex == 0:
		return refuse("it rejects request %d without the index to try next", m.RequestID)
	case m.ConflictTerm > m.Term:
		return refuse("a follower of term %d cannot have an entry of term %d", m.Term, m.ConflictTerm)
	}
	return c.checkMatch(m)
}

func refuse(format string, args ...any) error { return refuseAs(ErrBadMessage, format, args...) }

func refuseAs(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
}
