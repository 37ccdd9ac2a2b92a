package storage

import (
	"errors"
	"fmt"
	"net/url"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// direct is a connection that reads a whole file through SQLite's C interface. The driver makes a dozen allocations for
// a row, locks a mutex for each column, and cannot pause in a statement. One goroutine at a time may use it.
type direct struct {
	tls    *libc.TLS
	db     uintptr
	pacing func(*libc.TLS, uintptr) int32 // is called by SQLite, which does not refer to it; nil: no pauses
}

// codeError is an error of SQLite, with its result code.
type codeError struct {
	code int
	text string
}

func (e *codeError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }

// Code returns the result code of SQLite.
func (e *codeError) Code() int { return e.code }

// stepsPerPause is the number of steps of SQLite between two calls of pace.pause: instructions of a query, or pages of
// an integrity check.
const stepsPerPause = 128

// openDirect opens the file of a connection once more. With a pace, every statement pauses by it.
func (c *conn) openDirect(p *pace) (*direct, error) {
	d := &direct{tls: libc.NewTLS()}
	if err := c.do("open", func() error { return d.open(c.path, c.mode) }); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if p != nil {
		d.pacing = func(*libc.TLS, uintptr) int32 {
			p.pause()
			return 0 // go on
		}
		// A Go function value is a pointer to a closure, which is what the translated SQLite calls.
		handler := *(*uintptr)(unsafe.Pointer(&d.pacing))
		sqlite3.Xsqlite3_progress_handler(d.tls, d.db, stepsPerPause, handler, 0)
	}
	for _, setting := range commonPragmas {
		if err := d.set(setting); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func (d *direct) open(path, mode string) error {
	name := url.URL{Scheme: "file", Path: path, RawQuery: modeQuery(mode).Encode()}
	text, err := libc.CString(name.String())
	if err != nil {
		return err
	}
	defer libc.Xfree(d.tls, text)
	to := libc.Xmalloc(d.tls, libc.Tsize_t(unsafe.Sizeof(d.db)))
	if to == 0 {
		return errors.New("SQLite has no memory")
	}
	defer libc.Xfree(d.tls, to)
	const flags = sqlite3.SQLITE_OPEN_READONLY | sqlite3.SQLITE_OPEN_NOMUTEX | sqlite3.SQLITE_OPEN_URI
	code := sqlite3.Xsqlite3_open_v2(d.tls, text, to, flags, 0)
	d.db = *(*uintptr)(memory(to))
	if err := d.result(code); err != nil {
		return err
	}
	return d.result(sqlite3.Xsqlite3_extended_result_codes(d.tls, d.db, 1))
}

// set applies a setting, and reads it back (trap S1).
func (d *direct) set(p pragma) error {
	nothing := func(*directRow) error { return nil }
	if err := d.query("PRAGMA "+p.name+"("+p.set+")", nothing); err != nil {
		return err
	}
	return d.query("PRAGMA "+p.name, func(r *directRow) error {
		n, _ := r.Integer(0)
		if got := fmt.Sprint(n); got != p.want {
			return fmt.Errorf("SQLite did not apply PRAGMA %s: it is %s, and must be %s", p.name, got, p.want)
		}
		return nil
	})
}

// query calls each with every row; the row is valid until each returns.
func (d *direct) query(text string, each func(row *directRow) error) (err error) {
	statement, err := d.prepare(text)
	if err != nil {
		return err
	}
	defer func() {
		if code := sqlite3.Xsqlite3_finalize(d.tls, statement); err == nil {
			err = d.result(code)
		}
	}()
	row := directRow{tls: d.tls, statement: statement}
	for {
		switch code := sqlite3.Xsqlite3_step(d.tls, statement); code {
		case sqlite3.SQLITE_ROW:
			if err := each(&row); err != nil {
				return err
			}
		case sqlite3.SQLITE_DONE:
			return nil
		default:
			return d.result(code)
		}
	}
}

func (d *direct) prepare(text string) (statement uintptr, err error) {
	sql, err := libc.CString(text)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(d.tls, sql)
	to := libc.Xmalloc(d.tls, libc.Tsize_t(unsafe.Sizeof(statement)))
	if to == 0 {
		return 0, errors.New("SQLite has no memory")
	}
	defer libc.Xfree(d.tls, to)
	code := sqlite3.Xsqlite3_prepare_v2(d.tls, d.db, sql, -1, to, 0)
	return *(*uintptr)(memory(to)), d.result(code)
}

// result returns the error of a result code.
func (d *direct) result(code int32) error {
	if code == sqlite3.SQLITE_OK {
		return nil
	}
	text := libc.GoString(sqlite3.Xsqlite3_errstr(d.tls, code))
	if d.db != 0 && sqlite3.Xsqlite3_extended_errcode(d.tls, d.db) == code {
		text = libc.GoString(sqlite3.Xsqlite3_errmsg(d.tls, d.db))
	}
	return &codeError{code: int(code), text: text}
}

func (d *direct) close() error {
	code := sqlite3.Xsqlite3_close_v2(d.tls, d.db)
	d.db = 0
	err := d.result(code)
	d.tls.Close()
	return err
}

// directRow is the current row of a query.
type directRow struct {
	tls       *libc.TLS
	statement uintptr
}

func (r *directRow) column(i int) (value uintptr, kind int32) {
	value = sqlite3.Xsqlite3_column_value(r.tls, r.statement, int32(i))
	return value, sqlite3.Xsqlite3_value_type(r.tls, value)
}

// Integer returns a column, and reports whether it is an integer.
func (r *directRow) Integer(i int) (n int64, is bool) {
	value, kind := r.column(i)
	return int64(sqlite3.Xsqlite3_value_int64(r.tls, value)), kind == sqlite3.SQLITE_INTEGER
}

// Real returns a column, and reports whether it is a real number.
func (r *directRow) Real(i int) (x float64, is bool) {
	value, kind := r.column(i)
	return sqlite3.Xsqlite3_value_double(r.tls, value), kind == sqlite3.SQLITE_FLOAT
}

// Text returns the bytes of a column, which are valid until the next row, and reports whether it is text.
func (r *directRow) Text(i int) (text []byte, is bool) {
	value, kind := r.column(i)
	return r.bytes(value), kind == sqlite3.SQLITE_TEXT
}

// Value returns the bytes of a column, which are valid until the next row, and reports whether it is text or a blob.
func (r *directRow) Value(i int) (bytes []byte, is bool) {
	value, kind := r.column(i)
	return r.bytes(value), kind == sqlite3.SQLITE_TEXT || kind == sqlite3.SQLITE_BLOB
}

func (r *directRow) bytes(value uintptr) []byte {
	at, n := sqlite3.Xsqlite3_value_blob(r.tls, value), sqlite3.Xsqlite3_value_bytes(r.tls, value)
	if at == 0 || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(memory(at)), int(n))
}

// memory returns the pointer for an address in memory that SQLite has allocated, which is not in Go's heap.
func memory(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
