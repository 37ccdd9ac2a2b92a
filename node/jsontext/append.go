package jsontext

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// AppendString appends text, which is valid UTF-8, as a JSON string, and returns the longer slice.
func AppendString[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	done := len(dst)
	dst = append(dst, text...)
	first := PlainEnd(dst, done)
	if first == len(dst) {
		return append(dst, '"')
	}
	dst = dst[:first]
	for i := first - done; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			dst = appendEscaped(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendText appends any bytes as a JSON string. Each byte that is no UTF-8 becomes U+FFFD.
func AppendText(dst []byte, text string) []byte {
	if utf8.ValidString(text) {
		return AppendString(dst, text)
	}
	return AppendString(dst, string([]rune(text)))
}

// AppendStringWithin appends text as AppendString does, if it is UTF-8 and takes at most so many bytes. Otherwise it
// appends nothing and returns false.
func AppendStringWithin(dst, text []byte, most int) ([]byte, bool) {
	if !utf8.Valid(text) {
		return dst, false
	}
	begin := len(dst)
	dst = append(dst, '"')
	for i := 0; ; i++ {
		plain := PlainEnd(text, i)
		dst = append(dst, text[i:plain]...)
		switch size := len(dst) + 1 - begin; {
		case size+len(text)-plain > most:
			return dst[:begin], false
		case plain == len(text):
			return append(dst, '"'), true
		}
		dst = appendEscaped(dst, text[plain])
		i = plain
	}
}

// appendEscaped appends one byte that must not stand for itself in a JSON string (RFC 8259, section 7).
func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// StringSize returns how many bytes AppendString appends.
func StringSize[T string | []byte](text T) int {
	size := len(text) + len(`""`)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size++
		case c < ' ':
			size += len(`\u0000`) - 1
		}
	}
	return size
}

// AppendBase64 appends bytes as a JSON string of base64 (RFC 4648, section 4).
func AppendBase64(dst, value []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

// AppendCompact appends valid JSON without line breaks. It makes no copy beside dst, whose memory the caller charges.
func AppendCompact(dst, text []byte) []byte {
	if bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return append(dst, text...)
	}
	compact := bytes.NewBuffer(dst)
	_ = json.Compact(compact, text) // fails only for what is not JSON
	return compact.Bytes()
}

// AppendUint appends a field.
func AppendUint(dst []byte, name string, n uint64) []byte {
	dst = append(dst, name...)
	return strconv.AppendUint(dst, n, 10)
}

// AppendGiven appends a field that is left out if it is 0.
func AppendGiven(dst []byte, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return AppendUint(dst, name, n)
}

// AppendBool appends a field.
func AppendBool(dst []byte, name string, b bool) []byte {
	dst = append(dst, name...)
	return strconv.AppendBool(dst, b)
}
