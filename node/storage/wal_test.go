package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// crashed is the state after a crash that followed some saves: an image of the directory, and where in the
// write-ahead log the transaction of each save ends.
type crashed struct {
	image string
	disks []disk   // before the first save, and after each
	ends  []int64  // of the write-ahead log at each of those, in bytes
	marks [][]byte // the mark at each of those
}

func crash(tb testing.TB) crashed {
	tb.Helper()
	dir := tb.TempDir()
	d := mustOpen(tb, dir, small)
	var c crashed
	var now disk
	wal := filepath.Join(dir, databaseName+walSuffix)
	remember := func() {
		mark, err := os.ReadFile(filepath.Join(dir, databaseName+markSuffix))
		if err != nil {
			tb.Fatal(err)
		}
		c.disks, c.ends, c.marks = append(c.disks, now), append(c.ends, walEnd(tb, wal)), append(c.marks, mark)
	}
	// An earlier round of the log leaves its frames after the new ones.
	mustSave(tb, d, raft.HardState{Term: 1}, entries(1, 1, 300))
	if err := d.Checkpoint(); err != nil {
		tb.Fatal(err)
	}
	now = disk{raft.HardState{Term: 1}, entries(1, 1, 300)}
	for term := raft.Term(2); term < 8; term++ {
		first := raft.Index(290 + 5*term)
		state, list := raft.HardState{Term: term, Vote: 2, Commit: first - 1}, entries(term, first, first+20)
		if term == 5 {
			state, list = raft.HardState{Term: term, Vote: 1, Commit: first - 6}, nil
		}
		mustSave(tb, d, state, list)
		now = now.with(state, list)
		remember()
	}
	c.image = crashImage(tb, dir)
	return c
}

// walEnd returns the end of the frames of this round.
func walEnd(tb testing.TB, path string) int64 {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	w := &walFile{file: f, size: info.Size(), written: make(map[uint32]bool)}
	if used, err := w.readHeader(); err != nil || !used {
		tb.Fatal(used, err)
	}
	good, err := w.goodFrames()
	if err != nil {
		tb.Fatal(err)
	}
	return walHeaderSize + good*(walFrameHeader+pageSize)
}

// damaged returns a copy of the image with its write-ahead log changed, and with the mark that was written after this
// many saves: a save that a power loss interrupts has not written its own mark yet.
func (c crashed) damaged(tb testing.TB, saves int, change func(f *os.File) error) string {
	tb.Helper()
	dir := crashImage(tb, c.image)
	if err := os.WriteFile(filepath.Join(dir, databaseName+markSuffix), c.marks[saves], 0o600); err != nil {
		tb.Fatal(err)
	}
	edit(tb, filepath.Join(dir, databaseName+walSuffix), change)
	return dir
}

// T54: a write that a crash interrupted was never acknowledged, and is cut off.
func TestTornEndIsCut(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	for offset := c.ends[0]; offset <= c.ends[last]; offset += 1531 * thinned {
		survives := 0
		for c.ends[survives] <= offset && survives < last && c.ends[survives+1] <= offset {
			survives++
		}
		dir := c.damaged(t, survives, func(f *os.File) error { return f.Truncate(offset) })
		wantDisk(t, mustRead(t, dir), c.disks[survives])
		dir = c.damaged(t, survives, func(f *os.File) error { // the blocks were allocated, and the data was not written
			_, err := f.WriteAt(make([]byte, c.ends[last]-offset), offset)
			return err
		})
		wantDisk(t, mustRead(t, dir), c.disks[survives])
	}
}

// T54: a torn end may have holes, because a disk writes in any order.
func TestTornEndWithHolesIsCut(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	const frame = walFrameHeader + pageSize
	if c.ends[last]-c.ends[last-1] < 2*frame {
		t.Fatal("the last transaction has too few frames to have a hole")
	}
	dir := c.damaged(t, last-1, func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, frame), c.ends[last-1])
		return err
	})
	wantDisk(t, mustRead(t, dir), c.disks[last-1])
}

