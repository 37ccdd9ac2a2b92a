package kv

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// AppendJSON appends the result in the form that nodes send to each other, without empty fields, and returns the
// extended slice. Value is embedded unchanged.
func (r Result) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"revision":`...)
	dst = strconv.AppendUint(dst, r.Revision, 10)
	if r.Code != "" {
		dst = append(dst, `,"code":`...)
		dst = jsontext.AppendText(dst, string(r.Code))
	}
	if r.Message != "" {
		dst = append(dst, `,"message":`...)
		dst = jsontext.AppendText(dst, r.Message)
	}
	if r.Limit != 0 {
		dst = strconv.AppendUint(append(dst, `,"limit":`...), r.Limit, 10)
	}
	if r.Created {
		dst = append(dst, `,"created":true`...)
	}
	if r.Deleted {
		dst = append(dst, `,"deleted":true`...)
	}
	if r.Swapped {
		dst = append(dst, `,"swapped":true`...)
	}
	if r.txn != nil { // which is one level deeper than what may be embedded
		dst = r.txn.appendJSON(append(dst, `,"value":`...))
	} else if value := r.JSON(); len(value) > 0 {
		dst = append(dst, `,"value":`...)
		dst = appendEmbedded(dst, value)
	}
	return append(dst, '}')
}

// resultFields is the wire form for encoding/json. Fields of a later version are ignored.
type resultFields struct {
	Revision uint64          `json:"revision"`
	Code     Code            `json:"code"`
	Message  string          `json:"message"`
	Limit    uint64          `json:"limit"`
	Created  bool            `json:"created"`
	Deleted  bool            `json:"deleted"`
	Swapped  bool            `json:"swapped"`
	Value    json.RawMessage `json:"value"`
}

// ParseResult parses the output of AppendJSON. Value may be a part of b, which must not be changed afterwards.
func ParseResult(b []byte) (Result, error) {
	if r, ok := parseCanonicalResult(b); ok {
		return r, nil
	}
	var f resultFields
	if err := json.Unmarshal(b, &f); err != nil {
		return Result{}, fmt.Errorf("kv: result from another node: %w", err)
	}
	return f.result(), nil
}

func (f resultFields) result() Result {
	return Result{
		Revision: f.Revision, Code: f.Code, Message: f.Message, Limit: f.Limit,
		Created: f.Created, Deleted: f.Deleted, Swapped: f.Swapped, Value: f.Value,
	}
}

// parseCanonicalResult parses exactly the output of AppendJSON.
func parseCanonicalResult(b []byte) (Result, bool) {
	var r Result
	if !utf8.Valid(b) {
		return r, false
	}
	s := jsontext.Scan(b)
	r.Revision = s.Uint(`{"revision":`)
	if s.Take(`,"code":"`) {
		r.Code = codeOf(s.Text())
	}
	if s.Take(`,"message":"`) {
		r.Message = string(s.Text())
	}
	r.Limit = s.Given(`,"limit":`, math.MaxUint64)
	r.Created = s.Take(`,"created":true`)
	r.Deleted = s.Take(`,"deleted":true`)
	r.Swapped = s.Take(`,"swapped":true`)
	if s.Take(`,"value":`) {
		r.Value = s.Value()
	}
	return r, s.Want("}") && s.Done()
}

// codeOf returns a code without allocating for those that exist.
func codeOf(name []byte) Code {
	switch string(name) {
	case string(CodeInvalid):
		return CodeInvalid
	case string(CodeNotFound):
		return CodeNotFound
	case string(CodeConflict):
		return CodeConflict
	case string(CodePreconditionFailed):
		return CodePreconditionFailed
	case string(CodeTooLarge):
		return CodeTooLarge
	}
	return Code(name)
}
