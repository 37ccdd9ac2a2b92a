package api

import "encoding/json"

// OpTxn is the operation of a Command that is a transaction; its fields are those of a Txn beside op.
const OpTxn = "txn"

// Txn is the body of POST PathTxn. If every comparison in If holds, the operations in Then are carried out, otherwise
// those in Else: all of them or none, at one revision, in their order. A key may be changed once. Every change is
// decided by the state before the transaction, and a range is what it was then; what is read shows the changes before
// it.
//
// A change that is refused refuses the transaction, with the code of its operation and its place in the message, like
// "then[1].incr": CodeConflict, or CodePreconditionFailed, also for a cas whose value is not the expected one.
type Txn struct {
	If   []Compare `json:"if,omitempty"`
	Then []TxnOp   `json:"then,omitempty"`
	Else []TxnOp   `json:"else,omitempty"`
}

// Keys selects a key, or a range: the keys that begin with Prefix, are not before From and are before To. What is left
// out does not restrict the range.
type Keys struct {
	Key    string  `json:"key,omitempty"`
	Prefix string  `json:"prefix,omitempty"`
	From   *string `json:"from,omitempty"` // a pointer to "" selects the keys from the first on
	To     string  `json:"to,omitempty"`
}

// Compare is a condition of a Txn: exactly one field beside the keys is given. It must hold for every key of a range,
// so it holds for an empty one. The maps have one operator, OpEqual and so on, with the operand. An absent key has the
// numbers 0, and no comparison of its value holds.
type Compare struct {
	Keys
	// Value compares the bytes of the value with a string, or with {"base64":"..."}.
	Value          map[string]json.RawMessage `json:"value,omitempty"`
	Revision       map[string]uint64          `json:"revision,omitempty"` // of the last change
	CreateRevision map[string]uint64          `json:"create_revision,omitempty"`
	Version        map[string]uint64          `json:"version,omitempty"`
	Exists         *bool                      `json:"exists,omitempty"`
}

// The operators of a Compare.
const (
	OpEqual    = "eq"
	OpNotEqual = "ne"
	OpLess     = "lt"
	OpGreater  = "gt"
)

// TxnOp is an operation of a Txn: exactly one field is given.
type TxnOp struct {
	Put    *TxnPut    `json:"put,omitempty"`
	Set    *TxnSet    `json:"set,omitempty"`
	Delete *TxnDelete `json:"delete,omitempty"`
	Incr   *TxnIncr   `json:"incr,omitempty"`
	Cas    *TxnCas    `json:"cas,omitempty"`
	Get    *TxnGet    `json:"get,omitempty"`
	Count  *Keys      `json:"count,omitempty"`
}

// TxnPut stores bytes: text, or base64 with an Encoding. The other fields are those of a Command.
type TxnPut struct {
	Key         string  `json:"key"`
	Value       string  `json:"value"`
	Encoding    string  `json:"encoding,omitempty"`
	ContentType string  `json:"content_type,omitempty"`
	IfRevision  *uint64 `json:"if_revision,omitempty"`
	IfAbsent    bool    `json:"if_absent,omitempty"`
}

// TxnSet stores a JSON value.
type TxnSet struct {
	Key        string          `json:"key"`
	Value      json.RawMessage `json:"value"`
	IfRevision *uint64         `json:"if_revision,omitempty"`
	IfAbsent   bool            `json:"if_absent,omitempty"`
}

// TxnDelete removes a key or a range. IfRevision goes with a key.
type TxnDelete struct {
	Keys
	IfRevision *uint64 `json:"if_revision,omitempty"`
}

// TxnIncr adds to a whole number; an absent key counts as 0.
type TxnIncr struct {
	Key string `json:"key"`
	By  int64  `json:"by"`
}

// TxnCas stores a JSON value if the present one equals the expected one; null: the key is absent.
type TxnCas struct {
	Key      string          `json:"key"`
	Expected json.RawMessage `json:"expected"`
	Value    json.RawMessage `json:"value"`
}

// TxnGet reads a key or a range.
type TxnGet struct {
	Keys
	Limit    int  `json:"limit,omitempty"` // of the keys of a range; 0: DefaultListKeys
	KeysOnly bool `json:"keys_only,omitempty"`
}

// TxnResponse answers POST PathTxn. Without Revision it is the result of the command.
type TxnResponse struct {
	// Revision is the log index of the transaction: the revision of its changes, and the one at which it read.
	Revision  uint64      `json:"revision"`
	Succeeded bool        `json:"succeeded"` // whether every comparison held
	Results   []TxnResult `json:"results"`   // of the operations that were carried out
}

// TxnResult is the result of an operation: its field is that of the operation.
type TxnResult struct {
	Put    *PutResponse `json:"put,omitempty"`
	Set    *PutResponse `json:"set,omitempty"`
	Delete *TxnDeleted  `json:"delete,omitempty"`
	Incr   *TxnNumber   `json:"incr,omitempty"`
	Cas    *CasResult   `json:"cas,omitempty"`
	Get    *TxnRecords  `json:"get,omitempty"`
	Count  *TxnCounted  `json:"count,omitempty"`
}

// TxnDeleted is the result of a delete.
type TxnDeleted struct {
	Deleted int `json:"deleted"` // the number of keys
}

// TxnNumber is the result of an incr.
type TxnNumber struct {
	Value int64 `json:"value"` // after the addition
}

// TxnRecords is the result of a get. A key that is absent has no record.
type TxnRecords struct {
	Records []Record `json:"records"`
	// More reports that the range has more keys: it ended at the limit, or where the transaction had read or visited as
	// much as it may.
	More bool `json:"more,omitempty"`
}

// TxnCounted is the result of a count.
type TxnCounted struct {
	Count int  `json:"count"`
	More  bool `json:"more,omitempty"` // the range has more keys than the transaction may visit
}

// DeleteRangeResponse answers DELETE PathList.
type DeleteRangeResponse struct {
	Revision uint64 `json:"revision"` // of the last change; 0: nothing was deleted
	Deleted  int    `json:"deleted"`  // the number of keys
	// More reports that the time for the request was over before the range was: the next request continues it with Next as
	// ParamFrom.
	More bool   `json:"more,omitempty"`
	Next string `json:"next,omitempty"`
}
