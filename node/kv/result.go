package kv

import (
	"bytes"
	"encoding/base64"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Code is the reason of a refused command. The codes are those of the API (design contract).
type Code string

// The codes of the state machine; empty means success.
const (
	CodeInvalid            Code = "invalid"
	CodeNotFound           Code = "not_found"
	CodeConflict           Code = "conflict"
	CodePreconditionFailed Code = "precondition_failed"
	CodeTooLarge           Code = "too_large"
)

// Result is the state machine's result of one command.
type Result struct {
	// Revision is the revision of the key after the command: the log index of the entry if it changed the key, the
	// key's current revision (0: absent) if it did not.
	Revision uint64
	// Code and Message are the reason of a refusal. Nothing was changed then.
	Code    Code
	Message string
	// Limit is what a refusal with CodeTooLarge allows.
	Limit uint64
	// Created: a put, set, incr or cas created the key. Deleted: a delete removed it. Swapped: a cas succeeded.
	Created bool
	Deleted bool
	Swapped bool
	// Value is JSON text: the new number of an incr, what the delete of a range did, and in a result that ParseResult
	// parsed, the output of JSON. Callers use JSON.
	Value []byte

	found *found     // by a refused cas, on the node that applied it
	txn   *txnResult // of a transaction, on the node that applied it
}

// JSON returns the JSON text of the result: the new number of an incr, the current value for a refused cas (null:
// absent), {"deleted":2} for the delete of a range, with "more":true and "next" if there are keys from next on,
// {"succeeded":true,"results":[...]} for a transaction. It is empty for every other command. Stored values are encoded
// here, and not by Apply, because only one node answers and they may be large.
func (r *Result) JSON() []byte {
	switch {
	case r.found != nil:
		return viewOf(r.found.value, r.found.contentType)
	case r.txn != nil:
		return r.txn.appendJSON(make([]byte, 0, r.txn.most))
	}
	return r.Value
}

// beginRecords is what stands before the stored values in the JSON of a transaction's result, and is nowhere else in a
// result without any.
var beginRecords = []byte(`{"get":{"records":[`)

// ValueSize returns how many bytes of stored values the result of a command may have as JSON. What else it has is no
// longer than the command.
func (r *Result) ValueSize(command []byte) int {
	switch {
	case r.txn != nil:
		size := 0
		for i := range r.txn.steps {
			if s := &r.txn.steps[i]; len(s.records) > 0 {
				size += s.most()
			}
		}
		return size
	case opOf(command) == OpTxn && !bytes.Contains(r.Value, beginRecords):
		return 0
	}
	return r.JSONSize()
}

// JSONSize returns the maximum length of JSON, so that the memory for a response can be charged first. It is called
// while the store is locked, and costs no more for a large value than for a small one.
func (r *Result) JSONSize() int {
	switch {
	case r.txn != nil:
		return r.txn.most
	case r.found == nil:
		return len(r.Value)
	case r.found.viewBytes > 0:
		return r.found.viewBytes
	}
	value := r.found.value
	size := jsontext.StringSize(value)
	return max(size, base64.StdEncoding.EncodedLen(len(value))+len(`""`))
}
