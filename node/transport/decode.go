package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// decodeRequest reads the body of a request between nodes. The commands of entries may be parts of the body,
// which therefore must not be used again. What is made of entries is charged to held. From is the id that the body
// claims.
func decodeRequest(kind raft.MessageType, body []byte, held *budget.Account) (raft.Message, error) {
	if kind == raft.MsgAppendEntries {
		m, ok := scanAppendEntries(body)
		switch {
		case !ok:
			return parseAppendEntries(body, held)
		case !held.Take(len(m.Entries) * entryCost):
			return raft.Message{}, http1.ErrNoMemory
		}
		return m, nil
	}
	var w smallRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return raft.Message{}, err
	}
	m := raft.Message{Type: kind, Term: w.Term}
	if kind == raft.MsgTimeoutNow {
		m.From = w.LeaderID
		return m, nil
	}
	m.From, m.PreVote, m.Transfer = w.CandidateID, w.PreVote, w.Transfer
	m.LastLogIndex, m.LastLogTerm = w.LastLogIndex, w.LastLogTerm
	return m, nil
}

// smallRequest has the fields of the requests that are too rare to need a scanner.
type smallRequest struct {
	Term         raft.Term   `json:"term"`
	LeaderID     raft.NodeID `json:"leader_id"`
	CandidateID  raft.NodeID `json:"candidate_id"`
	LastLogIndex raft.Index  `json:"last_log_index"`
	LastLogTerm  raft.Term   `json:"last_log_term"`
	PreVote      bool        `json:"pre_vote"`
	Transfer     bool        `json:"transfer"`
}

func scanAppendEntries(body []byte) (raft.Message, bool) {
	s := jsontext.Scan(body)
	m := raft.Message{Type: raft.MsgAppendEntries}
	m.Term = raft.Term(s.Uint(`{"term":`))
	m.From = raft.NodeID(s.Uint(`,"leader_id":`))
	m.PrevLogIndex = raft.Index(s.Uint(`,"prev_log_index":`))
	m.PrevLogTerm = raft.Term(s.Uint(`,"prev_log_term":`))
	m.PrevLogDigest = raft.Digest(s.Given(`,"prev_log_digest":`, math.MaxUint32))
	s.Want(`,"entries":[`)
	m.Entries = scanEntries(&s)
	m.LeaderCommit = raft.Index(s.Uint(`],"leader_commit":`))
	m.RequestID = s.Uint(`,"request_id":`)
	m.ReadSeq = s.Uint(`,"read_seq":`)
	m.CommitIndex = raft.Index(s.Given(`,"commit_index":`, math.MaxUint64))
	m.SentAt = s.Given(`,"sent_at":`, math.MaxUint64)
	m.Stamp = s.Given(`,"stamp":`, math.MaxUint64)
	m.QuorumAge = s.Given(`,"quorum_age_us":`, math.MaxUint64)
	s.Want(`}`)
	return m, s.Done()
}

const (
	// maxEntries bounds the entries of one message, as what an entry costs here has nothing to do with its length
	// (trap H4). It is sixteen times as many as raftnode sends at most.
	maxEntries = 64 << 10
	// entryCost is what an entry takes beside its command, in a list that grows.
	entryCost = 128
)

// typicalEntry guesses how many bytes an entry takes, to make room for about the right number of them.
const typicalEntry = 256

func scanEntries(s *jsontext.Scanner) []raft.Entry {
	if s.Bad() || s.Peek(`]`) {
		return nil
	}
	entries := make([]raft.Entry, 0, min(s.Left()/typicalEntry+1, maxEntries))
	for {
		e := entryjson.Scan(s)
		if s.Bad() || follows(entries, e.Index) != nil {
			s.Fail(true)
			return nil
		}
		entries = append(entries, e)
		if !s.Take(`,`) {
			return entries
		}
	}
}

// follows returns an error if an entry with that index cannot come next in a message.
func follows(entries []raft.Entry, index raft.Index) error {
	switch last := len(entries) - 1; {
	case index == 0:
		return errors.New("an entry has an index above 0")
	case last >= 0 && index != entries[last].Index+1:
		return fmt.Errorf("entry %d follows entry %d", index, entries[last].Index)
	case last+1 == maxEntries:
		return fmt.Errorf("one message has at most %d entries", maxEntries)
	}
	return nil
}

type appendEntriesWire struct {
	Term          raft.Term     `json:"term"`
	LeaderID      raft.NodeID   `json:"leader_id"`
	PrevLogIndex  raft.Index    `json:"prev_log_index"`
	PrevLogTerm   raft.Term     `json:"prev_log_term"`
	PrevLogDigest raft.Digest   `json:"prev_log_digest"`
	Entries       jsontext.List `json:"entries"`
	LeaderCommit  raft.Index    `json:"leader_commit"`
	RequestID     uint64        `json:"request_id"`
	ReadSeq       uint64        `json:"read_seq"`
	CommitIndex   raft.Index    `json:"commit_index"`
	SentAt        uint64        `json:"sent_at"`
	Stamp         uint64        `json:"stamp"`
	QuorumAge     uint64        `json:"quorum_age_us"`
}

