package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// smallDisk mounts a file system of this size, as a mount option, or skips the test.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mounting a small disk: %v (this test wants root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// remount changes the options of a disk from smallDisk.
func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskAtStart(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	if _, err := Open(filepath.Join(dir, "data"), Options{}); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	remount(t, dir, 0, "size=64m")
	wantDisk(t, mustRead(t, filepath.Join(dir, "data")), disk{})
}

// At the first start raft.db does not exist yet, at whichever step the disk is full.
func TestFullDiskAtTheFirstStart(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"4k", "8k", "16k", "32k", "48k", "64k"} {
		dir := smallDisk(t, size)
		db, err := Open(dir, Options{})
		if err == nil {
			_ = db.Close()
		}
		if !errors.Is(err, ErrDiskFull) {
			t.Errorf("a disk of %s: %v, want %v", size, err, ErrDiskFull)
		}
	}
}

// The disk fills up under a running node: the save that finds no room fails and reports why, everything acknowledged
// is safe, and the node continues when there is room again.
func TestFullDiskWhileRunning(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "3m")
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	var want, attempted disk
	for err == nil {
		state := raft.HardState{Term: 1, Vote: 1, Commit: raft.Index(len(want.log))}
		list := entries(1, raft.Index(len(want.log))+1, raft.Index(len(want.log))+5)
		list[0].Command = append(list[0].Command, bytes.Repeat([]byte(" "), 20_000)...)
		attempted = want.with(state, list)
		if err = d.Save(state, list); err == nil {
			want = attempted
		}
	}
	t.Logf("after %d entries: %v", len(want.log), err)
	if !errors.Is(err, ErrDiskFull) || len(want.log) == 0 {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Logf("close: %v", err)
	}
	if _, err := Open(dir, small); err != nil && !errors.Is(err, ErrDiskFull) {
		t.Errorf("opening it while the disk is full: %v", err)
	}
	remount(t, dir, 0, "size=64m")
	if got := mustRead(t, dir); !got.equal(attempted) { // a failed save may have reached the disk
		wantDisk(t, got, want)
	}
}

// The copy of the write-ahead log into the database finds the disk full: nothing is lost, and a later one succeeds.
func TestFullDiskWhileTheLogIsCopied(t *testing.T) { // T53
	t.Parallel()
	dir := smallDisk(t, "8m")
	d := mustOpen(t, dir, Options{checkpointPages: 500, slicePages: 1 << 30})
	want := disk{raft.HardState{Term: 1}, entries(1, 1, 2000)}
	mustSave(t, d, want.state, want.log)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), fileMode); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_, _, err := d.locked(func() (bool, error) { return true, d.copyRest(passiveCheckpoint) })
	if !foundNoRoom(err) {
		t.Fatalf("the copy: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	image := crashImage(t, dir)
	wantDisk(t, mustRead(t, image), want)
	if _, _, err := d.locked(func() (bool, error) { return true, d.copyRest(passiveCheckpoint) }); err != nil {
		t.Errorf("the second copy: %v", err)
	}
	if written, copied := backfilled(t, d); written != copied {
		t.Errorf("%d of %d pages are copied", copied, written)
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), want)
}

func TestReadOnlyDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "8m")
	d := mustOpen(t, dir, small)
	want := disk{raft.HardState{Term: 1}, entries(1, 1, 10)}
	mustSave(t, d, want.state, want.log)
	mustClose(t, d)
	remount(t, dir, unix.MS_RDONLY, "")
	wantRefused(t, dir, ErrReadOnly)
	_, err := Open(filepath.Join(dir, "new"), small)
	if !errors.Is(err, ErrReadOnly) {
		t.Fatalf("a new directory in it: %v", err)
	}
	runs, owns := fmt.Sprintf("user id %d", os.Geteuid()), fmt.Sprintf("%s belongs to user id %d", dir, os.Geteuid())
	for _, part := range []string{runs, owns, "fsGroup"} { // trap O28
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not contain %q: %v", part, err)
		}
	}
	remount(t, dir, 0, "")
	wantDisk(t, mustRead(t, dir), want)
}

