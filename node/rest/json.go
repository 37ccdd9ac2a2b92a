package rest

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The small responses of the hot routes are written by hand: encoding/json costs more than the rest of the handler
// (DESIGN.md has the figures).

// appendValue appends a stored value as one JSON value on one line: JSON unchanged, UTF-8 text as a string, everything
// else as a string of base64. It returns the encoding, empty or api.EncodingBase64. Bytes with a JSON content type that
// are not JSON are base64 too, so that a client can always distinguish a JSON string from text.
func appendValue(dst []byte, r *kv.Record) (longer []byte, encoding string) {
	if jsontext.IsJSON(r.ContentType) {
		if json.Valid(r.Value) && utf8.Valid(r.Value) {
			return jsontext.AppendCompact(dst, r.Value), ""
		}
	} else if utf8.Valid(r.Value) {
		return jsontext.AppendString(dst, r.Value), ""
	}
	return jsontext.AppendBase64(dst, r.Value), api.EncodingBase64
}

// smallAnswer is more than most responses have beside a value: names, numbers, the key and the content type.
const smallAnswer = 512

// recordSize returns an upper bound of what appendRecord and appendRead write.
func recordSize(r *kv.Record) int {
	const short, escape = 4 << 10, 6
	if len(r.Value) < short {
		return smallAnswer + escape*(len(r.Key)+len(r.ContentType)+len(r.Value)) // instead of scanning each byte
	}
	size := smallAnswer + jsontext.StringSize(r.Key) + jsontext.StringSize(r.ContentType)
	if jsontext.IsJSON(r.ContentType) || !utf8.Valid(r.Value) {
		return size + len(r.Value)*4/3 + 4 // base64 at most
	}
	return size + jsontext.StringSize(r.Value)
}

// appendMeta appends the fields of api.RecordMeta, without braces.
func appendMeta(dst []byte, r *kv.Record, encoding string) []byte {
	if encoding != "" {
		dst = append(append(append(dst, `"encoding":"`...), encoding...), `",`...)
	}
	dst = append(dst, `"content_type":`...)
	dst = jsontext.AppendText(dst, r.ContentType)
	dst = strconv.AppendUint(append(dst, `,"create_revision":`...), r.CreateRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"mod_revision":`...), r.ModRevision, 10)
	return strconv.AppendUint(append(dst, `,"version":`...), r.Version, 10)
}

// appendRecord appends the api.Record of a GET of one key.
func appendRecord(dst []byte, r *kv.Record) []byte {
	dst = appendListed(dst, r, false)
	dst = dst[:len(dst)-len("}")]
	dst = strconv.AppendUint(append(dst, `,"mod_revision":`...), r.ModRevision, 10)
	return append(dst, '}')
}

// appendListed appends an api.Record as in a list, without its value if only the key is wanted.
func appendListed(dst []byte, r *kv.Record, keyOnly bool) []byte {
	dst = jsontext.AppendText(append(dst, `{"key":`...), r.Key)
	if !keyOnly {
		dst = append(appendContent(append(dst, ','), r), `,"content_type":`...)
	} else {
		dst = append(dst, `,"content_type":`...)
	}
	dst = jsontext.AppendText(dst, r.ContentType)
	return append(appendRevisions(dst, r), '}')
}

// appendContent appends the fields value and encoding.
func appendContent(dst []byte, r *kv.Record) []byte {
	dst, encoding := appendValue(append(dst, `"value":`...), r)
	if encoding != "" {
		dst = append(append(append(dst, `,"encoding":"`...), encoding...), '"')
	}
	return dst
}

// appendRevisions appends the fields from revision to modified, with a comma before each.
func appendRevisions(dst []byte, r *kv.Record) []byte {
	dst = strconv.AppendUint(append(dst, `,"revision":`...), r.ModRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"create_revision":`...), r.CreateRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"version":`...), r.Version, 10)
	return entryjson.AppendSeconds(append(dst, `,"modified":`...), r.Modified)
}

// appendVersion appends an api.Version.
func appendVersion(dst []byte, c *kv.Change) []byte {
	if c.Deleted {
		dst = strconv.AppendUint(append(dst, `{"revision":`...), c.Revision, 10)
		dst = append(dst, `,"deleted":true,"modified":`...)
		return append(entryjson.AppendSeconds(dst, c.Record.Modified), '}')
	}
	dst = append(appendContent(append(dst, '{'), &c.Record), `,"content_type":`...)
	dst = jsontext.AppendText(dst, c.Record.ContentType)
	return append(appendRevisions(dst, &c.Record), '}')
}

// appendChange appends the result of a write: an api.PutResponse or, if the word is deleted, an api.DeleteResponse.
func appendChange(dst []byte, revision uint64, word string, did bool) []byte {
	dst = strconv.AppendUint(append(dst, `{"revision":`...), revision, 10)
	dst = append(append(append(dst, `,"`...), word...), `":`...)
	return append(strconv.AppendBool(dst, did), '}')
}

// appendAnswer appends the api.CommandResponse of a write that was done.
func appendAnswer(dst []byte, op kv.Op, index raft.Index, term raft.Term, result *kv.Result) []byte {
	dst = appendPosition(dst, uint64(index), uint64(term))
	switch op {
	case kv.OpTxn:
		dst = append(dst, result.JSON()...)
	case kv.OpDelete:
		if ofRange := result.JSON(); len(ofRange) > 0 {
			dst = append(dst, ofRange...)
			break
		}
		dst = strconv.AppendBool(append(dst, `{"deleted":`...), result.Deleted)
		dst = append(dst, '}')
	case kv.OpIncr:
		dst = append(dst, result.JSON()...)
	case kv.OpCAS:
		if result.Swapped {
			dst = append(dst, `{"swapped":true}`...)
			break
		}
		dst = append(append(dst, `{"swapped":false,"value":`...), result.JSON()...)
		dst = append(dst, '}')
	case kv.OpCompact:
		dst = append(strconv.AppendUint(append(dst, `{"revision":`...), result.Revision, 10), '}')
	default:
		dst = appendChange(dst, result.Revision, "created", result.Created)
	}
	return append(dst, '}')
}

// appendRead appends the api.CommandResponse of a get.
func appendRead(dst []byte, revision, term uint64, r *kv.Record) []byte {
	dst = appendPosition(dst, revision, term)
	dst, encoding := appendValue(dst, r)
	dst = appendMeta(append(dst, `,"record":{`...), r, encoding)
	return append(dst, "}}"...)
}

func appendPosition(dst []byte, index, term uint64) []byte {
	dst = strconv.AppendUint(append(dst, `{"index":`...), index, 10)
	dst = strconv.AppendUint(append(dst, `,"term":`...), term, 10)
	return append(dst, `,"result":`...)
}
