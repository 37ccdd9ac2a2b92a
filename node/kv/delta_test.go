package kv

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// disk is the simplest checkpoint: the rows that deltas leave.
type disk struct {
	meta    Meta
	records map[string]Record
	past    map[[2]uint64]Past // by Until and UntilPosition
}

func newDisk() *disk { return &disk{records: map[string]Record{}, past: map[[2]uint64]Past{}} }

func (d *disk) clone() *disk {
	return &disk{meta: d.meta, records: maps.Clone(d.records), past: maps.Clone(d.past)}
}

// save adds a delta.
func (d *disk) save(t *testing.T, delta *Delta) {
	t.Helper()
	if delta.Since == 0 {
		clear(d.records)
		clear(d.past)
		d.meta = Meta{}
	}
	if delta.Since != d.meta.Applied {
		t.Fatalf("a delta after %d for a checkpoint of %d", delta.Since, d.meta.Applied)
	}
	last := DeltaChange{Revision: delta.Since, Position: 1 << 30}
	for _, c := range delta.Changes {
		if cmp.Or(cmp.Compare(last.Revision, c.Revision), cmp.Compare(last.Position, c.Position)) >= 0 ||
			c.Revision > delta.Meta.Applied {
			t.Fatalf("change %d.%d comes after %d.%d, up to %d", c.Revision, c.Position, last.Revision, last.Position,
				delta.Meta.Applied)
		}
		last = c
		d.change(t, c)
	}
	d.meta = delta.Meta
	maps.DeleteFunc(d.past, func(_ [2]uint64, p Past) bool { return p.Until <= d.meta.Cut })
}

func (d *disk) change(t *testing.T, c DeltaChange) {
	t.Helper()
	if c.Past != nil {
		d.past[[2]uint64{c.Revision, uint64(c.Position)}] = Past{
			Until: c.Revision, UntilPosition: c.Position, UntilModified: c.Modified,
			Record: *c.Past, Deleted: c.Record == nil,
		}
	}
	if c.Record == nil {
		delete(d.records, c.Key)
		return
	}
	r := c.Record
	if r.Key != c.Key || r.ModRevision != c.Revision || r.Position != c.Position || r.Modified != c.Modified {
		t.Fatalf("change %+v of record %+v", c, r)
	}
	d.records[c.Key] = *r
}

func (d *disk) sortedPast() []Past {
	return slices.SortedFunc(maps.Values(d.past), func(a, b Past) int {
		return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.UntilPosition, b.UntilPosition))
	})
}

