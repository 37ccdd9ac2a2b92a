package kv

import (
	"strconv"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// AppendJSON appends the command in its canonical form and returns the extended slice: one line, op first, then key,
// then the rest, without default values. It is JSON in UTF-8 whatever the command holds. These bytes are the log
// entry; Parse returns an equal command for them if the command passes Validate.
func (c Command) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"op":`...)
	dst = jsontext.AppendText(dst, string(c.Op))
	dst = append(dst, `,"key":`...)
	dst = jsontext.AppendText(dst, c.Key)
	switch c.Op {
	case OpPut:
		dst = c.appendBody(dst)
	case OpSet:
		dst = append(dst, `,"value":`...)
		dst = appendEmbedded(dst, c.Value)
	case OpIncr:
		dst = append(dst, `,"by":`...)
		dst = strconv.AppendInt(dst, c.By, 10)
	case OpCAS:
		dst = append(dst, `,"expected":`...)
		dst = appendEmbedded(dst, c.Expected)
		dst = append(dst, `,"value":`...)
		dst = appendEmbedded(dst, c.Value)
	}
	if c.HasIfRevision {
		dst = append(dst, `,"if_revision":`...)
		dst = strconv.AppendUint(dst, c.IfRevision, 10)
	}
	if c.IfAbsent {
		dst = append(dst, `,"if_absent":true`...)
	}
	return append(dst, '}')
}

// appendBody writes the value of a put: JSON as JSON, text as text, everything else in base64.
func (c *Command) appendBody(dst []byte) []byte {
	if c.ContentType == TypeJSON && jsontext.Valid(c.Value) {
		dst = append(dst, `,"json":`...)
		return append(dst, c.Value...)
	}
	dst = append(dst, `,"value":`...)
	if isText(c.Value) {
		dst = jsontext.AppendString(dst, c.Value)
	} else {
		dst = jsontext.AppendBase64(dst, c.Value)
		dst = append(dst, `,"encoding":"base64"`...)
	}
	if c.ContentType != "" && c.ContentType != TypeBytes {
		dst = append(dst, `,"content_type":`...)
		dst = jsontext.AppendText(dst, c.ContentType)
	}
	return dst
}

// isText reports whether a value is better kept as a string than in base64: valid UTF-8 with no control characters
// except those of plain text. Other values take six bytes per character when escaped, and are not readable.
func isText(value []byte) bool {
	for i := jsontext.PlainEnd(value, 0); i < len(value); i = jsontext.PlainEnd(value, i+1) {
		if c := value[i]; c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return utf8.Valid(value)
}

// appendEmbedded writes JSON text as it is. What is no JSON cannot stand in the log as it is, and becomes a
// string; Validate refuses such a command.
func appendEmbedded(dst, text []byte) []byte {
	text = jsontext.OneLine(text)
	if jsontext.Valid(text) {
		return append(dst, text...)
	}
	return jsontext.AppendText(dst, string(text))
}
