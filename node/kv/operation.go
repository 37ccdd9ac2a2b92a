package kv

import (
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Op is the name of an operation.
type Op string

// The operations, as in the log and in the API.
const (
	OpPut    Op = "put"    // store bytes with a content type
	OpSet    Op = "set"    // store a JSON value
	OpGet    Op = "get"    // change nothing; reads do not go through the log, but a log may hold one
	OpDelete Op = "delete" // remove a key
	OpIncr   Op = "incr"   // add to an integer; an absent key counts as 0
	OpCAS    Op = "cas"    // set a JSON value if the present one equals the expected one
	OpTxn    Op = "txn"    // several operations, all or none
	OpCount  Op = "count"  // count keys; only in a transaction
	// OpCompact gives up the history before a revision.
	OpCompact Op = "compact"
)

// Content types that the store itself sets or checks.
const (
	TypeBytes = "application/octet-stream" // what a put without a content type has
	TypeJSON  = jsontext.MediaType         // what set, cas and the first incr of a key store
)

// Operation is a command to the state machine: *Put, *Set, *Get, *Delete, *Incr, *CAS, *Compact or *Txn. Parse and
// AppendJSON convert it from and to JSON. A new operation is a type in a file of its own and a line in operations.
type Operation interface {
	// Op returns the name of the operation.
	Op() Op
	// Validate checks a command before it is proposed. The error is an *InvalidError or a *TooLargeError.
	Validate() error
	// AppendJSON appends the command in its canonical form and returns the extended slice: one line, op first, then
	// key if it has one, then the rest, without default values. It is JSON in UTF-8 whatever the command holds. These
	// bytes are the log entry; Parse returns an equal command for them if the command passes Validate.
	AppendJSON(dst []byte) []byte
	// Size returns about how many bytes AppendJSON appends; what must be escaped makes them more.
	Size() int

	// appendFields appends the fields behind op in the canonical form, of which there is at least one.
	appendFields(dst []byte) []byte
	// scan sets the operation to the output of appendFields, and returns the scanner behind it. The scanner is passed by
	// value because one passed by reference through an interface is allocated.
	scan(s jsontext.Scanner) jsontext.Scanner
	// decode sets the operation to the fields of any JSON object that has only fields of the operation.
	decode(d decoder) error
}

// decider is an operation other than a transaction and the reads in it.
type decider interface {
	// decide returns the result of the operation as the entry's command, and appends what it changes to changes. It does
	// not change the content of the store, so that several operations of one command can be decided before any is
	// carried out.
	decide(s *Store, e Entry, changes []change) (Result, []change)
}

// operations is the table of the operations, in the order in which messages list them.
var operations = [...]struct {
	op     Op
	fields []string // that the JSON object takes beside op, in the order in which messages list them
	empty  func() Operation
}{
	{OpPut, putFields, func() Operation { return &Put{} }},
	{OpSet, setFields, func() Operation { return &Set{} }},
	{OpGet, getFields, func() Operation { return &Get{} }},
	{OpDelete, deleteFields, func() Operation { return &Delete{} }},
	{OpIncr, incrFields, func() Operation { return &Incr{} }},
	{OpCAS, casFields, func() Operation { return &CAS{} }},
	{OpCompact, compactFields, func() Operation { return &Compact{} }},
	{OpTxn, txnFields, func() Operation { return &Txn{} }},
}

// fieldsOf returns the fields that an operation takes beside op; none for an unknown operation.
func fieldsOf(op Op) []string {
	for i := range operations {
		if operations[i].op == op {
			return operations[i].fields
		}
	}
	return nil
}

// opNames lists the operations for messages.
func opNames() string {
	var names []string
	for i := range operations {
		names = append(names, string(operations[i].op))
	}
	return strings.Join(names, ", ")
}
