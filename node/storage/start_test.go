package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// startOf returns the start of a log whose entries up to an index were removed.
func startOf(log []raft.Entry, upTo raft.Index) raft.LogStart {
	start := raft.LogStart{Index: upTo, Term: log[upTo-1].Term, Seats: []raft.Seat{{Member: 4, Incarnation: 1 << 53}}}
	for _, e := range log[:upTo] {
		start.Digest = extend(start.Digest, e)
	}
	return start
}

// cutDirectory returns a directory that was saved to and closed, and from whose log the entries up to an index were
// removed, as one transaction does it.
func cutDirectory(tb testing.TB, want disk, upTo raft.Index) string {
	tb.Helper()
	dir := tb.TempDir()
	d := mustOpen(tb, dir, small)
	mustSave(tb, d, want.state, want.log)
	mustSaveState(tb, d, upTo)
	mustClose(tb, d)
	removeEntries(tb, filepath.Join(dir, databaseName), upTo, formatStart(startOf(want.log, upTo)), want)
	return dir
}

// removeEntries deletes rows and writes the start of the log, with a checksum that fits.
func removeEntries(tb testing.TB, path string, upTo raft.Index, start string, want disk) {
	tb.Helper()
	c, err := connect(path, "ro", commonPragmas, nil)
	if err != nil {
		tb.Fatal(err)
	}
	facts := map[string]string{keyStart: start}
	err = errors.Join(c.query(factsStatement, func(row []driver.Value) error {
		facts[fmt.Sprint(row[0])] = fmt.Sprint(row[1])
		return nil
	}), c.close())
	if err != nil {
		tb.Fatal(err)
	}
	facts[keyStart] = start
	anchor := tail{index: raft.Index(len(want.log))}
	for _, e := range want.log {
		anchor.digest = extend(anchor.digest, e)
	}
	runSQL(tb, path, beginStatement, fmt.Sprintf("DELETE FROM logs WHERE id <= %d", upTo),
		fmt.Sprintf("INSERT OR REPLACE INTO node_state VALUES ('%s', '%s')", keyStart, start),
		fmt.Sprintf("UPDATE node_state SET value = '%s' WHERE key = '%s'", formatCRC(facts, anchor), keyCRC),
		commitStatement)
}

// wantLog checks the whole log, as LoadLog and Range return it.
func wantLog(t *testing.T, d *DB, start raft.LogStart, entries []raft.Entry) {
	t.Helper()
	for range 2 { // what Open read, and what is read again
		_, log, err := d.LoadLog(0, 0)
		if err != nil || !reflect.DeepEqual(log.Start, start) || !slices.EqualFunc(log.Entries, entries, sameEntry) {
			t.Fatalf("the log starts after %+v with %d entries (%v), want %+v and %d", log.Start, len(log.Entries), err,
				start, len(entries))
		}
	}
	for from := raft.Index(0); from <= start.Index+raft.Index(len(entries))+2; from++ {
		want := entries[min(max(from, start.Index+1)-start.Index-1, raft.Index(len(entries))):]
		want = want[:min(3, len(want))]
		if got, err := d.Range(from, 3); err != nil || !slices.EqualFunc(got, want, sameEntry) {
			t.Fatalf("from %d: %v, %v; want %v", from, got, err, want)
		}
	}
}

func sameEntry(a, b raft.Entry) bool { return reflect.DeepEqual(a, b) }

