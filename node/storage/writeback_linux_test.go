package storage

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// T53: a system that does not have the call refuses it, and nothing is lost. All other errors are of the disk.
func TestWhichErrorsOfAWriteBackAreOfTheDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		ofDisk bool
	}{
		{nil, false},
		{unix.ENOSYS, false}, // gVisor
		{unix.EINVAL, false},
		{unix.EPERM, false}, // a seccomp filter
		{unix.EOPNOTSUPP, false},
		{unix.ESPIPE, false},
		{unix.EIO, true},
		{unix.ENOSPC, true},
		{unix.EDQUOT, true},
		{unix.EROFS, true},
		{unix.ENOMEM, true},
		{unix.EBADF, true},
		{unix.EACCES, true},
	} {
		if got := ofDisk(c.err); (got != nil) != c.ofDisk || c.ofDisk && !errors.Is(got, c.err) {
			t.Errorf("%v: %v, want an error: %v", c.err, got, c.ofDisk)
		}
	}
}

// A pipe has no ranges (ESPIPE), and a closed file is an error.
func TestWriteBackOfNoFile(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeBack(writer); err != nil {
		t.Errorf("a pipe: %v", err)
	}
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	if err := writeBack(writer); err == nil {
		t.Error("a closed file is written back")
	}
}
