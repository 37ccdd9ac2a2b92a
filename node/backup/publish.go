package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	steps, err := publication(part, file, sum)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return errors.Join(err, removeIfThere(newSums(file)))
		}
	}
	return nil
}

// publication returns the steps that replace a file and its hash. A crash after any of them leaves a file with its
// hash: while the file is replaced, FILE.sha256 has that of the old one as well. If the old one has none, there is none
// for a moment.
func publication(part, file string, sum Sum) ([]func() error, error) {
	old, found, err := readSums(file)
	if err != nil {
		return nil, fmt.Errorf("%w; remove it", err)
	}
	_, err = os.Lstat(file)
	exists := err == nil
	toFile := func() error { return replace(part, file) }
	toSums := func() error { return writeSums(file, sum) }
	switch {
	case exists && found:
		both := append([]Sum{sum}, old...)
		return []func() error{func() error { return writeSums(file, both...) }, toFile, toSums}, nil
	case exists:
		return []func() error{toFile, toSums}, nil
	}
	return []func() error{toSums, toFile}, nil
}

func newSums(file string) string { return SumPath(file) + ".part" }

// writeSums replaces the hashes beside a backup.
func writeSums(file string, sums ...Sum) error {
	var text strings.Builder
	for _, sum := range sums {
		text.WriteString(FormatSum(file, sum))
	}
	err := os.WriteFile(newSums(file), []byte(text.String()), 0o600)
	if err == nil {
		err = syncPath(newSums(file))
	}
	if err == nil {
		err = replace(newSums(file), SumPath(file))
	}
	return err
}

// replace renames a file, and returns when that is durable.
func replace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
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