// load builds a store from copies of the rows, in either order of the two kinds.
func (d *disk) load(pastFirst bool) (*Store, error) {
	l := NewLoader(d.meta)
	records := func() error {
		for _, key := range slices.Sorted(maps.Keys(d.records)) {
			r := d.records[key]
			r.Value = append([]byte(nil), r.Value...)
			if err := l.Add(r); err != nil {
				return err
			}
		}
		return nil
	}
	past := func() error {
		for _, p := range d.sortedPast() {
			p.Record.Value = append(make([]byte, 0, 100), p.Record.Value...)
			if err := l.AddPast(p); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []func() error{records, past}
	if pastFirst {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.Store()
}

func (d *disk) mustLoad(t *testing.T, pastFirst bool) *Store {
	t.Helper()
	s, err := d.load(pastFirst)
	if err != nil {
		t.Fatalf("%v of a checkpoint of %+v", err, d.meta)
	}
	return s
}

// checkSame compares two stores that should not differ in anything that can be seen.
func checkSame(t *testing.T, a, b *Store) {
	t.Helper()
	if a.Digest() != b.Digest() || a.meta() != b.meta() || a.stats != b.stats {
		t.Fatalf("two stores differ:\n%s\n%s", describe(a), describe(b))
	}
	for revision := max(a.compacted, 1); revision <= a.applied; revision++ {
		x, errX := a.Scan(Query{Revision: revision})
		y, errY := b.Scan(Query{Revision: revision})
		if errX != nil || errY != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("two stores differ at %d:\n%+v, %v\n%+v, %v", revision, x, errX, y, errY)
		}
	}
	for _, key := range randomKeys {
		if x, y := a.History(key, 0, 0), b.History(key, 0, 0); !reflect.DeepEqual(x, y) {
			t.Fatalf("two stores differ in the history of %q:\n%+v\n%+v", key, x, y)
		}
	}
	for _, r := range []Retention{{Age: 1000}, {Revisions: 5}, {Bytes: 2000}, {Bytes: 20000}, {}} {
		x, dueX := a.Overdue(r)
		y, dueY := b.Overdue(r)
		if x != y || dueX != dueY {
			t.Fatalf("by %+v, overdue is %d, %t in one store and %d, %t in another", r, x, dueX, y, dueY)
		}
	}
	if a.cut == b.cut {
		x, y := newDisk(), newDisk()
		x.save(t, a.Delta(0))
		y.save(t, b.Delta(0))
		checkSameRows(t, x, y)
	}
}

// A store that is loaded from deltas is the store that they came from, and goes on as that does, also where a half of a
// compaction is cut.
func TestStoreComesBackFromItsDeltas(t *testing.T) { // T44, T45
	t.Parallel()
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s, m, d := New(), newModel(), newDisk()
		copied, copyDisk := New(), newDisk()
		for revision := uint64(1); revision <= 300; revision++ {
			e := randomEntry(rng, revision, m.compacted)
			s.applyEntry(revision, e)
			copied.applyEntry(revision, e)
			m.apply(e)
			if s.Digest() != copied.Digest() {
				t.Fatalf("seed %d: after %d the restarted store differs:\n%s\n%s", seed, revision, describe(s), describe(copied))
			}
			if rng.IntN(6) == 0 {
				d.save(t, s.Delta(d.meta.Applied))
				if rng.IntN(3) > 0 {
					s.Checkpointed(d.meta.Applied)
				}
				copyDisk.save(t, copied.Delta(copyDisk.meta.Applied))
				copied.Checkpointed(copyDisk.meta.Applied)
				checkSameRows(t, d, copyDisk)
			}
			if rng.IntN(20) == 0 {
				copyDisk = d.clone()
				copied = copyDisk.mustLoad(t, rng.IntN(2) == 0)
				for again := d.meta.Applied + 1; again <= revision; again++ {
					copied.applyEntry(again, m.entry(again))
				}
				checkSame(t, s, copied)
				checkReads(t, copied, m)
				checkHeld(t, copied, m)
			}
		}
	}
}

func checkSameRows(t *testing.T, a, b *disk) {
	t.Helper()
	if a.meta != b.meta || !reflect.DeepEqual(a.records, b.records) || !reflect.DeepEqual(a.past, b.past) {
		t.Fatalf("two checkpoints differ:\n%+v\n%+v", a, b)
	}
}

// A delta from the start is all that a store holds, whether it still has the list of all changes or not.
func TestDeltaFromTheStartIsTheWholeStore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 4))
		s, m := New(), newModel()
		for revision := uint64(1); revision <= 10+20*seed; revision++ {
			e := randomEntry(rng, revision, m.compacted)
			s.applyEntry(revision, e)
			m.apply(e)
		}
		for _, checkpointed := range []uint64{0, s.applied / 2, s.applied} {
			s.Checkpointed(checkpointed)
			d := newDisk()
			d.save(t, s.Delta(0))
			copied := d.mustLoad(t, false)
			checkSame(t, s, copied)
			checkReads(t, copied, m)
			if whole := s.Delta(s.floor - min(s.floor, 1)); s.floor > 0 && whole.Since != 0 {
				t.Fatalf("seed %d: a delta from before the checkpoint is one after %d", seed, whole.Since)
			}
		}
	}
}

// What a delta refers to stays as it was while the store goes on.
func TestDeltaDoesNotChangeLater(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 5))
	s, m := New(), newModel()
	var delta *Delta
	want := newDisk()
	for revision := uint64(1); revision <= 200; revision++ {
		e := randomEntry(rng, revision, m.compacted)
		s.applyEntry(revision, e)
		m.apply(e)
		if revision == 100 {
			delta = s.Delta(0)
			want.save(t, delta)
			for key, r := range want.records {
				r.Value = slices.Clone(r.Value)
				want.records[key] = r
			}
			s.Checkpointed(100)
		}
	}
	got := newDisk()
	got.save(t, delta)
	checkSameRows(t, got, want)
}

