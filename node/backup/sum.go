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

// readSum reads the hash that lies beside a backup; found is false if there is none.
func readSum(file string) (sum Sum, found bool, err error) {
	f, err := os.Open(SumPath(file))
	if errors.Is(err, os.ErrNotExist) {
		return Sum{}, false, nil
	}
	if err != nil {
		return Sum{}, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSumBytes))
	if err != nil {
		return Sum{}, false, err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if sum, err = ParseSum(first); err != nil {
		return Sum{}, false, fmt.Errorf("%s: %w", SumPath(file), err)
	}
	return sum, true, nil
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
