package api

import (
	"errors"
	"time"
)

// Error is how every failure is answered on the API port: {"error":{...}}, with the status of its code. It is also the
// error of every call of the Go client.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Revision is, for CodePreconditionFailed, the revision that the key has; 0: the key does not exist.
	Revision uint64 `json:"revision,omitempty"`
	// OldestRevision is, for CodeCompacted, the oldest revision that can be read.
	OldestRevision uint64 `json:"oldest_revision,omitempty"`
	// Limit is, for CodeTooLarge, how many bytes are allowed, or as many of what the message names.
	Limit int64 `json:"limit,omitempty"`
	// Leader is the id of the leader, if that helps and it is known; 0: none.
	Leader uint64 `json:"leader,omitempty"`
	// Config is, for CodeConflict of a change of the members, the configuration in force.
	Config *Membership `json:"config,omitempty"`
	// RetryAfter is the Retry-After header; it is not in the body.
	RetryAfter time.Duration `json:"-"`
	// Cause is what the client met below the contract, like a failed connection or a context that ended; nil for an error
	// that a server answered.
	Cause error `json:"-"`
}

// Unwrap returns the cause, so that errors.Is finds context.Canceled and the like.
func (e *Error) Unwrap() error { return e.Cause }

// Error returns the message with its code in front: "no_leader: the cluster has none right now".
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error *Error `json:"error"`
}

// ErrorCode returns the code of an Error, wrapped or not, and "" for every other error.
func ErrorCode(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
