package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// newTestDisk gives a disk with these faults, and the number of times that each of them happened.
func newTestDisk(seed uint64, faults DiskFaults) (*disk, map[string]int) {
	seen := map[string]int{}
	return newDisk(rand.New(rand.NewPCG(seed, 1)), &faults, func(fault string) { seen[fault]++ }), seen
}

// idle is the time that passes in the disk if the process is not killed there.
func idle(time.Duration) {}

// entriesOf makes entries of one term that follow each other.
func entriesOf(term raft.Term, from, to raft.Index) []raft.Entry {
	var entries []raft.Entry
	for i := from; i <= to; i++ {
		command := fmt.Sprintf(`{"op":"set","key":"k%d","value":%d}`, i, term)
		entries = append(entries, raft.Entry{Index: i, Term: term, Timestamp: int64(i), Command: []byte(command)})
	}
	return entries
}

func sameEntries(a, b []raft.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b raft.Entry) bool {
		return a.Index == b.Index && a.Term == b.Term && a.Timestamp == b.Timestamp &&
			string(a.Command) == string(b.Command)
	})
}

func sameLog(a, b raft.Log) bool {
	return a.Start.Index == b.Start.Index && a.Start.Term == b.Start.Term && a.Start.Digest == b.Start.Digest &&
		sameEntries(a.Entries, b.Entries)
}

func mustSave(t *testing.T, s *storage, state raft.HardState, entries []raft.Entry) {
	t.Helper()
	if err := s.Save(state, entries); err != nil {
		t.Fatal(err)
	}
}

// mustLoad starts on the disk, checks that it has what durable returned, and returns that.
func mustLoad(t *testing.T, d *disk) (*storage, raft.HardState, []raft.Entry) {
	t.Helper()
	s := d.open(idle)
	state, log, err := s.LoadLog(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if said, saidLog := d.Durable(); said != state || !sameLog(saidLog, log) {
		t.Fatalf("durable() said %+v and %d entries, but a start finds %+v and %d", said, len(saidLog.Entries), state,
			len(log.Entries))
	}
	return s, state, log.Entries
}

// killIn runs a save that is killed the nth time that time passes inside of it.
func killIn(d *disk, nth int, save func(s *storage)) {
	type kill struct{}
	passes := 0
	s := d.open(func(time.Duration) {
		if passes++; passes == nth {
			panic(kill{})
		}
	})
	defer func() {
		if r := recover(); r != any(kill{}) {
			panic(r)
		}
		d.crash()
	}()
	save(s)
	panic("the save was over before it could be killed")
}

func TestWhatWasSyncedSurvivesEveryCrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		d, _ := newTestDisk(seed, DiskFaults{Torn: 0.5, Latency: time.Millisecond})
		s := d.open(idle)
		mustSave(t, s, raft.HardState{Term: 1, Vote: 2}, nil)
		mustSave(t, s, raft.HardState{Term: 1, Vote: 2}, entriesOf(1, 1, 5))
		mustSave(t, s, raft.HardState{Term: 2, Commit: 3}, entriesOf(2, 4, 4))
		d.crash()
		_, state, entries := mustLoad(t, d)
		if state.Term != 2 || state.Vote != 0 || !sameEntries(entries, append(entriesOf(1, 1, 3), entriesOf(2, 4, 4)...)) {
			t.Fatalf("seed %d: a start found %+v and %d entries", seed, state, len(entries))
		}
	}
}

func TestWhatWasNotSyncedIsThereWhollyOrNotAtAll(t *testing.T) { // T1: term, vote and entries as one
	t.Parallel()
	kept, gone, torn := 0, 0, 0
	for seed := range uint64(300) {
		d, seen := newTestDisk(seed, DiskFaults{Torn: 0.5})
		mustSave(t, d.open(idle), raft.HardState{Term: 1, Vote: 1}, entriesOf(1, 1, 3))
		killIn(d, 1, func(s *storage) { _ = s.Save(raft.HardState{Term: 2, Vote: 3}, entriesOf(2, 3, 6)) })
		_, state, entries := mustLoad(t, d)
		switch {
		case state.Term == 2 && state.Vote == 3 && sameEntries(entries, append(entriesOf(1, 1, 2), entriesOf(2, 3, 6)...)):
			kept++
		case state.Term == 1 && state.Vote == 1 && sameEntries(entries, entriesOf(1, 1, 3)):
			gone++
		default:
			t.Fatalf("seed %d: half of a save is there: %+v, %v", seed, state, entries)
		}
		torn += seen["torn-write"]
	}
	if kept < 50 || gone < 50 || torn < 50 {
		t.Errorf("of 300 crashes %d kept the save, %d lost it, %d tore it; each must happen", kept, gone, torn)
	}
}

func TestAKillAfterTheSyncLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		d, _ := newTestDisk(seed, DiskFaults{Torn: 1})
		killIn(d, 2, func(s *storage) { _ = s.Save(raft.HardState{Term: 1}, entriesOf(1, 1, 2)) })
		if _, state, entries := mustLoad(t, d); state.Term != 1 || len(entries) != 2 {
			t.Fatalf("seed %d: a start found %+v and %d entries", seed, state, len(entries))
		}
	}
}

