// Package client is the REST contract of a Kontiki node, as Go types, and the Go client that speaks it. The
// server (node/rest) uses the same types, the same error table and the same names.
package client

import (
	"encoding/json"
	"net/url"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The paths of the API port.
const (
	PathStatus         = "/api/status"
	PathLogs           = "/api/logs"
	PathCommand        = "/api/command"
	PathKV             = "/api/v1/kv/" // the key follows, percent-encoded: see KeyPath
	PathBatch          = "/api/v1/batch"
	PathCluster        = "/api/v1/cluster"
	PathBootstrap      = "/api/v1/cluster/bootstrap"
	PathEvents         = "/api/v1/events"
	PathLeaderTransfer = "/api/v1/leader/transfer"
	PathLive           = "/livez"
	PathReady          = "/readyz"
	PathStarted        = "/startupz"
	PathMetrics        = "/metrics"
)

// KeyPath gives the path of a key. Slashes are encoded too, so that no proxy joins doubled ones.
func KeyPath(key string) string { return PathKV + url.PathEscape(key) }

// Headers of answers, spelled as net/http spells them.
const (
	// HeaderTerm and HeaderLeader are what the answering node knew when it answered; leader 0: none.
	HeaderTerm   = "X-Raft-Term"
	HeaderLeader = "X-Raft-Leader"
	// HeaderRevision is the key's modification revision where PathKV succeeds (as in the ETag; 0 after a delete
	// of nothing), and the revision that the node has applied on every other answer.
	HeaderRevision       = "X-Revision"
	HeaderCreateRevision = "X-Create-Revision"
	HeaderVersion        = "X-Version"
	// HeaderConsistency is the consistency that a read really had.
	HeaderConsistency = "X-Consistency"
)

// Query parameters of GET /api/v1/kv/{key}, and of POST /api/v1/batch for the gets in it.
const (
	// ParamConsistency is one of the Consistency values.
	ParamConsistency = "consistency"
	// ParamMinRevision waits until the node has applied this revision; too long a wait is api.CodeNotReady.
	ParamMinRevision = "min_revision"
	// ParamMaxStale is a duration like 2s: what a stale read returns was current no longer ago than that. A node that
	// cannot be sure answers api.CodeNotReady.
	ParamMaxStale = "max_stale"
)

// Consistency says how fresh a read is.
type Consistency string

// The consistencies.
const (
	// Linearizable reads see every write that was acknowledged before they began (the default).
	Linearizable Consistency = "linearizable"
	// Lease may answer from the leader's lease; for now it is served as Linearizable.
	Lease Consistency = "lease"
	// Stale answers from what this node has applied, without asking anyone.
	Stale Consistency = "stale"
)

// Limits of the API.
const (
	// MaxValueBytes bounds a value.
	MaxValueBytes = 1 << 20
	// MaxBatchBytes bounds the body of POST /api/v1/batch.
	MaxBatchBytes = 16 << 20
	// DefaultLogEntries and MaxLogEntries bound a page of GET /api/logs.
	DefaultLogEntries = 100
	MaxLogEntries     = 1000
)

// The operations of a Command.
const (
	OpSet    = "set"
	OpPut    = "put"
	OpGet    = "get"
	OpDelete = "delete"
	OpIncr   = "incr"
	OpCas    = "cas"
)

// EncodingBase64 marks a value that is no UTF-8 text, or claims to be JSON and is not: the JSON string is its
// base64 (RFC 4648, section 4, padded).
const EncodingBase64 = "base64"

// Command is the body of POST /api/command and one line of POST /api/v1/batch.
type Command struct {
	Op  string `json:"op"`
	Key string `json:"key"`
	// Value is the JSON value of a set or cas. For a put it is a string: the text, or its base64 if Encoding
	// says so.
	Value       json.RawMessage `json:"value,omitempty"`
	Encoding    string          `json:"encoding,omitempty"`
	ContentType string          `json:"content_type,omitempty"` // of a put; absent: application/octet-stream
	// JSON, in place of the three fields above, makes a put store this JSON text as application/json.
	JSON json.RawMessage `json:"json,omitempty"`
	// By is what an incr adds; absent: 1.
	By json.Number `json:"by,omitempty"`
	// Expected is the JSON value that a cas wants to find; null: the key must not exist.
	Expected json.RawMessage `json:"expected,omitempty"`
	// IfRevision lets a put, set or delete through only if the key has this revision; 0: does not exist.
	IfRevision *uint64 `json:"if_revision,omitempty"`
	// IfAbsent lets a put or set through only if the key does not exist.
	IfAbsent bool `json:"if_absent,omitempty"`
}

// CommandResponse answers POST /api/command.
type CommandResponse struct {
	// Index is the log index of the command's entry, which is the revision of its change; for a get, the
	// revision that it was read at.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Result is a PutResponse for set and put, a CasResult, a DeleteResult, the new number for incr, the value
	// for get: JSON as it is, text as a string, else base64 (Record.Encoding tells).
	Result json.RawMessage `json:"result"`
	// Record is what else a get knows of the key.
	Record *RecordMeta `json:"record,omitempty"`
}

// BatchResult is one line of the answer of POST /api/v1/batch: the answer that POST /api/command would have
// given, or Error. The lines stand in the order of the commands.
type BatchResult struct {
	CommandResponse
	Error *api.Error `json:"error,omitempty"`
}

// PutResponse answers PUT /api/v1/kv/{key}, and is the result of set and put.
type PutResponse struct {
	Revision uint64 `json:"revision"`
	Created  bool   `json:"created"` // the key did not exist before
}

// DeleteResponse answers DELETE /api/v1/kv/{key}; revision is 0 if there was nothing to delete.
type DeleteResponse struct {
	Revision uint64 `json:"revision"`
	Deleted  bool   `json:"deleted"`
}

// DeleteResult is the result of a delete command.
type DeleteResult struct {
	Deleted bool `json:"deleted"`
}

// CasResult is the result of a cas command. Value is the current value, null if the key does not exist, and is
// there only if nothing was swapped.
type CasResult struct {
	Swapped bool            `json:"swapped"`
	Value   json.RawMessage `json:"value,omitempty"`
}

// Record answers GET /api/v1/kv/{key} with Accept: application/json. Without an Encoding, Value is JSON as it is
// if the content type is JSON, and a string of the text if not; see EncodingBase64 for the rest.
type Record struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	RecordMeta
}

