package api

import "encoding/json"

// The operations of a Command.
const (
	OpSet     = "set"
	OpPut     = "put"
	OpGet     = "get"
	OpDelete  = "delete"
	OpIncr    = "incr"
	OpCas     = "cas"
	OpCompact = "compact"
)

// EncodingBase64 marks a value that is no UTF-8 text, or claims to be JSON and is not: the JSON string is its
// base64 (RFC 4648, section 4, padded).
const EncodingBase64 = "base64"

// Command is the body of POST /api/command and one line of POST /api/v1/batch.
type Command struct {
	Op  string `json:"op"`
	Key string `json:"key"`
	// Value is the JSON value of a set or cas. For a put it is a string: the text, or its base64 if Encoding
	// is set.
	Value       json.RawMessage `json:"value,omitempty"`
	Encoding    string          `json:"encoding,omitempty"`
	ContentType string          `json:"content_type,omitempty"` // of a put; absent: application/octet-stream
	// JSON, in place of the three fields above, makes a put store this JSON text as application/json.
	JSON json.RawMessage `json:"json,omitempty"`
	// By is what an incr adds; absent: 1.
	By json.Number `json:"by,omitempty"`
	// Expected is the JSON value that a cas wants to find; null: the key must not exist.
	Expected json.RawMessage `json:"expected,omitempty"`
	// IfRevision lets a put, set or delete through only if the key has this revision; 0: does not exist.
	IfRevision *uint64 `json:"if_revision,omitempty"`
	// IfAbsent lets a put or set through only if the key does not exist.
	IfAbsent bool `json:"if_absent,omitempty"`
	// Revision is what a compact compacts to.
	Revision uint64 `json:"revision,omitempty"`
}

// CommandResponse answers POST /api/command.
type CommandResponse struct {
	// Index is the log index of the command's entry, which is the revision of its change; for a get, the
	// revision that it was read at.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Result is a PutResponse for set and put, a CasResult, a DeleteResult, the new number for incr, the value
	// for get: JSON as it is, text as a string, else base64 (see Record.Encoding).
	Result json.RawMessage `json:"result"`
	// Record is the rest of the record, for get.
	Record *RecordMeta `json:"record,omitempty"`
}

// BatchResult is one line of the answer of POST /api/v1/batch: the answer that POST /api/command would have
// given, or Error. The lines stand in the order of the commands.
type BatchResult struct {
	CommandResponse
	Error *Error `json:"error,omitempty"`
}

// PutResponse answers PUT /api/v1/kv/{key}, and is the result of set and put.
type PutResponse struct {
	Revision uint64 `json:"revision"`
	Created  bool   `json:"created"` // the key did not exist before
}

// DeleteResponse answers DELETE /api/v1/kv/{key}; revision is 0 if there was nothing to delete.
type DeleteResponse struct {
	Revision uint64 `json:"revision"`
	Deleted  bool   `json:"deleted"`
}

// DeleteResult is the result of a delete command.
type DeleteResult struct {
	Deleted bool `json:"deleted"`
}

// CasResult is the result of a cas command. Value is the current value, null if the key does not exist, and is
// there only if nothing was swapped.
type CasResult struct {
	Swapped bool            `json:"swapped"`
	Value   json.RawMessage `json:"value,omitempty"`
}

// Record answers GET /api/v1/kv/{key} with Accept: application/json, and is a key in a list. Without an Encoding, Value
// is JSON as it is if the content type is JSON, and a string of the text if not; see EncodingBase64 for the rest. With
// ParamKeysOnly a list has no values.
type Record struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value,omitempty"`
	RecordMeta
	Revision uint64 `json:"revision"` // of the last change: the ETag
	// Modified is the time of the last change by the clock of the node that proposed it, in Unix seconds.
	Modified float64 `json:"modified"`
}

// RecordMeta is the record of a key without key and value.
type RecordMeta struct {
	Encoding       string `json:"encoding,omitempty"` // EncodingBase64 or absent
	ContentType    string `json:"content_type"`
	CreateRevision uint64 `json:"create_revision"`
	// ModRevision is Record.Revision under its older name. Lists and histories leave it out.
	ModRevision uint64 `json:"mod_revision,omitempty"`
	Version     uint64 `json:"version"` // 1 when created, one more with each change
}