func TestATornTailIsCutAndTheLogGoesOn(t *testing.T) { // T54
	t.Parallel()
	for seed := range uint64(200) {
		d, _ := newTestDisk(seed, DiskFaults{Torn: 1})
		mustSave(t, d.open(idle), raft.HardState{Term: 1}, entriesOf(1, 1, 3))
		killIn(d, 1, func(s *storage) { _ = s.Save(raft.HardState{Term: 1}, entriesOf(1, 4, 9)) })
		s, _, entries := mustLoad(t, d)
		if !sameEntries(entries, entriesOf(1, 1, 3)) {
			t.Fatalf("seed %d: a torn save left %v", seed, entries)
		}
		mustSave(t, s, raft.HardState{Term: 2}, entriesOf(2, 4, 5))
		if _, _, entries := mustLoad(t, d); len(entries) != 5 || entries[4].Term != 2 {
			t.Fatalf("seed %d: after the torn tail was cut, a save left %v", seed, entries)
		}
	}
}

func TestDamageBeforeTheEndIsRefused(t *testing.T) { // T54
	t.Parallel()
	for seed := range uint64(2000) {
		d, _ := newTestDisk(seed, DiskFaults{Torn: 0.5})
		s := d.open(idle)
		for i := range raft.Index(4) {
			mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, i+1, i+1))
		}
		if !d.FlipBit() {
			t.Fatalf("seed %d: there was no bit to flip in four records", seed)
		}
		if seed%2 == 0 { // also with a torn tail behind it
			d.write(record{state: raft.HardState{Term: 2}})
		}
		_, _, err := d.open(idle).LoadLog(0, 0)
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("seed %d: a flipped bit was not found: %v", seed, err)
		}
		if _, err := d.open(idle).Facts(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("seed %d: Facts took a damaged disk: %v", seed, err)
		}
		if err := d.open(idle).Save(raft.HardState{Term: 9}, nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("seed %d: Save took a damaged disk: %v", seed, err)
		}
	}
}

func TestNoBitFlipsWhereItWouldLookLikeATornWrite(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	if d.FlipBit() {
		t.Error("a bit flipped on an empty disk")
	}
	mustSave(t, d.open(idle), raft.HardState{Term: 1}, nil)
	if d.FlipBit() {
		t.Error("a bit flipped in the only record")
	}
}

func TestAFailedSyncIsNotMadeGoodByTheNext(t *testing.T) { // T53
	t.Parallel()
	whole, refused := 0, 0
	for seed := range uint64(300) {
		faults := DiskFaults{SyncFails: 1}
		d := newDisk(rand.New(rand.NewPCG(seed, 1)), &faults, func(string) {})
		s := d.open(idle)
		if err := s.Save(raft.HardState{Term: 1}, entriesOf(1, 1, 3)); !errors.Is(err, errSync) {
			t.Fatalf("a sync that fails gave %v", err)
		}
		_, atOnce := d.Durable()
		faults.SyncFails = 0
		mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 4, 5)) // a process that carries on
		want := len(atOnce.Entries)
		if want > 0 {
			want = 5 // the sync had done its work all the same
		}
		if _, later := d.Durable(); len(later.Entries) != want {
			t.Fatalf("seed %d: %d entries were durable after the failed sync, and %d after the next, want %d",
				seed, len(atOnce.Entries), len(later.Entries), want)
		}
		d.crash()
		d.crash() // is one crash: the second has nothing left to lose
		_, log, err := d.open(idle).LoadLog(0, 0)
		switch {
		case err == nil && sameEntries(log.Entries, entriesOf(1, 1, 5)):
			whole++
		case errors.Is(err, ErrDamaged):
			refused++
		default:
			t.Fatalf("seed %d: a start found %d entries, %v", seed, len(log.Entries), err)
		}
	}
	if whole < 50 || refused < 50 {
		t.Errorf("of 300 failed syncs %d wrote and %d did not; both must happen", whole, refused)
	}
}

func TestAProcessThatStopsAtAFailedSyncCanStartAgain(t *testing.T) { // T53
	t.Parallel()
	for seed := range uint64(200) {
		faults := DiskFaults{}
		d := newDisk(rand.New(rand.NewPCG(seed, 1)), &faults, func(string) {})
		s := d.open(idle)
		mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 2))
		faults.SyncFails, faults.Error = float64(seed%2), float64(1-seed%2)
		if err := s.Save(raft.HardState{Term: 2}, entriesOf(2, 3, 3)); err == nil {
			t.Fatal("a broken disk took a save")
		}
		faults = DiskFaults{}
		s, _, entries := mustLoad(t, d)
		if len(entries) < 2 || len(entries) > 3 {
			t.Fatalf("seed %d: a start found %d entries", seed, len(entries))
		}
		mustSave(t, s, raft.HardState{Term: 3}, entriesOf(3, 3, 4))
		if _, _, entries := mustLoad(t, d); len(entries) != 4 {
			t.Fatalf("seed %d: the next start found %d entries", seed, len(entries))
		}
	}
}

