package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// The write-ahead log's format: https://www.sqlite.org/fileformat2.html#walformat
const (
	walHeaderSize  = 32
	walFrameHeader = 24
	walMagic       = 0x377f0682 // the lowest bit is the byte order of the checksums
)

// walFile is a write-ahead log as found at start.
type walFile struct {
	file  *os.File
	size  int64
	page  int64 // bytes in a page
	salt  [8]byte
	order binary.ByteOrder
	sum   [2]uint32 // running checksum
	// written holds the pages in frames since the last end of a transaction.
	written map[uint32]bool
}

// checkWAL refuses a write-ahead log with damage that SQLite ignores. SQLite reads the log up to the first invalid
// frame, and takes that for the torn end of a write that a crash interrupted. But if frames of more than one
// transaction follow, it cannot be: each transaction is synced before the next one begins. Cutting there would drop
// transactions that were acknowledged (trap T54).
//
// Frames belong to more than one transaction if a frame that ends a transaction is followed by another, or if two
// hold the same page, because a transaction writes each page once. Damage within the last transaction looks like a
// torn end, and nothing on this disk distinguishes them.
//
// checkWAL reports whether SQLite finds anything in the log.
func checkWAL(path string) (used bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	w := &walFile{file: f, size: info.Size(), written: make(map[uint32]bool)}
	if used, err = w.readHeader(); err != nil || !used {
		return false, err
	}
	good, err := w.goodFrames()
	if err != nil {
		return false, err
	}
	return good > 0, w.checkRest(good)
}

// readHeader reports whether the log was ever written to.
func (w *walFile) readHeader() (used bool, err error) {
	var h [walHeaderSize]byte
	if w.size <= walHeaderSize {
		return false, nil // no frame
	}
	if _, err := w.file.ReadAt(h[:], 0); err != nil {
		return false, err
	}
	w.order = binary.LittleEndian
	if h[3]&1 == 1 {
		w.order = binary.BigEndian
	}
	w.page = int64(binary.BigEndian.Uint32(h[8:]))
	copy(w.salt[:], h[16:24])
	w.addSum(h[:24])
	if binary.BigEndian.Uint32(h[0:])&^1 == walMagic && w.sumIs(h[24:32]) {
		return true, nil
	}
	if blank, err := w.isBlank(); err != nil || blank {
		return false, err
	}
	// The header is synced before the first frame is written, and lies in one sector: it cannot be torn.
	return false, fmt.Errorf("%w: the header of %s is not what was written", ErrDamaged, w.file.Name())
}

// isBlank reports whether the log was allocated in advance, and not used since.
func (w *walFile) isBlank() (bool, error) {
	part := make([]byte, 1<<16)
	for r := io.NewSectionReader(w.file, 0, w.size); ; {
		n, err := r.Read(part)
		if slices.ContainsFunc(part[:n], func(b byte) bool { return b != 0 }) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// goodFrames counts the frames up to the first that is invalid in this round of the log.
func (w *walFile) goodFrames() (int64, error) {
	frame := make([]byte, walFrameHeader+w.page)
	r := bufio.NewReaderSize(io.NewSectionReader(w.file, walHeaderSize, w.size), 1<<18)
	for good := int64(0); ; good++ {
		switch _, err := io.ReadFull(r, frame); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return good, nil
		case err != nil:
			return good, err
		}
		w.addSum(frame[:8])
		w.addSum(frame[walFrameHeader:])
		if [8]byte(frame[8:16]) != w.salt || !w.sumIs(frame[16:24]) {
			return good, nil
		}
		w.written[framePage(frame)] = true
		if endsTransaction(frame) {
			clear(w.written)
		}
	}
}

// checkRest looks in the frames after the good ones for evidence of a durable transaction.
func (w *walFile) checkRest(good int64) error {
	var header [walFrameHeader]byte
	ended := false
	for i := good; ; i++ {
		offset := walHeaderSize + i*(walFrameHeader+w.page)
		_, err := w.file.ReadAt(header[:], offset)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !w.isOfThisRound(offset, header[:]) {
			continue
		}
		page := framePage(header[:])
		if ended || w.written[page] {
			return fmt.Errorf("%w: frame %d of %s is not what was written, and frame %d behind it belongs to a later "+
				"transaction", ErrDamaged, good+1, w.file.Name(), i+1)
		}
		w.written[page] = true
		ended = endsTransaction(header[:])
	}
}

// isOfThisRound reports whether an invalid frame was written in this round of the log. Both salts differ from round
// to round, so one is enough, and the other may be damaged. A header that spans two sectors proves nothing: a torn
// write may have left half of an older one.
func (w *walFile) isOfThisRound(offset int64, header []byte) bool {
	const sector = 512
	return offset%sector <= sector-16 &&
		([4]byte(header[8:12]) == [4]byte(w.salt[:4]) || [4]byte(header[12:16]) == [4]byte(w.salt[4:]))
}

// framePage returns the number of the page in a frame.
func framePage(header []byte) uint32 { return binary.BigEndian.Uint32(header) }

// endsTransaction reports whether a frame is the last of its transaction: it has the size of the database then.
func endsTransaction(header []byte) bool { return binary.BigEndian.Uint32(header[4:]) != 0 }

// addSum continues the checksum over whole pairs of 32-bit words.
func (w *walFile) addSum(data []byte) {
	a, b := w.sum[0], w.sum[1]
	for ; len(data) >= 8; data = data[8:] {
		a += w.order.Uint32(data) + b
		b += w.order.Uint32(data[4:]) + a
	}
	w.sum = [2]uint32{a, b}
}

func (w *walFile) sumIs(stored []byte) bool {
	return w.sum == [2]uint32{binary.BigEndian.Uint32(stored), binary.BigEndian.Uint32(stored[4:])}
}

// growWAL extends the write-ahead log to its working length with zeros, which SQLite takes for unused space.
// Overwriting existing blocks takes half as long to sync as extending a file.
func growWAL(path string, frames int) error {
	f, err := openPrivate(path)
	if err != nil {
		return err
	}
	err = fillWithZeros(f, walLength(frames))
	return errors.Join(err, f.Close())
}

// walLength returns the length of a write-ahead log with so many frames.
func walLength(frames int) int64 { return walHeaderSize + int64(frames)*(walFrameHeader+pageSize) }

func fillWithZeros(f *os.File, size int64) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for end < size {
		n, err := f.Write(zeros[:min(int64(len(zeros)), size-end)])
		if err != nil {
			return err
		}
		end += int64(n)
	}
	return f.Sync()
}
