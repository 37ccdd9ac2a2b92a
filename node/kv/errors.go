package kv

import "fmt"

// InvalidError says that a command is not well formed. Its message names the field and what would be right.
type InvalidError struct {
	Message string
}

// Error gives the message.
func (e *InvalidError) Error() string { return e.Message }

func invalidf(format string, args ...any) error {
	return &InvalidError{Message: fmt.Sprintf(format, args...)}
}

// TooLargeError says that a field is longer than the store takes.
type TooLargeError struct {
	Field string // as it stands in the command's JSON
	Size  int    // bytes it has
	Limit int    // bytes it may have
}

// Error names the field, its size and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("field %q has %d bytes; at most %d are allowed", e.Field, e.Size, e.Limit)
}
