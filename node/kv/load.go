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
	ended   ending           // how the past version ended that was added last
	open    map[*item]ending // the last past version of a key, whose end must be what follows
	changes []listed         // that are not cut
}

// NewLoader returns a loader for a store with a meta.
func NewLoader(meta Meta) *Loader {
	return &Loader{
		s: New(), meta: meta, open: map[*item]ending{}, changes: make([]listed, 0, min(max(meta.Keys, 0), mostListed)),
	}
}

// mostListed bounds the changes that a loader has room for from the beginning: a list that grows leaves several times
// its size to the garbage collector.
const mostListed = 1 << 20

// Add adds the record that a key has, by rising key. The loader keeps the value, which must not be changed afterwards.
func (l *Loader) Add(r Record) error {
	if l.any && r.Key <= l.last {
		return fmt.Errorf("record %q comes after %q; records must be in the order of their keys", r.Key, l.last)
	}
	if err := l.check(&r); err != nil {
		return err
	}
	l.last, l.any = r.Key, true
	var it *item
	if len(l.open) > 0 {
		it, _ = l.s.items.Get(r.Key)
	}
	if it == nil {
		it = &item{}
		l.s.items.Load(r.Key, it)
	}
	it.newest = l.version(r, it)
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
	if !l.ended.before(p.Until, p.UntilPosition) {
		return fmt.Errorf("past versions must be in the order of the changes that ended them; revision %d, position %d "+
			"comes after revision %d, position %d", p.Until, p.UntilPosition, l.ended.until, l.ended.position)
	}
	l.ended = p.ending()
	return l.link(&p)
}

// link puts a past version before what ended it.
func (l *Loader) link(p *Past) error {
	s := l.s
	it, ok := s.items.Get(p.Record.Key)
	if !ok {
		it = &item{}
		s.items.Set(p.Record.Key, it)
	}
	if last, any := l.open[it]; any && !last.precedes(&p.Record) {
		return last.doesNotFollow(p.Record.Key, p.Record.ModRevision)
	}
	l.open[it] = l.ended
	it.append(l.countPast(l.version(p.Record, it)))
	if p.Deleted {
		it.append(l.countPast(l.list(&version{Record{
			Key: p.Record.Key, ModRevision: p.Until, Modified: p.UntilModified, Position: p.UntilPosition,
		}}, it)))
	}
	return nil
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
	if err := l.closePast(); err != nil {
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

// closePast checks that the last past version of each key was ended by what the key has now.
func (l *Loader) closePast() error {
	for it, last := range l.open {
		switch {
		case it.newest != nil && last.precedes(&it.newest.Record):
		case it.newest == nil && last.deleted:
			it.newest = it.takeLast()
		default:
			ended := it.ended()
			return last.doesNotFollow(ended[len(ended)-1].Key, 0)
		}
	}
	return nil
}

// ending is how a past version ended.
type ending struct {
	until    uint64
	position int
	modified int64
	deleted  bool
	version  uint64 // its number
	created  uint64 // its create revision
}

func (p *Past) ending() ending {
	return ending{p.Until, p.UntilPosition, p.UntilModified, p.Deleted, p.Record.Version, p.Record.CreateRevision}
}

// before reports whether a change is after the one that ended the version.
func (e *ending) before(until uint64, position int) bool {
	return e.until < until || e.until == until && e.position < position
}

// precedes reports whether a record can be the one that comes after the version.
func (e *ending) precedes(r *Record) bool {
	if e.deleted {
		return r.ModRevision > e.until && r.Version == 1
	}
	return r.ModRevision == e.until && r.Position == e.position && r.Modified == e.modified && r.Version == e.version+1 &&
		r.CreateRevision == e.created
}

func (e *ending) doesNotFollow(key string, next uint64) error {
	return fmt.Errorf("what comes after version %d of %q, which revision %d ended, does not follow it: revision %d",
		e.version, key, e.until, next)
}
