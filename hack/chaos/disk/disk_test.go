package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/chaos/disk"
)

func TestADiskFillsUpAndGoesReadOnly(t *testing.T) {
	t.Parallel()
	d, err := disk.New(t.TempDir(), "disk")
	if errors.Is(err, disk.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := os.Create(filepath.Join(d.Path, "data"))
	if err != nil {
		t.Fatal(err)
	}
	write := func() error {
		_, err := f.Write(make([]byte, 64<<10))
		return errors.Join(err, f.Sync())
	}
	if err := errors.Join(write(), d.Fill(0)); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write to a full disk: got %v", err)
	}
	if err := errors.Join(d.Drain(), write(), d.Break()); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("a write to a broken disk, into a file that was open: got %v", err)
	}
	if err := errors.Join(f.Close(), d.Repair()); err != nil {
		t.Fatal(err)
	}
	if held, err := os.ReadFile(filepath.Join(d.Path, "data")); err != nil || len(held) < 128<<10 {
		t.Errorf("after the repair the file has %d bytes: %v", len(held), err)
	}
	if err := os.WriteFile(filepath.Join(d.Path, "more"), []byte("x"), 0o600); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}
