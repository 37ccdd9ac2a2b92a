package transport

import (
	"encoding/json"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The field order that these functions write is the canonical form: the fast scanner recognises exactly it.

// appendRequest appends the body of a request between nodes.
func appendRequest(dst []byte, m *raft.Message) []byte {
	switch m.Type {
	case raft.MsgRequestVote:
		return appendVoteRequest(dst, m)
	case raft.MsgAppendEntries:
		return appendEntriesRequest(dst, m)
	case raft.MsgTimeoutNow:
		dst = appendUint(dst, `{"term":`, uint64(m.Term))
		dst = appendUint(dst, `,"leader_id":`, uint64(m.From))
	}
	return append(dst, '}')
}

func appendVoteRequest(dst []byte, m *raft.Message) []byte {
	dst = appendUint(dst, `{"term":`, uint64(m.Term))
	dst = appendUint(dst, `,"candidate_id":`, uint64(m.From))
	dst = appendUint(dst, `,"last_log_index":`, uint64(m.LastLogIndex))
	dst = appendUint(dst, `,"last_log_term":`, uint64(m.LastLogTerm))
	dst = appendBool(dst, `,"pre_vote":`, m.PreVote)
	dst = appendBool(dst, `,"transfer":`, m.Transfer)
	return append(dst, '}')
}

func appendEntriesRequest(dst []byte, m *raft.Message) []byte {
	dst = appendUint(dst, `{"term":`, uint64(m.Term))
	dst = appendUint(dst, `,"leader_id":`, uint64(m.From))
	dst = appendUint(dst, `,"prev_log_index":`, uint64(m.PrevLogIndex))
	dst = appendUint(dst, `,"prev_log_term":`, uint64(m.PrevLogTerm))
	dst = appendGiven(dst, `,"prev_log_digest":`, uint64(m.PrevLogDigest))
	dst = append(dst, `,"entries":[`...)
	for i := range m.Entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.Entries[i].AppendJSON(dst)
	}
	dst = appendUint(dst, `],"leader_commit":`, uint64(m.LeaderCommit))
	dst = appendUint(dst, `,"request_id":`, m.RequestID)
	dst = appendUint(dst, `,"read_seq":`, m.ReadSeq)
	dst = appendGiven(dst, `,"commit_index":`, uint64(m.CommitIndex))
	dst = appendGiven(dst, `,"sent_at":`, m.SentAt)
	dst = appendGiven(dst, `,"stamp":`, m.Stamp)
	dst = appendGiven(dst, `,"quorum_age_us":`, m.QuorumAge)
	return append(dst, '}')
}

// appendResponse appends the body that answers a request.
func appendResponse(dst []byte, m *raft.Message) []byte {
	dst = appendUint(dst, `{"term":`, uint64(m.Term))
	switch m.Type {
	case raft.MsgRequestVoteResponse:
		dst = appendBool(dst, `,"vote_granted":`, m.VoteGranted)
		dst = appendBool(dst, `,"pre_vote":`, m.PreVote)
	case raft.MsgAppendEntriesResponse:
		dst = appendBool(dst, `,"success":`, m.Success)
		dst = appendUint(dst, `,"match_index":`, uint64(m.MatchIndex))
		dst = appendGiven(dst, `,"match_digest":`, uint64(m.MatchDigest))
		dst = appendUint(dst, `,"conflict_index":`, uint64(m.ConflictIndex))
		dst = appendUint(dst, `,"conflict_term":`, uint64(m.ConflictTerm))
		dst = appendUint(dst, `,"request_id":`, m.RequestID)
		dst = appendUint(dst, `,"read_seq":`, m.ReadSeq)
		dst = appendGiven(dst, `,"sent_at":`, m.SentAt)
		dst = appendGiven(dst, `,"stamp":`, m.Stamp)
		dst = appendGiven(dst, `,"incarnation":`, uint64(m.Incarnation)) // rare: of a node without a seat
	}
	return append(dst, '}')
}

// appendFingerprint appends the body that asks for a fingerprint, and the one that answers it.
func appendFingerprint(dst []byte, f node.Fingerprint) []byte {
	dst = appendUint(dst, `{"index":`, uint64(f.Index))
	dst = appendUint(dst, `,"term":`, uint64(f.Term))
	dst = appendUint(dst, `,"digest":`, uint64(f.Digest))
	return append(dst, '}')
}

// appendCommands appends the body of a propose request. The commands are embedded as they are.
func appendCommands(dst []byte, commands [][]byte) []byte {
	dst = append(dst, `{"commands":[`...)
	for i, command := range commands {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, command...)
	}
	return append(dst, `]}`...)
}

// appendOutcomes appends the body that answers a propose request.
func appendOutcomes(dst []byte, outcomes []node.Outcome) []byte {
	dst = append(dst, `{"outcomes":[`...)
	for i := range outcomes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOutcome(dst, &outcomes[i])
	}
	return append(dst, `]}`...)
}

func appendOutcome(dst []byte, o *node.Outcome) []byte {
	if o.Err != nil {
		return appendError(dst, node.PeerCode(o.Err), o.Err.Error())
	}
	dst = appendUint(dst, `{"index":`, uint64(o.Index))
	dst = appendUint(dst, `,"term":`, uint64(o.Term))
	dst = append(dst, `,"result":`...)
	dst = o.Result.AppendJSON(dst)
	return append(dst, '}')
}

// appendError appends {"error":{"code","message"}}, the shape of every refusal.
func appendError(dst []byte, code api.Code, message string) []byte {
	text, err := json.Marshal(message)
	if err != nil { // a string always marshals; the text is only for people anyway
		text = []byte(`""`)
	}
	dst = append(dst, `{"error":{"code":"`...)
	dst = append(dst, code...)
	dst = append(dst, `","message":`...)
	dst = append(dst, text...)
	return append(dst, `}}`...)
}

func appendUint(dst []byte, name string, n uint64) []byte {
	dst = append(dst, name...)
	return strconv.AppendUint(dst, n, 10)
}

// appendGiven appends an optional field, which is left out if it is 0.
func appendGiven(dst []byte, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return appendUint(dst, name, n)
}

func appendBool(dst []byte, name string, b bool) []byte {
	dst = append(dst, name...)
	return strconv.AppendBool(dst, b)
}
