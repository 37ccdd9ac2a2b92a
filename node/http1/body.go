package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrTooLarge is the error of a body that has more bytes than allowed.
var ErrTooLarge = errors.New("the body is too large")

// ErrNoMemory is the error of a body for which the process has no memory left.
var ErrNoMemory = errors.New("there is no memory for a body of this length now")

// Memory is charged for what is read; budget.Account implements it.
type Memory interface {
	// Take charges bytes, and reports whether there was room for them.
	Take(bytes int) bool
}

// exactBytes is the length in bytes up to which a body gets its memory before it is read. Of a longer body more must
// arrive first, so that a header alone cannot make the process allocate much (trap H4).
const exactBytes = 1 << 20

// ReadBody reads a body of the given length (-1: unknown) and at most limit bytes into memory of its own, exactly as
// much as it needs, because what is read may be kept. The memory is charged to held, if that is not nil. The errors are
// ErrTooLarge, ErrNoMemory and those of the reader.
func ReadBody(r io.Reader, length, limit int64, held Memory) ([]byte, error) {
	if length > limit {
		return nil, ErrTooLarge
	}
	if length < 0 || length > exactBytes {
		return readLong(r, length, limit, held)
	}
	if held != nil && !held.Take(int(length)) {
		return nil, ErrNoMemory
	}
	text := make([]byte, length)
	_, err := io.ReadFull(r, text)
	return text, err
}

// readLong is ReadBody for a body that gets its memory as it arrives.
func readLong(r io.Reader, length, limit int64, held Memory) ([]byte, error) {
	var text []byte
	for {
		if len(text) == cap(text) {
			if int64(len(text)) == length {
				return text, nil // parts of it may be kept, and there is no spare room with them
			}
			most := limit + 1 // one more byte shows that there are too many
			if length >= 0 {
				most = length
			}
			size := int(min(int64(max(2*cap(text), exactBytes/2)), most))
			if held != nil && !held.Take(size-cap(text)) {
				return nil, ErrNoMemory
			}
			text = append(make([]byte, 0, size), text...)
		}
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case int64(len(text)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF && int64(len(text)) < length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			return bytes.Clone(text), nil
		case err != nil:
			return nil, err
		}
	}
}

// AppendBody appends a body of at most limit bytes to dst, which a caller uses again for the next body. With an error
// it returns what was read.
func AppendBody(dst []byte, r io.Reader, limit int64) ([]byte, error) {
	begin := len(dst)
	for {
		dst = slices.Grow(dst, 4096)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case int64(len(dst)-begin) > limit:
			return dst, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}
