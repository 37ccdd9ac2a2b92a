package transport

import (
	"encoding/json"
	"strconv"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/jsontext"
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
		dst = jsontext.AppendUint(dst, `{"term":`, uint64(m.Term))
		dst = jsontext.AppendUint(dst, `,"leader_id":`, uint64(m.From))
	}
	return append(dst, '}')
}

func appendVoteRequest(dst []byte, m *raft.Message) []byte {
	dst = jsontext.AppendUint(dst, `{"term":`, uint64(m.Term))
	dst = jsontext.AppendUint(dst, `,"candidate_id":`, uint64(m.From))
	dst = jsontext.AppendUint(dst, `,"last_log_index":`, uint64(m.LastLogIndex))
	dst = jsontext.AppendUint(dst, `,"last_log_term":`, uint64(m.LastLogTerm))
	dst = jsontext.AppendBool(dst, `,"pre_vote":`, m.PreVote)
	dst = jsontext.AppendBool(dst, `,"transfer":`, m.Transfer)
	return append(dst, '}')
}

func appendEntriesRequest(dst []byte, m *raft.Message) []byte {
	dst = jsontext.AppendUint(dst, `{"term":`, uint64(m.Term))
	dst = jsontext.AppendUint(dst, `,"leader_id":`, uint64(m.From))
	dst = jsontext.AppendUint(dst, `,"prev_log_index":`, uint64(m.PrevLogIndex))
	dst = jsontext.AppendUint(dst, `,"prev_log_term":`, uint64(m.PrevLogTerm))
	dst = jsontext.AppendGiven(dst, `,"prev_log_digest":`, uint64(m.PrevLogDigest))
	dst = append(dst, `,"entries":[`...)
	for i := range m.Entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = entryjson.Append(dst, &m.Entries[i])
	}
	dst = jsontext.AppendUint(dst, `],"leader_commit":`, uint64(m.LeaderCommit))
	dst = jsontext.AppendUint(dst, `,"request_id":`, m.RequestID)
	dst = jsontext.AppendUint(dst, `,"read_seq":`, m.ReadSeq)
	dst = jsontext.AppendGiven(dst, `,"commit_index":`, uint64(m.CommitIndex))
	dst = jsontext.AppendGiven(dst, `,"sent_at":`, m.SentAt)
	dst = jsontext.AppendGiven(dst, `,"stamp":`, m.Stamp)
	dst = jsontext.AppendGiven(dst, `,"quorum_age_us":`, m.QuorumAge)
	return append(dst, '}')
}

// appendResponse appends the body that answers a request.
func appendResponse(dst []byte, m *raft.Message) []byte {
	dst = jsontext.AppendUint(dst, `{"term":`, uint64(m.Term))
	switch m.Type {
	case raft.MsgRequestVoteResponse:
		dst = jsontext.AppendBool(dst, `,"vote_granted":`, m.VoteGranted)
		dst = jsontext.AppendBool(dst, `,"pre_vote":`, m.PreVote)
	case raft.MsgAppendEntriesResponse:
		dst = jsontext.AppendBool(dst, `,"success":`, m.Success)
		dst = jsontext.AppendUint(dst, `,"match_index":`, uint64(m.MatchIndex))
		dst = jsontext.AppendGiven(dst, `,"match_digest":`, uint64(m.MatchDigest))
		dst = jsontext.AppendUint(dst, `,"conflict_index":`, uint64(m.ConflictIndex))
		dst = jsontext.AppendUint(dst, `,"conflict_term":`, uint64(m.ConflictTerm))
		dst = jsontext.AppendUint(dst, `,"request_id":`, m.RequestID)
		dst = jsontext.AppendUint(dst, `,"read_seq":`, m.ReadSeq)
		dst = jsontext.AppendGiven(dst, `,"sent_at":`, m.SentAt)
		dst = jsontext.AppendGiven(dst, `,"stamp":`, m.Stamp)
		dst = jsontext.AppendGiven(dst, `,"vote_hold_us":`, m.VoteHold)
		dst = jsontext.AppendGiven(dst, `,"incarnation":`, uint64(m.Incarnation)) // rare: of a node without a seat
		dst = jsontext.AppendGiven(dst, `,"disk":`, uint64(m.Disk))               // rare: of a disk that is low
		dst = jsontext.AppendGiven(dst, `,"request_snapshot":`, uint64(m.RequestSnapshot))
		dst = jsontext.AppendGiven(dst, `,"level":`, uint64(m.Level))
	}
	dst = jsontext.AppendGiven(dst, `,"removed_by":`, uint64(m.RemovedBy)) // rare: to a node that is no member any more
	return append(dst, '}')
}

// appendFingerprint appends the body that asks for a fingerprint, and the one that answers it.
func appendFingerprint(dst []byte, f divergence.Fingerprint) []byte {
	dst = jsontext.AppendUint(dst, `{"index":`, uint64(f.Index))
	dst = jsontext.AppendUint(dst, `,"term":`, uint64(f.Term))
	dst = jsontext.AppendUint(dst, `,"digest":`, uint64(f.Digest))
	return append(dst, '}')
}

// appendState appends the body that answers a question for the digest of a state.
func appendState(dst []byte, s divergence.State) []byte {
	dst = jsontext.AppendUint(dst, `{"index":`, uint64(s.Index))
	dst = jsontext.AppendBool(dst, `,"known":`, s.Known)
	dst = jsontext.AppendBool(dst, `,"pending":`, s.Pending)
	dst = append(dst, `,"digest":"`...)
	dst = strconv.AppendUint(dst, s.Digest, 10)
	return append(dst, `"}`...)
}

// appendCommands appends the body of a propose request. The commands are embedded as they are.
func appendCommands(commands [][]byte) []byte {
	dst := []byte(`{"commands":[`)
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
	dst = jsontext.AppendUint(dst, `{"index":`, uint64(o.Index))
	dst = jsontext.AppendUint(dst, `,"term":`, uint64(o.Term))
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
