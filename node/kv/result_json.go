package kv

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the result in the form that nodes send to each other, without empty fields, and returns the
// extended slice. Value is embedded unchanged.
func (r Result) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"revision":`...)
	dst = strconv.AppendUint(dst, r.Revision, 10)
	if r.Code != "" {
		dst = append(dst, `,"code":`...)
		dst = appendText(dst, string(r.Code))
	}
	if r.Message != "" {
		dst = append(dst, `,"message":`...)
		dst = appendText(dst, r.Message)
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
	if value := r.JSON(); len(value) > 0 {
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
		Revision: f.Revision, Code: f.Code, Message: f.Message,
		Created: f.Created, Deleted: f.Deleted, Swapped: f.Swapped, Value: f.Value,
	}
}

// parseCanonicalResult parses exactly the output of AppendJSON.
func parseCanonicalResult(b []byte) (Result, bool) {
	var r Result
	s := scanner{b: b}
	if !utf8.Valid(b) || !s.word(`{"revision":`) {
		return r, false
	}
	n, err := strconv.ParseUint(string(s.number()), 10, 64)
	if err != nil {
		return r, false
	}
	r.Revision = n
	if s.maybe(`,"code":"`) {
		r.Code = codeOf(s.text())
	}
	if s.maybe(`,"message":"`) {
		r.Message = string(s.text())
	}
	r.Created = s.maybe(`,"created":true`)
	r.Deleted = s.maybe(`,"deleted":true`)
	r.Swapped = s.maybe(`,"swapped":true`)
	if s.maybe(`,"value":`) {
		r.Value = s.json("")
	}
	return r, s.word("}") && s.i == len(b)
}

// codeOf returns a code that needs no allocation for known codes.
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
	}
	return Code(name)
}
