package api

import (
	"net/url"
	"strconv"
)

// The paths of the API port.
const (
	PathStatus         = "/api/status"
	PathLogs           = "/api/logs"
	PathCommand        = "/api/command"
	PathKV             = "/api/v1/kv/" // the key follows, percent-encoded: see KeyPath
	PathList           = "/api/v1/kv"
	PathTxn            = "/api/v1/txn"
	PathCompact        = "/api/v1/compact"
	PathBatch          = "/api/v1/batch"
	PathBackup         = "/api/v1/backup"
	PathCluster        = "/api/v1/cluster"
	PathBootstrap      = "/api/v1/cluster/bootstrap"
	PathMembers        = "/api/v1/members"
	PathMembersChange  = "/api/v1/members/change"
	PathEvents         = "/api/v1/events"
	PathLeaderTransfer = "/api/v1/leader/transfer"
	PathLive           = "/livez"
	PathReady          = "/readyz"
	PathStarted        = "/startupz"
	PathMetrics        = "/metrics"
)

// KeyPath returns the path of a key. Slashes are encoded too, so that no proxy joins doubled ones.
func KeyPath(key string) string { return PathKV + url.PathEscape(key) }

// MemberPath returns the path of a member.
func MemberPath(id uint64) string { return PathMembers + "/" + strconv.FormatUint(id, 10) }

// PromotePath returns the path of the promotion of a member.
func PromotePath(id uint64) string { return MemberPath(id) + "/promote" }

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
	// HeaderStaleness is how old the state that a read returned may be, in whole milliseconds: every write that was
	// acknowledged longer before the answer is in it. 0 on linearizable reads and reads under a lease, which see every
	// write that was acknowledged before they began; absent if it is unknown, and on reads at a revision.
	HeaderStaleness = "X-Staleness-Ms"
)

// Query parameters of GET PathKV and GET PathList, and of POST PathBatch for the gets in it.
const (
	// ParamConsistency is one of the Consistency values.
	ParamConsistency = "consistency"
	// ParamMinRevision waits until the node has applied this revision; too long a wait is CodeNotReady.
	ParamMinRevision = "min_revision"
	// ParamMaxStale is a duration like 2s: what a stale read returns was current no longer ago than that. A node that
	// cannot be sure answers CodeNotReady.
	ParamMaxStale = "max_stale"
)

// Query parameters of GET PathKV and GET PathList.
const (
	// ParamRevision reads the state as it was at this revision. One that the cluster has not reached is CodeInvalid,
	// unless ParamMinRevision waits for it; one that is compacted is CodeCompacted.
	ParamRevision = "revision"
	// ParamHistory, without a value, lists the versions of a key; see HistoryPage.
	ParamHistory = "history"
	// ParamBefore is the revision before which a page of the history of a key begins; absent: the newest version.
	ParamBefore = "before"
)

// Query parameters of GET PathList.
const (
	// ParamPrefix selects the keys that begin with it.
	ParamPrefix = "prefix"
	// ParamTo is the first key behind the range that begins with ParamFrom; absent: the range has no end.
	ParamTo = "to"
	// ParamCursor is ListPage.Cursor of the page before.
	ParamCursor = "cursor"
	// ParamKeysOnly, without a value, leaves the values out.
	ParamKeysOnly = "keys_only"
	// ParamDelimiter folds all keys that have it behind the prefix into one folder, which ends with it.
	ParamDelimiter = "delimiter"
	// ParamCount, without a value, counts the keys instead of listing them; see CountResponse.
	ParamCount = "count"
)

// Query parameters of GET PathLogs, GET PathEvents and GET PathList.
const (
	// ParamFrom is the index of the first entry of a page of the log; absent: the last page. Of a list it is the first
	// key.
	ParamFrom = "from"
	// ParamLimit is how many entries, keys or versions a page may have.
	ParamLimit = "limit"
	// ParamSince is the cursor after which the stream of events begins; absent: with the oldest event that is kept.
	ParamSince = "since"
)

// Query parameters of DELETE MemberPath, as the fields of ChangeConditions.
const (
	ParamExpectedConfigIndex = "expected_config_index"
	ParamForce               = "force" // may have no value
)

// Consistency selects how fresh a read is.
type Consistency string

// The consistencies.
const (
	// Linearizable reads see every write that was acknowledged before they began (the default).
	Linearizable Consistency = "linearizable"
	// Lease reads are as Linearizable ones as long as the clocks of the members run at about the same rate
	// (--clock-drift), and need no round among the members while the leader has a lease. Without one they are served as
	// Linearizable.
	Lease Consistency = "lease"
	// Stale answers from what this node has applied, without asking anyone.
	Stale Consistency = "stale"
)

// Limits of the API.
const (
	// MaxValueBytes bounds a value.
	MaxValueBytes = 1 << 20
	// MaxKeyBytes bounds a key.
	MaxKeyBytes = 4 << 10
	// MaxBatchBytes bounds a body with several commands: that of POST /api/v1/batch.
	MaxBatchBytes = 8 << 20
	// MaxTxnBytes bounds the body of POST /api/v1/txn, and MaxTxnOperations its comparisons and operations together.
	MaxTxnBytes      = 8 << 20
	MaxTxnOperations = 512
	// DefaultListKeys and MaxListKeys bound a page of GET PathList, where a folder counts as a key. A page also ends
	// early where the values are large.
	DefaultListKeys = 1000
	MaxListKeys     = 10_000
	// DefaultVersions and MaxVersions bound a page of the history of a key.
	DefaultVersions = 100
	MaxVersions     = 1000
	// MaxMembers bounds a configuration, and each list of a MemberChange.
	MaxMembers = 99
	// DefaultLogEntries and MaxLogEntries bound a page of GET /api/logs.
	DefaultLogEntries = 100
	MaxLogEntries     = 1000
)
