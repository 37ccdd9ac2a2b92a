package storage

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// withMark returns a copy of a directory with a changed mark.
func withMark(t *testing.T, dir string, change func(m *mark)) string {
	t.Helper()
	copied := crashImage(t, dir)
	m, err := readMark(filepath.Join(copied, databaseName+markSuffix))
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	change(m)
	put(t, copied, markSuffix, m.appendTo(m.appendTo(nil)))
	return copied
}

// digestOf returns the digest of the first entries of a log.
func digestOf(log []raft.Entry, last raft.Index) (digest raft.Digest) {
	for _, e := range log[:last] {
		digest = extend(digest, e)
	}
	return digest
}

// Each field of a mark is compared by itself: if any is beyond the database, the disk lost what was saved. The other
// fields match the database, so that no other comparison detects it.
func TestEachPartOfTheMarkIsCompared(t *testing.T) { // T1, T28, T54
	t.Parallel()
	a := age(t)
	end := raft.Index(len(a.want.log))
	for name, c := range map[string]struct {
		change func(m *mark)
		says   string
	}{
		"a vote for another in the same term": {func(m *mark) { m.state.Vote = 2 }, "the vote for member 2 had been saved"},
		"a later term":                        {func(m *mark) { m.state.Term++ }, "but term 5"},
		"a later term without a vote":         {func(m *mark) { m.state.Term++; m.state.Vote = 0 }, "but term 5"},
		"a later write of node_state":         {func(m *mark) { m.version++ }, "had been written"},
		"a committed entry behind the end":    {func(m *mark) { m.state.Commit = end + 1 }, "entry 1011 had been saved"},
		"a committed entry behind the end, before other writes": {
			func(m *mark) { m.version, m.state.Commit = m.version-1, end+1 }, "entry 1011 had been saved",
		},
		"an entry behind the end":           {func(m *mark) { m.end.index++ }, "entry 1011 had been saved"},
		"another log of the same length":    {func(m *mark) { m.end.digest++ }, "digest"},
		"another log that was shorter":      {func(m *mark) { m.end.index -= 5 }, "digest"},
		"another log that was one entry":    {func(m *mark) { m.end.index = 1 }, "digest"},
		"a digest of a log without entries": {func(m *mark) { m.end = tail{0, 7} }, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := withMark(t, a.now, c.change)
			if _, err := Open(dir, small); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			wantRefused(t, dir, ErrIncomplete)
		})
	}
}

// After a power loss the mark may be older than the database. Then it is a lower bound.
func TestAMarkThatIsOlderIsALowerBound(t *testing.T) {
	t.Parallel()
	a := age(t)
	end := raft.Index(len(a.want.log))
	for name, change := range map[string]func(m *mark){
		"before the vote":       func(m *mark) { m.state.Vote = 0 },
		"before the term":       func(m *mark) { m.state.Term--; m.state.Vote = 2 },
		"before the last write": func(m *mark) { m.version-- },
		"before a longer end was replaced": func(m *mark) {
			m.version--
			m.end = tail{end + 50, 12345}
		},
		"before an end of the same length was replaced": func(m *mark) { m.version--; m.end.digest++ },
		"before the last entries":                       func(m *mark) { m.end = tail{end - 5, digestOf(a.want.log, end-5)} },
		"before the first entry":                        func(m *mark) { m.end = tail{} },
		"before anything was committed":                 func(m *mark) { m.state.Commit = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantDisk(t, mustRead(t, withMark(t, a.now, change)), a.want)
		})
	}
}

// What a start takes from the mark is there at the next start, whatever happened to the mark meanwhile.
func TestTheCommitIndexOfTheMarkIsTaken(t *testing.T) {
	t.Parallel()
	a := age(t)
	end := raft.Index(len(a.want.log))
	dir := withMark(t, a.now, func(m *mark) { m.state.Commit = end })
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	image := crashImage(t, dir)
	if state, _, err := d.LoadLog(0, 0); err != nil || state.Commit != end {
		t.Errorf("after the start the commit index is %d, %v; want %d", state.Commit, err, end)
	}
	mustClose(t, d)
	for what, dir := range map[string]string{"a crash": image, "a stop": dir} {
		if got := mustRead(t, dir).state.Commit; got != end {
			t.Errorf("after %s the commit index is %d, want %d", what, got, end)
		}
	}
}

