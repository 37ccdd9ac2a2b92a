package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestNewDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	wantDisk(t, mustRead(t, dir), disk{})
	wantDisk(t, mustRead(t, dir), disk{}) // and it stays so
}

func TestAppendAndReadRange(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	want := entries(1, 1, 2500)
	mustSave(t, d, raft.HardState{Term: 1}, want[:10])
	mustSave(t, d, raft.HardState{Term: 1}, want[10:])
	for _, c := range []struct {
		from  raft.Index
		limit int
		want  []raft.Entry
	}{
		{1, 1, want[:1]},
		{5, 3, want[4:7]},
		{9, 4, want[8:12]},
		{0, 2, want[:2]},
		{1, 5000, want},
		{700, 1500, want[699:2199]},
		{1501, 1000, want[1500:]},
		{2500, 10, want[2499:]},
		{2501, 10, nil},
		{math.MaxInt64, 10, nil},
		{math.MaxInt64 + 1, 10, nil},
		{math.MaxUint64, 10, nil},
		{1, 0, nil},
		{1, -1, nil},
	} {
		got, err := d.Range(c.from, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Range(%d, %d) returns %d entries, want %d", c.from, c.limit, len(got), len(c.want))
		}
	}
}

// One INSERT carries sixteen entries: every number around that boundary must be read back whole.
func TestEverySizeOfSave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	var want disk
	for size := raft.Index(0); size <= 3*rowsPerInsert+1; size++ {
		last := raft.Index(len(want.log))
		list := entries(2, last+1, last+size)
		state := raft.HardState{Term: 2, Vote: 1, Commit: last}
		mustSave(t, d, state, list)
		want = want.with(state, list)
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), want)
}

func TestDeleteFromIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 100))
	mustSave(t, d, raft.HardState{Term: 2}, entries(2, 40, 41))
	if got, err := d.Range(41, 10); err != nil || len(got) != 1 || got[0].Term != 2 {
		t.Fatalf("what followed the replaced entries is still there: %v, %v", got, err)
	}
	mustSave(t, d, raft.HardState{Term: 2}, entries(2, 42, 45))
	mustClose(t, d)
	want := disk{}.with(raft.HardState{}, entries(1, 1, 39)).with(raft.HardState{Term: 2}, entries(2, 40, 45))
	wantDisk(t, mustRead(t, dir), want)
}

func TestConflictOverwritesTheWholeLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 20))
	mustSave(t, d, raft.HardState{Term: 3}, entries(3, 1, 20))
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), disk{raft.HardState{Term: 3}, entries(3, 1, 20)})
}

func TestSaveAndLoadState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	want := raft.HardState{Term: math.MaxInt64, Vote: 3, Commit: 0}
	mustSave(t, d, want, nil)
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), disk{state: want})
}

func TestRecoveryAfterReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want disk
	for round := raft.Index(1); round <= 5; round++ {
		d := mustOpen(t, dir, small)
		state, log, err := d.LoadLog(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		wantDisk(t, disk{state, log.Entries}, want)
		last := raft.Index(len(want.log))
		list := entries(raft.Term(round), last+1, last+round)
		state = raft.HardState{Term: raft.Term(round), Vote: raft.NodeID(round), Commit: last}
		mustSave(t, d, state, list)
		want = want.with(state, list)
		mustClose(t, d)
	}
	wantDisk(t, mustRead(t, dir), want)
}

func TestLoadLogCanBeRepeated(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	want := disk{raft.HardState{Term: 1, Vote: 2, Commit: 3}, entries(1, 1, 10)}
	if _, _, err := d.LoadLog(0, 0); err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, want.state, want.log)
	for range 2 {
		state, log, err := d.LoadLog(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		wantDisk(t, disk{state, log.Entries}, want)
	}
}

func TestSaveWithoutEntriesLeavesTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 10))
	mustSave(t, d, raft.HardState{Term: 2, Vote: 3, Commit: 7}, nil)
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), disk{raft.HardState{Term: 2, Vote: 3, Commit: 7}, entries(1, 1, 10)})
}

