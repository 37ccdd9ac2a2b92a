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

// ReadJSON parses a body that is one JSON object into a struct, as strictly as kv.Parse parses a command: each field is
// known, spelled exactly and given once, none is null, the text is UTF-8, and nothing follows. Its errors continue a
// sentence that states what the body must be. It is for bodies that change a cluster; encoding/json alone accepts other
// spellings, and takes the last of two equal fields.
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

// wrongFieldError reports that a field has a value of another type.
type wrongFieldError struct{ field, given string }

func (e *wrongFieldError) Error() string {
	return fmt.Sprintf("field %q must not be a %s", e.field, e.given)
}

const (
	maxJSONDepth = 8
	// maxJSONFields is more than any object of the API has. It bounds the search for repeated names.
	maxJSONFields = 16
)

// checkObject checks an object from behind its opening brace to its end.
func checkObject(tokens *json.Decoder, depth int) error {
	var names []string
	for tokens.More() {
		token, err := tokens.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		switch {
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "": // encoding/json would ignore the case
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
