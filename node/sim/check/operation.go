package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// outcome is the outcome of an operation as its client sees it.
type outcome uint8

// The outcomes of an operation.
const (
	Unknown outcome = iota // it may have been done, or may yet be (trap T49)
	Done
	Refused // surely not done
)

// Freshness is what a read asks for.
type Freshness uint8

// What reads ask for.
const (
	Linearizable Freshness = iota
	Stale                  // whatever the node has
	Bounded                // at least as new as a revision that the client saw
	Recent                 // no older than maxStale
	Past                   // as the key was at a revision
)

// Why a node does not answer a recent read.
var (
	errAgeUnknown = errors.New("sim: the node does not know how old its state is")
	errTooOld     = errors.New("sim: the state may be too old")
	ErrForged     = errors.New("sim: the node was sent a forged entry and has applied it")
	ErrSpoiled    = errors.New("sim: the state of a node is spoiled, and a leader may have answered from it")
)

// Operation is one thing that a client did, as it saw it.
type Operation struct {
	Client  int
	Node    raft.NodeID // that it asked last
	Kind    kv.Op
	Key     string
	Number  int64 // that it writes or adds; unique in a run, so that every command is
	Expect  string
	Match   uint64 // the revision that a set wants, if ifMatch
	IfMatch bool
	Fresh   Freshness
	// Lease allows a linearizable read to be served under the lease of a leader, and Leased reports that it was.
	Lease, Leased bool
	Least         uint64 // revision that a bounded read wants, or that the age of a recent one implies
	// At is the revision of a past read.
	At uint64
	// MaxStale is the bound of a recent read.
	MaxStale time.Duration

	Call, Back int64 // in the order of all calls and returns
	Outcome    outcome
	Reason     error
	turn       int // of a write that stands in the log: among those on its key, from 1 on

	// What a done operation answered.
	Index    raft.Index // of a write's entry
	Revision uint64     // of the key, after a write or as read
	Value    string     // as read, or the new number of an incr, or what a cas found instead
	Found    bool       // a read found the key; a delete removed it; a cas swapped; a set found its revision
}

// IsRead reports whether the operation changes nothing.
func (o *Operation) IsRead() bool { return o.Kind == kv.OpGet }

// Writes reports whether an operation that is done gave the key its own number.
func (o *Operation) Writes() bool {
	switch o.Kind {
	case kv.OpPut:
		return true
	case kv.OpSet:
		return !o.IfMatch || o.Found
	}
	return (o.Kind == kv.OpCAS || o.Kind == kv.OpTxn) && o.Found
}

// Command is the text that goes into the log for a write.
func (o *Operation) Command() []byte {
	return o.operation().AppendJSON(nil)
}

func (o *Operation) operation() kv.Operation {
	key, number := []byte(o.Key), strconv.AppendInt(nil, o.Number, 10)
	var condition kv.Condition
	if o.IfMatch {
		condition = kv.AtRevision(o.Match)
	}
	switch o.Kind {
	case kv.OpPut:
		return &kv.Put{Key: key, Value: number, ContentType: kv.TypeJSON, If: condition}
	case kv.OpSet:
		return &kv.Set{Key: key, Value: number, If: condition}
	case kv.OpIncr:
		return &kv.Incr{Key: key, By: o.Number}
	case kv.OpCAS:
		return &kv.CAS{Key: key, Expected: []byte(o.Expect), Value: number}
	case kv.OpDelete:
		return &kv.Delete{Key: key}
	case kv.OpTxn: // writes the number if the key is at its revision, and reads the key either way
		return &kv.Txn{
			If:   []kv.Compare{{Key: key, Attribute: kv.Revision, Operator: kv.Equal, Number: o.Match}},
			Then: []kv.Operation{&kv.Put{Key: key, Value: number, ContentType: kv.TypeJSON}, &kv.Read{Key: key}},
			Else: []kv.Operation{&kv.Read{Key: key}},
		}
	}
	return &kv.Get{Key: key}
}

