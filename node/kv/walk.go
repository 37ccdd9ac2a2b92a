package kv

import "github.com/tidwall/btree"

// walk goes through the records of a range of keys at a revision.
type walk struct {
	items    btree.MapIter[string, *item]
	to       string
	revision uint64
	visits   int // that are left; negative: any number
	more     bool
	begun    bool
	// rest is the key to go on from if the walk ended because no visit was left.
	rest string
}

func (s *Store) walk(from, to string, revision uint64, maxVisits int) *walk {
	w := &walk{items: s.items.Iter(), to: to, revision: revision, visits: maxVisits}
	if maxVisits <= 0 {
		w.visits = -1
	}
	w.more = w.items.Seek(from)
	return w
}

// next returns the next record, nil at the end or after the last visit.
func (w *walk) next() *version {
	if w.begun {
		w.more = w.more && w.items.Next()
	}
	for w.begun = true; w.more; w.more = w.items.Next() {
		key := w.items.Key()
		switch {
		case w.to != "" && key >= w.to:
			w.more = false
			return nil
		case w.visits == 0:
			w.rest, w.more = key, false
			return nil
		}
		w.visits--
		if v := w.items.Value().at(w.revision); v != nil {
			return v
		}
	}
	return nil
}

// skip makes next go on behind the keys that begin with a prefix.
func (w *walk) skip(prefix string) {
	_, behind := PrefixRange(prefix)
	w.more = behind != "" && w.items.Seek(behind)
	w.begun = false
}
