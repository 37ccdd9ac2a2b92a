package sqlitefile

import (
	"encoding/binary"
	"errors"
	"math"
)

// maxColumns is the number of columns that a row may have.
const maxColumns = 16

// The serial types of columns. From firstBlob on, even ones are blobs and odd ones are texts, and they have the length.
const (
	serialFloat = 7
	serialZero  = 8
	serialOne   = 9
	firstBlob   = 12
)

// integerSizes are the sizes of columns of the first serial types.
var integerSizes = [...]int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}

// Row is a row of a tree.
type Row struct {
	id      int64
	columns int
	kinds   [maxColumns]uint64
	ends    [maxColumns + 1]int // ends[i] is where column i begins
	payload []byte
}

// ID returns the id of a row of a table.
func (r *Row) ID() int64 { return r.id }

// Columns returns the number of columns.
func (r *Row) Columns() int { return r.columns }

// errRow is wrapped in ErrMalformed.
var errRow = errors.New("its columns do not fit its length")

// parse reads the header of a record.
func (r *Row) parse(payload []byte) error {
	length, at := varint(payload)
	if length == 0 || length > uint64(len(payload)) {
		return errRow
	}
	header, end := int(length), int(length)
	for r.columns = 0; at < header; r.columns++ {
		kind, n := varint(payload[at:header])
		size := uint64(0)
		switch {
		case kind >= firstBlob:
			size = (kind - firstBlob) / 2
		case kind < uint64(len(integerSizes)):
			size = uint64(integerSizes[kind])
		default:
			return errRow // a reserved type
		}
		if r.columns == maxColumns || size > uint64(len(payload)-end) {
			return errRow
		}
		r.kinds[r.columns], r.ends[r.columns] = kind, end
		end += int(size)
		at += n
	}
	if at != header || end != len(payload) {
		return errRow
	}
	r.ends[r.columns], r.payload = end, payload
	return nil
}

func (r *Row) bytes(i int) []byte { return r.payload[r.ends[i]:r.ends[i+1]] }

// Text returns the bytes of a column, and reports whether it is text.
func (r *Row) Text(i int) (text []byte, is bool) {
	return r.bytes(i), r.kinds[i] > firstBlob && r.kinds[i]%2 == 1
}

// Value returns the bytes of a column, and reports whether it is text or a blob.
func (r *Row) Value(i int) (bytes []byte, is bool) { return r.bytes(i), r.kinds[i] >= firstBlob }

// Blob returns the bytes of a column, and reports whether it is a blob.
func (r *Row) Blob(i int) (bytes []byte, is bool) {
	return r.bytes(i), r.kinds[i] >= firstBlob && r.kinds[i]%2 == 0
}

// Integer returns a column, and reports whether it is an integer.
func (r *Row) Integer(i int) (n int64, is bool) {
	kind := r.kinds[i]
	switch {
	case kind == serialZero || kind == serialOne:
		return int64(kind - serialZero), true
	case kind == 0 || kind >= serialFloat:
		return 0, false
	}
	column := r.bytes(i)
	n = int64(int8(column[0]))
	for _, b := range column[1:] {
		n = n<<8 | int64(b)
	}
	return n, true
}

// Real returns a column of type REAL, and reports whether it is a number: SQLite stores a whole one as an integer.
func (r *Row) Real(i int) (x float64, is bool) {
	if r.kinds[i] == serialFloat {
		return math.Float64frombits(binary.BigEndian.Uint64(r.bytes(i))), true
	}
	n, is := r.Integer(i)
	return float64(n), is
}

// varint returns a number, and how many bytes it takes: all of them if it is not complete.
func varint(b []byte) (n uint64, size int) {
	for size < len(b) && size < 8 {
		c := b[size]
		size++
		n = n<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return n, size
		}
	}
	if size < len(b) && size == 8 {
		return n<<8 | uint64(b[8]), 9
	}
	return n, size
}
