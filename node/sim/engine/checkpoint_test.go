package engine

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// machine is a state machine with the log that led to it, on a disk.
type machine struct {
	t     *testing.T
	disk  *disk
	life  *storage
	store *kv.Store
	saved uint64
}

// newMachine returns a machine whose log has so many entries, all of them applied.
func newMachine(t *testing.T, seed uint64, faults DiskFaults, entries raft.Index) *machine {
	t.Helper()
	d, _ := newTestDisk(seed, faults)
	m := &machine{t: t, disk: d, life: d.open(idle), store: kv.New()}
	m.apply(1, entries)
	return m
}

// apply saves and applies the entries from one index to another.
func (m *machine) apply(from, to raft.Index) {
	m.t.Helper()
	entries := entriesOf(1, from, to)
	mustSave(m.t, m.life, raft.HardState{Term: 1, Commit: from - 1}, entries)
	for _, e := range entries {
		m.store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command})
	}
}

// checkpoint is what changed since the last one.
func (m *machine) checkpoint() snapshot.Checkpoint {
	return snapshot.Checkpoint{Delta: m.store.Delta(m.saved), Facts: map[string]string{"cluster": "c"}}
}

func (m *machine) mustSaveState() {
	m.t.Helper()
	if err := m.life.SaveState(m.checkpoint()); err != nil {
		m.t.Fatal(err)
	}
	m.saved = m.store.Applied()
	m.store.Checkpointed(m.saved)
}

// wantState starts on the disk and checks which of two states is there.
func (m *machine) wantState(digests ...uint64) uint64 {
	m.t.Helper()
	m.life = m.disk.open(idle)
	store, err := m.life.LoadState()
	if err != nil {
		m.t.Fatal(err)
	}
	for _, d := range digests {
		if store.Digest() == d {
			return d
		}
	}
	m.t.Fatalf("the state has applied %d and is neither of %d", store.Applied(), len(digests))
	return 0
}

func TestACheckpointIsThereAsAWholeOrNotAtAll(t *testing.T) { // T44
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(200) {
		m := newMachine(t, seed, DiskFaults{Latency: time.Millisecond}, 20)
		m.mustSaveState()
		before := m.store.Digest()
		m.apply(21, 40)
		after := m.store.Digest()
		kill := int(seed % 2)
		m.life.pass = func(time.Duration) {
			if kill--; kill < 0 {
				panic(killedInStory{})
			}
		}
		func() {
			defer func() { _ = recover() }()
			_ = m.life.SaveState(m.checkpoint())
		}()
		switch m.wantState(before, after) {
		case before:
			seen[fmt.Sprint("old ", seed%2)]++
		case after:
			seen[fmt.Sprint("new ", seed%2)]++
		}
	}
	if seen["new 0"] > 0 {
		t.Error("a checkpoint is there before it was written")
	}
	if seen["old 1"] < 20 || seen["new 1"] < 20 {
		t.Errorf("killed while it was written, the states are %v; both must come", seen)
	}
}

func TestAFailedCheckpointIsThereOrNot(t *testing.T) { // T53
	t.Parallel()
	seen := map[uint64]int{}
	for seed := range uint64(100) {
		m := newMachine(t, seed, DiskFaults{}, 20)
		before := kv.New().Digest()
		m.disk.Faults.StateError = 1
		if err := m.life.SaveState(m.checkpoint()); !errors.Is(err, errDisk) {
			t.Fatalf("a checkpoint that fails returns %v", err)
		}
		m.disk.Faults.StateError = 0
		if err := m.life.SaveState(m.checkpoint()); !errors.Is(err, ErrMisused) {
			t.Fatalf("after a checkpoint that failed, the next one returns %v", err)
		}
		seen[m.wantState(before, m.store.Digest())]++
	}
	if len(seen) != 2 {
		t.Errorf("the states %v are there; both must come", seen)
	}
}

func TestWhatNoNodeMayDoWithItsDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1, DiskFaults{}, 20)
	reported := 0
	m.disk.report.misused = func(error) { reported++ }
	for name, do := range map[string]func() error{
		"a checkpoint that continues another one": func() error {
			return m.life.SaveState(snapshot.Checkpoint{Delta: m.store.Delta(5)})
		},
		"a checkpoint of what is not in the log": func() error {
			ahead := kv.New()
			for i := range uint64(30) {
				ahead.Apply(kv.Entry{Revision: i + 1})
			}
			return m.life.SaveState(snapshot.Checkpoint{Delta: ahead.Delta(0)})
		},
		"a cut behind the end": func() error { _, err := m.life.Cut(21, nil, raft.Configuration{}); return err },
		"entries behind the end": func() error {
			_, err := m.life.ReadLog(21, 1, 1)
			return err
		},
		"a snapshot installed that was not verified": func() error {
			sink, err := m.life.ReceiveSnapshot(snapshot.Description{ID: "a", Size: 5})
			if err != nil {
				return err
			}
			return sink.Install()
		},
	} {
		before := reported
		if err := do(); !errors.Is(err, ErrMisused) || reported != before+1 {
			t.Errorf("%s: %v, reported %d times; want it refused and reported", name, err, reported-before)
		}
	}
}

func TestALogIsCutAndReadInParts(t *testing.T) { // T50
	t.Parallel()
	m := newMachine(t, 1, DiskFaults{}, 20)
	m.mustSaveState()
	if _, err := m.life.Cut(8, nil, raft.Configuration{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.life.ReadLog(8, 5, 1<<20); !errors.Is(err, raft.ErrRemoved) {
		t.Errorf("entry 8 was removed, and reading it returns %v", err)
	}
	all := entriesOf(1, 1, 20)
	part, err := m.life.ReadLog(11, 3, 1<<20)
	if want, _ := positionIn(raft.Log{Entries: all}, 10); err != nil || !sameLog(part, raft.Log{
		Start: want, Entries: all[10:13],
	}) {
		t.Errorf("the part is %+v, %v; want entries 11 to 13", part, err)
	}
	if part, err := m.life.ReadLog(11, 3, 1); err != nil || len(part.Entries) != 1 {
		t.Errorf("of one byte at most, %d entries are read, %v; want one", len(part.Entries), err)
	}
	m.life = m.disk.open(idle)
	store, err := m.life.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	state, log, err := m.life.LoadLog(raft.Index(store.Applied()), 0)
	if err != nil || log.Start.Index != 20 || log.Removed != 8 || state.Commit != 20 {
		t.Errorf("a start finds the log after %d, removed up to %d, with %+v, %v", log.Start.Index, log.Removed, state, err)
	}
}

// receive copies a snapshot to another disk, in parts.
func receive(t *testing.T, from *storage, to *storage) snapshot.Sink {
	t.Helper()
	source, err := from.OpenSnapshot(0)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Release()
	sink, err := to.ReceiveSnapshot(snapshot.Describe(source))
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 100)
	for sink.Offset() < snapshot.Describe(source).Size {
		n, _ := source.ReadAt(part, sink.Offset())
		if err := sink.Write(sink.Offset(), part[:n]); err != nil {
			t.Fatal(err)
		}
	}
	return sink
}

func TestASnapshotMovesStateAndLogTogether(t *testing.T) { // T31, T37
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(300) {
		leader := newMachine(t, seed, DiskFaults{}, 50)
		leader.mustSaveState()
		follower := newMachine(t, seed, DiskFaults{Latency: time.Millisecond}, 10)
		follower.mustSaveState()
		sink := receive(t, leader.life, follower.life)
		if _, _, _, err := sink.Verify(); err != nil {
			t.Fatal(err)
		}
		kill := int(seed % 5)
		follower.life.pass = func(time.Duration) {
			if kill--; kill < 0 {
				panic(killedInStory{})
			}
		}
		func() {
			defer func() { _ = recover() }()
			_ = sink.Install()
		}()
		said := follower.disk.Checkpoint().Start.Index
		switch digest := follower.wantState(follower.store.Digest(), leader.store.Digest()); {
		case digest == leader.store.Digest():
			_, log, err := follower.life.LoadLog(50, 0)
			if err != nil || log.Start.Index != 50 || log.Removed != 50 {
				t.Fatalf("seed %d: with the new state the log starts after %d, %v", seed, log.Start.Index, err)
			}
			seen["new"]++
		case said == 50:
			t.Fatalf("seed %d: a crash took back an installed snapshot", seed)
		default:
			if _, log, err := follower.life.LoadLog(10, 0); err != nil || log.Removed != 0 {
				t.Fatalf("seed %d: with the old state the log starts after %d, %v", seed, log.Removed, err)
			}
			seen["old"]++
		}
	}
	if seen["old"] < 50 || seen["new"] < 50 {
		t.Errorf("the states are %v; both must come", seen)
	}
}

func TestAReceivedPartIsKeptOrLostOrSpoiled(t *testing.T) { // T36
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(200) {
		leader := newMachine(t, seed, DiskFaults{}, 50)
		leader.mustSaveState()
		follower := newMachine(t, seed, DiskFaults{}, 10)
		source, _ := leader.life.OpenSnapshot(0)
		whole := receive(t, leader.life, follower.life).Offset()
		follower.life = follower.disk.open(idle)
		sink, err := follower.life.ReceiveSnapshot(snapshot.Describe(source))
		if err != nil {
			t.Fatal(err)
		}
		switch _, _, _, err := sink.Verify(); {
		case sink.Offset() == 0:
			seen["lost"]++
		case sink.Offset() < whole:
			seen["in part"]++
		case err != nil:
			seen["spoiled"]++
		default:
			seen["whole"]++
		}
	}
	for _, what := range []string{"lost", "in part", "spoiled", "whole"} {
		if seen[what] < 10 {
			t.Errorf("a crash leaves %v; each must come", seen)
		}
	}
}

func TestAPartThatIsWrittenInAnotherPlaceIsReported(t *testing.T) { // T36
	t.Parallel()
	sent := &sentCopies{}
	leader, follower := newMachine(t, 1, DiskFaults{}, 50), newMachine(t, 2, DiskFaults{}, 10)
	leader.disk.report.sent, follower.disk.report.sent = sent, sent
	leader.mustSaveState()
	source, err := leader.life.OpenSnapshot(0)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := follower.life.ReceiveSnapshot(snapshot.Describe(source))
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 100)
	_, _ = source.ReadAt(part, 100)
	if err := sink.Write(sink.Offset(), part); !errors.Is(err, ErrMisused) {
		t.Errorf("bytes 100 to 200 are written at 0: %v", err)
	}
}

