package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// backfilled returns how many pages the write-ahead log has, and how many of them are in the database.
func backfilled(t *testing.T, d *DB) (written, copied int64) {
	t.Helper()
	err := d.writer.query(`PRAGMA wal_checkpoint(NOOP)`, func(row []driver.Value) error {
		written, _ = row[1].(int64)
		copied, _ = row[2].(int64)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return written, copied
}

// A copy on a full disk takes the room that the ballast gave, so it ends the round: after a slice the log would go on
// growing, and the next save would find no room.
func TestACopyOnAFullDiskEndsTheRound(t *testing.T) { // T53
	t.Parallel()
	d := mustOpen(t, t.TempDir(), Options{checkpointPages: 1000, slicePages: 1 << 30})
	defer mustClose(t, d)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 100))
	d.ballast.size = 1 // as if it was put aside
	if !d.ballast.spend() {
		t.Fatal("the ballast is not released")
	}
	if err := d.checkpointSlice(); err != nil {
		t.Fatal(err)
	}
	if written, copied := backfilled(t, d); written == 0 || copied != written || d.pages != 0 {
		t.Errorf("of %d pages %d are copied, and %d count as written", written, copied, d.pages)
	}
	if _, err := d.ballast.grow(0, 1); err != nil || d.ballast.isSpent() {
		t.Errorf("the ballast is put aside again, and counts as spent: %t, %v", d.ballast.isSpent(), err)
	}
}

// A slice copies what was written before the slice before it, and nothing after: so a save waits for few pages. The
// last one of a round copies everything, and the log begins anew. A crash at any point in between loses nothing.
func TestCheckpointsCopyInSlices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, Options{checkpointPages: 1000, slicePages: 1 << 30})
	var want disk
	write := func() {
		last := raft.Index(len(want.log))
		state := raft.HardState{Term: 1, Commit: last}
		mustSave(t, d, state, entries(1, last+1, last+100))
		want = want.with(state, entries(1, last+1, last+100))
	}
	slice := func() {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, err := d.copySlice(); err != nil {
			t.Fatal(err)
		}
	}
	write()
	slice()
	first, copied := backfilled(t, d)
	if copied != 0 || first == 0 {
		t.Errorf("the first slice copies %d of %d pages", copied, first)
	}
	for range 3 {
		write()
		slice()
		wantDisk(t, mustRead(t, crashImage(t, dir)), want)
		now, copied := backfilled(t, d)
		if copied != first || now <= first {
			t.Errorf("%d pages are copied, and a slice must copy those up to page %d of %d", copied, first, now)
		}
		first = now
	}
	d.mu.Lock()
	err := d.copyRest(passiveCheckpoint)
	d.mu.Unlock()
	if written, copied := backfilled(t, d); err != nil || copied != written {
		t.Errorf("at the end of the round %d of %d pages are copied, %v", copied, written, err)
	}
	write()
	if written, _ := backfilled(t, d); written >= first {
		t.Errorf("after the round the log goes on, and has %d pages", written)
	}
	wantDisk(t, mustRead(t, crashImage(t, dir)), want)
}

// However much is written, the slices keep the write-ahead log within its working length, or close to it.
func TestSlicesBoundTheWriteAheadLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, Options{checkpointPages: 200, slicePages: 20})
	var last raft.Index
	for range 1500 / thinned {
		mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, last+1, last+20))
		last += 20
	}
	info, err := os.Stat(d.path + walSuffix)
	const frames = 2*200 + 20
	if err != nil || info.Size() > walHeaderSize+frames*(walFrameHeader+pageSize) {
		t.Errorf("the write-ahead log has %d bytes, %v", info.Size(), err)
	}
	image := crashImage(t, dir)
	wantDisk(t, mustRead(t, image), disk{raft.HardState{Term: 1, Commit: last}, entries(1, 1, last)})
}

// T53: what a slice copied must be synced before the log begins anew. If that fails, the DB ends.
func TestASliceThatCannotBeSyncedEndsTheDB(t *testing.T) {
	t.Parallel()
	d, err := Open(t.TempDir(), Options{checkpointPages: 400, slicePages: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // it returns the failure
	if err := d.synced.Close(); err != nil {
		t.Fatal(err)
	}
	for i := raft.Index(1); err == nil; i++ {
		err = d.Save(raft.HardState{Term: 1}, entries(1, i, i))
	}
	if !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// A copy of the write-ahead log that finds the disk full is tried again. One that fails otherwise ends the DB.
func TestACopyThatFindsNoRoomIsTriedAgain(t *testing.T) { // T53
	t.Parallel()
	for code, saves := range map[int]int{
		sqlite3.SQLITE_FULL: 12, sqlite3.SQLITE_IOERR_WRITE: 1000, sqlite3.SQLITE_IOERR_FSYNC: 1000,
	} {
		for name, bytes := range map[string]int{"slices": 40_000, "inline": 900_000} {
			t.Run(fmt.Sprintf("%s, code %d", name, code), func(t *testing.T) {
				t.Parallel()
				tryCopies(t, code, saves, bytes)
			})
		}
	}
}

// tryCopies makes up to so many saves, each of an entry of so many bytes, while copies fail with a code. If that does
// not end the DB, nothing may be lost.
func tryCopies(t *testing.T, code, saves, bytes int) {
	var works atomic.Bool
	fail := func(statement string, call func() error) error {
		if statement == passiveCheckpoint && !works.Load() {
			return &codeError{code, "injected"}
		}
		return call()
	}
	dir, want, ended := t.TempDir(), disk{}, false
	d := mustOpen(t, dir, Options{checkpointPages: 100, slicePages: 10, inject: fail})
	for i := raft.Index(1); i <= raft.Index(saves) && !ended; i++ {
		list := entries(1, i, i)
		list[0].Command = append(list[0].Command, strings.Repeat(" ", bytes)...)
		ended = d.Save(raft.HardState{Term: 1}, list) != nil
		want = want.with(raft.HardState{Term: 1}, list)
	}
	if ended != (code != sqlite3.SQLITE_FULL) {
		t.Fatalf("the DB ended: %v", ended)
	}
	if ended {
		_ = d.Close()
		return
	}
	wantDisk(t, mustRead(t, crashImage(t, dir)), want)
	works.Store(true)
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), want)
}
