package api

import "net/url"

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

// KeyPath returns the path of a key. Slashes are encoded too, so that no proxy joins doubled ones.
func KeyPath(key string) string { return PathKV + url.PathEscape(key) }

// Headers of answers, spelled as net/http spells them.
const (
	// HeaderTerm and HeaderLeader are the term and the leader of the answering node; leader 0: none.
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

// Query parameters of GET PathKV, and of POST PathBatch for the gets in it.
const (
	// ParamConsistency is one of the Consistency values.
	ParamConsistency = "consistency"
	// ParamMinRevision waits until the node has applied this revision; too long a wait is CodeNotReady.
	ParamMinRevision = "min_revision"
	// ParamMaxStale is a duration like 2s: what a stale read returns was current no longer ago than that. A node that
	// cannot be sure answers CodeNotReady.
	ParamMaxStale = "max_stale"
)

// Query parameters of GET PathLogs and GET PathEvents.
const (
	// ParamFrom is the index of the first entry of a page of the log; absent: the last page.
	ParamFrom = "from"
	// ParamLimit is how many entries a page may have; absent: DefaultLogEntries.
	ParamLimit = "limit"
	// ParamSince is the cursor after which the stream of events begins; absent: with the oldest event that is kept.
	ParamSince = "since"
)

// Consistency selects how fresh a read is.
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