func TestSeveralFollowersShareACopy(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1, DiskFaults{}, 20)
	m.mustSaveState()
	first, _ := m.life.OpenSnapshot(0)
	m.apply(21, 30)
	m.mustSaveState()
	second, _ := m.life.OpenSnapshot(0)
	if snapshot.Describe(first).ID != snapshot.Describe(second).ID {
		t.Error("a copy that is in use is not shared")
	}
	first.Release()
	second.Release()
	third, _ := m.life.OpenSnapshot(0)
	if snapshot.Describe(third).Start.Index != 30 {
		t.Errorf("a copy of entry %d is used again, and the checkpoint has 30", snapshot.Describe(third).Start.Index)
	}
	if _, err := first.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrMisused) {
		t.Errorf("a snapshot is read after it was released: %v", err)
	}
}

func TestAStateFileComesBackFromItsBytes(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1, DiskFaults{}, 20)
	c := kv.Delete{Key: []byte("k3")}
	e := raft.Entry{Index: 21, Term: 1, Timestamp: 21, Command: c.AppendJSON(nil)}
	mustSave(t, m.life, raft.HardState{Term: 1}, []raft.Entry{e})
	m.store.Apply(kv.Entry{Revision: 21, Timestamp: 21, Command: e.Command})
	m.mustSaveState()
	data := m.disk.state.Encode()
	f, err := snapshottest.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	store, err := f.Load()
	if err != nil || store.Digest() != m.store.Digest() || !bytes.Equal(f.Encode(), data) || f.Facts["cluster"] != "c" {
		t.Errorf("the state that comes back is another one: %v", err)
	}
	data[len(data)/2] ^= 1
	if f, err := snapshottest.Decode(data[:len(data)-1]); err == nil {
		if _, err := f.Load(); err == nil {
			t.Error("damaged bytes are read as a state")
		}
	}
}
