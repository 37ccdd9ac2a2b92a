package storage

import (
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// openState opens a checkpoint for reading.
func openState(t *testing.T) *conn {
	t.Helper()
	c, err := connect(filepath.Join(filledState(t), stateName), "ro", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// openDirectly opens its file once more.
func openDirectly(t *testing.T, c *conn, p *pace) *direct {
	t.Helper()
	d, err := c.openDirect(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDirectReadsWhatTheDriverReads(t *testing.T) {
	t.Parallel()
	c := openState(t)
	var sum rowSum
	var want, got []kv.Record
	err := c.query(recordsStatement, func(row []driver.Value) error {
		r, err := sum.record(row)
		want = append(want, r)
		return err
	})
	var rows recordReader
	err = errors.Join(err, openDirectly(t, c, nil).query(recordsDirectly, func(row *directRow) error {
		r, err := rows.next(row)
		got = append(got, r)
		return err
	}))
	if err != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
}

func TestDirectReadsColumns(t *testing.T) {
	t.Parallel()
	d := openDirectly(t, openState(t), nil)
	err := d.query(`SELECT -7, 1.5, 'text', x'00ff', NULL, ''`, func(r *directRow) error {
		for i := range 6 {
			n, isInteger := r.Integer(i)
			x, isReal := r.Real(i)
			text, isText := r.Text(i)
			value, isValue := r.Value(i)
			if isInteger != (i == 0) || isReal != (i == 1) || isText != (i == 2 || i == 5) || isValue != (isText || i == 3) {
				t.Errorf("column %d is an integer: %v, real: %v, text: %v, a value: %v", i, isInteger, isReal, isText, isValue)
			}
			if isInteger && n != -7 || isReal && x != 1.5 || i == 2 && string(text) != "text" ||
				i == 3 && string(value) != "\x00\xff" || i == 5 && len(text) != 0 {
				t.Errorf("column %d is %d, %v, %q, %q", i, n, x, text, value)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	stop := errors.New("stop")
	rows := 0
	err = d.query(recordsDirectly, func(*directRow) error {
		rows++
		return stop
	})
	if !errors.Is(err, stop) || rows != 1 {
		t.Errorf("%d rows and %v after an error at the first", rows, err)
	}
}

// An error of SQLite is classified as it is for a connection of the driver.
func TestDirectErrors(t *testing.T) {
	t.Parallel()
	c := openState(t)
	d := openDirectly(t, c, nil)
	nothing := func(*directRow) error { return nil }
	var failure *codeError
	err := d.query(`SELECT missing FROM kv`, nothing)
	if !errors.As(err, &failure) || !errors.Is(explain("read", c.path, err), ErrDamaged) {
		t.Errorf("a missing column: %v", err)
	}
	if err := d.query(`DELETE FROM kv`, nothing); err == nil {
		t.Error("it writes")
	}
	absent := &conn{path: filepath.Join(t.TempDir(), "absent"), mode: "ro"}
	if _, err := absent.openDirect(nil); !errors.As(err, &failure) {
		t.Errorf("an absent file: %v", err)
	}
}

// A long statement pauses: beside it the node serves its clients.
func TestAPacedStatementPauses(t *testing.T) {
	t.Parallel()
	c := openState(t)
	for name, run := range map[string]func(p *pace) error{
		"integrity check": func(p *pace) error { return checkPaced(c, p) },
		"records": func(p *pace) error {
			return loadRecords(c, kv.NewLoader(kv.Meta{Applied: 1 << 20, Time: 1 << 60}), p)
		},
	} {
		long := time.Now().Add(-time.Hour)
		p := &pace{share: copyShare, began: long}
		if err := run(p); err != nil || p.began.Equal(long) {
			t.Errorf("%s: no pause, %v", name, err)
		}
		if err := run(nil); err != nil {
			t.Errorf("%s without a pace: %v", name, err)
		}
	}
}

// T34, T36: what an earlier process received is hashed too.
func TestAResumedSnapshotIsHashedWhole(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	dir := receiver(t, 40)
	for _, damaged := range []bool{true, false} {
		d, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		in := mustReceive(t, d, s)
		send(t, s, in, 30_000)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		mustClose(t, d)
		if damaged {
			edit(t, filepath.Join(dir, snapshotsName, in.name), func(f *os.File) error { return flipBit(f, 12_345) })
		}
		if d, err = Open(dir, small); err != nil {
			t.Fatal(err)
		}
		in = mustReceive(t, d, s)
		send(t, s, in, s.Size())
		if _, _, _, err := in.Verify(); errors.Is(err, ErrDamaged) != damaged || (err != nil) != damaged {
			t.Errorf("damaged %v: %v", damaged, err)
		}
		mustClose(t, d)
	}
}
