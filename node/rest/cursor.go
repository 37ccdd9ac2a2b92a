package rest

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// span is what a list is of: a range of keys and how it is folded. A cursor belongs to one.
type span struct {
	from, to          string // the range [from, to); an empty to: without an end
	prefix, delimiter string
}

// contains reports whether a key may be in the span. A key here is any position between keys as well.
func (s *span) contains(key string) bool { return key >= s.from && (s.to == "" || key < s.to) }

// cursor is where a list continues: at a key, at the revision of its first page.
type cursor struct {
	revision uint64
	next     string
}

const (
	// cursorVersion is the first byte of a cursor, so that a later form is distinguished.
	cursorVersion = 1
	// cursorSum is the size of the checksum at its end.
	cursorSum = 8
	// mostCursor is the longest text of a cursor: a position may be a key and one byte.
	mostCursor = (1 + binary.MaxVarintLen64 + kv.MaxKeyBytes + 1 + cursorSum + 2) / 3 * 4
)

// encode returns the text of a cursor, which is safe in a query.
func (c cursor) encode(of *span) string {
	raw := make([]byte, 0, 1+binary.MaxVarintLen64+len(c.next)+cursorSum)
	raw = binary.AppendUvarint(append(raw, cursorVersion), c.revision)
	raw = append(raw, c.next...)
	raw = binary.BigEndian.AppendUint64(raw, checksum(raw, of))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// checksum ties the bytes of a cursor to its span.
func checksum(raw []byte, of *span) uint64 {
	hash := fnv.New64a()
	for _, part := range []string{string(raw), of.from, of.to, of.prefix, of.delimiter} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = hash.Write(size[:]) // never fails: hash.Hash
		_, _ = hash.Write([]byte(part))
	}
	return hash.Sum64()
}

// parseCursor is the inverse of encode. It accepts only what encode returns for this span.
func parseCursor(text string, of *span) (cursor, error) {
	bad := invalid("cursor " + quoted(text) + " is not one of this list; send the cursor of the page before, with the " +
		"same prefix, from, to and delimiter")
	if len(text) > mostCursor {
		return cursor{}, bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= 1+cursorSum {
		return cursor{}, bad
	}
	revision, size := binary.Uvarint(raw[1:])
	if size <= 0 || 1+size > len(raw)-cursorSum {
		return cursor{}, bad
	}
	c := cursor{revision: revision, next: string(raw[1+size : len(raw)-cursorSum])}
	if c.revision == 0 || c.next == "" || !of.contains(c.next) || c.encode(of) != text {
		return cursor{}, bad
	}
	return c, nil
}
