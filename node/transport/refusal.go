package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// Codes with which this package refuses a request before the node sees it: nothing was done.
const (
	codeClusterMismatch  = "cluster_mismatch"
	codeTargetMismatch   = "target_mismatch"
	codeProtocolMismatch = "protocol_mismatch"
	codeUnknownSender    = "unknown_sender"
	codeNoIdentity       = "no_identity"
	codeInvalid          = "invalid"
	codeTooLarge         = "too_large"
	codeForbidden        = "forbidden"
	codeNotFound         = "not_found"
	codeMethodNotAllowed = "method_not_allowed"

	// codeNotOurs stands for an answer that no node gives, so that nothing is known; it is never sent.
	codeNotOurs = "not_ours"
)

// statuses maps every code to its HTTP status. A code that is not here is answered as 500.
var statuses = map[string]int{
	codeClusterMismatch:  http.StatusPreconditionFailed,
	codeTargetMismatch:   http.StatusPreconditionFailed,
	codeProtocolMismatch: http.StatusPreconditionFailed,
	codeUnknownSender:    http.StatusForbidden,
	codeNoIdentity:       http.StatusServiceUnavailable,
	codeInvalid:          http.StatusBadRequest,
	codeTooLarge:         http.StatusRequestEntityTooLarge,
	codeForbidden:        http.StatusForbidden,
	codeNotFound:         http.StatusNotFound,
	codeMethodNotAllowed: http.StatusMethodNotAllowed,
	"bad_target":         http.StatusBadRequest,
	"diverged":           http.StatusConflict,
	"term_changed":       http.StatusConflict,
	"not_leader":         http.StatusMisdirectedRequest,
	"overloaded":         http.StatusTooManyRequests,
	"no_leader":          http.StatusServiceUnavailable,
	"not_ready":          http.StatusServiceUnavailable,
	"outcome_unknown":    http.StatusGatewayTimeout,
}

// refusal is an answer that says no: ours before it is written, a peer's after it was read.
type refusal struct {
	status  int
	code    string
	message string
	// members are those of the cluster of the node that refuses, in a codeClusterMismatch; nil: not known.
	members []identity.Member
	// mismatch says in which entries they differ from this node's; nil: in none, or that is not known.
	mismatch *identity.ListMismatchError
}

func refuse(code, format string, args ...any) *refusal {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// refuseWith refuses with an error of the node.
func refuseWith(err error) *refusal {
	return refuse(node.ErrorCode(err), "%s", err)
}

func (r *refusal) Error() string {
	if r.mismatch != nil {
		return r.mismatch.Error()
	}
	return fmt.Sprintf("answered %d %s: %s", r.status, r.code, r.message)
}

// Unwrap returns what the refusal means for the request, and why, in errors of package node.
func (r *refusal) Unwrap() []error {
	if r.mismatch != nil {
		return []error{r.meaning(), r.mismatch}
	}
	if err := r.meaning(); err != nil {
		return []error{err}
	}
	return nil
}

// meaning returns the error of package node that says what the refusal means for the request.
func (r *refusal) meaning() error {
	if _, ok := statuses[r.code]; !ok { // also one that only the outcome of a single command has
		return node.ErrOutcomeUnknown
	}
	switch r.code {
	case codeClusterMismatch, codeTargetMismatch, codeProtocolMismatch, codeUnknownSender, codeInvalid, codeForbidden,
		codeNotFound, codeMethodNotAllowed:
		// Someone else than the peer got it, or nobody who could read it: the peer's node never did.
		return node.ErrNotSent
	case codeNoIdentity:
		return node.ErrNotReady
	case codeTooLarge:
		return node.ErrOverloaded
	}
	return node.ErrorFromCode(r.code)
}

// byAnother tells whether whoever refused is not the peer: another member, a node of another cluster or of none yet, or
// no node at all. Its address may have been the peer's before (trap O20). One of none yet may also be the peer, before
// it is bootstrapped; then each attempt costs a connection.
func (r *refusal) byAnother() bool {
	switch r.code {
	case codeClusterMismatch, codeTargetMismatch, codeNoIdentity, codeNotOurs, codeForbidden:
		return true
	}
	return false
}

// notOurs is the refusal for an answer that does not come from a peer's port.
func notOurs(status int) *refusal {
	return &refusal{status: status, code: codeNotOurs, message: "the answer is not from a peer's port"}
}

// readRefusal makes a refusal of an answer whose status is not 200, whoever gave it. A peer answers each code with its
// own status; a gateway between the nodes may use the same words.
func readRefusal(status int, body []byte) *refusal {
	var w refusalWire
	if err := json.Unmarshal(body, &w); err != nil || w.Error == nil {
		return notOurs(status)
	}
	if want, ok := statuses[w.Error.Code]; ok && want != status {
		return notOurs(status)
	}
	no := &refusal{status: status, code: node.PlainText(w.Error.Code), message: node.PlainText(w.Error.Message)}
	if no.code == codeClusterMismatch {
		no.members = readMembers(w.Error.Members)
	}
	return no
}

// refusalWire is the shape of a refusal.
type refusalWire struct {
	Error *struct {
		errorWire
		Members json.RawMessage `json:"members"`
	} `json:"error"`
}

// errorWire is the shape of an error between nodes.
type errorWire struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// err gives the error that the code names, with the peer's words where they say more.
func (w *errorWire) err() error {
	err := node.ErrorFromCode(w.Code)
	if err == nil {
		err = node.ErrOutcomeUnknown
	}
	if w.Message == "" || w.Message == err.Error() {
		return err
	}
	return &remoteError{message: node.PlainText(w.Message), meaning: err}
}

// remoteError is an error that happened on a peer.
type remoteError struct {
	message string
	meaning error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.meaning }

// asRefusal finds the refusal in an error, nil if there is none.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