// What is cut is forgotten at once, but for the last change of a key that no checkpoint has.
func TestCutChangesAreForgotten(t *testing.T) {
	t.Parallel()
	s := New()
	put := func(key string) {
		s.applyText(s.Applied()+1, (&Put{Key: []byte(key), Value: []byte("1")}).AppendJSON(nil))
	}
	compact := func() {
		s.applyText(s.Applied()+1, (&Compact{Revision: s.Applied()}).AppendJSON(nil))
		for s.cut < s.compacted {
			s.applyText(s.Applied()+1, nil)
		}
	}
	check := func(when string, changes, late, inDelta int) {
		t.Helper()
		gotChanges, gotLate := int(s.changes.next-s.changes.first), int(s.late.next-s.late.first)
		gotInDelta := len(s.Delta(s.floor).Changes)
		if gotChanges != changes || gotLate != late || gotInDelta != inDelta {
			t.Errorf("%s: %d changes that are not cut, %d that are cut, and %d in a delta; want %d, %d and %d", when, gotChanges,
				gotLate, gotInDelta, changes, late, inDelta)
		}
	}
	for range 10 * blockSize {
		put("a")
	}
	put("b")
	check("before a compaction", 10*blockSize+1, 0, 10*blockSize+1)
	compact()
	check("two keys", 0, 2, 2)
	put("a")
	check("a key is written again", 1, 2, 3)
	compact()
	check("its last change is cut as well", 0, 3, 3)
	s.Checkpointed(s.Applied() + 100)
	check("a checkpoint has them", 0, 0, 0)
	put("c")
	s.Checkpointed(s.Applied())
	check("a checkpoint has what is not cut", 1, 0, 0)
	compact()
	check("what a checkpoint has is cut", 0, 0, 0)
	s.Checkpointed(s.Applied() + 100)
	put("d")
	compact()
	check("a checkpoint cannot have what comes later", 0, 1, 1)
	s.Checkpointed(s.Applied())
	for _, l := range []changeList{s.changes, s.late} {
		for _, b := range l.blocks {
			if b.entries != [blockSize]listed{} {
				t.Error("a block holds a change that is forgotten")
			}
		}
		if len(l.blocks) > 1 {
			t.Errorf("%d blocks for nothing", len(l.blocks))
		}
	}
}

// A delta in parts has every change of a revision that makes more than a part has.
func TestADeltaHasWholeRevisions(t *testing.T) { // T44
	t.Parallel()
	s, d := New(), newDisk()
	for i := range 30 {
		s.applyText(s.Applied()+1, fmt.Appendf(nil, `{"op":"put","key":"k%02d","value":"v"}`, i))
	}
	d.save(t, s.Delta(0))
	s.Checkpointed(s.Applied())
	s.applyText(s.Applied()+1, []byte(`{"op":"delete","prefix":"k"}`))
	delta := NewDelta(30)
	for s.Extend(delta, 7) {
	}
	d.save(t, delta)
	checkSame(t, s, d.mustLoad(t, true))
}

// checkpointed returns a checkpoint of a store with a little of everything.
func checkpointed(t *testing.T) *disk {
	t.Helper()
	s := New()
	for i, command := range []string{
		`{"op":"put","key":"a","value":"1"}`, `{"op":"put","key":"a","value":"2"}`, `{"op":"put","key":"a","value":"3"}`,
		`{"op":"put","key":"b","value":"1"}`, `{"op":"delete","key":"b"}`, `{"op":"put","key":"b","value":"2"}`,
		`{"op":"delete","key":"b"}`, `{"op":"put","key":"c","value":"1"}`, `{"op":"put","key":"c","value":"2"}`,
		`{"op":"compact","revision":2}`,
	} {
		s.applyText(uint64(i+1), []byte(command))
	}
	d := newDisk()
	d.save(t, s.Delta(0))
	checkSame(t, s, d.mustLoad(t, true))
	return d
}

