package transport

import (
	"bytes"
	"math"
)

// scanner reads JSON text that is written exactly as this package writes it: no spaces, fields in their order.
// The first deviation makes it bad and stops it; the caller then asks encoding/json. Values that belong to
// someone else (commands, results) are only followed to their end, not judged: their strings, brackets and
// literals are, so that text cannot be cut at the wrong place, but not the grammar between them.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

// done tells whether everything was recognised, to the last byte.
func (s *scanner) done() bool { return !s.bad && s.at == len(s.text) }

// peek tells whether want comes next, without moving.
func (s *scanner) peek(want string) bool {
	rest := s.text[s.at:]
	return !s.bad && len(rest) >= len(want) && string(rest[:len(want)]) == want
}

// take moves past want if it comes next, and tells whether it did.
func (s *scanner) take(want string) bool {
	if !s.peek(want) {
		return false
	}
	s.at += len(want)
	return true
}

// want moves past the given text, which must come next.
func (s *scanner) want(text string) {
	if !s.take(text) {
		s.bad = true
	}
}

// bool reads the named field, name being all the text in front of its value.
func (s *scanner) bool(name string) bool {
	s.want(name)
	if s.take("true") {
		return true
	}
	s.want("false")
	return false
}

// uint reads the named field.
func (s *scanner) uint(name string) uint64 {
	s.want(name)
	return s.digits(math.MaxUint64)
}

// given reads an optional field, which is left out if it is 0.
func (s *scanner) given(name string, limit uint64) uint64 {
	if !s.take(name) {
		return 0
	}
	n := s.digits(limit)
	s.bad = s.bad || n == 0
	return n
}

// digits reads a decimal number of at most limit, without leading zeros.
func (s *scanner) digits(limit uint64) uint64 {
	start, n := s.at, uint64(0)
	for s.at < len(s.text) {
		digit := uint64(s.text[s.at] - '0')
		if digit > 9 {
			break
		}
		if n > (limit-digit)/10 {
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

// micros reads decimal seconds with exactly six places, as raft.AppendSeconds writes them.
func (s *scanner) micros(name string) int64 {
	s.want(name)
	negative := s.take("-")
	seconds := s.digits(maxSeconds)
	s.want(".")
	if s.bad || len(s.text)-s.at < 6 {
		s.bad = true
		return 0
	}
	fraction := int64(0)
	for _, c := range s.text[s.at : s.at+6] {
		if c < '0' || c > '9' {
			s.bad = true
			return 0
		}
		fraction = fraction*10 + int64(c-'0')
	}
	s.at += 6
	micros := int64(seconds)*1e6 + fraction
	if negative {
		s.bad = s.bad || micros == 0
		return -micros
	}
	return micros
}

// value reads one JSON value of any kind and returns its text, a part of the body.
func (s *scanner) value() []byte {
	if s.bad || s.at >= len(s.text) {
		s.bad = true
		return nil
	}
	start := s.at
	switch c := s.text[s.at]; c {
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

// maxDepth is how deep the scanner follows nesting: one bit of a word per level. Deeper text is for encoding/json.
const maxDepth = 64

// nested moves past an object or array, whose closing brackets must match the opening ones.
func (s *scanner) nested() {
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
			if depth++; depth > maxDepth {
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
func (s *scanner) string() {
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
func (s *scanner) literal() {
	if s.take("true") || s.take("false") || s.take("null") {
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
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}
