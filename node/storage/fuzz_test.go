package storage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzOpen opens databases that were changed: a closed raft.db, a write-ahead log and a mark with some bytes changed,
// and files of any bytes. Open may refuse them; it must not panic, and must not accept anything but what was saved.
func FuzzOpen(f *testing.F) {
	dir, want := filled(f)
	database, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		f.Fatal(err)
	}
	crashed := crash(f)
	crashedDatabase, err := os.ReadFile(filepath.Join(crashed.image, databaseName))
	if err != nil {
		f.Fatal(err)
	}
	wal, err := os.ReadFile(filepath.Join(crashed.image, databaseName+walSuffix))
	if err != nil {
		f.Fatal(err)
	}
	last := len(crashed.disks) - 1
	mark := crashed.marks[last]

	f.Add(uint8(0), uint32(0), database)
	f.Add(uint8(0), uint32(0), []byte("not a database"))
	for offset := uint32(0); offset < uint32(len(database)); offset += 1021 {
		f.Add(uint8(1), offset, []byte{0xff})
	}
	for offset := uint32(0); offset < uint32(crashed.ends[last]); offset += 4099 {
		f.Add(uint8(2), offset, []byte{0x55, 0xaa})
		f.Add(uint8(3), offset, []byte{0x55, 0xaa})
	}
	for offset := uint32(0); offset < uint32(len(mark)); offset += 61 {
		f.Add(uint8(4), offset, []byte{0x55, 0xaa})
	}
	f.Fuzz(func(t *testing.T, what uint8, offset uint32, bytes []byte) {
		dir := t.TempDir()
		accepted := []disk{want}
		switch what % 5 {
		case 0: // any bytes
			write(t, dir, databaseName, bytes)
		case 1: // a closed database, changed
			write(t, dir, databaseName, patched(database, offset, bytes))
		case 2: // a write-ahead log, changed
			write(t, dir, databaseName, crashedDatabase)
			write(t, dir, databaseName+walSuffix, patched(wal, offset, bytes))
			write(t, dir, databaseName+markSuffix, mark)
			accepted = crashed.disks[last:]
		case 3: // a database with a write-ahead log beside it, changed
			write(t, dir, databaseName, patched(crashedDatabase, offset, bytes))
			write(t, dir, databaseName+walSuffix, wal)
			write(t, dir, databaseName+markSuffix, mark)
			accepted = crashed.disks[last:]
		case 4: // a mark, changed
			write(t, dir, databaseName, crashedDatabase)
			write(t, dir, databaseName+walSuffix, wal)
			write(t, dir, databaseName+markSuffix, patched(mark, offset, bytes))
			accepted = crashed.disks[last:]
		}
		got, err := read(dir)
		if err != nil {
			wantKnownError(t, err)
			return
		}
		if !slices.ContainsFunc(accepted, got.equal) {
			t.Fatalf("it was accepted as %v", got)
		}
	})
}

// patched returns data with other bytes from an offset on, modulo its length.
func patched(data []byte, offset uint32, bytes []byte) []byte {
	changed := slices.Clone(data)
	copy(changed[int(offset)%len(changed):], bytes)
	return changed
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantKnownError checks that an error explains what is wrong.
func wantKnownError(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{ErrDamaged, ErrNotDatabase, ErrNewerFormat} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("the error explains nothing: %v", err)
}
