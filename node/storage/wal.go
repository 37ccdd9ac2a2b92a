package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The write-ahead log's format: https://www.sqlite.org/fileformat2.html#walformat
const (
	walHeaderSize  = 32
	walFrameHeader = 24
	walMagic       = 0x377f0682 // the lowest bit tells the byte order of the checksums
)

// walFile is a write-ahead log as found at start.
type walFile struct {
	file  *os.File
	size  int64
	page  int64 // bytes in a page
	salt  [8]byte
	order binary.ByteOrder
	sum   [2]uint32 // running checksum
}

// checkWAL refuses a write-ahead log that is damaged where SQLite would stay silent. SQLite reads it up to the
// first frame that is not as it was written, and takes that for the torn end of a write that a crash cut
// short. If a whole transaction and the beginning of another one follow, that cannot be: the transaction
// was synced before the other began, and everything before it too. Cutting there would drop transactions
// that were acknowledged (trap T54). A torn end itself is fine.
func checkWAL(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := &walFile{file: f, size: info.Size()}
	used, err := w.readHeader()
	if err != nil || !used {
		return err
	}
	good, err := w.goodFrames()
	if err != nil {
		return err
	}
	return w.checkRest(good)
}

// readHeader tells whether the log was ever written to.
func (w *walFile) readHeader() (used bool, err error) {
	var h [walHeaderSize + walFrameHeader]byte
	n, err := w.file.ReadAt(h[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if allZero(h[walHeaderSize:n:n]) || n <= walHeaderSize {
		return false, nil // no frame: empty, made longer in advance, or cut before the first transaction
	}
	w.order = binary.LittleEndian
	if h[3]&1 == 1 {
		w.order = binary.BigEndian
	}
	w.page = int64(binary.BigEndian.Uint32(h[8:]))
	copy(w.salt[:], h[16:24])
	w.addSum(h[:24])
	// The header is synced before the first frame is written, and lies in one sector: it cannot be torn.
	if binary.BigEndian.Uint32(h[0:])&^1 != walMagic || !w.sumIs(h[24:32]) {
		return false, fmt.Errorf("%w: the header of %s is not what was written", ErrDamaged, w.file.Name())
	}
	return true, nil
}

// goodFrames counts the frames up to the first that is not as it was written in this round of the log.
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
	}
}

// checkRest looks behind the last good frame for a transaction that was durable.
func (w *walFile) checkRest(good int64) error {
	var header [walFrameHeader]byte
	durable := int64(-1)
	for i := good; ; i++ {
		_, err := w.file.ReadAt(header[:], walHeaderSize+i*(walFrameHeader+w.page))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if [8]byte(header[8:16]) != w.salt {
			continue // of an earlier round, or never written
		}
		if durable >= 0 {
			return fmt.Errorf("%w: frame %d of %s is not what was written, and the transaction that ends in frame "+
				"%d was durable", ErrDamaged, good+1, w.file.Name(), durable+1)
		}
		if binary.BigEndian.Uint32(header[4:]) != 0 { // the last frame of a transaction
			durable = i
		}
	}
}

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

func allZero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}

// growWAL makes the write-ahead log as long as it will get, filled with zeros that SQLite takes for "nothing".
// Overwriting blocks that exist is half as long a sync as making a file longer.
func growWAL(path string, frames int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = fillWithZeros(f, walHeaderSize+int64(frames)*(walFrameHeader+pageSize))
	return errors.Join(err, f.Close())
}

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