func parseAppendEntries(body []byte, held *budget.Account) (raft.Message, error) {
	var entries []raft.Entry
	w := appendEntriesWire{Entries: jsontext.List{Name: "entries", Take: func(text []byte) error {
		if !held.Take(len(text) + entryCost) { // the command is copied
			return http1.ErrNoMemory
		}
		e, err := entryjson.Parse(text)
		if err == nil {
			err = follows(entries, e.Index)
		}
		entries = append(entries, e)
		return err
	}}}
	if err := json.Unmarshal(body, &w); err != nil {
		return raft.Message{}, err
	}
	return raft.Message{
		Type: raft.MsgAppendEntries, From: w.LeaderID, Term: w.Term, PrevLogIndex: w.PrevLogIndex,
		PrevLogTerm: w.PrevLogTerm, PrevLogDigest: w.PrevLogDigest, LeaderCommit: w.LeaderCommit,
		RequestID: w.RequestID, ReadSeq: w.ReadSeq, CommitIndex: w.CommitIndex,
		SentAt: w.SentAt, Stamp: w.Stamp, QuorumAge: w.QuorumAge, Entries: entries,
	}, nil
}

// decodeResponse reads the body that answers a request of the given type.
func decodeResponse(request raft.MessageType, body []byte) (raft.Message, error) {
	if request == raft.MsgAppendEntries {
		if m, ok := scanAppendEntriesResponse(body); ok {
			return m, nil
		}
	}
	var w responseWire
	if err := json.Unmarshal(body, &w); err != nil {
		return raft.Message{}, err
	}
	return raft.Message{
		Type: responseTo(request), Term: w.Term, PreVote: w.PreVote, VoteGranted: w.VoteGranted, Success: w.Success,
		MatchIndex: w.MatchIndex, MatchDigest: w.MatchDigest, ConflictIndex: w.ConflictIndex, ConflictTerm: w.ConflictTerm,
		RequestID: w.RequestID, ReadSeq: w.ReadSeq, SentAt: w.SentAt, Stamp: w.Stamp, Incarnation: w.Incarnation,
		Disk: w.Disk, RequestSnapshot: w.RequestSnapshot, Level: w.Level, RemovedBy: w.RemovedBy, VoteHold: w.VoteHold,
	}, nil
}

// responseWire has the fields of every response; each kind of response uses some.
type responseWire struct {
	Term          raft.Term   `json:"term"`
	VoteGranted   bool        `json:"vote_granted"`
	PreVote       bool        `json:"pre_vote"`
	Success       bool        `json:"success"`
	MatchIndex    raft.Index  `json:"match_index"`
	MatchDigest   raft.Digest `json:"match_digest"`
	ConflictIndex raft.Index  `json:"conflict_index"`
	ConflictTerm  raft.Term   `json:"conflict_term"`
	RequestID     uint64      `json:"request_id"`
	ReadSeq       uint64      `json:"read_seq"`
	SentAt        uint64      `json:"sent_at"`
	Stamp         uint64      `json:"stamp"`
	VoteHold      uint64      `json:"vote_hold_us"`
	// Incarnation is in the answer of a node that has no seat.
	Incarnation raft.Incarnation `json:"incarnation"`
	// Disk is in the answer of a node whose disk is low.
	Disk raft.DiskState `json:"disk"`
	// RequestSnapshot is in the answer of a node whose state must be replaced.
	RequestSnapshot raft.Index `json:"request_snapshot"`
	// Level is absent in the answer of an older version.
	Level raft.Level `json:"level"`
	// RemovedBy is in the answer to a node that was removed.
	RemovedBy raft.Index `json:"removed_by"`
}

func scanAppendEntriesResponse(body []byte) (raft.Message, bool) {
	s := jsontext.Scan(body)
	m := raft.Message{Type: raft.MsgAppendEntriesResponse}
	m.Term = raft.Term(s.Uint(`{"term":`))
	m.Success = s.Bool(`,"success":`)
	m.MatchIndex = raft.Index(s.Uint(`,"match_index":`))
	m.MatchDigest = raft.Digest(s.Given(`,"match_digest":`, math.MaxUint32))
	m.ConflictIndex = raft.Index(s.Uint(`,"conflict_index":`))
	m.ConflictTerm = raft.Term(s.Uint(`,"conflict_term":`))
	m.RequestID = s.Uint(`,"request_id":`)
	m.ReadSeq = s.Uint(`,"read_seq":`)
	m.SentAt = s.Given(`,"sent_at":`, math.MaxUint64)
	m.Stamp = s.Given(`,"stamp":`, math.MaxUint64)
	m.VoteHold = s.Given(`,"vote_hold_us":`, math.MaxUint64)
	m.Incarnation = raft.Incarnation(s.Given(`,"incarnation":`, math.MaxUint64))
	m.Disk = raft.DiskState(s.Given(`,"disk":`, math.MaxUint8))
	m.RequestSnapshot = raft.Index(s.Given(`,"request_snapshot":`, math.MaxUint64))
	m.Level = raft.Level(s.Given(`,"level":`, math.MaxUint64))
	m.RemovedBy = raft.Index(s.Given(`,"removed_by":`, math.MaxUint64))
	s.Want(`}`)
	return m, s.Done()
}

// responseTo returns the type of the message that answers a request.
func responseTo(request raft.MessageType) raft.MessageType {
	switch request {
	case raft.MsgRequestVote:
		return raft.MsgRequestVoteResponse
	case raft.MsgAppendEntries:
		return raft.MsgAppendEntriesResponse
	}
	return raft.MsgTimeoutNowResponse
}
