package raft

import "testing"

// What no correct peer sends is refused, and changes nothing.
func TestBadMessagesAreRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]Message{
		"wrong target":               {Type: MsgAppendEntries, From: 2, To: 3, Term: 5},
		"no target":                  {Type: MsgAppendEntries, From: 2, Term: 5},
		"no sender":                  {Type: MsgAppendEntries, To: 1, Term: 5},
		"an absurd removal":          {Type: MsgAppendEntriesResponse, From: 2, To: 1, Term: 4, RemovedBy: maxNumber + 1},
		"ourselves":                  {Type: MsgAppendEntries, From: 1, To: 1, Term: 5},
		"term 0":                     {Type: MsgAppendEntries, From: 2, To: 1},
		"term beyond 2^53":           {Type: MsgAppendEntries, From: 2, To: 1, Term: maxNumber + 1},
		"rejection of a later term":  {Type: MsgAppendEntriesResponse, From: 2, To: 1, Term: maxNumber},
		"no type":                    {From: 2, To: 1, Term: 5},
		"unknown type":               {Type: 99, From: 2, To: 1, Term: 5},
		"entries with a gap":         {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, Entries: entriesFrom(2, 1)},
		"entries out of order":       {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, Entries: logOf(2, 1)},
		"entry of term 0":            {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, Entries: logOf(0)},
		"entry of a later term":      {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, Entries: logOf(6)},
		"previous of a later term":   {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, PrevLogIndex: 1, PrevLogTerm: 6},
		"previous term without one":  {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, PrevLogTerm: 1},
		"previous index without one": {Type: MsgAppendEntries, From: 2, To: 1, Term: 5, PrevLogIndex: 1},
		"entries older than previous": {
			Type: MsgAppendEntries, From: 2, To: 1, Term: 5, PrevLogIndex: 1, PrevLogTerm: 3, Entries: entriesFrom(2, 2),
		},
		"index beyond 2^53": {
			Type: MsgAppendEntries, From: 2, To: 1, Term: 5, PrevLogIndex: maxNumber + 1, PrevLogTerm: 1,
		},
		"candidate with entries of its term": {
			Type: MsgRequestVote, From: 2, To: 1, Term: 5, LastLogIndex: 1, LastLogTerm: 5,
		},
		"candidate with a log of no term": {Type: MsgRequestVote, From: 2, To: 1, Term: 5, LastLogIndex: 1},
		"candidate with a term of no log": {Type: MsgRequestVote, From: 2, To: 1, Term: 5, LastLogTerm: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, newSolo(t, 3, HardState{Term: 4}, logOf(1, 1)), m)
		})
	}
}

// A follower cannot answer a request that it did not receive, nor acknowledge entries that were not sent to it.
func TestBadAnswersAreRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]Message{
		"request to come":          {RequestID: 99, Success: true},
		"read round to come":       {RequestID: 1, ReadSeq: 1, Success: true},
		"entries beyond the log":   {RequestID: 1, MatchIndex: 2, Success: true},
		"rejection without hint":   {RequestID: 1},
		"conflict in a later term": {RequestID: 1, ConflictIndex: 1, ConflictTerm: 2},
	} {
		s := newSolo(t, 3, HardState{}, nil)
		s.lead()
		m.Type, m.From, m.To, m.Term = MsgAppendEntriesResponse, 2, 1, 1
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, s, m)
		})
	}
}

// Every accepted request gets exactly one response with its tag: an exchange of the transport waits for it.
func TestEveryRequestIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	roles := map[string]func(s *solo){
		"follower": func(*solo) {}, "pre-candidate": (*solo).campaign, "candidate": (*solo).stand,
		"leader": func(s *solo) { s.lead() },
	}
	for name, begin := range roles {
		for _, term := range []Term{1, 4, 5, 6, 7} {
			for _, m := range []Message{
				{Type: MsgRequestVote},
				{Type: MsgRequestVote, PreVote: true},
				{Type: MsgRequestVote, Transfer: true},
				{Type: MsgAppendEntries},
				{Type: MsgAppendEntries, PrevLogIndex: 9, PrevLogTerm: 1},
				{Type: MsgTimeoutNow},
			} {
				s := newSolo(t, 3, HardState{Term: 5}, nil)
				begin(s)
				m.Term = term
				if s.role == Leader && m.Term == s.term && m.Type != MsgRequestVote {
					continue // T10
				}
				r := s.ask(m) // counts the responses, and checks type and tag
				wantEqual(t, name+" answers to", r.To, 2)
			}
		}
	}
}
