package api

import "net/http"

// Code identifies an error for programs. The codes are the contract; messages are for people and may change.
type Code string

// The codes that a client gets from the API port, in the order of their HTTP status. Some are on the peer port, too.
const (
	// CodeInvalid: the request itself is wrong, and stays wrong when it is sent again.
	CodeInvalid Code = "invalid"
	// CodeForbidden: a foreign page, or a Host header that this server does not answer to.
	CodeForbidden Code = "forbidden"
	// CodeNotFound: no such key, or no such route.
	CodeNotFound Code = "not_found"
	// CodeMethodNotAllowed: the route exists, but not for this method.
	CodeMethodNotAllowed Code = "method_not_allowed"
	// CodeConflict: the command does not fit what is stored, as incr on a value that is no number.
	CodeConflict Code = "conflict"
	// CodeCompacted: the history that was asked for is no longer kept; Error.OldestRevision is where it begins.
	CodeCompacted Code = "compacted"
	// CodePreconditionFailed: an If-Match or If-None-Match did not hold; Error.Revision is the key's revision.
	CodePreconditionFailed Code = "precondition_failed"
	// CodeTooLarge: a key, value or body is over Error.Limit bytes.
	CodeTooLarge Code = "too_large"
	// CodeOverloaded: too much work waits already; try again after Error.RetryAfter.
	CodeOverloaded Code = "overloaded"
	// CodeInternal: a fault of the server, which logged it.
	CodeInternal Code = "internal"
	// CodeNotReady: the node starts, stops, is no member, or lags too far behind. Nothing was done.
	CodeNotReady Code = "not_ready"
	// CodeNoLeader: the cluster has no leader, or this node cannot reach it. Nothing was done.
	CodeNoLeader Code = "no_leader"
	// CodeOutcomeUnknown: the command may have been done, or may yet be (trap T49).
	CodeOutcomeUnknown Code = "outcome_unknown"
	// CodeQuotaExceeded: the store is full; deletes still work.
	CodeQuotaExceeded Code = "quota_exceeded"
)

// The codes that only the Go client gives, for what happened before or instead of a node's answer.
const (
	// CodeUnreachable: no server could be asked, or none answered a read in time. Nothing was done.
	CodeUnreachable Code = "unreachable"
	// CodeNoRoute: the node does not have the route of this call, because it is of an older version, or the endpoint has a
	// path that leads elsewhere. Nothing was done.
	CodeNoRoute Code = "no_route"
	// CodeCanceled: the caller's context was canceled before anything was done.
	CodeCanceled Code = "canceled"
)

// The codes that nodes send only to each other, on the peer port.
const (
	// CodeClusterMismatch: the request is for a node of another cluster.
	CodeClusterMismatch Code = "cluster_mismatch"
	// CodeTargetMismatch: the request is for another member.
	CodeTargetMismatch Code = "target_mismatch"
	// CodeProtocolMismatch: the request is of another version of the protocol.
	CodeProtocolMismatch Code = "protocol_mismatch"
	// CodeUnknownSender: the sender is not a member.
	CodeUnknownSender Code = "unknown_sender"
	// CodeNoIdentity: the node has no identity yet.
	CodeNoIdentity Code = "no_identity"
	// CodeNotLeader: the node that was asked is not the leader; nothing was done there.
	CodeNotLeader Code = "not_leader"
	// CodeBadTarget: leadership can only be transferred to another voting member.
	CodeBadTarget Code = "bad_target"
	// CodeTermChanged: the leader leads in another term than the request is for; nothing was done.
	CodeTermChanged Code = "term_changed"
	// CodeIdentityTaken: the node that was offered an identity has another one, or was not started to join.
	CodeIdentityTaken Code = "identity_taken"
	// CodeDiverged: the logs of the two nodes differ where index and term are the same.
	CodeDiverged Code = "diverged"
	// CodeBadCommand: the leader's version refuses the command; nothing was done. It is the outcome of one command among
	// others, and never that of a request, so no HTTP status goes with it.
	CodeBadCommand Code = "bad_command"
	// CodeConfigIndex: the configuration is another one than the change of members expects; nothing was done. It is part
	// of an answer, as CodeBadCommand is, and so are the next two.
	CodeConfigIndex Code = "config_index"
	// CodeBadChange: the change does not fit the members; nothing was done.
	CodeBadChange Code = "bad_change"
	// CodeChangeRefused: the members cannot be changed now; nothing was done.
	CodeChangeRefused Code = "change_refused"
)

