package jsontext

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Sum identifies what a JSON value means, by the SHA-256 of its normal form.
type Sum [sha256.Size]byte

// SumOf returns the same Sum for two JSON values if and only if they mean the same: objects without regard to order
// (the last of several equal names counts), strings by their characters, numbers by their exact decimal value, so
// that 1, 1.0 and 10e-1 are equal, and nothing is ever rounded (no float, trap T45). The text must be valid JSON. It
// takes time and memory in proportion to the text (sorting names aside), however the text nests.
func SumOf(text []byte) Sum {
	m := meaning{text: text}
	m.value()
	return sha256.Sum256(m.out)
}

// meaning writes the normal form of a JSON value. It differs from JSON in that numbers are written as digits and
// exponent, and that the value of a member is replaced by its Sum if it is longer: an object is put in order by
// moving its members, and without that a deep nest would be moved once for each level.
type meaning struct {
	text    []byte
	i       int
	out     []byte
	members []member // of the objects around the position
	sorted  []byte   // scratch memory of arrange
	moved   int      // bytes that arrange has moved; a measure for tests
}

// member is one member of an object: where its name and its value begin in the output, and where the value ends.
type member struct{ name, value, end int }

func (m *meaning) value() {
	m.space()
	switch c := m.text[m.i]; c {
	case '{':
		m.object()
	case '[':
		m.array()
	case '"':
		m.string()
	case 't', 'n':
		m.word(len("true"))
	case 'f':
		m.word(len("false"))
	default:
		m.number()
	}
}

func (m *meaning) space() {
	for isSpace(m.text[m.i]) || m.text[m.i] == '\n' || m.text[m.i] == '\r' {
		m.i++
	}
}

// more skips to the next element or member, or past the closing bracket.
func (m *meaning) more(end byte) bool {
	if m.space(); m.text[m.i] == ',' {
		m.i++
		m.space()
	}
	if m.text[m.i] != end {
		return true
	}
	m.i++
	return false
}

func (m *meaning) word(length int) {
	m.out = append(m.out, m.text[m.i:m.i+length]...)
	m.i += length
}

func (m *meaning) array() {
	m.i++
	m.out = append(m.out, '[')
	for m.more(']') {
		m.value()
		m.out = append(m.out, ',')
	}
	m.out = append(m.out, ']')
}

func (m *meaning) object() {
	m.i++
	m.out = append(m.out, '{')
	first := len(m.members)
	for m.more('}') {
		name := len(m.out)
		m.string()
		value := len(m.out)
		m.space()
		m.i++ // the colon
		m.value()
		if text := m.out[value:]; len(text) > 1+sha256.Size {
			short := sha256.Sum256(text)
			m.out = append(append(m.out[:value], '#'), short[:]...)
		}
		m.members = append(m.members, member{name, value, len(m.out)})
	}
	m.arrange(m.members[first:])
	m.members = m.members[:first]
	m.out = append(m.out, '}')
}

// arrange sorts the members of the object that ends the output by their names, and keeps the last of equal ones.
func (m *meaning) arrange(members []member) {
	if len(members) < 2 {
		return
	}
	name := func(each member) []byte { return m.out[each.name:each.value] }
	start := members[0].name
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(bytes.Compare(name(a), name(b)), cmp.Compare(a.name, b.name))
	})
	m.sorted = m.sorted[:0]
	for i, each := range members {
		if i+1 < len(members) && bytes.Equal(name(each), name(members[i+1])) {
			continue
		}
		m.sorted = append(m.sorted, m.out[each.name:each.end]...)
	}
	m.moved += len(m.sorted)
	m.out = append(m.out[:start], m.sorted...)
}

func (m *meaning) number() {
	end := skipNumber(m.text, m.i)
	text := m.text[m.i:end]
	m.i = end
	if !IsInteger(text) {
		m.out = decimalOf(string(text)).append(m.out)
		return
	}
	if text[0] == '-' {
		m.out = append(m.out, '-')
		text = text[1:]
	}
	digits := bytes.TrimRight(text, "0")
	exponent := len(text)
	if len(digits) == 0 {
		exponent = 0
	}
	m.out = strconv.AppendInt(append(append(m.out, digits...), 'e'), int64(exponent), 10)
}

// append writes a decimal in the form that number writes.
func (d decimal) append(dst []byte) []byte {
	if d.negative {
		dst = append(dst, '-')
	}
	dst = strconv.AppendInt(append(append(dst, d.digits...), 'e'), d.exponent, 10)
	if d.huge != "" {
		dst = append(append(dst, 'h'), d.huge...)
	}
	return dst
}

// string writes a string with its escapes in the one form that AppendString has for them.
func (m *meaning) string() {
	m.i++
	m.out = append(m.out, '"')
	for {
		plain := PlainEnd(m.text, m.i)
		m.out = append(m.out, m.text[m.i:plain]...)
		m.i = plain
		if m.text[plain] == '"' {
			break
		}
		m.escape()
	}
	m.i++
	m.out = append(m.out, '"')
}

// escape parses one escape, or two that are a surrogate pair.
func (m *meaning) escape() {
	c := m.text[m.i+1]
	if c != 'u' {
		m.i += 2
		m.out = appendCharacter(m.out, unescaped(c))
		return
	}
	r := hexRune(m.text[m.i+2:])
	m.i += 6
	if utf16.IsSurrogate(r) {
		low := rune(0)
		if rest := m.text[m.i:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
			low = hexRune(rest[2:])
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			m.i += 6
		}
	}
	m.out = appendCharacter(m.out, r)
}

// unescaped returns the character of a short escape (RFC 8259, section 7).
func unescaped(c byte) rune {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return rune(c)
}

// hexRune parses the four digits of an escape, which must be present.
func hexRune(digits []byte) rune {
	r := rune(0)
	for _, c := range digits[:4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}

// appendCharacter writes one character as it stands within a string that AppendString wrote.
func appendCharacter(dst []byte, r rune) []byte {
	if r >= ' ' && r != '"' && r != '\\' {
		return utf8.AppendRune(dst, r)
	}
	var quoted [8]byte
	text := AppendString(quoted[:0], string(r))
	return append(dst, text[1:len(text)-1]...)
}