// The sequence of the marks continues where the last process ended, so that the newer line is never taken for the
// older.
func TestMarksAreCountedOn(t *testing.T) {
	t.Parallel()
	a := age(t)
	read := func(dir string) *mark {
		t.Helper()
		m, err := readMark(filepath.Join(dir, databaseName+markSuffix))
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		return m
	}
	before := read(a.now)
	d := mustOpen(t, a.now, small)
	opened := read(a.now)
	if opened.sequence <= before.sequence {
		t.Errorf("after the start the mark has the number %d, and had %d", opened.sequence, before.sequence)
	}
	for i := range raft.Index(3) { // one more than there are lines, and each may be the lost one
		state := raft.HardState{Term: 6, Vote: 1, Commit: a.want.state.Commit}
		mustSave(t, d, state, entries(6, 1011+i, 1011+i))
		m := read(a.now)
		if want := opened.sequence + 1 + uint64(i); m.sequence != want || m.end.index != 1011+i || m.state.Term != 6 {
			t.Errorf("after save %d the mark is %+v, want number %d", i, *m, want)
		}
		lines := content(t, a.now, markSuffix)
		first, good1 := parseMark(lines[:markSlot])
		second, good2 := parseMark(lines[markSlot:])
		if !good1 || !good2 || first.sequence+second.sequence != 2*m.sequence-1 {
			t.Errorf("after save %d the lines are %+v and %+v", i, first, second)
		}
	}
}

// A suffix is replaced by a shorter one in the same term, as the leader's messages order it: the term and the vote
// were saved before. The mark from before that, which a power loss restores, has more entries, and nothing is lost.
func TestAMarkFromBeforeAReplacedSuffixIsALowerBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	state := raft.HardState{Term: 9, Vote: 1}
	mustSave(t, d, state, entries(1, 1, 10))
	mustSave(t, d, state, entries(1, 11, 40)) // node_state is unchanged
	want := disk{state, entries(1, 1, 40)}
	old := content(t, dir, markSuffix)
	mustSave(t, d, state, entries(2, 20, 22))
	want = want.with(state, entries(2, 20, 22))
	image := crashImage(t, dir)
	put(t, image, markSuffix, old)
	wantDisk(t, mustRead(t, image), want)
}

// A save with a lower commit index than the mark, such as that of a vote, does not move it back.
func TestASaveTakesNoCommitIndexBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Vote: 1, Commit: 3}, entries(1, 1, 20))
	if err := d.NoteCommit(15); err != nil {
		t.Fatal(err)
	}
	for _, save := range []struct {
		state raft.HardState
		list  []raft.Entry
	}{
		{raft.HardState{Term: 1, Vote: 1, Commit: 3}, entries(1, 21, 21)},
		{raft.HardState{Term: 2, Vote: 2, Commit: 3}, nil},
	} {
		mustSave(t, d, save.state, save.list)
		if got := mustRead(t, crashImage(t, dir)).state.Commit; got != 15 {
			t.Errorf("after %+v the commit index is %d, want 15", save.state, got)
		}
	}
}

// A line of the mark with any changed bit is ignored: a number that is too low would accept a disk that lost its end,
// and one that is too high would refuse a good one.
func TestALineOfTheMarkWithAFlippedBitCountsForNothing(t *testing.T) {
	t.Parallel()
	m := mark{
		sequence: 123_456, version: 789, state: raft.HardState{Term: 41, Vote: 2, Commit: 12_345},
		end: tail{12_346, 3_141_592_653},
	}
	line := m.appendTo(nil)
	if got, good := parseMark(line); !good || got != m {
		t.Fatalf("%q is read as %+v, %t", line, got, good)
	}
	for i := range line {
		for bit := range 8 {
			line[i] ^= 1 << bit
			if got, good := parseMark(line); good {
				t.Errorf("with bit %d of byte %d flipped, %q is read as %+v", bit, i, line, got)
			}
			line[i] ^= 1 << bit
		}
	}
}
