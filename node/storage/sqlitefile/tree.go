package sqlitefile

import (
	"encoding/binary"
	"math"
)

// maxDepth is the number of levels of the largest tree that a file can have.
const maxDepth = 20

// The bytes of a payload that are on the page of its cell: at most mostOfIndex or mostOfTable, and at least leastOf if
// the others are on overflow pages.
const (
	mostOfTable = pageSize - 35
	mostOfIndex = (pageSize-12)*64/255 - 23
	leastOf     = (pageSize-12)*32/255 - 23
	perOverflow = pageSize - 4
)

// walk is a pass through a tree.
type walk struct {
	*File
	each  func(row *Row) error
	depth int // of the leaves; 0: not known yet
	last  int64
	any   bool // last is the last id
}

// Index calls each with every row of an index, or of a table without row ids, in the order of the tree, which is not
// checked. The row is valid until each returns.
func (f *File) Index(root uint32, each func(row *Row) error) error {
	w := walk{File: f, each: each}
	return w.index(root, 1)
}

// Table calls each with every row of a table, in the order of the ids, which is checked. The row is valid until each
// returns.
func (f *File) Table(root uint32, each func(row *Row) error) error {
	w := walk{File: f, each: each}
	return w.table(root, 1)
}

// enter loads a page of the tree.
func (w *walk) enter(number uint32, depth int, interior, leaf byte) (*page, error) {
	if depth > maxDepth {
		return nil, malformed("page %d is on level %d of a tree", number, depth)
	}
	if len(w.levels) < depth {
		w.levels = append(w.levels, &page{})
	}
	p := w.levels[depth-1]
	if err := w.load(p, number); err != nil {
		return nil, err
	}
	if p.kind != interior && p.kind != leaf {
		return nil, malformed("page %d is of kind %d, and must be of kind %d or %d", number, p.kind, interior, leaf)
	}
	if p.kind == leaf {
		if w.depth == 0 {
			w.depth = depth
		}
		if depth != w.depth {
			return nil, malformed("page %d is a leaf on level %d, and others are on level %d", number, depth, w.depth)
		}
	}
	return p, nil
}

func (w *walk) index(number uint32, depth int) error {
	p, err := w.enter(number, depth, indexInterior, indexLeaf)
	if err != nil {
		return err
	}
	for i := range p.cells {
		from, err := p.cell(i)
		if err != nil {
			return err
		}
		at := from
		if !p.isLeaf() {
			at += 4
			if err := w.index(binary.BigEndian.Uint32(p.data[from:]), depth+1); err != nil {
				return err
			}
		}
		size, n := varint(p.data[at:])
		if err := w.visit(p, from, at+n, size, mostOfIndex); err != nil {
			return err
		}
	}
	if !p.isLeaf() {
		if err := w.index(p.right, depth+1); err != nil {
			return err
		}
	}
	return p.finish()
}

func (w *walk) table(number uint32, depth int) error {
	p, err := w.enter(number, depth, tableInterior, tableLeaf)
	if err != nil {
		return err
	}
	for i := range p.cells {
		from, err := p.cell(i)
		if err != nil {
			return err
		}
		if !p.isLeaf() {
			err = w.child(p, from, depth)
		} else {
			size, n := varint(p.data[from:])
			id, m := varint(p.data[from+n:])
			if w.row.id = int64(id); w.any && w.row.id <= w.last {
				return malformed("row %d comes after row %d", w.row.id, w.last)
			}
			w.last, w.any = w.row.id, true
			err = w.visit(p, from, from+n+m, size, mostOfTable)
		}
		if err != nil {
			return err
		}
	}
	if !p.isLeaf() {
		if err := w.table(p.right, depth+1); err != nil {
			return err
		}
	}
	return p.finish()
}

// child walks a child of an interior page of a table, whose rows are at most those of the cell's key.
func (w *walk) child(p *page, from, depth int) error {
	key, n := varint(p.data[from+4:])
	if err := p.take(from, 4+n); err != nil {
		return err
	}
	if err := w.table(binary.BigEndian.Uint32(p.data[from:]), depth+1); err != nil {
		return err
	}
	if w.any && w.last > int64(key) {
		return malformed("row %d comes before key %d", w.last, int64(key))
	}
	w.last, w.any = int64(key), true
	return nil
}

// visit calls each with the row of a cell, whose payload has so many bytes and begins at a byte of the page.
func (w *walk) visit(p *page, from, at int, size uint64, most int) error {
	if size > math.MaxInt32 || int64(size) > int64(w.pages)*pageSize {
		return malformed("page %d has a row of %d bytes", p.number, size)
	}
	local, end := int(size), at+int(size)
	if local > most {
		if local = leastOf + (int(size)-leastOf)%perOverflow; local > most {
			local = leastOf
		}
		end = at + local + 4
	}
	if err := p.take(from, end-from); err != nil {
		return err
	}
	payload := p.data[at : at+local]
	if local < int(size) {
		next := binary.BigEndian.Uint32(p.data[at+local:])
		if err := w.follow(payload, next, int(size)); err != nil {
			return err
		}
		payload = w.spill
	}
	if err := w.row.parse(payload); err != nil {
		return malformed("page %d has a row that is wrong: %w", p.number, err)
	}
	return w.each(&w.row)
}

// follow collects a payload, of which the beginning is given, from overflow pages.
func (w *walk) follow(beginning []byte, next uint32, size int) error {
	w.spill = append(w.spill[:0], beginning...)
	var overflow [pageSize]byte
	for len(w.spill) < size {
		if err := w.read(next, overflow[:]); err != nil {
			return err
		}
		next = binary.BigEndian.Uint32(overflow[:])
		w.spill = append(w.spill, overflow[4:4+min(perOverflow, size-len(w.spill))]...)
	}
	if next != 0 {
		return malformed("a row of %d bytes goes on at page %d", size, next)
	}
	return nil
}
