package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// crashed is what a crash left after some saves: an image of the directory, and where in the write-ahead log
// the transaction of each save ends.
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
	// An earlier round of the log leaves its frames behind what is written now.
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

// walEnd is where the frames of this round end.
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

// damaged is a copy of the image with its write-ahead log changed, and with the mark that was written after this many
// saves: the save that a loss of power cuts short has not written its own yet.
func (c crashed) damaged(tb testing.TB, saves int, change func(f *os.File) error) string {
	tb.Helper()
	dir := crashImage(tb, c.image)
	if err := os.WriteFile(filepath.Join(dir, databaseName+markSuffix), c.marks[saves], 0o600); err != nil {
		tb.Fatal(err)
	}
	edit(tb, filepath.Join(dir, databaseName+walSuffix), change)
	return dir
}

// T54: a write that a crash cut short was never acknowledged, and is cut off.
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
		dir = c.damaged(t, survives, func(f *os.File) error { // the blocks are there, and the data never came
			_, err := f.WriteAt(make([]byte, c.ends[last]-offset), offset)
			return err
		})
		wantDisk(t, mustRead(t, dir), c.disks[survives])
	}
}

// T54: a torn end may have holes, because a disk writes in the order it likes.
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

// T54: what lies before the last transaction was acknowledged, and SQLite would cut it off without a word.
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

// A damaged header of the database must not make SQLite forget that there is a write-ahead log beside it.
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

// Damage within the last transaction looks like a torn end. If the mark does not say that the transaction was saved, it
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

// A node crashes again before it wrote much: what the first crash left must not be taken for something newer.
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

// S5, S9: the write-ahead log is used again and again, and the database takes the place of what was deleted.
func TestFilesDoNotGrowWithoutEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	path := filepath.Join(dir, databaseName)
	fill := func() int64 {
		for first := raft.Index(1); first < 2000/thinned; first += 10 {
			mustSave(t, d, raft.HardState{Term: 1, Commit: 0}, entries(1, first, first+9))
			if _, err := d.Range(first, 10); err != nil { // a reader is always about
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
	const most = 3 * 50 * (walFrameHeader + pageSize) // twice the length that it should have, and a transaction
	if size := fileSize(t, path+walSuffix); size > most {
		t.Errorf("the write-ahead log has %d bytes", size)
	}
	if size, err := d.Sizes(); err != nil || size != fileSize(t, path)+fileSize(t, path+walSuffix) {
		t.Errorf("Sizes says %d, %v", size, err)
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