func TestFactsAreKeptBesideTheHardState(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	s := d.open(idle)
	if err := s.SaveFacts(map[string]string{identity.FactNodeID: "3", "seated": "1"}); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, raft.HardState{Term: 7, Vote: 2}, entriesOf(7, 1, 2))
	if err := s.SaveFacts(map[string]string{"seated": "1,2"}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveFacts(map[string]string{"voted_for": "1"}); err == nil {
		t.Error("a fact could overwrite the vote")
	}
	mustSave(t, s, raft.HardState{Term: 7, Vote: 2, Commit: 2}, nil)
	facts, err := d.open(idle).Facts()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		identity.FactNodeID: "3", "seated": "1,2", "current_term": "7", "voted_for": "2", "commit_index": "2",
	} {
		if facts[key] != want {
			t.Errorf("%s is %q, want %q", key, facts[key], want)
		}
	}
}

func TestWhatDurableGaveOutStaysAsItWas(t *testing.T) { // the checkers keep it
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	s := d.open(idle)
	mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 5))
	_, before := d.Durable()
	mustSave(t, s, raft.HardState{Term: 2}, entriesOf(2, 3, 4))
	if !sameEntries(before.Entries, entriesOf(1, 1, 5)) {
		t.Errorf("a later save changed it to %v", before)
	}
}

func TestAProcessThatEndedReachesTheDiskNoMore(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	former := d.open(idle)
	mustSave(t, former, raft.HardState{Term: 1}, nil)
	current := d.open(idle)
	if err := former.Save(raft.HardState{Term: 2}, nil); !errors.Is(err, errClosed) {
		t.Errorf("a former life could save: %v", err)
	}
	if err := former.Close(); !errors.Is(err, errClosed) {
		t.Errorf("a former life could close the disk: %v", err)
	}
	mustSave(t, current, raft.HardState{Term: 3}, nil)
	if err := current.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := current.LoadLog(0, 0); !errors.Is(err, errClosed) {
		t.Errorf("a closed disk could be read: %v", err)
	}
	if _, state, _ := mustLoad(t, d); state.Term != 3 {
		t.Errorf("the term is %d, want 3", state.Term)
	}
}

func TestASaveWithAGapIsRefused(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	s := d.open(idle)
	mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 2))
	if err := s.Save(raft.HardState{Term: 1}, entriesOf(1, 4, 4)); err == nil {
		t.Error("entry 4 was saved behind entry 2")
	}
	if err := s.Save(raft.HardState{Term: 1}, append(entriesOf(1, 3, 3), entriesOf(1, 5, 5)...)); err == nil {
		t.Error("entry 5 was saved behind entry 3")
	}
	if _, _, entries := mustLoad(t, d); !sameEntries(entries, entriesOf(1, 1, 2)) {
		t.Errorf("a refused save left %v", entries)
	}
}

func TestASaveTakesThePlaceOfOneThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		faults := DiskFaults{Error: 1}
		d := newDisk(rand.New(rand.NewPCG(seed, 1)), &faults, func(string) {})
		s := d.open(idle)
		if err := s.SaveFacts(map[string]string{"first": "1"}); !errors.Is(err, errDisk) {
			t.Fatalf("a write that fails gave %v", err)
		}
		faults.Error = 0
		if err := s.SaveFacts(map[string]string{"second": "2"}); err != nil {
			t.Fatal(err)
		}
		facts, err := d.open(idle).Facts()
		if err != nil || facts["first"] != "" || facts["second"] != "2" {
			t.Fatalf("seed %d: the facts are %v, %v", seed, facts, err)
		}
	}
}

func TestAFlippedBitIsNotMendedByMakingTheJournalAnew(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{})
	s := d.open(idle)
	mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 2))
	mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 3, 4))
	if !d.FlipBit() {
		t.Fatal("there was no bit to flip in two records")
	}
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.open(idle).LoadLog(0, 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("the flipped bit was not found: %v", err)
	}
}

// A read at a start may fail. The next one finds everything.
func TestAReadErrorDamagesNothing(t *testing.T) {
	t.Parallel()
	d, seen := newTestDisk(1, DiskFaults{})
	mustSave(t, d.open(idle), raft.HardState{Term: 2, Vote: 1}, entriesOf(2, 1, 3))
	d.Faults.Unreadable = 1
	if facts, err := d.open(idle).Facts(); !errors.Is(err, errRead) || facts != nil {
		t.Errorf("the facts are %v, %v", facts, err)
	}
	if state, log, err := d.open(idle).LoadLog(0, 0); !errors.Is(err, errRead) || state.Term != 0 || log.Entries != nil {
		t.Errorf("the log is %+v, %v, %v", state, log, err)
	}
	if seen[readError] != 2 {
		t.Errorf("it was counted %d times, want 2", seen[readError])
	}
	d.Faults.Unreadable = 0
	if _, state, entries := mustLoad(t, d); state.Term != 2 || state.Vote != 1 || len(entries) != 3 {
		t.Errorf("later it reads %+v and %d entries", state, len(entries))
	}
}
