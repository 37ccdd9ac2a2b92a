package jsontext

import (
	"bytes"
	"math"
	"strconv"
)

// Scanner reads JSON text in one exact spelling: no white space, fields in their order. After the first deviation it is
// bad and finds nothing more; the caller then reads the text with encoding/json. The name that a method takes is all
// the text in front of a value, like `,"term":`.
type Scanner struct {
	text []byte
	at   int
	bad  bool
}

// Scan returns a scanner at the beginning of the text. What it returns may be parts of the text.
func Scan(text []byte) Scanner { return Scanner{text: text} }

// Bad reports whether the text deviated from the spelling.
func (s *Scanner) Bad() bool { return s.bad }

// Fail makes the scanner bad if the condition holds.
func (s *Scanner) Fail(condition bool) { s.bad = s.bad || condition }

// Done reports whether everything was recognised, to the last byte.
func (s *Scanner) Done() bool { return !s.bad && s.at == len(s.text) }

// Left returns how many bytes follow.
func (s *Scanner) Left() int { return len(s.text) - s.at }

// Peek reports whether want comes next, without moving.
func (s *Scanner) Peek(want string) bool {
	rest := s.text[s.at:]
	return !s.bad && len(rest) >= len(want) && string(rest[:len(want)]) == want
}

// Take moves past want if it comes next, and reports whether it did.
func (s *Scanner) Take(want string) bool {
	if !s.Peek(want) {
		return false
	}
	s.at += len(want)
	return true
}

// Want moves past want, which must come next, and reports whether it did.
func (s *Scanner) Want(want string) bool {
	if !s.Take(want) {
		s.bad = true
	}
	return !s.bad
}

// Bool reads a field.
func (s *Scanner) Bool(name string) bool {
	s.Want(name)
	if s.Take("true") {
		return true
	}
	s.Want("false")
	return false
}

// Uint reads a field.
func (s *Scanner) Uint(name string) uint64 {
	s.Want(name)
	return s.Digits(math.MaxUint64)
}

// Given reads a field that is left out if it is 0, of at most limit.
func (s *Scanner) Given(name string, limit uint64) uint64 {
	if !s.Take(name) {
		return 0
	}
	n := s.Digits(limit)
	s.bad = s.bad || n == 0
	return n
}

// Int reads a field.
func (s *Scanner) Int(name string) int64 {
	s.Want(name)
	start := s.at
	s.Take("-")
	s.Digits(math.MaxUint64)
	if s.bad {
		return 0
	}
	n, err := strconv.ParseInt(string(s.text[start:s.at]), 10, 64)
	s.bad = err != nil
	return n
}

// Digits reads a decimal number of at most limit, without leading zeros.
func (s *Scanner) Digits(limit uint64) uint64 {
	start, n := s.at, uint64(0)
	for s.at < len(s.text) {
		digit := uint64(s.text[s.at] - '0')
		if digit > 9 {
			break
		}
		if digit > limit || n > (limit-digit)/10 {
			s.bad = true
			return 0
		}
		n = n*10 + digit
		s.at++
	}
	length := s.at - start
	if length == 0 || length > 1 && s.text[start] == '0' {
		s.bad = true
	}
	return n
}