// The group commit relies on it: every save is one transaction, so one sync. A save deletes only if there is
// something to delete.
func TestOneTransactionPerSave(t *testing.T) {
	t.Parallel()
	calls := make(map[string]int)
	var counting injector = func(statement string, call func() error) error {
		calls[statement]++
		return call()
	}
	d := mustOpen(t, t.TempDir(), Options{inject: counting, checkpointPages: 1000})
	state := raft.HardState{Term: 1, Vote: 1, Commit: 1}
	for _, c := range []struct {
		name string
		list []raft.Entry
		want map[string]int
	}{
		{"append", entries(1, 1, 33), map[string]int{
			beginStatement: 1, insertStatement(rowsPerInsert): 2, insertStatement(1): 1,
			updateStatement: 5 /* term, vote, commit index, version, checksum */, commitStatement: 1, "mark": 1,
		}},
		{"nothing new", nil, map[string]int{}},
		{"overwrite", entries(2, 33, 33), map[string]int{
			beginStatement: 1, rangeStatement: 1, deleteStatement: 1, insertStatement(1): 1, updateStatement: 2,
			commitStatement: 1, "mark": 1,
		}},
	} {
		clear(calls)
		mustSave(t, d, state, c.list)
		if !reflect.DeepEqual(calls, c.want) {
			t.Errorf("%s: %v, want %v", c.name, calls, c.want)
		}
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	want := map[string]string{
		"current_term": "5", "voted_for": "2", "commit_index": "3",
		"cluster_id": "c-1", "node_id": "4", "it's": "a \"name\"\x00 of any kind ✓",
	}
	mustSave(t, d, raft.HardState{Term: 5, Vote: 2, Commit: 3}, entries(5, 1, 3))
	for _, facts := range []map[string]string{
		{"cluster_id": "c-0", "node_id": "4"},
		{"cluster_id": "c-1", "it's": want["it's"]},
		{"cluster_id": "c-1"},
		nil,
	} {
		if err := d.SaveFacts(facts); err != nil {
			t.Fatal(err)
		}
	}
	mustSave(t, d, raft.HardState{Term: 5, Vote: 2, Commit: 3}, entries(5, 4, 4))
	for range 2 {
		got, err := d.Facts()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("facts are %v, want %v", got, want)
		}
		mustClose(t, d)
		d = mustOpen(t, dir, small)
	}
}

func TestFactsCannotTouchTheHardState(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	for _, key := range ownKeys {
		if err := d.SaveFacts(map[string]string{key: "7", "other": "x"}); err == nil {
			t.Errorf("%s could be written as a fact", key)
		}
	}
	mustSave(t, d, raft.HardState{Term: 1}, nil) // the DB still works
	if facts, err := d.Facts(); err != nil || facts["other"] != "" || facts[keyTerm] != "1" {
		t.Errorf("%v, %v", facts, err)
	}
}

func TestCallersMistakesAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 5))
	for name, list := range map[string][]raft.Entry{
		"gap after the log":    entries(1, 7, 7),
		"gap between entries":  append(entries(1, 6, 6), entries(1, 8, 8)...),
		"entry before the log": entries(1, 0, 2),
		"twice the same":       append(entries(1, 6, 6), entries(1, 6, 6)...),
	} {
		if err := d.Save(raft.HardState{Term: 9}, list); err == nil {
			t.Errorf("%s was saved", name)
		}
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), disk{raft.HardState{Term: 1}, entries(1, 1, 5)})
}

func TestTimestampsComeBackExactly(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const untilYear2242 = 1 << 33 * 1_000_000
	for range 1_000_000 {
		if micros := random.Int64N(untilYear2242); microseconds(seconds(micros)) != micros {
			t.Fatalf("%d comes back as %d", micros, microseconds(seconds(micros)))
		}
	}
}

// A clock may be wrong; no decision uses it, and it must not make the log unreadable.
func TestAbsurdTimestamps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	var list []raft.Entry
	for i, micros := range []int64{0, -1, 1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1023, 1 << 60, 1<<53 + 1} {
		list = append(list, raft.Entry{Index: raft.Index(i + 1), Term: 1, Timestamp: micros, Command: []byte("{}")})
	}
	mustSave(t, d, raft.HardState{Term: 1}, list)
	mustClose(t, d)
	got := mustRead(t, dir)
	for i, e := range got.log {
		if i < 3 && e.Timestamp != list[i].Timestamp {
			t.Errorf("%d came back as %d", list[i].Timestamp, e.Timestamp)
		}
	}
}

func TestCommandsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	var want disk
	for i, command := range []string{
		`{"op":"noop"}`, ``, `null`, "{\"zero\":\"\x00\"}\x00", "\xff\xfe not UTF-8", `{"é":"✓ 𝄞"}`,
		strings.Repeat("long ", 300_000), "'; DROP TABLE logs; --",
	} {
		e := raft.Entry{Index: raft.Index(i + 1), Term: math.MaxUint64, Command: []byte(command)}
		e.Type = entryjson.TypeOf(e.Command)
		if command == "" {
			e.Command = nil
		}
		mustSave(t, d, raft.HardState{Term: 1}, []raft.Entry{e})
		want = want.with(raft.HardState{Term: 1}, []raft.Entry{e})
	}
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), want)
}

