package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// S9, T57: a log is written at its end and cut at its start, many times. Every page that a cut frees is used again, so
// the files stay as they are, and at each point a crash leaves the log as it was last saved.
func TestAFileThatIsCutReachesAPlateau(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	const window, perRound = 2000, 500
	var last raft.Index
	var plateau int64
	for round := range 60 / thinned {
		mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, last+1, last+perRound))
		last += perRound
		if last > window {
			mustSave(t, d, raft.HardState{Term: 1, Commit: last}, nil)
			mustCut(t, d, last-window)
		}
		if err := d.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		size, err := d.Sizes()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case round == 2*window/perRound:
			plateau = size
		case plateau > 0 && size > plateau+plateau/20:
			t.Fatalf("after %d entries raft.db and its log take %d bytes, and took %d after the first cuts", last, size, plateau)
		}
	}
	image := crashImage(t, dir)
	mustClose(t, d)
	for _, dir := range []string{image, dir} {
		got := mustRead(t, dir)
		wantDisk(t, got, disk{raft.HardState{Term: 1, Commit: last}, entries(1, last-window+1, last)})
	}
}

// T50: the effect of an entry must be durable in the checkpoint before the entry leaves the log.
func TestNothingIsCutThatNoCheckpointHolds(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 40}, entries(1, 1, 50))
	mustCut(t, d, 1)
	mustSaveState(t, d, 20)
	_, err := d.Cut(21, nil, raft.Configuration{})
	if err == nil || !strings.Contains(err.Error(), "invariant broken") || !strings.Contains(err.Error(), "T50") {
		t.Errorf("the error is %v", err)
	}
	if _, log, err := d.LoadLog(0, 0); err != nil || log.Start.Index != 1 || log.Last() != 50 {
		t.Errorf("the log was changed: %d to %d, %v", log.Start.Index, log.Last(), err)
	}
	if _, err := d.Cut(20, nil, raft.Configuration{}); err != nil {
		t.Error(err)
	}
	if _, err := d.Cut(7, nil, raft.Configuration{}); err != nil { // removed already
		t.Error(err)
	}
}

// A cut is made in transactions that a save can wait for: of few entries, and of few bytes.
func TestACutIsMadeInSmallTransactions(t *testing.T) {
	t.Parallel()
	var removed []string
	var counting injector = func(statement string, call func() error) error {
		if statement == deleteToStatement || statement == commitStatement {
			removed = append(removed, strings.Fields(statement)[0])
		}
		return call()
	}
	// Without slices: the end of the read transaction of one would count.
	d := mustOpen(t, t.TempDir(), Options{inject: counting, checkpointPages: 1000, slicePages: 1 << 30})
	list := entries(1, 1, 3*cutEntries)
	for i := range 4 { // each as long as one transaction may remove
		list[i].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", cutBytes))
	}
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3 * cutEntries}, list)
	mustSaveState(t, d, 2*cutEntries+4)
	removed = nil
	mustCut(t, d, 2*cutEntries+4)
	if want := 4 + 2; len(removed) != 2*want {
		t.Errorf("the cut is made by %v, want %d transactions", removed, want)
	}
	if got, err := d.Range(1, 1); err != nil || got[0].Index != 2*cutEntries+5 {
		t.Errorf("the log starts with %v, %v", got, err)
	}
}

// A cut needs no sync of its own while there are saves: each of them removes a part of it.
func TestACutWaitsForSaves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	commits := 0
	var counting injector = func(statement string, call func() error) error {
		if statement == commitStatement {
			commits++
		}
		return call()
	}
	d := mustOpen(t, dir, Options{inject: counting, checkpointPages: 4000})
	const last = 3 * cutEntries
	mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, 1, last))
	mustSaveState(t, d, 2*cutEntries+10)
	commits = 0
	cut := func(want int) {
		t.Helper()
		if waits, err := d.Cut(2*cutEntries+10, nil, raft.Configuration{}); !waits || err != nil || commits != want {
			t.Fatalf("Cut made %d transactions, want %d, %v", commits, want, err)
		}
	}
	cut(0)
	before := crashImage(t, dir)
	for i, want := range []raft.Index{cutEntries, 2 * cutEntries, 2 * cutEntries} { // few entries wait for company
		mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, last+1+raft.Index(i), last+1+raft.Index(i)))
		if start := d.start.Load().Index; start != want || commits != i+1 {
			t.Errorf("after %d saves and %d transactions the log starts after entry %d, want %d", i+1, commits, start, want)
		}
		cut(i + 1)
	}
	after := crashImage(t, dir)
	if waits, err := d.Cut(2*cutEntries+10, nil, raft.Configuration{}); waits || err != nil || commits != 4 {
		t.Errorf("without a save since the last call, Cut made %d transactions, %v", commits-3, err)
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, before), disk{raft.HardState{Term: 1, Commit: last}, entries(1, 1, last)})
	wantDisk(t, mustRead(t, after), disk{raft.HardState{Term: 1, Commit: last}, entries(1, 2*cutEntries+1, last+3)})
	wantDisk(t, mustRead(t, dir), disk{raft.HardState{Term: 1, Commit: last}, entries(1, 2*cutEntries+11, last+3)})
}

