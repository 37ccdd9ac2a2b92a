package storage

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// rowSum computes the checksums of rows. It keeps its buffer, so that a row needs no allocation.
type rowSum struct{ buffer []byte }

// of returns a CRC-32C over every column of a record (trap S10). A timestamp counts as the value that will be read
// back.
func (s *rowSum) of(r *kv.Record) int64 {
	s.buffer = s.buffer[:0]
	for _, n := range [...]int64{
		int64(len(r.Key)), int64(len(r.Value)), int64(len(r.ContentType)), int64(r.ModRevision), int64(r.CreateRevision),
		int64(r.Version), int64(r.Position), microseconds(seconds(r.Modified)),
	} {
		s.buffer = binary.LittleEndian.AppendUint64(s.buffer, uint64(n))
	}
	s.buffer = append(append(s.buffer, r.Key...), r.ContentType...)
	return int64(crc32.Update(crc32.Checksum(s.buffer, castagnoli), castagnoli, r.Value))
}

// columnValue returns the value of column value: text if it is text, so that people can read it, otherwise bytes.
func columnValue(value []byte) driver.Value {
	if utf8.Valid(value) && !slices.Contains(value, 0) {
		return string(value)
	}
	return value
}

// appendRecord appends the values of a record for putRecordsStatement.
func (s *rowSum) appendRecord(values []driver.Value, r *kv.Record) []driver.Value {
	return append(values, r.Key, columnValue(r.Value), r.ContentType, int64(r.ModRevision), int64(r.CreateRevision),
		int64(r.Version), int64(r.Position), seconds(r.Modified), s.of(r))
}

func number(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

// record reads a row of recordsStatement and checks it.
func (s *rowSum) record(row []driver.Value) (kv.Record, error) {
	r, err := parseRecord(row)
	if err != nil {
		return kv.Record{}, err
	}
	if crc, want := row[8], s.of(&r); crc != want {
		return kv.Record{}, fmt.Errorf("%w: the row of key %q in kv has checksum %08x, but %08v was written with it",
			ErrDamaged, r.Key, want, crc)
	}
	return r, nil
}

// parseRecord parses the columns from key to modified.
func parseRecord(row []driver.Value) (kv.Record, error) {
	key, isKey := row[0].(string)
	value, isValue := row[1].([]byte)
	contentType, isContentType := row[2].(string)
	revision, isRevision := row[3].(int64)
	created, isCreated := row[4].(int64)
	version, isVersion := row[5].(int64)
	position, isPosition := row[6].(int64)
	modified, isModified := row[7].(float64)
	if !isKey || !isValue && row[1] != nil || !isContentType || !isRevision || !isCreated || !isVersion || !isPosition ||
		!isModified {
		return kv.Record{}, fmt.Errorf("%w: the row of key %q in kv has a column of the wrong type", ErrDamaged, key)
	}
	return kv.Record{
		Key: key, Value: value, ContentType: contentType, CreateRevision: uint64(created), ModRevision: uint64(revision),
		Version: uint64(version), Modified: microseconds(modified), Position: int(position),
	}, nil
}
