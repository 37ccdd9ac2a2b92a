package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Publish gives a backup that was written to part its name, and writes its hash beside it, once both are durable and
// the disk has what was sent.
func Publish(part, file string, sum Sum) error {
	if err := syncPath(part); err != nil {
		return err
	}
	got, _, err := sumOf(part)
	if err != nil {
		return err
	}
	if got != sum {
		return fmt.Errorf("%w: %w", ErrWrongHash, wrongSum(part, got, sum, "the node"))
	}
	sums := SumPath(file) + ".part"
	if err := os.WriteFile(sums, []byte(FormatSum(file, sum)), 0o600); err != nil {
		return err
	}
	err = syncPath(sums)
	if err == nil {
		err = os.Rename(sums, SumPath(file))
	}
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(sums))
	}
	return syncPath(filepath.Dir(file))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncPath makes a file, or the names in a directory, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
