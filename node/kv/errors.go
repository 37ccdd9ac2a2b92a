package kv

import (
	"cmp"
	"fmt"
)

// InvalidError reports that a command is malformed. Its message names the field and what would be right.
type InvalidError struct {
	Message string
}

// Error returns the message.
func (e *InvalidError) Error() string { return e.Message }

func invalidf(format string, args ...any) error {
	return &InvalidError{Message: fmt.Sprintf(format, args...)}
}

// TooLargeError reports that a field, or a whole command, exceeds its limit.
type TooLargeError struct {
	Field string // as in the command's JSON
	Size  int    // actual size
	Limit int    // maximum size
	Unit  string // of the size; empty: bytes
}

// Error returns the field, its size and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("field %q has %d %s; at most %d are allowed", e.Field, e.Size, cmp.Or(e.Unit, "bytes"), e.Limit)
}
