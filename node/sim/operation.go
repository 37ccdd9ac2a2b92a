package sim

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// outcome is what a client knows of an operation when it is over.
type outcome uint8

const (
	unknown outcome = iota // it may have been done, or may yet be (trap T49)
	done
	refused // surely not done
)

// freshness is what a read asks for.
type freshness uint8

const (
	linearizable freshness = iota
	stale                  // whatever the node has
	bounded                // at least as new as a revision that the client saw
	recent                 // no older than maxStale
)

// Why a node does not answer a recent read.
var (
	errAgeUnknown = errors.New("sim: the node does not know how old its state is")
	errTooOld     = errors.New("sim: the state may be too old")
	errForged     = errors.New("sim: the node was sent a forged entry and has applied it")
)

// operation is one thing that a client did, as it saw it.
type operation struct {
	client  int
	node    raft.NodeID // that it asked last
	kind    kv.Op
	key     string
	number  int64 // that it writes or adds; unique in a run, so that every command is
	expect  string
	match   uint64 // the revision that a set wants, if ifMatch
	ifMatch bool
	fresh   freshness
	least   uint64 // revision that a bounded read wants, or that the age of a recent one implies
	// maxStale is the bound of a recent read.
	maxStale time.Duration

	call, back int64 // in the order of all calls and returns
	outcome    outcome
	reason     error
	turn       int // of a write that stands in the log: among those on its key, from 1 on

	// What a done operation answered.
	index    raft.Index // of a write's entry
	revision uint64     // of the key, after a write or as read
	value    string     // as read, or the new number of an incr, or what a cas found instead
	found    bool       // a read found the key; a delete removed it; a cas swapped; a set found its revision
}

func (o *operation) isRead() bool { return o.kind == kv.OpGet }

// writes tells whether an operation that is done gave the key its own number.
func (o *operation) writes() bool {
	switch o.kind {
	case kv.OpPut:
		return true
	case kv.OpSet:
		return !o.ifMatch || o.found
	}
	return o.kind == kv.OpCAS && o.found
}

// command is the text that goes into the log for a write.
func (o *operation) command() []byte {
	c := kv.Command{Op: o.kind, Key: o.key}
	number := strconv.AppendInt(nil, o.number, 10)
	switch o.kind {
	case kv.OpIncr:
		c.By = o.number
	case kv.OpCAS:
		c.Value, c.Expected = number, []byte(o.expect)
	case kv.OpDelete, kv.OpGet:
	default:
		c.Value, c.ContentType = number, kv.TypeJSON
		c.HasIfRevision, c.IfRevision = o.ifMatch, o.match
	}
	return c.AppendJSON(nil)
}

// finish notes what became of a write.
func (o *operation) finish(out node.Outcome) {
	o.reason = out.Err
	switch {
	case out.Err == nil:
		o.outcome, o.index, o.revision = done, out.Index, out.Result.Revision
		o.value, o.found = string(out.Result.JSON()), out.Result.Deleted || out.Result.Swapped
		switch {
		case o.ifMatch && (out.Result.Code == "" || out.Result.Code == kv.CodePreconditionFailed):
			o.found = out.Result.Code == "" // else it wanted another revision
		case out.Result.Code != "":
			o.reason = fmt.Errorf("%s: %s", out.Result.Code, out.Result.Message)
		}
	case surelyNot(out.Err):
		o.outcome = refused
	}
}

// surelyNot tells whether an error says that nothing was done.
func surelyNot(err error) bool {
	for _, refusal := range []error{
		node.ErrNoLeader, node.ErrNotLeader, node.ErrNotReady, node.ErrOverloaded, node.ErrNotSent,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// String tells the operation in words.
func (o *operation) String() string {
	text := fmt.Sprintf("client %d, node %d: %s %s", o.client, o.node, o.kind, o.key)
	switch o.kind {
	case kv.OpIncr:
		text += fmt.Sprintf(" by %d", o.number)
	case kv.OpCAS:
		text += fmt.Sprintf(" from %s to %d", o.expect, o.number)
	case kv.OpPut, kv.OpSet:
		text += fmt.Sprintf(" = %d", o.number)
		if o.ifMatch {
			text += fmt.Sprintf(" if its revision is %d", o.match)
		}
	case kv.OpGet:
		text += [...]string{
			" linearizable", " stale", fmt.Sprintf(" at revision %d or later", o.least),
			fmt.Sprintf(" no older than %v", o.maxStale),
		}[o.fresh]
	case kv.OpDelete:
	}
	switch {
	case o.outcome == unknown:
		return text + fmt.Sprintf(": unknown (%v)", o.reason)
	case o.outcome == refused:
		return text + fmt.Sprintf(": not done (%v)", o.reason)
	case o.reason != nil:
		return text + fmt.Sprintf(": refused by the store: %v", o.reason)
	}
	return text + fmt.Sprintf(": revision %d, value %q, found %v", o.revision, o.value, o.found)
}