// S9: a save removes more than it adds, however much that is: else the log would grow as long as large ones follow each
// other.
func TestLargeSavesDoNotOutrunACut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ each, bytes int }{
		"many entries": {3 * cutEntries, 1}, "long entries": {20, cutBytes / 4},
	} {
		d := mustOpen(t, t.TempDir(), Options{checkpointPages: 4000})
		last := raft.Index(0)
		for range 12 {
			list := entries(1, last+1, last+raft.Index(c.each))
			for i := range list {
				list[i].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", c.bytes))
			}
			mustSave(t, d, raft.HardState{Term: 1, Commit: last}, list)
			last += raft.Index(c.each)
			mustSaveState(t, d, last)
			if _, err := d.Cut(last, nil, raft.Configuration{}); err != nil {
				t.Fatal(err)
			}
		}
		if waits := last - d.start.Load().Index; waits > raft.Index(4*c.each) {
			t.Errorf("%s: %d of %d entries wait", name, waits, last)
		}
		mustClose(t, d)
	}
}

// Rows are read one by one before they are removed only while a long command may be among them, and not ever after.
func TestALongCommandThatIsRemovedIsForgotten(t *testing.T) {
	t.Parallel()
	dir, read := t.TempDir(), 0
	var counting injector = func(statement string, call func() error) error {
		if statement == cutRowsStatement || statement == cutSizesStatement {
			read++
		}
		return call()
	}
	options := Options{inject: counting, checkpointPages: 4000}
	d, last := mustOpen(t, dir, options), raft.Index(0)
	grow := func(count int, long bool) {
		t.Helper()
		list := entries(1, last+1, last+raft.Index(count))
		if last += raft.Index(count); long {
			list[5].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", cutBytes))
		}
		mustSave(t, d, raft.HardState{Term: 1, Commit: last}, list)
	}
	cutAllBut := func(count int, reads bool) {
		t.Helper()
		read = 0
		if mustCut(t, d, last-raft.Index(count)); read > 0 != reads {
			t.Errorf("up to entry %d, %d transactions read the rows; want that: %v", last-raft.Index(count), read, reads)
		}
	}
	for range 2 { // also of a log that was found
		grow(1000, true)
		cutAllBut(999, true)
		mustClose(t, d)
		d = mustOpen(t, dir, options)
		cutAllBut(500, true)
		grow(600, false)
		cutAllBut(100, true) // the long one might be among them
		grow(1000, false)
		cutAllBut(600, false)
		grow(100, false)
		cutAllBut(10, false)
	}
	if l := (longest{bytes: 9, last: 7}); true {
		l.add(7, 10) // it replaces an entry
		l.add(8, 3)
		l.removed(6, 20)
		if l.bound() != 10 {
			t.Errorf("the bound is %d, want 10", l.bound())
		}
		l.removed(7, 20)
		l.add(20, 2)
		if l.bound() != 3 {
			t.Errorf("the bound is %d, want 3", l.bound())
		}
	}
}

