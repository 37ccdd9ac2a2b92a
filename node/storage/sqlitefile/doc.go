// Package sqlitefile reads a database file of SQLite page by page, and checks its structure on the way: one pass does
// what takes SQLite's integrity_check and a query for every row. It reads what SQLite makes by default, with pages of
// 4,096 bytes and text in UTF-8, and returns ErrUnsupported for anything else: then SQLite has to read the file. It is
// for a file that nothing changes and that needs no write-ahead log.
//
// The numbers and names are those of https://sqlite.org/fileformat2.html.
package sqlitefile

import (
	"errors"
	"fmt"
)

// ErrUnsupported reports that the file is none that this package reads, whether it is damaged or not.
var ErrUnsupported = errors.New("the file is none that SQLite makes by default")

// ErrMalformed reports that the structure of the file is damaged.
var ErrMalformed = errors.New("the database is malformed")

func malformed(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, arguments...))
}