// RecordMeta is what the store knows of a key beside its value.
type RecordMeta struct {
	Encoding       string `json:"encoding,omitempty"` // EncodingBase64 or absent
	ContentType    string `json:"content_type"`
	CreateRevision uint64 `json:"create_revision"`
	ModRevision    uint64 `json:"mod_revision"` // the ETag
	Version        uint64 `json:"version"`      // 1 when created, one more with each change
}

// LogPage answers GET /api/logs?from=&limit=: a stretch of the replicated log as this node's disk has it. Without
// from it is the end of the log. It may be shorter than limit, which is cut to MaxLogEntries: a page ends early
// where the entries are large.
type LogPage struct {
	FirstIndex  uint64     `json:"first_index"` // of the whole log
	LastIndex   uint64     `json:"last_index"`  // of the whole log
	CommitIndex uint64     `json:"commit_index"`
	Entries     []LogEntry `json:"entries"`
}

// LogEntry is one position of the log.
type LogEntry struct {
	Index     uint64          `json:"index"`
	Term      uint64          `json:"term"`
	Type      string          `json:"type"` // command or noop
	Command   json.RawMessage `json:"command"`
	Timestamp float64         `json:"timestamp"` // the proposer's clock, Unix seconds
}

// ClusterView answers GET /api/v1/cluster: what this one node thinks, without asking another.
type ClusterView struct {
	ClusterID    string     `json:"cluster_id"`
	NodeID       uint64     `json:"node_id"` // 0 while State is empty
	State        string     `json:"state"`   // empty, member or removed
	Role         string     `json:"role"`
	Term         uint64     `json:"term"`
	LeaderID     uint64     `json:"leader_id"`
	CommitIndex  uint64     `json:"commit_index"`
	LastApplied  uint64     `json:"last_applied"`
	LastLogIndex uint64     `json:"last_log_index"`
	Config       Membership `json:"config"`
	// SeenMembers are the ids that this node knows to have held entries or votes, in ascending order. A member in
	// this list that comes back with an empty disk has lost something (trap T28).
	SeenMembers []uint64 `json:"seen_members"`
	// Ready is what PathReady would say now: this node is a member, knows a leader, has applied nearly all that it
	// knows to be committed, and is not about to stop.
	Ready        bool     `json:"ready"`
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
}

// RoleVoter is the role of a member that votes, the only one that a BootstrapRequest may name.
const RoleVoter = "voter"

// The values of ClusterView.State.
const (
	StateEmpty   = "empty"   // no identity yet: this node is inert
	StateMember  = "member"  // takes part in the cluster
	StateRemoved = "removed" // was a member once
)

// BootstrapRequest is the body of POST PathBootstrap: it tells an empty node that was started with --join who it is
// and who the members of the new cluster are. Every initial member must be told the same cluster id and the same
// members, each its own NodeID.
//
// The answer is 200 with the node's ClusterView, also if the node is exactly that already; api.CodeConflict if it is
// anything else, or was not started with --join; api.CodeInvalid if the request cannot be right, as when the address
// under NodeID is another than the node's own --advertise-peer.
type BootstrapRequest struct {
	ClusterID string         `json:"cluster_id"`
	NodeID    uint64         `json:"node_id"`
	Members   []ConfigMember `json:"members"`
}

// TransferRequest is the body of POST /api/v1/leader/transfer; it may be left out.
type TransferRequest struct {
	To uint64 `json:"to,omitempty"` // 0: the follower that is furthest
	// ExpectedTerm is the term in which the leader is to hand over; in another one it refuses with api.CodeConflict,
	// because the request was decided on a state that is past. 0: in any term.
	ExpectedTerm uint64 `json:"expected_term,omitempty"`
}

// TransferResponse answers POST /api/v1/leader/transfer: what the node knew when the transfer had succeeded.
type TransferResponse struct {
	LeaderID uint64 `json:"leader_id"` // 0: not heard of the new one yet
	Term     uint64 `json:"term"`
}