func TestReadOnlyFileIsRefused(t *testing.T) {
	t.Parallel()
	dir, want := filled(t)
	path := filepath.Join(dir, databaseName)
	if os.Geteuid() == 0 { // modes do not restrict root
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("making a file read-only for root: %v", err)
		}
		defer unix.Unmount(path, 0) //nolint:errcheck // TempDir complains
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, ErrReadOnly)
	if os.Geteuid() == 0 {
		if err := unix.Unmount(path, 0); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wantDisk(t, mustRead(t, dir), want)
}

// fillWhole leaves no byte free on a disk from smallDisk, by a file of another program.
func fillWhole(t *testing.T, dir string) (other string) {
	t.Helper()
	other = filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 256<<20), fileMode); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return other
}

// Another program takes the last byte of the disk at any point of a round of the write-ahead log: the saves go on until
// the node has measured the disk, from a ballast that was put aside before. There is one again when there is room.
func TestSavesGoOnWhenTheLastByteIsTaken(t *testing.T) { // T53
	t.Parallel()
	const reserve, after = 64 << 20, 12 << 20
	for _, before := range []int{0, 4, 8, 12, 14, 15, 16} { // MiB
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, "192m")
			d := mustOpen(t, filepath.Join(dir, "data"), Options{})
			d.SetReserve(reserve)
			mustKeepBallast(t, d)
			var want disk
			save := func(mebibytes int) {
				t.Helper()
				for range 4 * mebibytes {
					next := raft.Index(len(want.log)) + 1
					e := entries(1, next, next)
					e[0].Command = append(e[0].Command, bytes.Repeat([]byte(" "), 250_000)...)
					want = want.with(raft.HardState{Term: 1, Vote: 1}, e)
					if err := d.Save(want.state, e); err != nil {
						t.Fatalf("saving entry %d: %v", next, err)
					}
				}
			}
			save(before)
			for range 2 {
				other := fillWhole(t, dir)
				save(after >> 20)
				mustKeepBallast(t, d) // there is no room for it
				if err := os.Remove(other); err != nil {
					t.Fatal(err)
				}
				mustKeepBallast(t, d)
			}
			if got := d.ballast.length(); got != maxBallast {
				t.Errorf("a ballast of %d bytes is put aside, want %d", got, maxBallast)
			}
			wantDisk(t, mustRead(t, crashImage(t, filepath.Join(dir, "data"))), want)
			mustClose(t, d)
			wantDisk(t, mustRead(t, filepath.Join(dir, "data")), want)
		})
	}
}

// A save that also removes entries, and finds no room, is made again as a whole: the log still begins where it began.
func TestACutThatFindsNoRoomIsMadeAgain(t *testing.T) { // T53, T50
	t.Parallel()
	dir := smallDisk(t, "96m")
	data := filepath.Join(dir, "data")
	d := mustOpen(t, data, Options{})
	d.SetReserve(32 << 20)
	mustKeepBallast(t, d)
	state := raft.HardState{Term: 1, Vote: 1, Commit: 59_000}
	mustSave(t, d, state, entries(1, 1, 60_000))
	d.checkpointed.Store(59_000)
	if _, err := d.Cut(59_000, nil, raft.Configuration{}); err != nil {
		t.Fatal(err)
	}
	other := fillWhole(t, dir)
	next := raft.Index(60_001)
	for ; d.ballast.length() > 0 && next < 60_100; next++ {
		e := entries(1, next, next)
		e[0].Command = append(e[0].Command, bytes.Repeat([]byte(" "), 300_000)...)
		mustSave(t, d, state, e)
	}
	if start := d.start.Load().Index; d.ballast.length() > 0 || start == 0 || start >= 59_000 {
		t.Errorf("the ballast has %d bytes, and the log starts after %d: no cut found the disk full",
			d.ballast.length(), start)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
}

// A node that was killed when its disk was full starts again, from the ballast.
func TestAStartOnAFullDiskUsesTheBallast(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "192m")
	data := filepath.Join(dir, "data")
	d := mustOpen(t, data, Options{})
	d.SetReserve(64 << 20)
	mustKeepBallast(t, d)
	e := entries(1, 1, 30)
	for i := range e {
		e[i].Command = append(e[i].Command, bytes.Repeat([]byte(" "), 100_000)...)
	}
	want := disk{raft.HardState{Term: 1, Vote: 1}, e}
	mustSave(t, d, want.state, want.log)
	image := crashImage(t, data)
	mustClose(t, d)
	for name, content := range files(t, image) { // beside the ballast
		if err := os.WriteFile(filepath.Join(data, name), content, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	other := fillWhole(t, dir)
	d = mustOpen(t, data, Options{})
	next := entries(1, 31, 31)
	want = want.with(want.state, next)
	mustSave(t, d, want.state, next)
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, data), want)
}

