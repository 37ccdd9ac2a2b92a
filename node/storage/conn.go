package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// conn is one connection to SQLite, used through the driver's own interfaces: database/sql would add a pool, a lock
// and a conversion of every value around the one connection that is needed. One goroutine at a time may use it. No
// statement gets a context that can end: an interrupted statement of the writer could abort another one (trap S4).
type conn struct {
	raw        driver.Conn
	path, mode string
	// inject makes calls fail in tests; nil in production.
	inject injector
}

// injector wraps each call of a connection. It decides whether the call is made and what it returns. It gets the text
// of the statement.
type injector func(statement string, call func() error) error

// connect opens the file with the given settings. Mode is "rw", "rwc" (create), "ro", or "immutable" for a file that
// nothing changes: SQLite makes no file beside it.
func connect(path, mode string, settings []pragma, inject injector) (*conn, error) {
	query := modeQuery(mode)
	query.Set("_defensive", "1")
	query.Set("_error_rc", "1")
	for _, p := range settings {
		query.Add("_pragma", p.name+"("+p.set+")")
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	c := &conn{path: path, mode: mode, inject: inject}
	err = c.do("open", func() (err error) {
		c.raw, err = connector.Connect(context.Background())
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.verify(settings); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// modeQuery returns the mode of connect as the query of a file URL.
func modeQuery(mode string) url.Values {
	if mode == "immutable" {
		return url.Values{"mode": {"ro"}, "immutable": {"1"}}
	}
	return url.Values{"mode": {mode}}
}

// verify reads every setting back, because SQLite ignores a setting that it cannot apply (trap S1).
func (c *conn) verify(settings []pragma) error {
	for _, p := range settings {
		got, err := c.value("PRAGMA " + p.name)
		if err != nil {
			return err
		}
		if text := fmt.Sprint(got); text != p.want {
			return fmt.Errorf("SQLite did not apply PRAGMA %s: it is %s, and must be %s", p.name, text, p.want)
		}
	}
	return nil
}

func (c *conn) do(text string, call func() error) error {
	if c.inject == nil {
		return call()
	}
	return c.inject(text, call)
}

// exec runs a statement once.
func (c *conn) exec(text string) error {
	return c.do(text, func() error {
		_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
		return err
	})
}

// value runs a query and returns the first column of its first row, nil if it has none.
func (c *conn) value(text string) (driver.Value, error) {
	var first driver.Value
	err := c.query(text, func(row []driver.Value) error {
		if first == nil {
			first = row[0]
		}
		return nil
	})
	return first, err
}

// query runs a query once and calls each with every row; the row is valid until each returns.
func (c *conn) query(text string, each func(row []driver.Value) error) error {
	return c.do(text, func() error {
		rows, err := c.raw.(driver.QueryerContext).QueryContext(context.Background(), text, nil)
		if err != nil {
			return err
		}
		return visit(rows, each)
	})
}

// visit calls each with every row and closes the rows.
func visit(rows driver.Rows, each func(row []driver.Value) error) error {
	row := make([]driver.Value, len(rows.Columns()))
	for {
		err := rows.Next(row)
		if err == nil {
			err = each(row)
		}
		if err != nil {
			closing := rows.Close()
			if errors.Is(err, io.EOF) {
				return closing
			}
			return err // closing repeats the error of the last step
		}
	}
}

// pagesWritten returns the number of pages that the connection wrote since the last call.
func (c *conn) pagesWritten() (int, error) {
	pages, _, err := c.raw.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
	return pages, err
}

func (c *conn) close() error {
	return c.do("close", c.raw.Close)
}

// statement is a prepared statement with room for its arguments.
type statement struct {
	conn *conn
	text string
	raw  driver.Stmt
	args []driver.NamedValue
}

func (c *conn) prepare(text string, arguments int) (*statement, error) {
	s := &statement{conn: c, text: text, args: make([]driver.NamedValue, arguments)}
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	err := c.do("prepare "+text, func() (err error) {
		s.raw, err = c.raw.(driver.ConnPrepareContext).PrepareContext(context.Background(), text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// exec runs the statement with these values.
func (s *statement) exec(values ...driver.Value) error {
	_, err := s.affect(values)
	return err
}

// execOne runs the statement with these values, and fails unless it changes exactly one row.
func (s *statement) execOne(values ...driver.Value) error {
	rows, err := s.affect(values)
	if err == nil && rows != 1 {
		err = fmt.Errorf("%w: %q changed %d rows, and must change one", ErrDamaged, s.text, rows)
	}
	return err
}

// affect runs the statement and returns how many rows it changed, if it is one that changes rows.
func (s *statement) affect(values []driver.Value) (rows int64, err error) {
	s.bind(values)
	err = s.conn.do(s.text, func() error {
		result, err := s.raw.(driver.StmtExecContext).ExecContext(context.Background(), s.args)
		if err == nil {
			rows, err = result.RowsAffected()
		}
		return err
	})
	return rows, err
}

// query runs the statement with these values and calls each with every row.
func (s *statement) query(each func(row []driver.Value) error, values ...driver.Value) error {
	s.bind(values)
	return s.conn.do(s.text, func() error {
		rows, err := s.raw.(driver.StmtQueryContext).QueryContext(context.Background(), s.args)
		if err != nil {
			return err
		}
		return visit(rows, each)
	})
}

func (s *statement) bind(values []driver.Value) {
	for i := range s.args {
		s.args[i].Value = values[i]
	}
}

func (s *statement) close() error { return s.raw.Close() }