// Places reads exactly so many decimal digits, of which the first ones may be zeros.
func (s *Scanner) Places(count int) int64 {
	if s.bad || s.Left() < count {
		s.bad = true
		return 0
	}
	n := int64(0)
	for _, c := range s.text[s.at : s.at+count] {
		if !isDigit(c) {
			s.bad = true
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	s.at += count
	return n
}

// Text reads the rest of a string, after its first quote, and undoes the escapes that AppendString writes. It takes no
// others.
func (s *Scanner) Text() []byte {
	if s.bad {
		return nil
	}
	start := s.at
	plain := PlainEnd(s.text, start)
	if plain < len(s.text) && s.text[plain] == '"' {
		s.at = plain + 1
		return s.text[start:plain:plain]
	}
	end := skipString(s.text, plain)
	if end < 0 {
		s.bad = true
		return nil
	}
	s.at = end
	text, ok := unescape(s.text[start : end-1])
	s.bad = !ok
	return text
}

// Plain reads the rest of a string that has no escapes, after its first quote.
func (s *Scanner) Plain() []byte {
	start := s.at
	end := PlainEnd(s.text, start)
	if s.bad || end == len(s.text) || s.text[end] != '"' {
		s.bad = true
		return nil
	}
	s.at = end + 1
	return s.text[start:end:end]
}

// unescape undoes the escapes that AppendString writes; it takes no others.
func unescape(escaped []byte) ([]byte, bool) {
	text := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); {
		plain := PlainEnd(escaped, i)
		text = append(text, escaped[i:plain]...)
		if plain == len(escaped) {
			break
		}
		c, width := unescapeOne(escaped[plain:])
		if width == 0 {
			return nil, false
		}
		text = append(text, c)
		i = plain + width
	}
	return text, true
}

// unescapeOne returns the character of an escape and the length of the escape, 0 if AppendString does not write it.
func unescapeOne(escape []byte) (c byte, width int) {
	switch escape[1] {
	case '"', '\\':
		return escape[1], 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	if !bytes.HasPrefix(escape, []byte(`\u00`)) {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(escape[4:6]), 16, 8)
	if err != nil || n >= ' ' {
		return 0, 0
	}
	return byte(n), 6
}

// Value reads one JSON value of any kind and validates it: on one line, nested at most MaxDepth levels deep. The UTF-8
// of its strings is the caller's to validate.
func (s *Scanner) Value() []byte {
	if s.bad {
		return nil
	}
	start := s.at
	end := skipValue(s.text, start, 0)
	if end < 0 {
		s.bad = true
		return nil
	}
	s.at = end
	return s.text[start:end:end]
}

// Follow reads one JSON value of any kind to its end and does not validate it, because its owner does. Strings,
// brackets and literals are followed, so that text is never cut at the wrong place, but not the grammar between them.
func (s *Scanner) Follow() []byte {
	if s.bad || s.at >= len(s.text) {
		s.bad = true
		return nil
	}
	start := s.at
	switch s.text[s.at] {
	case '{', '[':
		s.nested()
	case '"':
		s.string()
	default:
		s.literal()
	}
	if s.bad {
		return nil
	}
	return s.text[start:s.at:s.at]
}

// FollowDepth is how deep Follow follows nesting: one bit of a word per level. Deeper text is for encoding/json.
const FollowDepth = 64

// nested moves past an object or array, whose closing brackets must match the opening ones.
func (s *Scanner) nested() {
	objects, depth := uint64(0), 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			s.string()
			if s.bad {
				return
			}
			continue
		case '{', '[':
			if depth++; depth > FollowDepth {
				s.bad = true
				return
			}
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
		case '}', ']':
			if (c == '}') != (objects&1 == 1) {
				s.bad = true
				return
			}
			objects >>= 1
			if depth--; depth == 0 {
				s.at++
				return
			}
		}
		s.at++
	}
	s.bad = true
}

// string moves past a string. A quote ends it unless an odd number of backslashes stands before it.
func (s *Scanner) string() {
	start := s.at + 1
	for end := start; ; end++ {
		quote := bytes.IndexByte(s.text[end:], '"')
		if quote < 0 {
			s.bad = true
			return
		}
		end += quote
		slashes := 0
		for end-slashes > start && s.text[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			s.at = end + 1
			return
		}
	}
}

// literal moves past true, false, null or a number.
func (s *Scanner) literal() {
	if s.Take("true") || s.Take("false") || s.Take("null") {
		return
	}
	start := s.at
	for s.at < len(s.text) && isNumberByte(s.text[s.at]) {
		s.at++
	}
	if s.at == start {
		s.bad = true
	}
}

func isNumberByte(c byte) bool {
	return isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}
