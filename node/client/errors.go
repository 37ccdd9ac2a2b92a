package client

import (
	"errors"
	"net/http"
	"time"
)

// Code says what went wrong, for programs. The codes are the contract; messages are for people and may change.
type Code string

// The codes, in the order of their HTTP status.
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
	// CodeCompacted: the history that was asked for is no longer kept.
	CodeCompacted Code = "compacted"
	// CodePreconditionFailed: an If-Match or If-None-Match did not hold; Error.Revision is the key's revision.
	CodePreconditionFailed Code = "precondition_failed"
	// CodeTooLarge: a key, value or body is over Error.Limit bytes.
	CodeTooLarge Code = "too_large"
	// CodeOverloaded: too much work waits already; try again after Error.RetryAfter.
	CodeOverloaded Code = "overloaded"
	// CodeInternal: a fault of the server, which logged it.
	CodeInternal Code = "internal"
	// CodeNoLeader: the cluster has no leader, or this node cannot reach it. Nothing was done.
	CodeNoLeader Code = "no_leader"
	// CodeNotReady: the node starts, stops, is no member, or lags too far behind. Nothing was done.
	CodeNotReady Code = "not_ready"
	// CodeOutcomeUnknown: the command may have been done, or may yet be (trap T49).
	CodeOutcomeUnknown Code = "outcome_unknown"
	// CodeQuotaExceeded: the store is full; deletes still work.
	CodeQuotaExceeded Code = "quota_exceeded"
	// CodeUnreachable: no server could be asked, or none answered a read in time. Nothing was done. Only the
	// client says this, and the next one.
	CodeUnreachable Code = "unreachable"
	// CodeNoRoute: the node does not have the route of this call, because it is of an older version, or the endpoint has a
	// path that leads elsewhere. Nothing was done. Only the client says this.
	CodeNoRoute Code = "no_route"
	// CodeCanceled: the caller's context was canceled before anything was done.
	CodeCanceled Code = "canceled"
)

// statuses is the one table between codes and HTTP statuses: the server answers by it, and the client takes no answer
// that deviates from it for a node's.
var statuses = []struct {
	code   Code
	status int
	// undone: the server promises that nothing was done, so that any request may be sent again.
	undone bool
}{
	{CodeInvalid, http.StatusBadRequest, false},
	{CodeForbidden, http.StatusForbidden, false},
	{CodeNotFound, http.StatusNotFound, false},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, false},
	{CodeConflict, http.StatusConflict, false},
	{CodeCompacted, http.StatusGone, false},
	{CodePreconditionFailed, http.StatusPreconditionFailed, false},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, false},
	{CodeOverloaded, http.StatusTooManyRequests, true},
	{CodeInternal, http.StatusInternalServerError, false},
	{CodeNotReady, http.StatusServiceUnavailable, true},
	{CodeNoLeader, http.StatusServiceUnavailable, true},
	{CodeOutcomeUnknown, http.StatusGatewayTimeout, false},
	{CodeQuotaExceeded, http.StatusInsufficientStorage, false},
	{CodeUnreachable, http.StatusServiceUnavailable, true}, // never on the wire
	{CodeCanceled, http.StatusServiceUnavailable, false},   // never on the wire, nor sent again
}

// StatusOf gives the HTTP status of a code: 500 for a code that the table does not have.
func StatusOf(code Code) int {
	for _, row := range statuses {
		if row.code == code {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

// isAnsweredWith reports whether a node answers with this code under this status. Whatever else an answer carries is
// not of our contract: a proxy has error bodies of its own, and the client's own codes are never on the wire.
func (c Code) isAnsweredWith(status int) bool { return c.isOnTheWire() && StatusOf(c) == status }

// isOnTheWire reports whether servers answer with this code.
func (c Code) isOnTheWire() bool {
	for _, row := range statuses {
		if row.code == c {
			return c != CodeUnreachable && c != CodeCanceled
		}
	}
	return false
}

// NothingDone tells whether a server that answers with this code promises that nothing was done, so that the
// request may be sent again, whatever it was.
func (c Code) NothingDone() bool {
	for _, row := range statuses {
		if row.code == c {
			return row.undone
		}
	}
	return false
}

// cannotServe tells whether a node that answers with this code sends its clients to another node.
func (c Code) cannotServe() bool { return c == CodeNoLeader || c == CodeNotReady }

// Error is how every failure is answered: {"error":{...}}, with the status that StatusOf gives for its code.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Revision is, for CodePreconditionFailed, the revision that the key has; 0: the key does not exist.
	Revision uint64 `json:"revision,omitempty"`
	// Limit is, for CodeTooLarge, how many bytes are allowed.
	Limit int64 `json:"limit,omitempty"`
	// Leader is the id of the leader that the node knows, if that helps; 0: none.
	Leader uint64 `json:"leader,omitempty"`
	// RetryAfter is the Retry-After header; it is not in the body.
	RetryAfter time.Duration `json:"-"`

	// cause is what the client met below the contract: a failed connection, a context that ended.
	cause error
}

// Unwrap gives what caused an error that the client itself made, so that errors.Is finds context.Canceled and
// the like; nil for an error that a server answered.
func (e *Error) Unwrap() error { return e.cause }

// Error gives the message with its code in front: "no_leader: the cluster has none right now".
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error *Error `json:"error"`
}

// ErrorCode gives the code of an Error, wrapped or not, and "" for every other error.
func ErrorCode(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
