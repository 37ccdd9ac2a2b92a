package kv

import (
	"encoding/base64"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Code says why the state machine refused a command. The codes are the API's (design contract).
type Code string

// The codes that the state machine can answer; empty means that the command was done.
const (
	CodeInvalid            Code = "invalid"
	CodeNotFound           Code = "not_found"
	CodeConflict           Code = "conflict"
	CodePreconditionFailed Code = "precondition_failed"
)

// Result is what the state machine answers to one command.
type Result struct {
	// Revision is the revision of the key after the command: the log index of the entry if it changed the key,
	// the revision that the key has (0: absent) if it did not.
	Revision uint64
	// Code and Message tell why the command was refused. Nothing was changed then.
	Code    Code
	Message string
	// Created: a put, set, incr or cas made the key. Deleted: a delete removed it. Swapped: a cas took place.
	Created bool
	Deleted bool
	Swapped bool
	// Value is JSON text: the new number of an incr, and in a result that ParseResult read whatever JSON returned. Read
	// it by JSON.
	Value []byte

	found *found // by a cas that did not take place, on the node that applied it
}

// JSON returns the JSON text that answers a command: the new number of an incr, the current value of a cas that did
// not take place (null: absent). It is empty for every other command. The value that a cas found is made into JSON
// here, and not by Apply, because only one node answers and a value may be large.
func (r *Result) JSON() []byte {
	if r.found != nil {
		return viewOf(r.found.value, r.found.contentType)
	}
	return r.Value
}

// JSONSize returns how many bytes JSON has at most, so that the memory for an answer can be taken first. It is asked
// while the store is locked, and costs no more for a large value than for a small one.
func (r *Result) JSONSize() int {
	switch {
	case r.found == nil:
		return len(r.Value)
	case r.found.viewBytes > 0:
		return r.found.viewBytes
	}
	value := r.found.value
	size := jsontext.StringSize(value)
	return max(size, base64.StdEncoding.EncodedLen(len(value))+len(`""`))
}