// No call takes longer because much waits: the loop calls Cut, and sends no heartbeats meanwhile.
func TestACallOfCutMakesOneTransactionAtMost(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), Options{checkpointPages: 4000})
	const last = 5*cutEntries + 1
	mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, 1, last))
	mustSaveState(t, d, last)
	for want := raft.Index(0); want < last; want += cutEntries {
		waits, err := d.Cut(last, nil, raft.Configuration{})
		if got := d.start.Load().Index; got != want || !waits || err != nil {
			t.Fatalf("the log starts after entry %d, want %d; entries wait: %t, %v", got, want, waits, err)
		}
	}
	if waits, err := d.Cut(last, nil, raft.Configuration{}); waits || err != nil || d.start.Load().Index != last {
		t.Errorf("the log starts after entry %d, want %d; entries wait: %t, %v", d.start.Load().Index, last, waits, err)
	}
}

// The start of the log holds every seat that an entry up to there assigned, in each transaction of a cut.
func TestTheSeatsOfRemovedEntriesAreKept(t *testing.T) {
	t.Parallel()
	list := entries(1, 1, 2*cutEntries)
	seats := []raft.Seat{
		{Member: 4, Incarnation: 1 << 53}, {Member: 5, Incarnation: 7}, {Member: 6, Incarnation: 1<<64 - 1},
	}
	for i, at := range []raft.Index{3, cutEntries + 5, 2*cutEntries - 1} {
		list[at-1].Command, list[at-1].Type = entryjson.Encoding().Seat(seats[i]), raft.EntrySeat
	}
	dir := t.TempDir()
	var images []string
	failing := false
	d, err := Open(dir, Options{checkpointPages: 50, inject: func(statement string, call func() error) error {
		if failing && statement == commitStatement {
			images = append(images, crashImage(t, dir))
		}
		return call()
	}})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, raft.HardState{Term: 1, Commit: 2 * cutEntries}, list)
	mustSaveState(t, d, cutEntries+10)
	failing = true
	if err := cutAlone(d, cutEntries+10, seats[:2]); err != nil {
		t.Fatal(err)
	}
	failing = false
	images = append(images, crashImage(t, dir))
	mustClose(t, d)
	for i, want := range []int{0, 1, 2} {
		d := mustOpen(t, images[i], small)
		_, log, err := d.LoadLog(0, 0)
		if err != nil || len(log.Start.Seats) != want || !slices.Equal(log.Start.Seats, seats[:want]) {
			t.Errorf("after %d transactions the log starts at %d with seats %v, %v", i, log.Start.Index, log.Start.Seats, err)
		}
		_, log, err = d.LoadLog(2*cutEntries-1, 0) // what is not on the disk is read from the entries
		if err != nil || !slices.Equal(log.Start.Seats, seats) || len(log.Entries) != 1 || log.Removed > cutEntries+10 {
			t.Errorf("after %d transactions the tail starts with seats %v, %v", i, log.Start.Seats, err)
		}
	}
}

// The start of the log has the configuration of the last entry up to there that has one, in each transaction of a cut,
// also if its command is long; and no seats of members that it removes. A later one that the caller names stays.
func TestTheConfigurationOfRemovedEntriesIsKept(t *testing.T) { // T30, T33
	t.Parallel()
	list := entries(1, 1, 3*cutEntries)
	seat := raft.Seat{Member: 4, Incarnation: 7}
	list[1].Command, list[1].Type = entryjson.Encoding().Seat(seat), raft.EntrySeat
	configurations := []raft.Configuration{
		{}, configurationOf(3, 4), configurationOf(cutEntries+5, raft.MaxMembers), configurationOf(2*cutEntries+9, 3),
	}
	configurations[2].Members = slices.Delete(configurations[2].Members, 3, 4) // member 4
	for _, cfg := range configurations[1:] {
		e := &list[cfg.Index-1]
		e.Command, e.Type = entryjson.Encoding().Configuration(cfg), raft.EntryConfig
	}
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3 * cutEntries}, list)
	mustSaveState(t, d, 3*cutEntries-1)
	named := raft.Index(0) // by a cut that ended
	cut := func(d *DB, to raft.Index, configuration int) {
		t.Helper()
		seats := []raft.Seat{seat}
		if configuration == 0 || configuration > 1 {
			seats = nil
		}
		for waits, start := true, raft.Index(0); waits; {
			var err error
			if waits, err = d.Cut(to, seats, configurations[configuration]); err != nil {
				t.Fatal(err)
			}
			if start = d.start.Load().Index; start == to {
				named = configurations[configuration].Index
			}
			want := configurations[0]
			for _, cfg := range configurations {
				if cfg.Index <= max(start, named) {
					want = cfg
				}
			}
			if got := d.start.Load(); !got.Configuration.Same(want) || len(got.Seats) > 0 != (start >= 2 && want.Index <= 3) {
				t.Errorf("the log starts after %d with the configuration of %d, want %d, and the seats %v", start,
					got.Configuration.Index, want.Index, got.Seats)
			}
		}
	}
	cut(d, 1, 0)
	cut(d, cutEntries, 1)
	cut(d, 2*cutEntries, 2)
	mustClose(t, d)
	d = mustOpen(t, dir, small)
	_, log, err := d.LoadLog(2*cutEntries+20, 0)
	if err != nil || !log.Start.Configuration.Same(configurations[3]) {
		t.Errorf("the tail starts with the configuration of %d, %v", log.Start.Configuration.Index, err)
	}
	cut(d, 2*cutEntries+2, 3) // no earlier one is on record
	cut(d, 3*cutEntries-1, 3)
}

