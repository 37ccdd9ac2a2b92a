package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// request is one command on its way to a line of a batch. A put by Client.Put carries the bytes as they are in
// raw; every other value is JSON text in Command.Value.
type request struct {
	api.Command
	raw    []byte
	hasRaw bool
	line   []byte // of a transaction: the whole command
}

const (
	contentTypeBytes = "application/octet-stream" // of a put that names none, so it need not be named
	contentTypeJSON  = jsontext.MediaType
)

// isRead reports whether the request changes nothing, so that it may always be sent again.
func (r *request) isRead() bool { return r.Op == api.OpGet }

// prepare checks the request, and brings its JSON on one line. After it appendLine cannot fail.
func (r *request) prepare() error {
	switch {
	case r.Key == "":
		return invalid("the key is empty")
	case !utf8.ValidString(r.Key):
		return invalid("the key %q is not UTF-8", r.Key)
	case !utf8.ValidString(r.ContentType):
		return invalid("the content type %q is not UTF-8", r.ContentType)
	case len(r.raw) > api.MaxValueBytes:
		return &api.Error{Code: api.CodeTooLarge, Limit: api.MaxValueBytes, Message: fmt.Sprintf(
			"the value has %d bytes; it may have %d", len(r.raw), api.MaxValueBytes)}
	}
	if r.hasRaw && r.ContentType == contentTypeJSON && isOneLineJSON(r.raw) {
		r.JSON, r.raw, r.hasRaw, r.ContentType = r.raw, nil, false, ""
	}
	return r.prepareJSON()
}

// prepareJSON checks the fields that hold JSON text.
func (r *request) prepareJSON() error {
	var err error
	if r.Value, err = oneLine("value", r.Value); err != nil {
		return err
	}
	if r.JSON, err = oneLine("json", r.JSON); err != nil {
		return err
	}
	if r.Expected, err = oneLine("expected", r.Expected); err != nil {
		return err
	}
	by, err := oneLine("by", []byte(r.By))
	r.By = json.Number(by)
	return err
}

// oneLine checks that text is JSON, if there is any, and returns it without line ends: in a batch the line end is the
// separator.
func oneLine(field string, text []byte) ([]byte, error) {
	if len(text) > 0 && !json.Valid(text) {
		return nil, invalid("the %s is not valid JSON", field)
	}
	return jsontext.OneLine(text), nil
}

// isOneLineJSON reports whether text is JSON that can stand in a line as it is, byte for byte.
func isOneLineJSON(text []byte) bool {
	return len(text) > 0 && text[0] > ' ' && text[len(text)-1] > ' ' && bytes.IndexByte(text, '\n') < 0 &&
		bytes.IndexByte(text, '\r') < 0 && utf8.Valid(text) && json.Valid(text)
}

// appendLine appends the request as one line of a batch in the state machine's canonical form (op, key, expected,
// value, encoding, content_type, by, conditions; no white space, nothing empty), which the server recognises
// without encoding/json.
func (r *request) appendLine(dst []byte) []byte {
	if r.line != nil {
		return append(append(dst, r.line...), '\n')
	}
	dst = append(dst, `{"op":`...)
	dst = jsontext.AppendString(dst, r.Op)
	dst = append(dst, `,"key":`...)
	dst = jsontext.AppendString(dst, r.Key)
	if len(r.Expected) > 0 {
		dst = append(dst, `,"expected":`...)
		dst = append(dst, r.Expected...)
	}
	dst = r.appendValue(dst)
	if r.ContentType != "" && r.ContentType != contentTypeBytes {
		dst = append(dst, `,"content_type":`...)
		dst = jsontext.AppendString(dst, r.ContentType)
	}
	if r.By != "" {
		dst = append(dst, `,"by":`...)
		dst = append(dst, r.By...)
	}
	if r.IfRevision != nil {
		dst = append(dst, `,"if_revision":`...)
		dst = strconv.AppendUint(dst, *r.IfRevision, 10)
	}
	if r.IfAbsent {
		dst = append(dst, `,"if_absent":true`...)
	}
	return append(dst, '}', '\n')
}

// appendValue appends the fields value and encoding, or json, if the request has a value.
func (r *request) appendValue(dst []byte) []byte {
	encoding := r.Encoding
	switch {
	case r.hasRaw:
		dst = append(dst, `,"value":`...)
		// Escapes make up to six bytes of one, and the server bounds the line.
		most := base64.StdEncoding.EncodedLen(len(r.raw)) + len(`"","encoding":"base64"`)
		if text, ok := jsontext.AppendStringWithin(dst, r.raw, most); ok {
			dst = text
			break
		}
		dst = jsontext.AppendBase64(dst, r.raw)
		encoding = api.EncodingBase64
	case len(r.Value) > 0:
		dst = append(dst, `,"value":`...)
		dst = append(dst, r.Value...)
	case len(r.JSON) > 0:
		dst = append(dst, `,"json":`...)
		dst = append(dst, r.JSON...)
	}
	if encoding != "" {
		dst = append(dst, `,"encoding":`...)
		dst = jsontext.AppendString(dst, encoding)
	}
	return dst
}

// invalid makes the error for a request that the client itself refuses.
func invalid(format string, args ...any) *api.Error {
	return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}