// Port is one of the ports of a node, or several.
type Port uint8

// The ports.
const (
	APIPort  Port = 1 << iota // for clients
	PeerPort                  // for the other members
)

// codes is the one table between codes and HTTP statuses: both servers answer by it, and neither a client nor a peer
// takes an answer that deviates from it for a node's.
var codes = []struct {
	code   Code
	status int  // 0: no server fails a request with it
	ports  Port // where a request may fail with it
	undone bool // nothing was done, so that any request of a client may be sent again
}{
	{CodeInvalid, http.StatusBadRequest, APIPort | PeerPort, false},
	{CodeBadTarget, http.StatusBadRequest, PeerPort, false},
	{CodeForbidden, http.StatusForbidden, APIPort | PeerPort, false},
	{CodeUnknownSender, http.StatusForbidden, PeerPort, false},
	{CodeNotFound, http.StatusNotFound, APIPort | PeerPort, false},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, APIPort | PeerPort, false},
	{CodeConflict, http.StatusConflict, APIPort, false},
	{CodeDiverged, http.StatusConflict, PeerPort, false},
	{CodeTermChanged, http.StatusConflict, PeerPort, false},
	{CodeIdentityTaken, http.StatusConflict, PeerPort, false},
	{CodeCompacted, http.StatusGone, APIPort, false},
	{CodePreconditionFailed, http.StatusPreconditionFailed, APIPort, false},
	{CodeClusterMismatch, http.StatusPreconditionFailed, PeerPort, false},
	{CodeTargetMismatch, http.StatusPreconditionFailed, PeerPort, false},
	{CodeProtocolMismatch, http.StatusPreconditionFailed, PeerPort, false},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, APIPort | PeerPort, false},
	{CodeNotLeader, http.StatusMisdirectedRequest, PeerPort, false},
	{CodeOverloaded, http.StatusTooManyRequests, APIPort | PeerPort, true},
	{CodeInternal, http.StatusInternalServerError, APIPort, false},
	{CodeNotReady, http.StatusServiceUnavailable, APIPort | PeerPort, true},
	{CodeNoLeader, http.StatusServiceUnavailable, APIPort | PeerPort, true},
	{CodeNoIdentity, http.StatusServiceUnavailable, PeerPort, false},
	{CodeOutcomeUnknown, http.StatusGatewayTimeout, APIPort | PeerPort, false},
	{CodeQuotaExceeded, http.StatusInsufficientStorage, APIPort, false},
	{CodeUnreachable, 0, 0, true},
	{CodeNoRoute, 0, 0, false},  // the client does not send it again
	{CodeCanceled, 0, 0, false}, // nor this
	{CodeBadCommand, 0, 0, false},
	{CodeConfigIndex, 0, 0, false},
	{CodeBadChange, 0, 0, false},
	{CodeChangeRefused, 0, 0, false},
}

// Status returns the HTTP status of a code: 500 for one that no server fails a request with.
func (c Code) Status() int {
	for _, row := range codes {
		if row.code == c && row.status != 0 {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

// IsAnsweredOn reports whether a request to a port may fail with this code.
func (c Code) IsAnsweredOn(port Port) bool {
	for _, row := range codes {
		if row.code == c {
			return row.ports&port != 0
		}
	}
	return false
}

// NothingDone reports whether a client's request that fails with this code may be sent again, whatever it was, because
// nothing was done.
func (c Code) NothingDone() bool {
	for _, row := range codes {
		if row.code == c {
			return row.undone
		}
	}
	return false
}
