package main

import (
	"fmt"
	"strconv"
)

const (
	keyCount   = 10_000
	valueBytes = 256
	idDigits   = 16 // of a write's id at the start of its value, in hexadecimal
	keyDigits  = 8  // of a key's number, in its name and after the id in its value
	keyPrefix  = "bench-"
	maxKeys    = 100_000_000 // by keyDigits
)

// writeID identifies one write of the whole run, so that a value that is read back identifies its write.
type writeID uint64

// idFor returns the id of a client's nth write in a cell.
func idFor(cell, client, n int) writeID {
	return writeID(cell)<<48 | writeID(client)<<32 | writeID(n)
}

func keyName(key int) string { return fmt.Sprintf("%s%0*d", keyPrefix, keyDigits, key) }

// newValue returns a value of valueBytes of plain text; setValue puts the write and the key into it.
func newValue() []byte {
	value := make([]byte, valueBytes)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	value[idDigits] = ' '
	value[idDigits+1+keyDigits] = ' '
	return value
}

func setValue(value []byte, id writeID, key int) {
	const hexadecimal = "0123456789abcdef"
	for i := idDigits - 1; i >= 0; i-- {
		value[i] = hexadecimal[id&15]
		id >>= 4
	}
	setKey(value[idDigits+1:], key)
}

// setKey writes the number of a key over the first bytes of text.
func setKey(text []byte, key int) {
	for i := keyDigits - 1; i >= 0; i-- {
		text[i] = '0' + byte(key%10)
		key /= 10
	}
}

// parseValue is the inverse of setValue.
func parseValue(value []byte) (writeID, int, error) {
	if len(value) != valueBytes {
		return 0, 0, fmt.Errorf("the value has %d bytes, not %d", len(value), valueBytes)
	}
	id, err := strconv.ParseUint(string(value[:idDigits]), 16, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("the value names no writer: %w", err)
	}
	key, err := strconv.Atoi(string(value[idDigits+1 : idDigits+1+keyDigits]))
	if err != nil {
		return 0, 0, fmt.Errorf("the value names no key: %w", err)
	}
	return writeID(id), key, nil
}

// isValueOf reports whether a value was written to a key, without allocating: reads are checked while they are
// measured.
func isValueOf(value []byte, key int) bool {
	if len(value) != valueBytes {
		return false
	}
	for i := idDigits + keyDigits; i > idDigits; i-- {
		if value[i] != '0'+byte(key%10) {
			return false
		}
		key /= 10
	}
	return true
}
