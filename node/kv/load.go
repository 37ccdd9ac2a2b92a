package kv

import "fmt"

// Past is a version that a later change ended.
type Past struct {
	// Until and UntilPosition are the revision and the position of the change that ended the version, and UntilModified
	// is the time of that change.
	Until         uint64
	UntilPosition int
	UntilModified int64
	Record        Record
	// Deleted: the change was a deletion. This is how a tombstone is loaded.
	Deleted bool
}

// Loader builds a store from what deltas reported. Its methods return an error if a store cannot hold what they get.
type Loader struct {
	s       *Store
	meta    Meta
	last    string // key that was added last
	any     bool
	past    []Past
	changes []listed // that are not cut
}

// NewLoader returns a loader for a store with a meta.
func NewLoader(meta Meta) *Loader { return &Loader{s: New(), meta: meta} }

// Add adds the record that a key has, by rising key. The loader keeps the value, which must not be changed afterwards.
func (l *Loader) Add(r Record) error {
	if l.any && r.Key <= l.last {
		return fmt.Errorf("record %q comes after %q; records must be in the order of their keys", r.Key, l.last)
	}
	if err := l.check(&r); err != nil {
		return err
	}
	l.last, l.any = r.Key, true
	it := &item{}
	it.newest = l.version(r, it)
	l.s.items.Load(r.Key, it)
	l.s.stats.Keys++
	l.s.stats.LiveBytes += r.size()
	return nil
}

// AddPast adds a version that was ended, by rising Until and UntilPosition. The loader keeps the value.
func (l *Loader) AddPast(p Past) error {
	if err := l.check(&p.Record); err != nil {
		return err
	}
	if p.Until <= l.meta.Cut || p.Until > l.meta.Applied || p.Until <= p.Record.ModRevision || p.UntilPosition < 0 {
		return fmt.Errorf("a past version of %q from revision %d to %d does not fit: the history is cut up to %d, "+
			"and %d is applied", p.Record.Key, p.Record.ModRevision, p.Until, l.meta.Cut, l.meta.Applied)
	}
	if n := len(l.past); n > 0 && !l.past[n-1].endsBefore(&p) {
		return fmt.Errorf("past versions must be in the order of the changes that ended them; revision %d, position %d "+
			"comes after revision %d, position %d", p.Until, p.UntilPosition, l.past[n-1].Until, l.past[n-1].UntilPosition)
	}
	l.past = append(l.past, p)
	return nil
}

func (p *Past) endsBefore(q *Past) bool {
	return p.Until < q.Until || p.Until == q.Until && p.UntilPosition < q.UntilPosition
}

// check returns an error for a record that no change makes.
func (l *Loader) check(r *Record) error {
	switch {
	case r.CreateRevision == 0 || r.CreateRevision > r.ModRevision || r.ModRevision > l.meta.Applied:
		return fmt.Errorf("record %q was created at revision %d and changed at %d; they must be from 1 to %d, in this order",
			r.Key, r.CreateRevision, r.ModRevision, l.meta.Applied)
	case r.Version == 0 || r.Position < 0 || (r.Version == 1) != (r.CreateRevision == r.ModRevision):
		return fmt.Errorf("record %q was created at revision %d and changed at %d, position %d, which version %d "+
			"does not fit", r.Key, r.CreateRevision, r.ModRevision, r.Position, r.Version)
	case r.Modified > l.meta.Time:
		return fmt.Errorf("record %q was changed at %d us, and the time is %d us", r.Key, r.Modified, l.meta.Time)
	}
	return nil
}

// version returns the version of a record for an item.
func (l *Loader) version(r Record, it *item) *version {
	if len(r.Value) == 0 || cap(r.Value) > len(r.Value) {
		r.Value = append(make([]byte, 0, len(r.Value)), r.Value...)
	}
	r.ContentType = l.s.types.intern(r.ContentType)
	return l.list(&version{r}, it)
}

// list counts a version, and lists the change that made it unless it is cut.
func (l *Loader) list(v *version, it *item) *version {
	l.s.sum += sumOf(&v.Record)
	if v.ModRevision > l.meta.Cut {
		l.changes = append(l.changes, listed{v, it})
	}
	return v
}

// countPast counts a version of the history.
func (l *Loader) countPast(v *version) *version {
	l.s.stats.Versions++
	l.s.stats.HistoryBytes += v.size()
	return v
}

// Store returns the store, whose list of changes begins where the history is cut. The loader must not be used
// afterwards.
func (l *Loader) Store() (*Store, error) {
	s, m := l.s, l.meta
	if m.Compacted > m.Applied || m.Cut > m.Compacted {
		return nil, fmt.Errorf("the history is cut up to %d, and compacted to %d, with %d applied; "+
			"they must rise in this order", m.Cut, m.Compacted, m.Applied)
	}
	if err := l.linkPast(); err != nil {
		return nil, err
	}
	s.applied, s.time, s.compacted, s.cut, s.floor = m.Applied, m.Time, m.Compacted, m.Cut, m.Applied
	sortListed(l.changes)
	var before *version
	for _, c := range l.changes {
		if before != nil && c.made.ModRevision == before.ModRevision && c.made.Position == before.Position {
			return nil, fmt.Errorf("keys %q and %q were both changed at revision %d, position %d; one change has one position",
				before.Key, c.made.Key, c.made.ModRevision, c.made.Position)
		}
		s.changes.append(c, c.freed())
		before = c.made
	}
	switch {
	case s.stats.Keys != m.Keys:
		return nil, fmt.Errorf("there are records of %d keys; there must be %d", s.stats.Keys, m.Keys)
	case s.sum != m.Sum:
		return nil, fmt.Errorf("the sum of the versions is %016x; it must be %016x", s.sum, m.Sum)
	}
	return s, nil
}

// linkPast puts the past versions before those that ended them.
func (l *Loader) linkPast() error {
	s := l.s
	open := map[*item]*Past{} // the last past version of a key, whose end must be what follows
	for i := range l.past {
		p := &l.past[i]
		it, ok := s.items.Get(p.Record.Key)
		if !ok {
			it = &item{}
			s.items.Set(p.Record.Key, it)
		}
		if before := open[it]; before != nil && !before.precedes(&p.Record) {
			return doesNotFollow(before, p.Record.ModRevision)
		}
		open[it] = p
		it.append(l.countPast(l.version(p.Record, it)))
		if p.Deleted {
			it.append(l.countPast(l.list(&version{Record{
				Key: p.Record.Key, ModRevision: p.Until, Modified: p.UntilModified, Position: p.UntilPosition,
			}}, it)))
		}
	}
	for it, before := range open {
		switch {
		case it.newest != nil && before.precedes(&it.newest.Record):
		case it.newest == nil && before.Deleted:
			it.newest = it.takeLast()
		default:
			return doesNotFollow(before, 0)
		}
	}
	return nil
}

// precedes reports whether a record can be the one that comes after a past version of the key.
func (p *Past) precedes(r *Record) bool {
	if p.Deleted {
		return r.ModRevision > p.Until && r.Version == 1
	}
	return r.ModRevision == p.Until && r.Position == p.UntilPosition && r.Modified == p.UntilModified &&
		r.Version == p.Record.Version+1 && r.CreateRevision == p.Record.CreateRevision
}

func doesNotFollow(p *Past, next uint64) error {
	return fmt.Errorf("what comes after version %d of %q, which revision %d ended, does not follow it: revision %d",
		p.Record.Version, p.Record.Key, p.Until, next)
}