// T54: what is before the last transaction was acknowledged, and SQLite would cut it off silently.
func TestDamageInsideTheWriteAheadLogIsRefused(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	for offset := int64(0); offset < c.ends[last-1]; offset += 173 * thinned {
		dir := c.damaged(t, 0, func(f *os.File) error { return flipBit(f, offset) })
		if got, err := read(dir); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit flipped in byte %d of %d: it holds %v, %v", offset, c.ends[last], got, err)
		}
	}
	for name, change := range map[string]func(f *os.File) error{
		"header":             func(f *os.File) error { _, err := f.WriteAt(make([]byte, walHeaderSize), 0); return err },
		"first block":        func(f *os.File) error { _, err := f.WriteAt(make([]byte, pageSize), 0); return err },
		"first transactions": func(f *os.File) error { _, err := f.WriteAt(make([]byte, c.ends[1]), 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.damaged(t, 0, change), ErrDamaged)
		})
	}
}

// T54: if the frame that ends a transaction is lost, no frame shows that another one follows. But the next
// transaction writes a page that was written before, and each transaction writes a page once.
func TestDamagedEndOfATransactionIsRefused(t *testing.T) {
	t.Parallel()
	c := crash(t)
	const frame = walFrameHeader + pageSize
	last := len(c.ends) - 1
	if c.ends[last-1]-c.ends[last-2] < 2*frame {
		t.Fatal("the transaction has too few frames to lose its end and keep its beginning")
	}
	wantRefused(t, c.damaged(t, 0, func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, frame), c.ends[last-1]-frame)
		return err
	}), ErrDamaged)
}

// T54: two transactions after the damage that write no page in common, the vote and an entry, are still detected as
// two.
func TestDamageBeforeTransactionsOfOtherPagesIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	wal := filepath.Join(dir, databaseName+walSuffix)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 10))
	begin := walEnd(t, wal)
	mark := content(t, dir, markSuffix)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 11, 11))
	end := walEnd(t, wal)
	mustSave(t, d, raft.HardState{Term: 2, Vote: 1}, nil)
	mustSave(t, d, raft.HardState{Term: 2, Vote: 1}, entries(2, 12, 12))
	image := crashImage(t, dir)
	put(t, image, markSuffix, mark)
	edit(t, filepath.Join(image, databaseName+walSuffix), func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, end-begin), begin)
		return err
	})
	wantRefused(t, image, ErrDamaged)
}

// A frame's header that spans two sectors may be half of this round and half of an older one.
func TestAHeaderAcrossSectorsProvesNothing(t *testing.T) {
	t.Parallel()
	w := &walFile{salt: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}
	header := make([]byte, walFrameHeader)
	copy(header[8:], w.salt[:])
	for offset, want := range map[int64]bool{512: true, 512 + 496: true, 512 + 497: false, 512 + 504: false, 1024: true} {
		if got := w.isOfThisRound(offset, header); got != want {
			t.Errorf("at offset %d: %t, want %t", offset, got, want)
		}
	}
	for i := range 8 { // one salt is enough, and half of one is not
		damaged := bytes.Clone(header)
		damaged[8+i]++
		if !w.isOfThisRound(512, damaged) {
			t.Errorf("with another byte %d of the salts the frame is not of this round", i)
		}
		damaged[8+(i+4)%8]++
		if w.isOfThisRound(512, damaged) {
			t.Errorf("with other bytes %d and %d of the salts the frame is of this round", i, (i+4)%8)
		}
	}
}

// A damaged header of the database must not make SQLite ignore the write-ahead log beside it.
func TestDamagedDatabaseHeaderBesideAWriteAheadLog(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.disks) - 1
	for offset := int64(0); offset < 100; offset += thinned {
		dir := crashImage(t, c.image)
		edit(t, filepath.Join(dir, databaseName), func(f *os.File) error { return flipBit(f, offset) })
		if got, err := read(dir); err == nil && !got.equal(c.disks[last]) {
			t.Errorf("bit flipped in byte %d: it holds %v", offset, got)
		}
	}
}

