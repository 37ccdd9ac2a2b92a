package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Sum is the SHA-256 of a backup.
type Sum = [sha256.Size]byte

// SumPath returns the path of the file that has the hash of a backup.
func SumPath(file string) string { return file + ".sha256" }

// maxSumBytes bounds the content of that file.
const maxSumBytes = 8 << 10

// FormatSum returns the content of that file, which sha256sum -c reads.
func FormatSum(file string, sum Sum) string {
	return fmt.Sprintf("%x  %s\n", sum, filepath.Base(file))
}

// ParseSum parses a hash in hexadecimal digits.
func ParseSum(text string) (Sum, error) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return Sum{}, fmt.Errorf("%.80q is no SHA-256, which has 64 hexadecimal digits", text)
	}
	return Sum(sum), nil
}

// maxSums is how many hashes are read: one more with each replacement of a backup that a crash interrupts.
const maxSums = 16

// readSums reads the hashes that lie beside a backup, of which it must have one: there are several if a crash
// interrupted the replacement of a backup by a new one, which has the first. found is false if there are none.
func readSums(file string) (sums []Sum, found bool, err error) {
	f, err := os.Open(SumPath(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSumBytes))
	if err != nil {
		return nil, false, err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		sum, err := ParseSum(first)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", SumPath(file), err)
		}
		sums = append(sums, sum)
	}
	return sums[:min(len(sums), maxSums)], true, nil
}

// sumOf returns the hash of a file, and its length.
func sumOf(file string) (sum Sum, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, f)
	return Sum(hash.Sum(nil)), size, err
}
