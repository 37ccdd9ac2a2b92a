package kv

import (
	"encoding/base64"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// txnResult is the result of a transaction. What was read are references: records in a store are never changed.
type txnResult struct {
	succeeded bool
	steps     []stepResult
	most      int // maximum length of the JSON
}

// stepResult is the result of an operation of a transaction.
type stepResult struct {
	op       Op
	result   Result // of a change
	count    int    // of the keys that a delete removed, or a count found
	records  []Record
	keysOnly bool
	more     bool // the range has more keys than were read or counted
}

// appendJSON appends the result: one object for each operation, whose field is the operation's name.
func (t *txnResult) appendJSON(dst []byte) []byte {
	dst = strconv.AppendBool(append(dst, `{"succeeded":`...), t.succeeded)
	dst = append(dst, `,"results":[`...)
	for i := range t.steps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"`...), t.steps[i].op...), `":{`...)
		dst = append(t.steps[i].appendFields(dst), `}}`...)
	}
	return append(dst, `]}`...)
}

func (s *stepResult) appendFields(dst []byte) []byte {
	switch s.op {
	case OpGet:
		dst = append(dst, `"records":[`...)
		for i := range s.records {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendRecord(dst, &s.records[i], s.keysOnly)
		}
		return appendMore(append(dst, ']'), s.more)
	case OpCount:
		return appendMore(strconv.AppendInt(append(dst, `"count":`...), int64(s.count), 10), s.more)
	case OpDelete:
		return strconv.AppendInt(append(dst, `"deleted":`...), int64(s.count), 10)
	case OpIncr:
		return append(append(dst, `"value":`...), s.result.Value...)
	case OpCAS:
		return append(dst, `"swapped":true`...)
	}
	dst = strconv.AppendUint(append(dst, `"revision":`...), s.result.Revision, 10)
	return strconv.AppendBool(append(dst, `,"created":`...), s.result.Created)
}

// appendMore appends the field more if it is true.
func appendMore(dst []byte, more bool) []byte {
	if more {
		dst = append(dst, `,"more":true`...)
	}
	return dst
}

// stepMost is the maximum length of what appendJSON appends for an operation beside records and a number.
const stepMost = 96

// most returns the maximum length of what appendJSON appends for the operation.
func (s *stepResult) most() int {
	size := stepMost + len(s.result.Value)
	for i := range s.records {
		size += recordMost(&s.records[i], s.keysOnly)
	}
	return size
}

// appendRecord appends a record as lists of the API have it. JSON is JSON, text a string, everything else base64. So
// are bytes that claim to be JSON and are not.
func appendRecord(dst []byte, r *Record, keysOnly bool) []byte {
	dst = jsontext.AppendText(append(dst, `{"key":`...), r.Key)
	if !keysOnly {
		dst = appendRecordValue(append(dst, `,"value":`...), r)
	}
	dst = jsontext.AppendText(append(dst, `,"content_type":`...), r.ContentType)
	dst = strconv.AppendUint(append(dst, `,"revision":`...), r.ModRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"create_revision":`...), r.CreateRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"version":`...), r.Version, 10)
	return append(appendSeconds(append(dst, `,"modified":`...), r.Modified), '}')
}

func appendRecordValue(dst []byte, r *Record) []byte {
	if jsontext.IsJSON(r.ContentType) {
		if text, ok := jsontext.Embeddable(r.Value); ok {
			return append(dst, text...)
		}
	} else if isText(r.Value) {
		return jsontext.AppendString(dst, r.Value)
	}
	return append(jsontext.AppendBase64(dst, r.Value), `,"encoding":"base64"`...)
}

// recordMost returns the maximum length of what appendRecord appends. It does not read a large value.
func recordMost(r *Record, keysOnly bool) int {
	const names = 256 // and numbers
	size := names + jsontext.StringSize(r.Key) + jsontext.StringSize(r.ContentType)
	switch {
	case keysOnly:
		return size
	case len(r.Value) > smallValue:
		return size + 2*len(r.Value) // text with each character escaped
	}
	return size + max(jsontext.StringSize(r.Value), base64.StdEncoding.EncodedLen(len(r.Value)))
}

// appendSeconds appends a time in microseconds as seconds.
func appendSeconds(dst []byte, micros int64) []byte {
	const second = 1_000_000
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	dst = strconv.AppendInt(dst, micros/second, 10)
	if micros%second == 0 {
		return dst
	}
	fraction := strconv.AppendInt(nil, second+micros%second, 10) // with its leading zeros behind a 1
	end := len(fraction)
	for fraction[end-1] == '0' {
		end--
	}
	return append(append(dst, '.'), fraction[1:end]...)
}