// configurationOf returns a configuration with so many members.
func configurationOf(index raft.Index, members int) raft.Configuration {
	cfg := raft.Configuration{Index: index, LastID: raft.MaxMembers}
	for id := range members {
		cfg.Members = append(cfg.Members, raft.Member{
			ID: raft.NodeID(id + 1), Address: fmt.Sprintf("http://node-%d:7080", id), APIAddress: "http://node:8080",
		})
	}
	return cfg
}

// What the state machine has applied is checked, and not kept.
func TestLoadLogKeepsWhatFollowsAnIndex(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Commit: 30}, entries(3, 1, 40)}
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, want.state, want.log)
	mustCut(t, d, 10)
	mustClose(t, d)
	for _, after := range []raft.Index{0, 9, 10, 11, 25, 40} {
		d, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"what Open read", "what is read again"} {
			_, log, err := d.LoadLog(after, 0)
			start := max(after, 10)
			position := startOf(want.log, start)
			position.Seats = nil
			if err != nil || !reflect.DeepEqual(log.Start, position) || log.Removed != 10 ||
				!slices.EqualFunc(log.Entries, want.log[start:], sameEntry) {
				t.Errorf("%s after %d: %+v, %d entries, %d removed, %v", what, after, log.Start, len(log.Entries), log.Removed, err)
			}
		}
		if _, _, err := d.LoadLog(41, 0); err == nil {
			t.Error("a log that ends at 40 is returned from 42 on")
		}
		mustClose(t, d)
	}
	runSQL(t, filepath.Join(dir, databaseName), "UPDATE logs SET command = '{}' WHERE id = 12")
	wantRefused(t, dir, ErrDamaged)
}

func TestReadLog(t *testing.T) {
	t.Parallel()
	log := entries(1, 1, 100)
	log[69].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", 5000))
	d := mustOpen(t, t.TempDir(), small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 90}, log)
	mustCut(t, d, 40)
	size := len(log[50].Command)
	for _, c := range []struct {
		from              raft.Index
		entries, bytes, n int
	}{
		{41, 10, 1 << 20, 10},
		{42, 1, 1 << 20, 1},
		{51, 10, 2*size + 1, 3},
		{51, 10, 2 * size, 2},
		{51, 10, 1, 1},
		{51, 0, 0, 1},
		{68, 10, 1000, 3},
		{70, 10, 1000, 1},
		{71, 10, 1000, 10},
		{95, 100, 1 << 20, 6},
		{101, 5, 100, 0},
	} {
		got, err := d.ReadLog(c.from, c.entries, c.bytes)
		want := startOf(log, c.from-1)
		want.Seats = nil
		if err != nil || !reflect.DeepEqual(got.Start, want) || got.Removed != 40 || len(got.Entries) != c.n ||
			!slices.EqualFunc(got.Entries, log[c.from-1:][:c.n], sameEntry) {
			t.Errorf("%+v: %+v, %d entries, %v", c, got.Start, len(got.Entries), err)
		}
	}
	for _, from := range []raft.Index{0, 1, 40} {
		if _, err := d.ReadLog(from, 5, 1000); !errors.Is(err, raft.ErrRemoved) {
			t.Errorf("from %d: %v", from, err)
		}
	}
	for _, from := range []raft.Index{102, 1 << 62, 1<<64 - 1} {
		if got, err := d.ReadLog(from, 5, 1000); err == nil || errors.Is(err, raft.ErrRemoved) {
			t.Errorf("from %d: %d entries, %v", from, len(got.Entries), err)
		}
	}
}