func TestLoaderRefusesWhatNoStoreHolds(t *testing.T) { // T54
	t.Parallel()
	record := func(key string, edit func(*Record)) func(*disk) {
		return func(d *disk) {
			r := d.records[key]
			edit(&r)
			d.records[key] = r
		}
	}
	past := func(until uint64, edit func(*Past)) func(*disk) {
		return func(d *disk) {
			p := d.past[[2]uint64{until, 0}]
			delete(d.past, [2]uint64{until, 0})
			edit(&p)
			d.past[[2]uint64{p.Until, uint64(p.UntilPosition)}] = p
		}
	}
	// What only the sum shows. All else is refused also where the sum fits.
	bySum := []string{
		"value", "content type", "past value", "past key", "past time", "no record of 1", "no past", "no past of a deletion",
		"sum", "keys",
	}
	for name, damage := range map[string]func(*disk){
		"value":                record("a", func(r *Record) { r.Value = []byte("4") }),
		"content type":         record("a", func(r *Record) { r.ContentType = "text/plain" }),
		"version":              record("a", func(r *Record) { r.Version = 1 }),
		"create revision":      record("a", func(r *Record) { r.CreateRevision = 2 }),
		"no create revision":   record("a", func(r *Record) { r.CreateRevision = 0 }),
		"revision":             record("c", func(r *Record) { r.ModRevision = 10 }),
		"revision of the past": record("c", func(r *Record) { r.ModRevision = 8 }),
		"revision of later":    record("a", func(r *Record) { r.ModRevision = 11 }),
		"position":             record("a", func(r *Record) { r.Position = 1 }),
		"negative position":    record("a", func(r *Record) { r.Position = -1 }),
		"time":                 record("a", func(r *Record) { r.Modified++ }),
		"time of later": func(d *disk) {
			record("a", func(r *Record) { r.Modified = 1e9 })(d)
			past(3, func(p *Past) { p.UntilModified = 1e9 })(d)
		},
		"create revision before version 1": func(d *disk) {
			record("c", func(r *Record) { r.CreateRevision = 7 })(d)
			past(9, func(p *Past) { p.Record.CreateRevision = 7 })(d)
		},
		"another key":           record("a", func(r *Record) { r.Key = "aa" }),
		"no record":             func(d *disk) { delete(d.records, "c") },
		"no record of 1":        func(d *disk) { delete(d.records, "a") },
		"one record more":       func(d *disk) { d.records["d"] = d.records["a"] },
		"past value":            past(3, func(p *Past) { p.Record.Value = []byte("x") }),
		"past end":              past(3, func(p *Past) { p.Until = 4 }),
		"past end at 0":         past(3, func(p *Past) { p.UntilPosition = 1 }),
		"past end before 0":     past(3, func(p *Past) { p.UntilPosition = -1 }),
		"past end cut":          past(3, func(p *Past) { p.Until = 2; p.Record.ModRevision = 1 }),
		"past end to come":      past(7, func(p *Past) { p.Until = 11 }),
		"past end before it":    past(3, func(p *Past) { p.Record.ModRevision = 3 }),
		"past deleted":          past(3, func(p *Past) { p.Deleted = true }),
		"past not deleted":      past(7, func(p *Past) { p.Deleted = false }),
		"past time":             past(7, func(p *Past) { p.UntilModified++ }),
		"past time of a put":    past(9, func(p *Past) { p.UntilModified++ }),
		"past create revision":  past(7, func(p *Past) { p.Record.CreateRevision, p.Record.Version = 5, 2 }),
		"past key":              past(7, func(p *Past) { p.Record.Key = "bb" }),
		"past version":          past(9, func(p *Past) { p.Record.Version = 2 }),
		"past not deleted once": past(5, func(p *Past) { p.Deleted = false }),
		"no past":               func(d *disk) { delete(d.past, [2]uint64{3, 0}) },
		"no past of a deletion": func(d *disk) { delete(d.past, [2]uint64{5, 0}) },
		"sum":                   func(d *disk) { d.meta.Sum++ },
		"keys":                  func(d *disk) { d.meta.Keys++ },
		"applied":               func(d *disk) { d.meta.Applied = 8 },
		"compacted":             func(d *disk) { d.meta.Compacted = 11 },
		"cut":                   func(d *disk) { d.meta.Cut = 3 },
	} {
		d := checkpointed(t)
		damage(d)
		if !slices.Contains(bySum, name) {
			d.correct()
		}
		for _, pastFirst := range []bool{false, true} {
			if s, err := d.load(pastFirst); err == nil {
				t.Errorf("%s: loaded as %s", name, describe(s))
			} else if strings.ToLower(err.Error()[:1]) != err.Error()[:1] {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A version that a write ended does not become the record of its key.
func TestLoaderDoesNotReviveAnEndedVersion(t *testing.T) {
	t.Parallel()
	d := checkpointed(t)
	delete(d.records, "c")
	d.correct()
	d.meta.Keys++
	if s, err := d.load(false); err == nil {
		t.Errorf("loaded as %s", describe(s))
	}
}

func TestLoaderRefusesAnotherOrder(t *testing.T) {
	t.Parallel()
	d := checkpointed(t)
	l := NewLoader(d.meta)
	if err := l.Add(d.records["c"]); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "c"} {
		if err := l.Add(d.records[key]); err == nil || !strings.Contains(err.Error(), "in the order of their keys") {
			t.Errorf("%s after c: %v", key, err)
		}
	}
	list := d.sortedPast()
	if err := l.AddPast(list[1]); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1} {
		if err := l.AddPast(list[i]); err == nil || !strings.Contains(err.Error(), "in the order of the changes") {
			t.Errorf("past version %d after 1: %v", i, err)
		}
	}
}

// FuzzLoader checks that no rows make the loader panic, or make a store that breaks.
func FuzzLoader(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		d := checkpointed(t)
		next := func(n int) int {
			if len(bytes) == 0 {
				return 0
			}
			b := bytes[0]
			bytes = bytes[1:]
			return int(b) % n
		}
		for len(bytes) > 0 {
			mutate(d, next)
		}
		s, err := d.load(next(2) == 0)
		if err != nil && s == nil {
			return
		}
		for _, command := range []string{
			`{"op":"put","key":"a","value":"5"}`, `{"op":"delete","key":"b"}`, `{"op":"delete","key":"c"}`,
		} {
			s.applyText(s.Applied()+1, []byte(command))
		}
		s.applyText(s.Applied()+1, (&Compact{Revision: s.Applied()}).AppendJSON(nil))
		again := newDisk()
		again.save(t, s.Delta(0))
		checkSame(t, s, again.mustLoad(t, false))
	})
}