// Damage within the last transaction looks like a torn end. If the mark does not record the transaction as saved, it
// is cut, and nothing else is lost.
func TestDamageInTheLastTransactionIsCut(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	for offset := c.ends[last-1]; offset < c.ends[last]; offset += 509 * thinned {
		dir := c.damaged(t, last-1, func(f *os.File) error { return flipBit(f, offset) })
		wantDisk(t, mustRead(t, dir), c.disks[last-1])
		dir = c.damaged(t, last, func(f *os.File) error { return flipBit(f, offset) })
		wantRefused(t, dir, ErrIncomplete)
	}
}

// A node crashes again before it wrote much: the remains of the first crash must not be taken for something newer.
func TestCrashAfterCrash(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	dir := c.damaged(t, last-1, func(f *os.File) error { return flipBit(f, c.ends[last-1]+100) })
	want := c.disks[last-1]
	for round := range 5 {
		d := mustOpen(t, dir, small)
		state := want.state
		state.Term++
		next := raft.Index(len(want.log)) + 1
		mustSave(t, d, state, entries(state.Term, next, next))
		want = want.with(state, entries(state.Term, next, next))
		dir = crashImage(t, dir)
		if got, err := read(crashImage(t, dir)); err != nil || !got.equal(want) {
			t.Fatalf("round %d: %v, %v", round, got, err)
		}
	}
}

// S5, S9: the write-ahead log is reused, and new rows reuse the space of deleted ones.
func TestFilesDoNotGrowWithoutEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	path := filepath.Join(dir, databaseName)
	fill := func() int64 {
		for first := raft.Index(1); first < 2000/thinned; first += 10 {
			mustSave(t, d, raft.HardState{Term: 1, Commit: 0}, entries(1, first, first+9))
			if _, err := d.Range(first, 10); err != nil { // with a concurrent reader
				t.Fatal(err)
			}
		}
		if err := d.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		return fileSize(t, path)
	}
	first := fill()
	for range 3 {
		if size := fill(); size > first+first/4 {
			t.Errorf("the database has %d bytes after the first time, %d later", first, size)
		}
	}
	const most = 3 * 50 * (walFrameHeader + pageSize) // twice the expected length, and a transaction
	if size := fileSize(t, path+walSuffix); size > most {
		t.Errorf("the write-ahead log has %d bytes", size)
	}
	if size, err := d.Sizes(); err != nil || size != fileSize(t, path)+fileSize(t, path+walSuffix) {
		t.Errorf("Sizes returns %d, %v", size, err)
	}
	if free, err := d.FreeBytes(); err != nil || free <= 0 {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}

func fileSize(tb testing.TB, path string) int64 {
	tb.Helper()
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}

// A clean stop leaves one file, which can be copied alone.
func TestCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	if got := fmt.Sprint(len(files(t, dir))); got != "1" {
		t.Errorf("%s files", got)
	}
}

// While another process reads, the write-ahead log remains after a clean stop. So must the mark, without which the
// next start would refuse it.
func TestAStopWhileAnotherReadsLeavesTheMark(t *testing.T) {
	t.Parallel()
	dir, want := filled(t)
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 9, Vote: 1, Commit: 30}, entries(9, 41, 45))
	want = want.with(raft.HardState{Term: 9, Vote: 1, Commit: 30}, entries(9, 41, 45))
	other, err := connect(filepath.Join(dir, databaseName), "ro", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close() //nolint:errcheck // it only read
	if _, err := other.value("SELECT count(*) FROM logs"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	if _, err := os.Stat(filepath.Join(dir, databaseName+walSuffix)); err != nil {
		t.Fatalf("the write-ahead log is gone although another reads: %v", err)
	}
	image := crashImage(t, dir)
	if _, err := os.Stat(filepath.Join(image, databaseName+markSuffix)); err != nil {
		t.Error("the write-ahead log is there, and the mark is not")
	}
	wantDisk(t, mustRead(t, image), want)
}