// T54: an entry that a disk returns changed is not sent to a follower.
func TestReadLogChecksTheEntries(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{
		"UPDATE logs SET command = '{}' WHERE id = 30", "UPDATE logs SET crc = crc + 1 WHERE id = 19",
		"UPDATE logs SET term = 2 WHERE id = 29", "DELETE FROM logs WHERE id = 25", "DELETE FROM logs WHERE id = 19",
	} {
		dir := t.TempDir()
		d := mustOpen(t, dir, small)
		mustSave(t, d, raft.HardState{Term: 1, Commit: 40}, entries(1, 1, 50))
		runSQL(t, filepath.Join(dir, databaseName), damage)
		if _, err := d.ReadLog(20, 20, 1<<20); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", damage, err)
		}
	}
}

// A cut removes entries under the readers' hands: each read returns a part of the log without a gap, or none.
func TestReadersDuringACut(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	const last = 4000
	mustSave(t, d, raft.HardState{Term: 1, Commit: last}, entries(1, 1, last))
	mustSaveState(t, d, last)
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for from := raft.Index(1); ; from = from%last + 1 {
			select {
			case <-done:
				return
			default:
			}
			log, err := d.ReadLog(from, 3, 1<<20)
			if errors.Is(err, raft.ErrRemoved) {
				from = d.start.Load().Index + 1
			} else if err != nil || log.Start.Index+1 != from || log.Entries[0].Index != from {
				t.Errorf("from %d: from %d, %v", from, log.Start.Index, err)
				return
			}
			if list, err := d.Range(from, pageOfRows+5); err != nil || len(list) == 0 || list[0].Index < from {
				t.Errorf("from %d: %d entries, %v", from, len(list), err)
				return
			}
		}
	})
	for to := raft.Index(1); to < last-50; to += 7 {
		mustCut(t, d, to)
	}
	close(done)
	readers.Wait()
}

// A log of format 1 is converted by Open, before anything can be cut from it.
func TestALogOfFormatOneIsCut(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Vote: 2, Commit: 7}, entries(3, 1, 40)}
	dir := formatOne(t, want)
	d := mustOpen(t, dir, small)
	mustCut(t, d, 6)
	image := crashImage(t, dir)
	mustClose(t, d)
	wantDisk(t, mustRead(t, image), want.cut(6))
	wantDisk(t, mustRead(t, dir), want.cut(6))
}

// T57: a mark, a database or a write-ahead log from before a cut. An older mark is a lower bound that is still right;
// an older database or log is refused, as after any other write of node_state.
func TestFilesFromBeforeACut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	want := disk{raft.HardState{Term: 1, Vote: 1, Commit: 30}, entries(1, 1, 40)}
	mustSave(t, d, want.state, want.log)
	before := crashImage(t, dir)
	mustCut(t, d, 30)
	after := crashImage(t, dir)

	image := crashImage(t, after)
	put(t, image, markSuffix, content(t, before, markSuffix))
	wantDisk(t, mustRead(t, image), want.cut(30))

	image = crashImage(t, after)
	put(t, image, "", content(t, before, ""))
	put(t, image, walSuffix, content(t, before, walSuffix))
	wantRefused(t, image, ErrIncomplete)

	image = crashImage(t, after)
	if err := os.Remove(filepath.Join(image, databaseName+walSuffix)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, image, ErrIncomplete)
}

// A cut takes no commit index back that only the mark held.
func TestACutKeepsTheCommitIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3}, entries(1, 1, 40))
	early := files(t, dir)[databaseName+markSuffix]
	if err := d.NoteCommit(25); err != nil {
		t.Fatal(err)
	}
	mustCut(t, d, 20)
	image := crashImage(t, dir)
	write(t, image, databaseName+markSuffix, early) // a power loss may undo what was written to the mark
	mustClose(t, d)
	for _, dir := range []string{image, dir} {
		if got := mustRead(t, dir).state.Commit; got != 25 {
			t.Errorf("the commit index is %d, want 25", got)
		}
	}
}