// The names and columns are a contract with every tool that opens the file.
func TestAnyToolCanReadTheTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 4, Vote: 2, Commit: 1}, entries(4, 1, 2))
	c, err := connect(filepath.Join(dir, "raft.db"), "ro", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close() //nolint:errcheck // it only read
	for query, want := range map[string]string{
		`SELECT id, term, index_, command, timestamp, typeof(timestamp), typeof(command) FROM logs ` +
			`WHERE index_ = 2`: `[[2 4 2 {"op":"set","key":"k2","value":"of term 4"} ` +
			`1.700000002000006e+09 real text]]`,
		`SELECT key, value FROM node_state WHERE key != 'crc' ORDER BY key`: `[[commit_index 1] [current_term 4] ` +
			`[state_version 2] [voted_for 2] [wal needed]]`,
		`SELECT json_extract(command, '$.key') FROM logs`: `[[k1] [k2]]`,
	} {
		var rows [][]driver.Value
		err := c.query(query, func(row []driver.Value) error {
			rows = append(rows, append([]driver.Value(nil), row...))
			return nil
		})
		if got := fmt.Sprint(rows); err != nil || got != want {
			t.Errorf("%s\ngives %s, %v\nwant  %s", query, got, err, want)
		}
	}
}

func TestReadersAndTheWriterDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 10))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if list, err := d.Range(1, 50); err != nil || len(list) < 10 {
					t.Errorf("%d entries, %v", len(list), err)
					return
				}
			}
		})
	}
	for i := raft.Index(11); i < 300; i++ {
		mustSave(t, d, raft.HardState{Term: 1, Commit: i}, entries(1, i, i))
	}
	close(stop)
	readers.Wait()
}

func TestSaveObserver(t *testing.T) {
	t.Parallel()
	saves := 0
	opts := small
	opts.SaveObserver = func(took time.Duration) {
		saves++
		if took <= 0 {
			t.Errorf("a save took %v", took)
		}
	}
	d := mustOpen(t, t.TempDir(), opts)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 3))
	mustSave(t, d, raft.HardState{Term: 1}, nil) // nothing to write
	mustSave(t, d, raft.HardState{Term: 2}, nil)
	if saves != 2 {
		t.Errorf("the observer saw %d saves, want 2", saves)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	mustClose(t, d)
	mustClose(t, d) // a second call is harmless
	for name, err := range everyCall(d) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// everyCall makes every call that can fail and returns the errors.
func everyCall(d *DB) map[string]error {
	_, facts := d.Facts()
	_, _, load := d.LoadLog(0, 0)
	_, rows := d.Range(1, 1)
	_, page := d.ReadLog(1, 1, 1)
	d.checkpointed.Store(1000)
	_, cut := d.Cut(1000, nil, raft.Configuration{})
	return map[string]error{
		"Save": d.Save(raft.HardState{Term: 99}, entries(1, 1, 1)), "SaveFacts": d.SaveFacts(map[string]string{"a": "b"}),
		"Facts": facts, "LoadLog": load, "Range": rows, "Checkpoint": d.Checkpoint(),
		"ReadLog": page, "Cut": cut,
	}
}

// The commit index alone does not justify a page in every transaction, but it must not lag without limit: a restart
// applies only what is recorded as committed. The same write moves the anchor, after which a lost end of the log is
// detected.
func TestCommitIndexLagsButNotForLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	for i := raft.Index(1); i <= 2*anchorEvery; i++ {
		mustSave(t, d, raft.HardState{Term: 1, Vote: 1, Commit: i - 1}, entries(1, i, i))
	}
	mustClose(t, d)
	if got := mustRead(t, dir); got.state.Commit < anchorEvery {
		t.Errorf("after %d entries the commit index on the disk is %d", 2*anchorEvery, got.state.Commit)
	}
	d = mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Vote: 1, Commit: 2 * anchorEvery}, nil)
	mustClose(t, d)
	if got := mustRead(t, dir); got.state.Commit != 2*anchorEvery {
		t.Errorf("saved on its own account, the commit index is %d, want %d", got.state.Commit, 2*anchorEvery)
	}
}

// Entries of the greatest size do not fill the memory, however many are asked for. One is always returned.
func TestAStretchOfTheLogIsBounded(t *testing.T) { // H4
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	log := entries(1, 1, 8)
	for i := range log {
		log[i].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", rangeBytes/3))
	}
	log[7].Command = fmt.Appendf(nil, `{"op":"set","key":"k","value":"%s"}`, strings.Repeat("v", 2*rangeBytes))
	mustSave(t, d, raft.HardState{Term: 1}, log)
	for from, want := range map[raft.Index]int{1: 3, 2: 3, 6: 3, 7: 2, 8: 1} {
		if got, err := d.Range(from, 100); err != nil || len(got) != want || got[0].Index != from {
			t.Errorf("from %d: %d entries, %v; want %d", from, len(got), err, want)
		}
	}
}