// Finish notes what became of a write.
func (o *Operation) Finish(out node.Outcome) {
	o.Reason = out.Err
	switch {
	case out.Err == nil:
		o.Outcome, o.Index, o.Revision = Done, out.Index, out.Result.Revision
		o.Value, o.Found = string(out.Result.JSON()), out.Result.Deleted || out.Result.Swapped
		switch {
		case o.Kind == kv.OpTxn && out.Result.Code == "":
			o.Value, o.Found, o.Reason = transacted(o.Value)
		case o.IfMatch && (out.Result.Code == "" || out.Result.Code == kv.CodePreconditionFailed):
			o.Found = out.Result.Code == "" // else it wanted another revision
		case out.Result.Code != "":
			o.Reason = fmt.Errorf("%s: %s", out.Result.Code, out.Result.Message)
		}
	case SurelyNot(out.Err):
		o.Outcome = Refused
	}
}

// transacted returns what a transaction answered: what its read returned, and whether its comparison held.
func transacted(text string) (value string, succeeded bool, err error) {
	var answer struct {
		Succeeded bool
		Results   []struct {
			Get *struct {
				Records []struct{ Value json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return "", false, fmt.Errorf("sim: the answer to a transaction: %w", err)
	}
	value = "null"
	for _, r := range answer.Results {
		if r.Get != nil && len(r.Get.Records) > 0 {
			value = string(r.Get.Records[0].Value)
		}
	}
	return value, answer.Succeeded, nil
}

// SurelyNot reports whether an error means that nothing was done.
func SurelyNot(err error) bool {
	for _, refusal := range []error{
		node.ErrNoLeader, node.ErrNotLeader, node.ErrNotReady, node.ErrOverloaded, node.ErrNotSent,
		node.ErrQuotaExceeded,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// String describes the operation.
func (o *Operation) String() string {
	text := fmt.Sprintf("client %d, node %d: %s %s", o.Client, o.Node, o.Kind, o.Key)
	switch o.Kind {
	case kv.OpIncr:
		text += fmt.Sprintf(" by %d", o.Number)
	case kv.OpCAS:
		text += fmt.Sprintf(" from %s to %d", o.Expect, o.Number)
	case kv.OpPut, kv.OpSet:
		text += fmt.Sprintf(" = %d", o.Number)
		if o.IfMatch {
			text += fmt.Sprintf(" if its revision is %d", o.Match)
		}
	case kv.OpGet:
		text += [...]string{
			" linearizable", " stale", fmt.Sprintf(" at revision %d or later", o.Least),
			fmt.Sprintf(" no older than %v", o.MaxStale), fmt.Sprintf(" as of revision %d", o.At),
		}[o.Fresh]
		if o.Lease {
			text += " under a lease"
		}
	case kv.OpTxn:
		text += fmt.Sprintf(" = %d in a transaction, if its revision is %d", o.Number, o.Match)
	case kv.OpDelete:
	}
	switch {
	case o.Outcome == Unknown:
		return text + fmt.Sprintf(": unknown (%v)", o.Reason)
	case o.Outcome == Refused:
		return text + fmt.Sprintf(": not done (%v)", o.Reason)
	case o.Reason != nil:
		return text + fmt.Sprintf(": refused by the store: %v", o.Reason)
	}
	return text + fmt.Sprintf(": revision %d, value %q, found %v", o.Revision, o.Value, o.Found)
}

// Answer notes what became of a read.
func (o *Operation) Answer(record kv.Record, found bool, err error) {
	if err != nil {
		o.Outcome, o.Reason = Refused, err
		return
	}
	o.Outcome, o.Reason, o.Found = Done, nil, found
	o.Revision, o.Value = record.ModRevision, string(record.Value)
}

// JudgeAge refuses a state that may be older than a read accepts.
func (o *Operation) JudgeAge(age func() (time.Duration, bool)) (time.Duration, error) {
	old, known := age()
	switch {
	case !known:
		return 0, errAgeUnknown
	case old > o.MaxStale:
		return old, fmt.Errorf("%w: %v", errTooOld, old)
	}
	return old, nil
}
