package transport

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/plaintext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// codeNotOurs stands for an answer that no node sends, so that nothing is known; it is never sent.
const codeNotOurs api.Code = "not_ours"

// refusal is an answer that refuses a request: ours before it is written, a peer's after it was read.
type refusal struct {
	status  int
	code    api.Code
	message string
	// members are those of the cluster of the node that refuses, in a api.CodeClusterMismatch; nil: not known.
	members []identity.Member
	// mismatch names the entries in which they differ from this node's; nil: there are none, or that is not known.
	mismatch *identity.ListMismatchError
}

func refuse(code api.Code, format string, args ...any) *refusal {
	return &refusal{status: code.Status(), code: code, message: fmt.Sprintf(format, args...)}
}

// refuseWith refuses with an error of the node, or with one of its core for what no correct peer sends.
func refuseWith(err error) *refusal {
	if errors.Is(err, raft.ErrBadMessage) {
		return refuse(api.CodeInvalid, "%s", err)
	}
	return refuse(node.PeerCode(err), "%s", err)
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

// meaning returns the error of package node that is what the refusal means for the request.
func (r *refusal) meaning() error {
	if !r.code.IsAnsweredOn(api.PeerPort) { // also one that only the outcome of a single command has
		return node.ErrOutcomeUnknown
	}
	switch r.code {
	case api.CodeClusterMismatch, api.CodeTargetMismatch, api.CodeProtocolMismatch, api.CodeUnknownSender,
		api.CodeInvalid, api.CodeForbidden, api.CodeNotFound, api.CodeMethodNotAllowed:
		// Another program than the peer received it, or one that could not read it: the peer's node never did.
		return node.ErrNotSent
	case api.CodeTooLarge:
		return node.ErrOverloaded
	}
	return node.ErrorFromPeer(r.code)
}

// byAnother reports whether the refusal is not the peer's, but that of another member, of a node with another cluster
// or without one, or of no node at all. Its address may have been the peer's before (trap O20). A node without a
// cluster may also be the peer, before it is bootstrapped; then each attempt costs a connection.
func (r *refusal) byAnother() bool {
	switch r.code {
	case api.CodeClusterMismatch, api.CodeTargetMismatch, api.CodeNoIdentity, codeNotOurs, api.CodeForbidden:
		return true
	}
	return false
}

// notOurs is the refusal for an answer that does not come from a peer's port.
func notOurs(status int) *refusal {
	return &refusal{status: status, code: codeNotOurs, message: "the answer is not from a peer's port"}
}

// readRefusal makes a refusal of an answer whose status is not 200, from any program. A peer answers each code with its
// own status; a gateway between the nodes may use the same words.
func readRefusal(status int, body []byte) *refusal {
	var w refusalWire
	if err := json.Unmarshal(body, &w); err != nil || w.Error == nil {
		return notOurs(status)
	}
	if code := w.Error.Code; code.IsAnsweredOn(api.PeerPort) && code.Status() != status {
		return notOurs(status)
	}
	no := &refusal{
		status: status, code: api.Code(plaintext.Of(string(w.Error.Code))), message: plaintext.Of(w.Error.Message),
	}
	if no.code == api.CodeClusterMismatch {
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
	Code    api.Code `json:"code"`
	Message string   `json:"message"`
}

// err returns the error that the code names, with the peer's message where that contains more.
func (w *errorWire) err() error {
	err := node.ErrorFromPeer(w.Code)
	if err == nil {
		err = node.ErrOutcomeUnknown
	}
	if w.Message == "" || w.Message == err.Error() {
		return err
	}
	return &remoteError{message: plaintext.Of(w.Message), meaning: err}
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
