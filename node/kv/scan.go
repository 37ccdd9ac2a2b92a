package kv

import (
	"strings"
)

// Query selects the records of a range of keys, in the order of the keys' bytes. A limit of 0 is none.
type Query struct {
	From, To string // from From up to and without To; an empty To: to the end
	Revision uint64 // at which to read; 0: the newest
	// A page ends before the item that would exceed Limit items or MaxBytes bytes, but has at least one, and before the
	// key that would be the one after MaxVisits, whether the page has items or not.
	Limit     int
	MaxBytes  int // of keys, values and content types
	MaxVisits int // keys looked at, deleted ones and first keys of folders among them
	KeysOnly  bool
	// With a Delimiter, keys that contain it behind Prefix are folded: a page has one item for all that are equal up to
	// the delimiter.
	Prefix    string
	Delimiter string
}

// Page is one part of the answer to a query.
type Page struct {
	Items []Item
	// Next is the From of the query for the next page, with the page's revision; empty: this is the last one.
	Next     string
	Revision uint64 // of what the page shows
}

// Item is a record, without its value if the query is for keys only, or a folder.
type Item struct {
	Record
	// Folder is what the keys of a folder begin with, up to and with the delimiter; empty: the item is a record.
	Folder string
}

// PrefixRange returns the range of the keys that begin with a prefix, as in a Query.
func PrefixRange(prefix string) (from, to string) {
	end := prefix
	for strings.HasSuffix(end, "\xff") { // not TrimRight: to it each byte that is no UTF-8 is the same
		end = end[:len(end)-1]
	}
	if end == "" {
		return prefix, ""
	}
	last := len(end) - 1
	return prefix, end[:last] + string([]byte{end[last] + 1})
}

// presized is the number of items up to which a page of a limited query gets its memory at once.
const presized = 1024

// Scan returns a page of records. Its cost depends on what the query allows and not on the store. The error is a
// *CompactedError or a *FutureError.
func (s *Store) Scan(q Query) (Page, error) {
	revision, err := s.readable(q.Revision)
	if err != nil {
		return Page{}, err
	}
	q.Revision = revision
	page := Page{Revision: revision, Items: make([]Item, 0, min(q.Limit, s.items.Len(), presized))}
	w := s.walk(q.From, q.To, q.Revision, q.MaxVisits)
	bytes := 0
	for v := w.next(); v != nil; v = w.next() {
		item := q.itemOf(v)
		bytes += item.bytes()
		full := q.Limit > 0 && len(page.Items) == q.Limit
		if full || q.MaxBytes > 0 && bytes > q.MaxBytes && len(page.Items) > 0 {
			page.Next = v.Key
			return page, nil
		}
		page.Items = append(page.Items, item)
		if item.Folder != "" {
			w.skip(item.Folder)
		}
	}
	page.Next = w.rest
	return page, nil
}

// Count returns the number of keys in a range at a revision, the newest for 0, of which it looks at no more than
// maxVisits if that is not 0. If there are more, next is the from of the next call, else empty. The error is a
// *CompactedError or a *FutureError.
func (s *Store) Count(from, to string, revision uint64, maxVisits int) (n int, next string, err error) {
	if revision, err = s.readable(revision); err != nil {
		return 0, "", err
	}
	if from == "" && to == "" && revision == s.applied {
		return s.stats.Keys, "", nil
	}
	w := s.walk(from, to, revision, maxVisits)
	for w.next() != nil {
		n++
	}
	return n, w.rest, nil
}

// itemOf returns the item of a page that shows a version.
func (q *Query) itemOf(v *version) Item {
	if q.Delimiter != "" {
		if rest, ok := strings.CutPrefix(v.Key, q.Prefix); ok {
			if i := strings.Index(rest, q.Delimiter); i >= 0 {
				return Item{Folder: v.Key[:len(q.Prefix)+i+len(q.Delimiter)]}
			}
		}
	}
	item := Item{Record: v.Record}
	if q.KeysOnly {
		item.Value = nil
	}
	return item
}

func (i *Item) bytes() int { return len(i.Key) + len(i.Value) + len(i.ContentType) + len(i.Folder) }
