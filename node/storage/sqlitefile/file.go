package sqlitefile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

const (
	// pageSize is the size of a page in bytes.
	pageSize = 4096
	// headerSize is the length of the header of the file, which is on page 1.
	headerSize = 100
	// lockPage is never used: the locks of SQLite are on its bytes.
	lockPage = 1<<30/pageSize + 1
	// pagesAhead is the number of pages that are read at once if a page follows the last one that was read.
	pagesAhead = 16
)

// File is a database file. Its methods read every page at most once: one that is in two places is damage. One goroutine
// at a time may use it.
type File struct {
	source io.ReaderAt
	pages  uint32
	used   []uint64 // a bit for each page that was read
	unused uint32   // pages that were not read
	free   uint32   // the first page of the list of free pages; 0: there is none
	frees  uint32   // pages of that list
	ahead  []byte   // the pages that were read last
	first  uint32   // the number of the first of them
	levels []*page  // of the tree that is walked
	spill  []byte   // a payload that is on several pages
	row    Row
}

// Open reads the header of a file that has so many bytes. The file must not change, and end with a whole page.
func Open(source io.ReaderAt, size int64) (*File, error) {
	header := make([]byte, headerSize)
	if _, err := source.ReadAt(header, 0); err != nil {
		return nil, fmt.Errorf("%w: it has no header: %w", ErrUnsupported, err)
	}
	pages := binary.BigEndian.Uint32(header[28:])
	expected := []struct {
		what string
		is   bool
	}{
		{"magic string", bytes.HasPrefix(header, []byte("SQLite format 3\x00"))},
		{"page size", binary.BigEndian.Uint16(header[16:]) == pageSize},
		{"versions and reserved space", bytes.Equal(header[18:24], []byte{1, 1, 0, 64, 32, 32})},
		{"change counter", bytes.Equal(header[24:28], header[92:96])},
		{"number of pages", pages > 0 && pages < math.MaxInt32 && int64(pages)*pageSize == size},
		{"schema format", binary.BigEndian.Uint32(header[44:]) == 4},
		{"vacuum mode", binary.BigEndian.Uint32(header[52:]) == 0 && binary.BigEndian.Uint32(header[64:]) == 0},
		{"text encoding", binary.BigEndian.Uint32(header[56:]) == 1},
		{"expansion space", len(bytes.Trim(header[72:92], "\x00")) == 0},
	}
	for _, e := range expected {
		if !e.is {
			return nil, fmt.Errorf("%w: its header has another %s", ErrUnsupported, e.what)
		}
	}
	f := &File{
		source: source, pages: pages, unused: pages, used: make([]uint64, pages/64+1),
		ahead: make([]byte, 0, pagesAhead*pageSize),
		free:  binary.BigEndian.Uint32(header[32:]), frees: binary.BigEndian.Uint32(header[36:]),
	}
	if pages >= lockPage {
		return f, f.claim(lockPage)
	}
	return f, nil
}

// claim counts a page as used.
func (f *File) claim(number uint32) error {
	if number == 0 || number > f.pages {
		return malformed("page %d is referred to, and the last one is %d", number, f.pages)
	}
	word, bit := number/64, uint64(1)<<(number%64)
	if f.used[word]&bit != 0 {
		return malformed("page %d is in two places", number)
	}
	f.used[word] |= bit
	f.unused--
	return nil
}

// read claims a page and reads it.
func (f *File) read(number uint32, into []byte) error {
	if err := f.claim(number); err != nil {
		return err
	}
	have := uint32(len(f.ahead) / pageSize)
	if number < f.first || number >= f.first+have {
		count := uint32(1)
		if number == f.first+have {
			count = min(pagesAhead, f.pages-number+1)
		}
		f.first, f.ahead = number, f.ahead[:count*pageSize]
		if _, err := f.source.ReadAt(f.ahead, int64(number-1)*pageSize); err != nil {
			f.ahead = f.ahead[:0]
			return fmt.Errorf("page %d: %w", number, err)
		}
	}
	copy(into[:pageSize], f.ahead[(number-f.first)*pageSize:])
	return nil
}

// Finish reads the list of free pages, after every tree was walked, and checks that no page is left.
func (f *File) Finish() error {
	var trunk [pageSize]byte
	listed := uint32(0)
	for next := f.free; next != 0; {
		if err := f.read(next, trunk[:]); err != nil {
			return err
		}
		count := binary.BigEndian.Uint32(trunk[4:])
		if count > pageSize/4-2 {
			return malformed("page %d lists %d free pages, and has room for %d", next, count, pageSize/4-2)
		}
		for i := range count {
			if err := f.claim(binary.BigEndian.Uint32(trunk[8+4*i:])); err != nil {
				return err
			}
		}
		listed += 1 + count
		next = binary.BigEndian.Uint32(trunk[:])
	}
	if listed != f.frees {
		return malformed("%d free pages are listed, and must be %d", listed, f.frees)
	}
	if f.unused > 0 {
		return malformed("%d of %d pages are neither used nor free", f.unused, f.pages)
	}
	return nil
}
