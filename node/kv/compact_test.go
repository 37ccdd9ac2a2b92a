package kv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// puts applies puts of a key, one an entry.
func puts(s *Store, key string, n int) {
	for i := range n {
		s.applyText(s.Applied()+1, (&Put{Key: []byte(key), Value: fmt.Appendf(nil, "%d", i)}).AppendJSON(nil))
	}
}

func compactTo(s *Store, revision uint64) Result {
	return s.applyText(s.Applied()+1, (&Compact{Revision: revision}).AppendJSON(nil))
}

func TestCompact(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"put","key":"a","value":"1"}`, Result{Revision: 1, Created: true}},
		{`{"op":"put","key":"a","value":"2"}`, Result{Revision: 2}},
		{`{"op":"delete","key":"a"}`, Result{Revision: 3, Deleted: true}},
		{`{"op":"put","key":"b","value":"1"}`, Result{Revision: 4, Created: true}},
		{`{"op":"compact","revision":5}`, Result{Code: CodeInvalid}},
		{`{"op":"compact","revision":2}`, Result{Revision: 2}},
		{`{"op":"compact","revision":1}`, Result{Revision: 2}},
		{`{"op":"compact","revision":2}`, Result{Revision: 2}},
		{`{"op":"compact","revision":9}`, Result{Revision: 2, Code: CodeInvalid}},
	}.tell(t)
	if r, ok, err := s.GetAt("a", 2); err != nil || !ok || string(r.Value) != "2" {
		t.Errorf("at the oldest revision: %+v, %t, %v", r, ok, err)
	}
	var compacted *CompactedError
	for _, read := range []func() error{
		func() error { _, _, err := s.GetAt("a", 1); return err },
		func() error { _, _, err := s.GetAt("none", 1); return err },
		func() error { _, err := s.Scan(Query{Revision: 1}); return err },
		func() error { _, _, err := s.Count("", "", 1, 0); return err },
	} {
		if err := read(); !errors.As(err, &compacted) || compacted.Oldest != 2 {
			t.Errorf("before the oldest revision: %v", err)
		}
	}
	if s.Stats().Versions != 2 || s.Compacted() != 2 {
		t.Errorf("%+v is held at %d", s.Stats(), s.Compacted())
	}
	compactTo(s, 3)
	if s.Stats().Versions != 0 || s.items.Len() != 1 || len(s.History("a", 0, 0)) != 0 {
		t.Errorf("%+v is held, and %d keys", s.Stats(), s.items.Len())
	}
}

// A long history goes in parts, so that no entry takes long.
func TestCompactionRemovesAFewVersionsPerEntry(t *testing.T) {
	t.Parallel()
	s := New()
	puts(s, "a", 1000)
	before := s.Stats().Versions
	compactTo(s, 900)
	for _, left := range []int{before - 255, before - 511, before - 767, before - 899, before - 899} {
		if got := s.Stats().Versions; got != left {
			t.Errorf("%d versions are left at %d; want %d", got, s.Applied(), left)
		}
		if _, _, err := s.GetAt("a", 899); err == nil {
			t.Error("a revision can be read that is compacted")
		}
		if got := len(s.History("a", 0, 0)); got != 101 {
			t.Errorf("%d changes of the history are seen of 101", got)
		}
		s.applyText(s.Applied()+1, nil)
	}
	if s.cut != 900 {
		t.Errorf("cut up to %d", s.cut)
	}
}

// What a compaction makes unreachable goes with the same entry on every node, also on one that has just started.
func TestCutGoesOnAfterARestartAsWithoutOne(t *testing.T) { // T45
	t.Parallel()
	s := New()
	for i := range 700 {
		puts(s, fmt.Sprint("key-", i%10), 1)
	}
	compactTo(s, 690)
	d := newDisk()
	d.save(t, s.Delta(0))
	copied := d.mustLoad(t, false)
	for range 5 {
		checkSame(t, s, copied)
		if s.cut == s.compacted && s.Stats().Versions > 10 {
			t.Errorf("%+v is left", s.Stats())
		}
		s.applyText(s.Applied()+1, nil)
		copied.applyText(copied.Applied()+1, nil)
	}
	if s.cut != s.compacted {
		t.Errorf("cut up to %d of %d", s.cut, s.compacted)
	}
}

// A revision with many changes is cut at once, so that the number of a revision describes what is gone.
func TestARevisionIsCutAsAWhole(t *testing.T) {
	t.Parallel()
	s := New()
	var e entry
	for i := range 3 * cutPerEntry {
		e.edits = append(e.edits, edit{key: fmt.Sprintf("%04d", i), value: "1"})
	}
	for revision := range uint64(3) {
		s.applyEntry(revision+1, e)
	}
	s.applyEntry(4, entry{compact: 2})
	for revision := uint64(5); s.cut < 2; revision++ {
		if want := (2 - s.cut) * 3 * cutPerEntry; s.changes.next-s.changes.first != want+3*cutPerEntry {
			t.Errorf("cut up to %d, with %d changes left; want %d", s.cut, s.changes.next-s.changes.first, want)
		}
		s.applyEntry(revision, entry{})
	}
	if s.Stats().Versions != 3*cutPerEntry {
		t.Errorf("%+v is left", s.Stats())
	}
}

// An entry cuts twice as many changes as it makes beside cutPerEntry, so that the history goes faster than it comes.
// All nodes must cut alike: the number belongs to the state.
func TestAnEntryCutsMoreThanItMakes(t *testing.T) {
	t.Parallel()
	s := New()
	var g Group
	for i := range 100 {
		g.Add(&Put{Key: fmt.Append(nil, i), Value: []byte("1")})
	}
	puts := g.Take()
	for range 20 {
		s.applyText(s.Applied()+1, puts)
	}
	s.applyText(21, []byte(`{"op":"compact","revision":20}`))
	uncut := s.changes.first
	s.applyText(22, puts)
	if cut, want := s.changes.first-uncut, uint64(500); cut != want { // 456, and the rest of a revision
		t.Errorf("an entry of 100 changes cut %d; want %d", cut, want)
	}
}

// A store that compacts as its retention wants has what the retention grants, and little more.
func TestOverdueKeepsTheHistoryWithinItsWindows(t *testing.T) {
	t.Parallel()
	const width = 640
	for name, r := range map[string]Retention{
		"age":       {Age: width * 1000},
		"revisions": {Revisions: width},
		"bytes":     {Bytes: width * 250},
		"all":       {Age: 2 * width * 1000, Revisions: width, Bytes: width * 1000},
	} {
		rng := rand.New(rand.NewPCG(1, 6))
		s, compactions := New(), 0
		for s.Applied() < 10*width {
			e := Entry{Revision: s.Applied() + 1, Timestamp: 1e9 + int64(s.Applied()+1)*1000}
			revision, due := s.Overdue(r)
			if due && revision > s.Compacted() {
				compactions++
				e.Command = (&Compact{Revision: revision}).AppendJSON(nil)
			} else {
				e.Command = (&Put{Key: fmt.Appendf(nil, "%d", rng.IntN(20)), Value: make([]byte, 20)}).AppendJSON(nil)
			}
			if result := s.Apply(e); result.Code != "" {
				t.Fatalf("%s: %+v", name, result)
			}
			checkWindows(t, name, s, r)
		}
		if compactions > 16*10 || compactions < 16*8 {
			t.Errorf("%s: %d compactions in 10 windows; want about 16 a window", name, compactions)
		}
	}
}

// checkWindows checks that a store holds what a retention grants, and not much more.
func checkWindows(t *testing.T, name string, s *Store, r Retention) {
	t.Helper()
	const slack = 2*17 + 1 // of 16: a sixteenth more, and rounding
	held, reached := s.Applied()-s.Compacted(), s.Compacted()
	age := int64(held) * 1000
	bytes := s.Stats().HistoryBytes
	if r.Revisions > 0 && held*16 > r.Revisions*17+slack || r.Age > 0 && age*16 > r.Age*17+slack*1000 ||
		r.Bytes > 0 && bytes*16 > r.Bytes*17+slack*1000 {
		t.Fatalf("%s: at %d, the history of %+v reaches back to %d", name, s.Applied(), s.Stats(), reached)
	}
	granted := reached == 0
	granted = granted || r.Revisions > 0 && held >= r.Revisions
	granted = granted || r.Age > 0 && age >= r.Age
	granted = granted || r.Bytes > 0 && bytes+1000 >= r.Bytes
	if !granted {
		t.Fatalf("%s: at %d, the history of %+v reaches back to %d only", name, s.Applied(), s.Stats(), reached)
	}
}

// What is compacted but not yet cut does not count: it goes without another compaction.
func TestWhatIsCompactedIsNotOverdueAgain(t *testing.T) {
	t.Parallel()
	s := New()
	puts(s, "a", 2000)
	compactTo(s, 1900)
	size := s.Stats().HistoryBytes / int64(s.Stats().Versions)
	for _, r := range []Retention{{Bytes: 100 * size}, {Revisions: 97}, {Age: 97e6}} {
		if revision, due := s.Overdue(r); s.cut == s.compacted || !due || revision != 1900 {
			t.Errorf("by %+v, overdue is %d, %t, with a cut at %d", r, revision, due, s.cut)
		}
	}
}

// By bytes, a history is cut exactly as far as its window needs.
func TestOverdueBytesAreNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 9))
	s, m := New(), newModel()
	for revision := uint64(1); revision <= 1200; revision++ {
		e := randomEntry(rng, revision, m.compacted)
		if e.compact > 0 && revision > 300 {
			e.compact = 0
		}
		s.applyEntry(revision, e)
		m.apply(e)
	}
	left := func(revision uint64) (bytes int64) {
		for n := s.changes.first; n < s.changes.next; n++ {
			if c := s.changes.at(n); c.made.ModRevision > revision {
				bytes += c.freed()
			}
		}
		return bytes
	}
	if left(0) != s.Stats().HistoryBytes {
		t.Fatalf("%d bytes of history are listed of %d", left(0), s.Stats().HistoryBytes)
	}
	for window := s.Stats().HistoryBytes * 15 / 16; window > 0; window -= 1 + rng.Int64N(s.Stats().HistoryBytes/300) {
		for _, exact := range []int64{window, left(1100)} {
			revision, due := s.Overdue(Retention{Bytes: exact})
			if !due || left(revision) > exact || left(revision-1) <= exact {
				t.Fatalf("by %d bytes, overdue is %d, %t: it leaves %d, and the revision before %d",
					exact, revision, due, left(revision), left(revision-1))
			}
		}
	}
}

func TestNothingIsOverdueWithoutAReason(t *testing.T) {
	t.Parallel()
	s := New()
	expect := func(r Retention, want uint64, wantDue bool) {
		t.Helper()
		if revision, due := s.Overdue(r); revision != want || due != wantDue {
			t.Errorf("by %+v of %d entries, overdue is %d, %t; want %d, %t", r, s.Applied(), revision, due, want, wantDue)
		}
	}
	strict := Retention{Age: 1, Revisions: 1, Bytes: 1}
	expect(strict, 0, false)
	for range 100 {
		s.applyText(s.Applied()+1, nil) // entries that change nothing have no history
	}
	expect(strict, 0, false)
	puts(s, "a", 1000)
	expect(Retention{}, 0, false)
	expect(Retention{Revisions: 1000, Age: 1e15, Bytes: 1e9}, 0, false)
	expect(Retention{Revisions: 100}, 1000, true)
	expect(Retention{Age: 100e6}, 1000, true)
	size := s.Stats().HistoryBytes / 999
	if revision, due := s.Overdue(Retention{Bytes: 100 * size}); !due || revision < 990 || revision > 1010 {
		t.Errorf("by 100 versions, overdue is %d, %t", revision, due)
	}
	expect(strict, 1100, true)
	compactTo(s, 1100)
	expect(strict, 1100, true) // nothing else would cut what is left
	for range 3 {
		s.applyText(s.Applied()+1, nil)
	}
	expect(strict, 1100, false)
	puts(s, "a", 1)
	s.applyText(s.Applied()+1, nil)
	expect(strict, s.Applied()-1, true)
}

// A clock that jumped ahead and came back ages no change: time in the store stands still until the clocks get there.
func TestReplicatedTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	s := New()
	put := []byte(`{"op":"incr","key":"a"}`)
	for i, at := range []int64{10, 20, 1000, 30, 40, 1010} {
		s.Apply(Entry{Revision: uint64(i + 1), Timestamp: at, Command: put})
	}
	want := []int64{1010, 1000, 1000, 1000, 20, 10}
	for i, c := range s.History("a", 0, 0) {
		if c.Record.Modified != want[i] {
			t.Errorf("revision %d was made at %d; want %d", c.Revision, c.Record.Modified, want[i])
		}
	}
	if revision, due := s.Overdue(Retention{Age: 500}); !due || revision != 2 {
		t.Errorf("by an age of 500, overdue is %d, %t", revision, due)
	}
	if s.meta().Time != 1010 {
		t.Errorf("the time is %d", s.meta().Time)
	}
}

// The memory of a long history of one key goes with it.
func TestAKeyDoesNotKeepTheRoomOfAHistoryThatWasLong(t *testing.T) {
	t.Parallel()
	s := New()
	puts(s, "a", 10_000)
	compactTo(s, 9_990)
	for s.cut < s.compacted {
		s.applyText(s.Applied()+1, nil)
	}
	it, _ := s.find([]byte("a"))
	if got := cap(it.past.versions); len(it.ended()) != 10 || got > 4*10+64 {
		t.Errorf("%d versions before the newest have room for %d", len(it.ended()), got)
	}
	for _, v := range it.past.versions[:cap(it.past.versions)] {
		if v != nil && v.ModRevision < 9_990 {
			t.Errorf("the version of revision %d is held", v.ModRevision)
		}
	}
	checkAllHeld(t, s, "a", 9_990)
}

// checkAllHeld checks that the history of a key has each revision from one on, made by puts.
func checkAllHeld(t *testing.T, s *Store, key string, from uint64) {
	t.Helper()
	history := s.History(key, 0, 0)
	for i, c := range history {
		if string(c.Record.Value) != fmt.Sprint(c.Revision-1) || i > 0 && c.Revision != history[i-1].Revision-1 {
			t.Fatalf("change %d of %q is %+v", i, key, c)
		}
	}
	if len(history) == 0 || history[len(history)-1].Revision != from {
		t.Errorf("the history of %q has %d changes, and does not begin at %d", key, len(history), from)
	}
}
