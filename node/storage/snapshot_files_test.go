package storage

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func sha(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }

// Only the node's user can read the values, in copies too.
func TestTheModesOfSnapshots(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	dir := receiver(t, 40)
	d := mustOpen(t, dir, small)
	in := mustReceive(t, d, s)
	for _, dir := range []string{dir, m.dir} {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err == nil && info.Mode().Perm()&othersBits != 0 && path != dir {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	send(t, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := in.Install(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, stateName))
	if err != nil || info.Mode().Perm()&othersBits != 0 {
		t.Errorf("state.db has mode %v, %v", info.Mode(), err)
	}
}

// What a process that was killed left is removed at the next start, but for what it received.
func TestLeftoversOfSnapshotsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	snapshots := filepath.Join(dir, snapshotsName)
	if err := os.Mkdir(snapshots, 0o700); err != nil {
		t.Fatal(err)
	}
	part := incomingPrefix + "00" + incomingSuffix
	for _, name := range []string{copyName, copyName + "-journal", pendingName + "-shm", part, "notes.txt"} {
		write(t, snapshots, name, []byte("x"))
	}
	mustClose(t, mustOpen(t, dir, small))
	names, err := os.ReadDir(snapshots)
	if err != nil || len(names) != 2 || names[0].Name() != part || names[1].Name() != "notes.txt" {
		t.Errorf("%v are left, %v", names, err)
	}
}

// A link in the place of a file or of the directory must not make the node write, or send, another file of its user.
func TestLinksInThePlaceOfSnapshots(t *testing.T) {
	t.Parallel()
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(from string) {
		t.Helper()
		if err := os.Symlink(target, from); err != nil {
			t.Fatal(err)
		}
	}
	dir := filledState(t)
	link(filepath.Join(dir, snapshotsName))
	wantRefused(t, dir, ErrForeignFile)

	dir = filledState(t)
	if err := os.Mkdir(filepath.Join(dir, snapshotsName), 0o700); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(dir, snapshotsName, pendingName))
	if _, err := Open(dir, small); !errors.Is(err, ErrForeignFile) {
		t.Error(err)
	}

	m := sender(t, dropped)
	s := mustSnapshot(t, m.d)
	d := mustOpen(t, receiver(t, 40), small)
	in := mustReceive(t, d, s)
	path := in.file.Name()
	if err := errors.Join(in.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	link(path)
	if _, err := d.receive(s.ID(), s.Size(), s.Sum()); !errors.Is(err, ErrForeignFile) {
		t.Errorf("a snapshot is received into a link: %v", err)
	}
	s.Release()
	m.d.snapshots.mu.Lock() // the copy is also dropped by its timer
	err := m.d.snapshots.dropCopy()
	m.d.snapshots.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(m.dir, snapshotsName, copyName))
	if s, err = m.d.openSnapshot(1); err == nil {
		s.Release()
	}
	if data, readErr := os.ReadFile(target); readErr != nil || string(data) != "mine" {
		t.Errorf("the target holds %q, %v", data, readErr)
	}
}
