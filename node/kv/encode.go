package kv

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the command in its canonical form and returns the extended slice: one line, op first, then key,
// then the rest, without default values. It is JSON in UTF-8 whatever the command holds. These bytes are the log
// entry; Parse returns an equal command for them if the command passes Validate.
func (c Command) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"op":`...)
	dst = appendText(dst, string(c.Op))
	dst = append(dst, `,"key":`...)
	dst = appendText(dst, c.Key)
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
	if c.ContentType == TypeJSON && isJSON(c.Value) {
		dst = append(dst, `,"json":`...)
		return append(dst, c.Value...)
	}
	dst = append(dst, `,"value":`...)
	if isText(c.Value) {
		dst = appendString(dst, c.Value)
	} else {
		dst = appendBase64(dst, c.Value)
		dst = append(dst, `,"encoding":"base64"`...)
	}
	if c.ContentType != "" && c.ContentType != TypeBytes {
		dst = append(dst, `,"content_type":`...)
		dst = appendText(dst, c.ContentType)
	}
	return dst
}

// isText reports whether a value is better kept as a string than in base64: valid UTF-8 with no control characters
// except those of plain text. Other values take six bytes per character when escaped, and are not readable.
func isText(value []byte) bool {
	for i := plainEnd(value, 0); i < len(value); i = plainEnd(value, i+1) {
		if c := value[i]; c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return utf8.Valid(value)
}

func appendBase64(dst, value []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

// appendEmbedded writes JSON text unchanged. Text that is no JSON must not be in the log, and becomes a string;
// Validate refuses such a command.
func appendEmbedded(dst, text []byte) []byte {
	text = oneLine(text)
	if isJSON(text) {
		return append(dst, text...)
	}
	return appendText(dst, string(text))
}

// appendText writes a JSON string of any bytes; invalid UTF-8 becomes U+FFFD.
func appendText(dst []byte, text string) []byte {
	if utf8.ValidString(text) {
		return appendString(dst, text)
	}
	return appendString(dst, string([]rune(text)))
}

// appendString writes text, which is valid UTF-8, as a JSON string.
func appendString[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := len(dst)
	dst = append(dst, text...)
	first := plainEnd(dst, done)
	if first == len(dst) {
		return append(dst, '"')
	}
	dst = dst[:first]
	for i := first - done; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}
