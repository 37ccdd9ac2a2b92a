package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// List is a JSON list that is read element by element: it stops at the first that Take refuses. To read {},{},{} as a
// whole would take thirty times the memory of its text (trap H4). Null stands for an empty list.
type List struct {
	Name string // in errors
	// Take gets the text of one element, a part of what is read.
	Take func(element []byte) error
}

// Each returns a List.Take that decodes each element.
func Each[T any](take func(*T) error) func([]byte) error {
	return func(text []byte) error {
		var element T
		if err := json.Unmarshal(text, &element); err != nil {
			return err
		}
		return take(&element)
	}
}

// UnmarshalJSON implements json.Unmarshaler: text is valid JSON.
func (l *List) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	s := Scan(text)
	if !s.Take("[") {
		return fmt.Errorf("%s must be a list", l.Name)
	}
	for i := 0; ; i++ {
		start := s.at
		s.element()
		element := bytes.Trim(s.text[start:s.at], " \t\r\n")
		if len(element) > 0 {
			if err := l.Take(element[:len(element):len(element)]); err != nil {
				return fmt.Errorf("%s[%d]: %w", l.Name, i, err)
			}
		}
		if !s.Take(",") {
			return nil
		}
	}
}

// element moves to the comma or bracket that ends an element of a list, in valid JSON.
func (s *Scanner) element() {
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

// UnmarshalWithin is json.Unmarshal for text with at most so many values. A value of few characters may take a hundred
// bytes, so they are counted before any is read (trap H4).
func UnmarshalWithin(text []byte, values int, into any) error {
	s := Scan(text)
	for count := 0; s.at < len(s.text) && !s.bad; {
		switch s.text[s.at] {
		case '"':
			s.string()
			continue
		case ',', '{', '[':
			if count++; count > values {
				return fmt.Errorf("it has more than %d values", values)
			}
		}
		s.at++
	}
	return json.Unmarshal(text, into)
}
