package kv

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// The limits of Validate. Apply ignores them: a later version may change them, and every node must apply an entry of
// the log in the same way (trap T45).
const (
	MaxKeyBytes         = 4096
	MaxValueBytes       = 1 << 20
	MaxContentTypeBytes = 256
	// MaxCommandBytes bounds the output of AppendJSON for any command that passes Validate. Only a transaction can be
	// longer: a cas has two JSON values, an escaped text at most twice its size, an escaped key six times its own.
	MaxCommandBytes = 9 << 20
)

func validateKey(key []byte) error {
	switch {
	case len(key) == 0:
		return invalidf(`field "key" is empty; it must have 1 to %d bytes`, MaxKeyBytes)
	case len(key) > MaxKeyBytes:
		return &TooLargeError{Field: "key", Size: len(key), Limit: MaxKeyBytes}
	case !utf8.Valid(key):
		return invalidf(`field "key" must be valid UTF-8`)
	}
	return nil
}

// validateSize checks the size of a field that holds a value.
func validateSize(field string, value []byte) error {
	if len(value) > MaxValueBytes {
		return &TooLargeError{Field: field, Size: len(value), Limit: MaxValueBytes}
	}
	return nil
}

// validateJSON checks a field that holds JSON.
func validateJSON(field string, text []byte) error {
	return checkJSON(field, text, jsontext.Valid(jsontext.OneLine(text)))
}

// checkJSON refuses a field that is not JSON, or that JSON tools read differently.
func checkJSON(field string, text []byte, valid bool) error {
	switch {
	case !valid:
		return notJSON(field)
	case jsontext.HasLoneSurrogate(text):
		return loneSurrogate("field " + strconv.Quote(field))
	}
	return nil
}

func loneSurrogate(where string) error {
	return invalidf(`%s must not have half of a surrogate pair, like \ud800: it stands for no character; `+
		`write the pair, like \ud83d\ude00, or the character itself`, where)
}

func notJSON(field string) error {
	return invalidf("field %q must be a JSON value in UTF-8, nested at most %d levels deep", field, jsontext.MaxDepth)
}

// abbreviate shortens input before it is shown in a message.
func abbreviate(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
