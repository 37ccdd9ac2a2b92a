package kv

import (
	"encoding/json"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// The slow path takes a command apart in place: json.Valid checks the text once, and then the members of its objects
// and the elements of its lists are parts of it. A decoder would copy each level, and a transaction of 8 MiB has five.

// field is one member of a JSON object.
type field struct {
	name string
	text []byte // its JSON
}

// checkSyntax returns an error for text that is not one JSON value.
func checkSyntax(line []byte) error {
	if json.Valid(line) {
		return nil
	}
	var none struct{}
	err := json.Unmarshal(line, &none)
	if strings.Contains(err.Error(), "after top-level value") {
		return invalidf("something follows the command's JSON object; send one command at a time")
	}
	return invalidf(`a command must be a JSON object, like {"op":"get","key":"x"}: %v`, err)
}

// members passes the members of an object, whose syntax is checked, to take, until it returns an error.
func members(object []byte, take func(f field) error) error {
	for i := skipSpace(object, 1); object[i] != '}'; {
		end := valueEnd(object, i)
		name := object[i:end]
		i = skipSpace(object, skipSpace(object, end)+len(":"))
		end = valueEnd(object, i)
		if err := take(field{unquoted(name), object[i:end:end]}); err != nil {
			return err
		}
		if i = skipSpace(object, end); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return nil
}

// elements passes the elements of a list, whose syntax is checked, to take, until it returns an error.
func elements(list []byte, take func(element []byte) error) error {
	for i := skipSpace(list, 1); list[i] != ']'; {
		end := valueEnd(list, i)
		if err := take(list[i:end:end]); err != nil {
			return err
		}
		if i = skipSpace(list, end); list[i] == ',' {
			i = skipSpace(list, i+1)
		}
	}
	return nil
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns the end of the value at text[i:], whose syntax is checked.
func valueEnd(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch text[i] {
		case '"':
			i = stringEnd(text, i+1)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// stringEnd returns the end of a string, from behind its first quote.
func stringEnd(text []byte, i int) int {
	for {
		if i = jsontext.PlainEnd(text, i); text[i] == '"' {
			return i + 1
		}
		i += len(`\"`)
	}
}

// unquoted returns the text of a string.
func unquoted(text []byte) string {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return string(text) // not reached: the syntax is checked
	}
	return s
}
