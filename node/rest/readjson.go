package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// ReadJSON reads a body that is one JSON object into a struct, as strictly as kv.Parse reads a command: each field is
// known, spelled as it is and comes once, none is null, the text is UTF-8, and nothing follows. Its errors continue a
// sentence that says what the body must be. For bodies that change a cluster; encoding/json alone takes the last of two
// fields, and other spellings.
func ReadJSON(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errors.New("it is not valid UTF-8")
	}
	tokens := json.NewDecoder(bytes.NewReader(body))
	start, err := tokens.Token()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case err != nil:
		return err
	case start != json.Delim('{'):
		return errors.New("it is no JSON object")
	}
	if err := checkObject(tokens, maxJSONDepth); err != nil {
		return err
	}
	if _, err := tokens.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object; send one and nothing behind it")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &wrongFieldError{field: wrong.Field, given: wrong.Value}
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// wrongFieldError: a field has a value that it cannot have.
type wrongFieldError struct{ field, given string }

func (e *wrongFieldError) Error() string {
	return fmt.Sprintf("field %q must not be a %s", e.field, e.given)
}

const (
	maxJSONDepth = 8
	// maxJSONFields is more than any object of the contract has. It bounds the search for names that come twice.
	maxJSONFields = 16
)

// checkObject checks an object, whose first brace has been read, up to its end.
func checkObject(tokens *json.Decoder, depth int) error {
	var names []string
	for tokens.More() {
		token, err := tokens.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		switch {
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "": // encoding/json would fold it
			return fmt.Errorf("unknown field %s", quoted(name))
		case slices.Contains(names, name):
			return fmt.Errorf("field %s comes twice; give it once", quoted(name))
		case len(names) == maxJSONFields:
			return errors.New("it has too many fields")
		}
		names = append(names, name)
		if err := checkValue(tokens, name, depth); err != nil {
			return err
		}
	}
	_, err := tokens.Token()
	return err
}

// checkValue checks the value of a field, or an element of one that is an array.
func checkValue(tokens *json.Decoder, field string, depth int) error {
	token, err := tokens.Token()
	switch {
	case err != nil:
		return err
	case token == nil:
		return fmt.Errorf("field %s must not be null; give a value, or leave it out", quoted(field))
	case depth == 0:
		return errors.New("it is nested too deeply")
	case token == json.Delim('{'):
		return checkObject(tokens, depth-1)
	case token == json.Delim('['):
		for tokens.More() {
			if err := checkValue(tokens, field, depth-1); err != nil {
				return err
			}
		}
		_, err = tokens.Token()
		return err
	}
	return nil
}