func TestALogFromWhichEntriesWereRemoved(t *testing.T) {
	t.Parallel()
	for _, upTo := range []raft.Index{1, 17, 39, 40} {
		want := disk{raft.HardState{Term: 3, Vote: 2, Commit: upTo}, entries(3, 1, 40)}
		start := startOf(want.log, upTo)
		dir := cutDirectory(t, want, upTo)
		d := mustOpen(t, dir, small)
		wantLog(t, d, start, want.log[upTo:])
		facts, err := d.Facts()
		if _, is := facts[keyStart]; err != nil || is {
			t.Errorf("the facts of the callers are %v, %v", facts, err)
		}
		if err := d.SaveFacts(map[string]string{keyStart: ""}); err == nil {
			t.Error("a caller may write the start of the log")
		}
		for _, first := range []raft.Index{0, 1, upTo, 42} {
			if err := d.Save(want.state, entries(3, first, 45)); err == nil {
				t.Errorf("entries from %d on are saved in a log from %d to 40", first, upTo+1)
			}
		}

		more := append(want.log[upTo:len(want.log):len(want.log)], entries(3, 41, 60)...)
		mustSave(t, d, want.state, more[len(want.log[upTo:]):])
		wantLog(t, d, start, more)
		image := crashImage(t, dir)
		replaced := entries(4, upTo+1, upTo+3) // from the first on
		mustSave(t, d, raft.HardState{Term: 4, Commit: upTo}, replaced)
		wantLog(t, d, start, replaced)
		mustClose(t, d)

		d = mustOpen(t, image, small)
		wantLog(t, d, start, more)
		d = mustOpen(t, dir, small)
		wantLog(t, d, start, replaced)
	}
}

// A log of which nothing is left goes on where it ended.
func TestAnEmptyLogContinues(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Commit: 5}, entries(3, 1, 5)}
	dir := cutDirectory(t, want, 5)
	d := mustOpen(t, dir, small)
	mustSave(t, d, want.state, entries(3, 6, 2100)) // more than between two anchors
	mustClose(t, d)
	d = mustOpen(t, dir, small)
	if _, log, err := d.LoadLog(0, 0); err != nil || log.Last() != 2100 || !sameEntry(*log.Entry(6), entries(3, 6, 6)[0]) {
		t.Errorf("the log ends at %d, %v", log.Last(), err)
	}
}

func TestABrokenStartIsRefused(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Commit: 30}, entries(3, 1, 40)}
	good := startOf(want.log, 20)
	changed := func(change func(*raft.LogStart)) string {
		start := good
		change(&start)
		return formatStart(start)
	}
	for name, c := range map[string]struct {
		upTo  raft.Index
		start string
	}{
		"no start":              {20, ""},
		"no JSON":               {20, "20"},
		"not as it was written": {20, strings.Replace(formatStart(good), ",", ", ", 1)},
		"an unknown field":      {20, strings.Replace(formatStart(good), "{", `{"config":1,`, 1)},
		"index 0":               {20, changed(func(s *raft.LogStart) { s.Index = 0 })},
		"a negative index":      {20, changed(func(s *raft.LogStart) { s.Index = 1<<64 - 1 })},
		"another digest":        {20, changed(func(s *raft.LogStart) { s.Digest++ })},
		"entries not removed":   {19, formatStart(good)},
		"an entry is missing":   {21, formatStart(good)},
		"after the end":         {40, changed(func(s *raft.LogStart) { s.Index = 41 })},
	} {
		dir := t.TempDir()
		d := mustOpen(t, dir, small)
		mustSave(t, d, want.state, want.log)
		mustSaveState(t, d, 40)
		mustClose(t, d)
		removeEntries(t, filepath.Join(dir, databaseName), c.upTo, c.start, want)
		if err := os.Remove(filepath.Join(dir, stateName)); err != nil { // which would make the entries up to 40 needless
			t.Fatal(err)
		}
		if d, err := Open(dir, small); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				mustClose(t, d)
			}
		}
	}
}

// The mark of a log that ends before the start of this one, though node_state was not written since, is another disk's.
func TestAMarkFromBeforeTheStartIsRefused(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Commit: 30}, entries(3, 1, 40)}
	all := contents{start: startOf(want.log, 20), version: 7, state: want.state, end: tail{index: 40}}
	for end, refused := range map[raft.Index]bool{0: true, 19: true, 20: false} {
		m := mark{version: 7, end: tail{index: end}}
		if end == 20 {
			m.end.digest = all.start.Digest
		}
		if err := all.checkMark(&m, true); errors.Is(err, ErrIncomplete) != refused {
			t.Errorf("a mark that ends at %d: %v", end, err)
		}
	}
}