// A start copies the write-ahead log into the database, which grows by that. The room for it comes from the ballast.
func TestAStartOnANearlyFullDiskUsesTheBallast(t *testing.T) {
	t.Parallel()
	opts := Options{checkpointPages: 1000, slicePages: 1 << 30}
	e := entries(1, 1, 600)
	for i := range e {
		e[i].Command = append(e[i].Command, bytes.Repeat([]byte(" "), 4000)...)
	}
	want := disk{raft.HardState{Term: 1, Vote: 1}, e}
	for free, kept := range map[int]bool{1 << 20: false, 3 << 19: false, 3 << 20: false, 8 << 20: true} {
		t.Run(fmt.Sprint(free), func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, "48m")
			data := filepath.Join(dir, "data")
			d := mustOpen(t, data, opts)
			d.SetReserve(24 << 20)
			mustKeepBallast(t, d)
			mustSave(t, d, want.state, want.log)
			_ = d.fail(errors.New("killed")) // closing copies nothing
			_ = d.Close()
			other := fillWhole(t, dir)
			if info, err := os.Stat(other); err != nil || os.Truncate(other, info.Size()-int64(free)) != nil {
				t.Fatal(err)
			}
			d = mustOpen(t, data, opts)
			if got := d.ballast.length() > 0; got != kept {
				t.Errorf("the ballast is kept: %v, want %v", got, kept)
			}
			next := entries(1, 601, 601)
			mustSave(t, d, want.state, next)
			mustClose(t, d)
			wantDisk(t, mustRead(t, data), want.with(want.state, next))
		})
	}
}

func mustKeepBallast(t *testing.T, d *DB) {
	t.Helper()
	if err := d.KeepBallast(); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint that finds the disk full in the middle gives back what it took for its write-ahead log, and the next one
// succeeds: otherwise the log could not be written from then on.
func TestACheckpointThatFillsTheDiskGivesItBack(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "48m")
	m := newMachine(t, filepath.Join(dir, "data"), Options{})
	m.do(`{"op":"put","key":"first","value":"v"}`)
	m.save()
	for i := range 40 {
		m.do(fmt.Sprintf(`{"op":"put","key":"%d","value":%q}`, i, strings.Repeat("v", 200_000)))
	}
	other := fillWhole(t, dir)
	info, err := os.Stat(other)
	if err != nil {
		t.Fatal(err)
	}
	const left = 4 << 20 // of 8 MB and more that it takes
	if err := os.Truncate(other, info.Size()-left); err != nil {
		t.Fatal(err)
	}
	if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("the checkpoint: %v", err)
	}
	if free, err := m.d.FreeBytes(); err != nil || free < left*3/4 {
		t.Errorf("%d bytes are free after the checkpoint, %v; %d were before", free, err, left)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}
