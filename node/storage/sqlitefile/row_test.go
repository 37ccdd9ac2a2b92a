package sqlitefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func TestVarint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes []byte
		n     uint64
		size  int
	}{
		{[]byte{0}, 0, 1},
		{[]byte{0x7f, 1}, 127, 1},
		{[]byte{0x81, 0}, 128, 2},
		{[]byte{0xff, 0x7f}, 1<<14 - 1, 2},
		{bytes.Repeat([]byte{0xff}, 9), math.MaxUint64, 9},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5}, 5, 9},
		{[]byte{0xc0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5}, 1<<63 | 5, 9},
		{nil, 0, 0},
		{[]byte{0x81}, 1, 1},
		{bytes.Repeat([]byte{0x81}, 8), 0x2040810204081 | 1<<49, 8},
	} {
		if n, size := varint(c.bytes); n != c.n || size != c.size {
			t.Errorf("%x: %d in %d bytes, want %d in %d", c.bytes, n, size, c.n, c.size)
		}
	}
}

func TestRowColumns(t *testing.T) {
	t.Parallel()
	body := []byte{0x80, 0xff, 0x7f, 1, 2, 3, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}
	body = binary.BigEndian.AppendUint64(body, 1<<63)
	body = binary.BigEndian.AppendUint64(body, math.Float64bits(-1.5))
	body = append(body, "text\x00blob"...)
	payload := append([]byte{14, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 23, 20, 13}, body...)
	var r Row
	if err := r.parse(payload); err != nil || r.Columns() != 13 {
		t.Fatalf("%d columns, %v", r.Columns(), err)
	}
	for i, want := range []int64{-128, -129, 0x010203, -1 << 31, -2, math.MinInt64} {
		if n, is := r.Integer(i + 1); !is || n != want {
			t.Errorf("column %d is %d, %v; want %d", i+1, n, is, want)
		}
	}
	for column, want := range map[int]int64{8: 0, 9: 1} {
		if n, is := r.Integer(column); !is || n != want {
			t.Errorf("column %d is %d, %v; want %d", column, n, is, want)
		}
	}
	if x, is := r.Real(7); !is || x != -1.5 {
		t.Errorf("the real number is %v, %v", x, is)
	}
	if x, is := r.Real(2); !is || x != -129 {
		t.Errorf("the integer as a real number is %v, %v", x, is)
	}
	if text, is := r.Text(10); !is || string(text) != "text\x00" {
		t.Errorf("the text is %q, %v", text, is)
	}
	if blob, is := r.Blob(11); !is || string(blob) != "blob" {
		t.Errorf("the blob is %q, %v", blob, is)
	}
	if text, is := r.Text(12); !is || len(text) != 0 {
		t.Errorf("the empty text is %q, %v", text, is)
	}
	for i := range r.Columns() {
		_, isInteger := r.Integer(i)
		_, isReal := r.Real(i)
		_, isText := r.Text(i)
		_, isBlob := r.Blob(i)
		_, isValue := r.Value(i)
		integer := i >= 1 && i <= 6 || i == 8 || i == 9
		if isInteger != integer || isReal != (integer || i == 7) || isText != (i == 10 || i == 12) || isBlob != (i == 11) ||
			isValue != (i >= 10) {
			t.Errorf("column %d: integer %v, real %v, text %v, blob %v", i, isInteger, isReal, isText, isBlob)
		}
	}
}

func TestARowThatDoesNotFitItsLength(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string][]byte{
		"nothing":                     {},
		"a header without its length": {0},
		"a longer header":             {3, 1},
		"too little":                  {2, 2, 1},
		"too much":                    {2, 1, 1, 1},
		"a reserved type":             {2, 10},
		"a column without end":        {3, 0x81},
		"a huge column":               append([]byte{10}, bytes.Repeat([]byte{0xff}, 9)...),
		"too many columns":            append([]byte{18}, make([]byte, 17)...),
	} {
		var r Row
		if err := r.parse(payload); !errors.Is(err, errRow) {
			t.Errorf("%s: %v, %d columns", name, err, r.Columns())
		}
	}
}
