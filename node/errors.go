package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// What can become of a request, beside success. These travel between nodes by code, never by text.
var (
	// ErrNoLeader: no leader was found in time; nothing was done.
	ErrNoLeader = errors.New("no leader: the cluster has none right now, or this node cannot reach it")
	// ErrNotLeader: the node that was asked is not the leader; nothing was done there.
	ErrNotLeader = errors.New("not the leader")
	// ErrNotReady: the node is starting, stopping, or not a member yet; nothing was done.
	ErrNotReady = errors.New("the node is not ready")
	// ErrNoIdentity: an ErrNotReady of a node that has no identity yet.
	ErrNoIdentity = fmt.Errorf("%w: it has no identity yet", ErrNotReady)
	// ErrOverloaded: too much work waits already; nothing was done.
	ErrOverloaded = errors.New("overloaded: too much waits already")
	// ErrOutcomeUnknown: the command may have been done, or may yet be (trap T49).
	ErrOutcomeUnknown = errors.New("outcome unknown: the command may or may not take effect")
	// ErrNotSent: the request never reached the peer; nothing was done there.
	ErrNotSent = errors.New("the request did not reach the peer")
	// ErrIdentityTaken: a bootstrap came to a node that has an identity already, or that was not started to join.
	ErrIdentityTaken = errors.New("this node already has another identity")
	// ErrBadIdentity: no node can have the identity of a bootstrap, or this node cannot.
	ErrBadIdentity = errors.New("the bootstrap is not valid")
	// ErrBadCommand: a command that came from another node is not one that the API takes; nothing was done.
	ErrBadCommand = errors.New("the command is refused")
	// ErrBadTarget: leadership can only be transferred to another voting member.
	ErrBadTarget = errors.New("the target is not another voting member")
	// ErrQuotaExceeded: there is no room for what the command adds; nothing was done. What removes data still works.
	ErrQuotaExceeded = errors.New("there is no room: the quota of the store is exceeded, or a disk is low")
	// ErrConfigIndex: the configuration is another one than a change of the members expects; nothing was done. See
	// ConfigIndexError.
	ErrConfigIndex = errors.New("the configuration is not the expected one")
	// ErrBadChange: a change does not fit the members, or a node cannot become one; nothing was done.
	ErrBadChange = errors.New("the change does not fit the members")
	// ErrChangeRefused: the members cannot be changed like this now; nothing was done.
	ErrChangeRefused = errors.New("the members cannot be changed now")
	// ErrTermChanged: the request was for another term than the one in which the leader leads now; nothing was done.
	ErrTermChanged = errors.New("the term is not the expected one: ask again who leads")
)

// ConfigIndexError is an ErrConfigIndex with the configuration that is in force.
type ConfigIndexError struct {
	Expected uint64
	Config   api.Membership
}

// Error returns both indexes and what to do.
func (e *ConfigIndexError) Error() string {
	return fmt.Sprintf("the configuration in force is that of entry %d, and the change expects that of entry %d: look at "+
		"the members and decide again", e.Config.Index, e.Expected)
}

// Unwrap makes it an ErrConfigIndex.
func (e *ConfigIndexError) Unwrap() error { return ErrConfigIndex }

// errNoRoom: the answer was too large for the memory that is left; the command changed nothing.
var errNoRoom = fmt.Errorf("%w: there is no memory for the value that the key holds; nothing was changed",
	ErrOverloaded)

// errResultLost: the command changed something, but its result was too large for the memory that is left. Its callers
// must read what they need, and must not send it again, so it is an unknown outcome to them.
var errResultLost error = resultLostError{}

type resultLostError struct{}

func (resultLostError) Error() string {
	return "outcome unknown: the command took effect, but there is no memory for its result"
}

// Unwrap makes it an ErrOutcomeUnknown.
func (resultLostError) Unwrap() error { return ErrOutcomeUnknown }

// codes has under which code each error goes to a peer, and under which to a client.
var codes = []struct {
	err    error
	peer   api.Code // empty: see PeerCode
	client api.Code // empty: none
}{
	{ErrNoLeader, api.CodeNoLeader, api.CodeNoLeader},
	{ErrNotLeader, api.CodeNotLeader, api.CodeNoLeader}, // this node asked the wrong one, and finds the right one soon
	{ErrNotSent, "", api.CodeNoLeader},
	{ErrNoIdentity, api.CodeNoIdentity, api.CodeNotReady},
	{ErrNotReady, api.CodeNotReady, api.CodeNotReady},
	{ErrOverloaded, api.CodeOverloaded, api.CodeOverloaded},
	{ErrOutcomeUnknown, api.CodeOutcomeUnknown, api.CodeOutcomeUnknown},
	{ErrBadTarget, api.CodeBadTarget, api.CodeInvalid},
	{raft.ErrDiverged, api.CodeDiverged, ""},
	{ErrBadCommand, api.CodeBadCommand, api.CodeInvalid}, // by a leader whose version refuses more than this node's
	{ErrQuotaExceeded, api.CodeQuotaExceeded, api.CodeQuotaExceeded},
	{ErrTermChanged, api.CodeTermChanged, api.CodeConflict},
	{ErrConfigIndex, api.CodeConfigIndex, api.CodeConflict},
	{ErrBadChange, api.CodeBadChange, api.CodeInvalid},
	{ErrChangeRefused, api.CodeChangeRefused, api.CodeConflict},
	{ErrBadIdentity, "", api.CodeInvalid},
	{ErrIdentityTaken, api.CodeIdentityTaken, api.CodeConflict},
	{context.Canceled, "", api.CodeOutcomeUnknown}, // the client went away
	{context.DeadlineExceeded, "", api.CodeOutcomeUnknown},
}

// PeerCode returns the code under which an error goes to a peer: CodeOutcomeUnknown for an error that has none, because
// that claims the least. It returns "" for nil.
func PeerCode(err error) api.Code {
	if err == nil {
		return ""
	}
	for _, c := range codes {
		if c.peer != "" && errors.Is(err, c.err) {
			return c.peer
		}
	}
	return api.CodeOutcomeUnknown
}

// ErrorFromPeer is the inverse of PeerCode.
func ErrorFromPeer(code api.Code) error {
	if code == "" {
		return nil
	}
	for _, c := range codes {
		if c.peer == code {
			return c.err
		}
	}
	return ErrOutcomeUnknown
}

// ClientCode returns the code under which an error goes to a client, "" for an error that has none.
func ClientCode(err error) api.Code {
	for _, c := range codes {
		if c.client != "" && errors.Is(err, c.err) {
			return c.client
		}
	}
	return ""
}