// mutate changes one number of the rows, and corrects the sum and the number of keys.
func mutate(d *disk, next func(int) int) {
	edit := func(r *Record) {
		switch v := uint64(next(12)); next(6) {
		case 0:
			r.ModRevision = v
		case 1:
			r.CreateRevision = v
		case 2:
			r.Version = v
		case 3:
			r.Key = string(rune('a' + v))
		case 4:
			r.Position = int(v)
		case 5:
			r.Modified = int64(v) * 1e6
		}
	}
	if list := d.sortedPast(); next(2) == 0 && len(list) > 0 {
		p := list[next(len(list))]
		delete(d.past, [2]uint64{p.Until, uint64(p.UntilPosition)})
		switch v := uint64(next(12)); next(4) {
		case 0:
			p.Until = v
		case 1:
			p.Deleted = !p.Deleted
		case 2:
			edit(&p.Record)
		}
		d.past[[2]uint64{p.Until, uint64(p.UntilPosition)}] = p
	} else if keys := slices.Sorted(maps.Keys(d.records)); len(keys) > 0 {
		r := d.records[keys[next(len(keys))]]
		delete(d.records, r.Key)
		edit(&r)
		d.records[r.Key] = r
	}
	d.correct()
	if next(4) == 0 {
		d.meta.Cut = uint64(next(4))
	}
}

// correct makes the sum and the number of keys those of the rows.
func (d *disk) correct() {
	d.meta.Keys, d.meta.Sum = len(d.records), 0
	for _, r := range d.records {
		d.meta.Sum += sumOf(&r)
	}
	for _, p := range d.past {
		d.meta.Sum += sumOf(&p.Record)
		if p.Deleted {
			d.meta.Sum += sumOf(&Record{
				Key: p.Record.Key, ModRevision: p.Until, Modified: p.UntilModified, Position: p.UntilPosition,
			})
		}
	}
}

// A delta that is made in parts, while the store changes and is cut, is the delta of the end.
func TestADeltaInPartsIsTheWholeDelta(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := New()
		write := func(n int) {
			for range n {
				command := fmt.Appendf(nil, `{"op":"put","key":"k%d","value":"%d"}`, rng.IntN(20), s.Applied())
				if rng.IntN(10) == 0 && s.Applied() > 20 {
					command = fmt.Appendf(nil, `{"op":"compact","revision":%d}`, s.Applied()-uint64(rng.IntN(20)))
				}
				s.Apply(Entry{Revision: s.Applied() + 1, Timestamp: int64(s.Applied()), Command: command})
			}
		}
		since := rng.IntN(50)
		write(since)
		parts, whole := newDisk(), newDisk()
		parts.save(t, s.Delta(0))
		whole.save(t, s.Delta(0))
		write(50 - since)
		d := NewDelta(uint64(since))
		for s.Extend(d, 1+rng.IntN(10)) {
			write(rng.IntN(4))
		}
		parts.save(t, d)
		whole.save(t, s.Delta(uint64(since)))
		checkSameRows(t, parts, whole)
	}
}
