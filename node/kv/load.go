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
	s    *Store
	meta Meta
	last string // key that was added last
	any  bool
	past []Past
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
	it := &item{newest: l.version(r)}
	l.s.items.Load(r.Key, it)
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

// version returns the version of a record.
func (l *Loader) version(r Record) *version {
	if len(r.Value) == 0 || cap(r.Value) > len(r.Value) {
		r.Value = append(make([]byte, 0, len(r.Value)), r.Value...)
	}
	r.ContentType = l.s.types.intern(r.ContentType)
	return newVersion(r)
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
	s.items.Scan(func(_ string, it *item) bool {
		s.count(it)
		return true
	})
	changes := s.held(s.cut)
	for i, c := range changes {
		if i > 0 && c.made.ModRevision == changes[i-1].made.ModRevision && c.made.Position == changes[i-1].made.Position {
			return nil, fmt.Errorf("keys %q and %q were both changed at revision %d, position %d; one change has one position",
				changes[i-1].made.Key, c.made.Key, c.made.ModRevision, c.made.Position)
		}
		s.changes.append(c, c.freed())
	}
	switch {
	case s.stats.Keys != m.Keys:
		return nil, fmt.Errorf("there are records of %d keys; there must be %d", s.stats.Keys, m.Keys)
	case s.sum != m.Sum:
		return nil, fmt.Errorf("the sum of the versions is %016x; it must be %016x", s.sum, m.Sum)
	}
	return s, nil
}

// count counts the versions of a key.
func (s *Store) count(it *item) {
	for _, v := range it.ended() {
		s.countPast(v)
	}
	if it.newest.isTombstone() {
		s.countPast(it.newest)
		return
	}
	s.sum += it.newest.sum
	s.stats.Keys++
	s.stats.LiveBytes += it.newest.size()
}

func (s *Store) countPast(v *version) {
	s.sum += v.sum
	s.stats.Versions++
	s.stats.HistoryBytes += v.size()
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
		it.append(l.version(p.Record))
		if p.Deleted {
			it.append(newVersion(Record{
				Key: p.Record.Key, ModRevision: p.Until, Modified: p.UntilModified, Position: p.UntilPosition,
			}))
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
