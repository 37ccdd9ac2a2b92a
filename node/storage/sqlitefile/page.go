package sqlitefile

import "encoding/binary"

// The kinds of pages of a tree: those of a table with row ids, and those of an index or of a table without row ids.
const (
	indexInterior = 2
	tableInterior = 5
	indexLeaf     = 10
	tableLeaf     = 13
)

// page is a page of a tree.
type page struct {
	number uint32
	kind   byte
	cells  int
	right  uint32 // the last child of an interior page
	at     int    // where the pointers to the cells begin
	first  int    // where the cells may begin
	unused int    // bytes from there on that are neither in a cell nor in a free block
	taken  [pageSize / 64]uint64
	data   [pageSize]byte
}

func (p *page) isLeaf() bool { return p.kind == indexLeaf || p.kind == tableLeaf }

// load reads a page of a tree, with its header.
func (f *File) load(p *page, number uint32) error {
	if err := f.read(number, p.data[:]); err != nil {
		return err
	}
	at := 0
	if number == 1 {
		at = headerSize
	}
	header := p.data[at:]
	p.number, p.kind, p.right = number, header[0], 0
	p.cells, p.first = int(binary.BigEndian.Uint16(header[3:])), int(binary.BigEndian.Uint16(header[5:]))
	p.at, p.taken = at+8, [pageSize / 64]uint64{}
	if !p.isLeaf() {
		p.at, p.right = at+12, binary.BigEndian.Uint32(header[8:])
	}
	if p.at+2*p.cells > p.first || p.first > pageSize {
		return malformed("page %d has %d cells from byte %d on", number, p.cells, p.first)
	}
	p.unused = pageSize - p.first
	for free, last := int(binary.BigEndian.Uint16(header[1:])), 0; free != 0; {
		if free <= last || free+4 > pageSize {
			return malformed("page %d has a free block at byte %d, after byte %d", number, free, last)
		}
		size := int(binary.BigEndian.Uint16(p.data[free+2:]))
		if err := p.take(free, size); err != nil {
			return err
		}
		last, free = free+size, int(binary.BigEndian.Uint16(p.data[free:]))
	}
	return nil
}

// take counts bytes as those of a cell or of a free block, which has at least four.
func (p *page) take(from, size int) error {
	size = max(size, 4)
	if from < p.first || size > pageSize-from {
		return malformed("page %d has %d bytes at byte %d, and its content is from byte %d on", p.number, size, from, p.first)
	}
	p.unused -= size
	for at, left := from, size; left > 0; {
		n := min(64-at%64, left)
		bits := ^uint64(0) >> (64 - n) << (at % 64)
		if p.taken[at/64]&bits != 0 {
			return malformed("page %d has two parts that overlap at byte %d", p.number, at)
		}
		p.taken[at/64] |= bits
		at, left = at+n, left-n
	}
	return nil
}

// cell returns where a cell begins.
func (p *page) cell(i int) (from int, err error) {
	from = int(binary.BigEndian.Uint16(p.data[p.at+2*i:]))
	if from < p.first || from > pageSize-4 {
		return 0, malformed("page %d has a cell at byte %d, and its content is from byte %d on", p.number, from, p.first)
	}
	return from, nil
}

// finish checks, after each cell was taken, that the bytes that are left are those that the header counts.
func (p *page) finish() error {
	header := p.at - 8
	if !p.isLeaf() {
		header = p.at - 12
	}
	if fragments := int(p.data[header+7]); fragments != p.unused {
		return malformed("page %d has %d bytes that are neither used nor free, and must have %d", p.number, p.unused,
			fragments)
	}
	return nil
}
