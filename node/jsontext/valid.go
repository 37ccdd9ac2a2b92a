package jsontext

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects of an embedded JSON value may nest. Decoders have limits of their
// own (10,000 for encoding/json): a deeper value would be a log entry that no follower could read.
const MaxDepth = 1000

// Valid reports whether b is one JSON value in valid UTF-8 on one line, without outer white space and nested at most
// MaxDepth levels deep: text that can be embedded in other JSON as it is.
func Valid(b []byte) bool { return ValidWithin(b, MaxDepth) }

// ValidWithin is Valid with another depth.
func ValidWithin(b []byte, depth int) bool {
	return len(b) > 0 && !isSpace(b[0]) && skipValue(b, 0, MaxDepth-depth) == len(b) && utf8.Valid(b)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// OneLine returns JSON text without line breaks. Text that has none is returned as it is; otherwise all insignificant
// white space is dropped. Text that is not JSON is returned unchanged.
func OneLine(text []byte) []byte {
	if bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return text
	}
	var compact bytes.Buffer
	if json.Compact(&compact, text) != nil {
		return text
	}
	return compact.Bytes()
}

// Embeddable returns JSON text in a form that is Valid: on one line, without outer white space. It reports whether
// there is such a form.
func Embeddable(text []byte) ([]byte, bool) {
	text = OneLine(bytes.Trim(text, " \t\r\n"))
	return text, Valid(text)
}

// HasLoneSurrogate reports whether JSON text has an escape like \ud800 that is not one of a pair: it stands for no
// character, and decoders replace it by U+FFFD, so that different texts become one.
func HasLoneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || len(text)-i < 2 {
			return false
		}
		if text = text[i:]; text[1] != 'u' || len(text) < 6 {
			text = text[2:]
			continue
		}
		r := hexRune(text[2:])
		if text = text[6:]; !utf16.IsSurrogate(r) {
			continue
		}
		if len(text) < 6 || text[0] != '\\' || text[1] != 'u' ||
			utf16.DecodeRune(r, hexRune(text[2:])) == utf8.RuneError {
			return true
		}
		text = text[6:]
	}
}

// skipValue returns the position after the JSON value at b[i:], or -1 if there is none. It takes no line breaks
// as white space, because embedded values have none, and does not check UTF-8.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i+1)
	case c == '-' || isDigit(c):
		return skipNumber(b, i)
	case c == '{':
		return skipObject(b, i+1, depth+1)
	case c == '[':
		return skipArray(b, i+1, depth+1)
	case c == 't':
		return skipWord(b, i, "true")
	case c == 'f':
		return skipWord(b, i, "false")
	case c == 'n':
		return skipWord(b, i, "null")
	}
	return -1
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func skipArray(b []byte, i, depth int) int {
	if depth > MaxDepth {
		return -1
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = skipValue(b, skipSpace(b, i), depth); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

func skipObject(b []byte, i, depth int) int {
	if depth > MaxDepth {
		return -1
	}
	i = skipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i = skipMember(b, skipSpace(b, i), depth); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

func skipMember(b []byte, i, depth int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = skipString(b, i+1); i < 0 {
		return -1
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return skipValue(b, skipSpace(b, i+1), depth)
}

// skipString starts after the opening quote.
func skipString(b []byte, i int) int {
	for {
		i = PlainEnd(b, i)
		if i >= len(b) || b[i] < ' ' {
			return -1
		}
		if b[i] == '"' {
			return i + 1
		}
		if i = skipEscape(b, i+1); i < 0 {
			return -1
		}
	}
}

// skipEscape starts after the backslash.
func skipEscape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// skipNumber follows the grammar of RFC 8259, section 6.
func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	end := skipDigits(b, i)
	if end == i || (b[i] == '0' && end > i+1) {
		return -1
	}
	i = end
	if i < len(b) && b[i] == '.' {
		if end = skipDigits(b, i+1); end == i+1 {
			return -1
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if end = skipDigits(b, i); end == i {
			return -1
		}
		i = end
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' < 10 }

// PlainEnd returns the first position from i on that holds a quote, a backslash or a control character, or len(b).
// It looks at eight bytes at a time: the usual values are a few hundred bytes with nothing to find.
func PlainEnd(b []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^(ones*'"'), w^(ones*'\\')
		// In each byte, the subtraction borrows into the high bit if the byte was smaller.
		found := (w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash
		if found&highs != 0 {
			break
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}
