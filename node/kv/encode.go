package kv

import (
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// namesSize is about how much the field names and numbers of a command take.
const namesSize = 96

// appendCommand appends an operation as a command.
func appendCommand(dst []byte, o Operation) []byte {
	dst = append(dst, `{"op":"`...)
	dst = append(dst, o.Op()...)
	dst = append(dst, `",`...)
	return append(o.appendFields(dst), '}')
}

// appendKey appends the field key, with which the fields of most operations begin.
func appendKey(dst, key []byte) []byte { return appendText(append(dst, `"key":`...), key) }

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

// appendText appends text as a JSON string. What is no UTF-8 is replaced; Validate refuses such a command.
func appendText(dst, text []byte) []byte {
	if utf8.Valid(text) {
		return jsontext.AppendString(dst, text)
	}
	return jsontext.AppendText(dst, string(text))
}

// appendEmbedded appends JSON text unchanged, on one line. Text that is not JSON cannot be a part of an entry, and
// becomes a string; Validate refuses such a command.
func appendEmbedded(dst, text []byte) []byte {
	text = jsontext.OneLine(text)
	if jsontext.Valid(text) {
		return append(dst, text...)
	}
	return jsontext.AppendText(dst, string(text))
}
