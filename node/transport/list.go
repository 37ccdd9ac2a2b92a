package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// list is a JSON list that is read element by element: it stops at the first that take refuses. To read {},{},{} as a
// whole would take thirty times the memory of its text (trap H4). Null stands for an empty list.
type list struct {
	name string // in errors
	// take gets the text of one element, a part of what is read.
	take func(element []byte) error
}

// each returns a take that decodes each element.
func each[T any](take func(*T) error) func([]byte) error {
	return func(text []byte) error {
		var element T
		if err := json.Unmarshal(text, &element); err != nil {
			return err
		}
		return take(&element)
	}
}

// UnmarshalJSON implements json.Unmarshaler: text is valid JSON.
func (l *list) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	s := scanner{text: text}
	if !s.take("[") {
		return fmt.Errorf("%s must be a list", l.name)
	}
	for i := 0; ; i++ {
		start := s.at
		s.element()
		element := bytes.Trim(s.text[start:s.at], " \t\r\n")
		if len(element) > 0 {
			if err := l.take(element[:len(element):len(element)]); err != nil {
				return fmt.Errorf("%s[%d]: %w", l.name, i, err)
			}
		}
		if !s.take(",") {
			return nil
		}
	}
}

// element moves to the comma or bracket that ends an element of a list, in valid JSON.
func (s *scanner) element() {
	for depth := 0; s.at < len(s.text) && !s.bad; {
		switch s.text[s.at] {
		case '"':
			s.string()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
		case ',':
			if depth == 0 {
				return
			}
		}
		s.at++
	}
}

// maxValues bounds the values in an answer that has lists: twice as many as in a status with all events and 99 members.
const maxValues = 16 << 10

// decodeFew is json.Unmarshal for an answer with lists. A value of few characters may take a hundred bytes, so their
// number is bounded before any is read (trap H4).
func decodeFew(text []byte, v any) error {
	s := scanner{text: text}
	for count := 0; s.at < len(s.text) && !s.bad; {
		switch s.text[s.at] {
		case '"':
			s.string()
			continue
		case ',', '{', '[':
			if count++; count > maxValues {
				return fmt.Errorf("it has more than %d values", maxValues)
			}
		}
		s.at++
	}
	return json.Unmarshal(text, v)
}
