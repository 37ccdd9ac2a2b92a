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
