package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The small answers of the hot routes are written by hand: encoding/json costs more than the rest of the
// handler (DESIGN.md has the figures).

// appendString appends text as a JSON string (RFC 8259, section 7). What is no UTF-8 becomes U+FFFD.
func appendString[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, text[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

// appendValue appends a stored value as one JSON value on one line: JSON as it is, UTF-8 text as a string,
// everything else as a string of base64; it gives the encoding, empty or api.EncodingBase64. Bytes that claim
// to be JSON and are not go as base64 too, so that a client can always tell a JSON string from text.
func appendValue(dst []byte, r *kv.Record) (longer []byte, encoding string) {
	if isJSONType(r.ContentType) {
		if json.Valid(r.Value) && utf8.Valid(r.Value) {
			return appendCompact(dst, r.Value), ""
		}
	} else if utf8.Valid(r.Value) {
		return appendString(dst, r.Value), ""
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, r.Value)
	return append(dst, '"'), api.EncodingBase64
}

// appendCompact appends valid JSON, without line breaks: an answer may be a line of several.
func appendCompact(dst, text []byte) []byte {
	if bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return append(dst, text...)
	}
	compact := bytes.NewBuffer(dst)
	_ = json.Compact(compact, text) // fails only for what is not JSON
	return compact.Bytes()
}

// smallAnswer is more than an answer has beside a value: names, numbers, the key and the content type of most.
const smallAnswer = 512

// recordSize is at least as long as what appendRecord and appendRead write, escapes and all.
func recordSize(r *kv.Record) int {
	const short, escape = 4 << 10, 6
	if len(r.Value) < short {
		return smallAnswer + escape*(len(r.Key)+len(r.ContentType)+len(r.Value)) // rather than look at each byte
	}
	size := smallAnswer + escapedSize(r.Key) + escapedSize(r.ContentType)
	if isJSONType(r.ContentType) || !utf8.Valid(r.Value) {
		return size + len(r.Value)*4/3 + 4 // base64 at most
	}
	return size + escapedSize(r.Value)
}

// escapedSize is at least as long as what appendString writes.
func escapedSize[T string | []byte](text T) int {
	size := len(text) + 2
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\' || c == '\n':
			size++
		case c < ' ':
			size += 5
		case c >= utf8.RuneSelf:
			size += 2 // a byte that is no UTF-8 becomes three
		}
	}
	return size
}

// isJSONType reports whether a content type is JSON, with or without parameters.
func isJSONType(contentType string) bool { return isMedia(contentType, kv.TypeJSON) }

// isMedia reports whether a content type is of a media type, which is in lower case, whatever its parameters are (RFC
// 9110, section 8.3.1).
func isMedia(contentType, media string) bool {
	if contentType == media {
		return true
	}
	name, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(name), media)
}

// appendMeta appends the fields of api.RecordMeta, without braces.
func appendMeta(dst []byte, r *kv.Record, encoding string) []byte {
	if encoding != "" {
		dst = append(append(append(dst, `"encoding":"`...), encoding...), `",`...)
	}
	dst = append(dst, `"content_type":`...)
	dst = appendString(dst, r.ContentType)
	dst = strconv.AppendUint(append(dst, `,"create_revision":`...), r.CreateRevision, 10)
	dst = strconv.AppendUint(append(dst, `,"mod_revision":`...), r.ModRevision, 10)
	return strconv.AppendUint(append(dst, `,"version":`...), r.Version, 10)
}

// appendRecord appends a api.Record.
func appendRecord(dst []byte, r *kv.Record) []byte {
	dst = appendString(append(dst, `{"key":`...), r.Key)
	dst, encoding := appendValue(append(dst, `,"value":`...), r)
	return append(appendMeta(append(dst, ','), r, encoding), '}')
}

// appendChange appends what a write did: a api.PutResponse or, with deleted for the word, a DeleteResponse.
func appendChange(dst []byte, revision uint64, word string, did bool) []byte {
	dst = strconv.AppendUint(append(dst, `{"revision":`...), revision, 10)
	dst = append(append(append(dst, `,"`...), word...), `":`...)
	return append(strconv.AppendBool(dst, did), '}')
}

// appendAnswer appends a api.CommandResponse to a write that was done.
func appendAnswer(dst []byte, op kv.Op, index raft.Index, term raft.Term, result *kv.Result) []byte {
	dst = appendPosition(dst, uint64(index), uint64(term))
	switch op {
	case kv.OpDelete:
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
	default:
		dst = appendChange(dst, result.Revision, "created", result.Created)
	}
	return append(dst, '}')
}

// appendRead appends a api.CommandResponse to a get.
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
