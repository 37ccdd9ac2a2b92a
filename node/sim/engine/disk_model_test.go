package engine

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// content is what a disk holds, in the simplest form.
type content struct {
	state raft.HardState
	log   raft.Log
	facts map[string]string
}

// with gives what the disk holds after a save.
func (c content) with(r record) content {
	next := content{r.state, raft.Log{Start: c.log.Start, Entries: slices.Clone(c.log.Entries)}, maps.Clone(c.facts)}
	if start, is := r.start(); is {
		if held, is := positionIn(next.log, start.Index); !is || held.Term != start.Term || held.Digest != start.Digest {
			next.log.Entries = nil // it is another log
		}
		next.log.Entries = slices.DeleteFunc(next.log.Entries, func(e raft.Entry) bool { return e.Index <= start.Index })
		next.log.Start = start
	}
	if len(r.entries) > 0 {
		next.log.Entries = append(next.log.Entries[:r.entries[0].Index-1-next.log.Start.Index], r.entries...)
	}
	maps.Copy(next.facts, r.facts)
	delete(next.facts, factStart)
	return next
}

// positionIn is a position in a log; false if the log does not have it.
func positionIn(log raft.Log, i raft.Index) (raft.LogStart, bool) {
	at := log.Start
	for k := range log.Entries {
		if e := &log.Entries[k]; e.Index <= i {
			at = raft.LogStart{Index: e.Index, Term: e.Term, Digest: at.Digest.Extend(e)}
		}
	}
	return at, at.Index == i
}

func (c content) equal(other content) bool {
	return c.state == other.state && sameLog(c.log, other.log) && maps.Equal(c.facts, other.facts)
}

func (c content) String() string {
	return fmt.Sprintf("%+v, %d entries after %d, facts %v", c.state, len(c.log.Entries), c.log.Start.Index, c.facts)
}

// diskRun is a run of one disk beside a simple model of it: before the save in progress, or the one that failed, and
// after it. A process that gets an error ends, as a node does.
type diskRun struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	faults DiskFaults
	disk   *disk
	life   *storage
	killAt int // passes of time until the process is killed; 0: it is not
	before content
	after  content
	events map[string]int
}

type killedInStory struct{}

func newDiskRun(t *testing.T, seed uint64) *diskRun {
	s := &diskRun{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), events: map[string]int{}}
	s.faults = DiskFaults{Latency: time.Millisecond, Slow: 0.1, Stall: 0.1, StallFor: time.Second}
	for _, chance := range []*float64{&s.faults.Error, &s.faults.SyncFails, &s.faults.Torn} {
		if s.rng.IntN(2) == 0 {
			*chance = s.rng.Float64() * 0.5
		}
	}
	s.disk = newDisk(rand.New(rand.NewPCG(seed, 6)), &s.faults, func(fault string) { s.events[fault]++ })
	s.before.facts, s.after.facts = map[string]string{}, map[string]string{}
	s.start()
	return s
}

// pass kills the process when its time has come, and checks what the disk reports.
func (s *diskRun) pass(d time.Duration) {
	if d < 0 {
		s.t.Fatalf("seed %d: time went back by %v", s.seed, d)
	}
	s.sayDurable()
	if s.killAt > 0 {
		if s.killAt--; s.killAt == 0 {
			panic(killedInStory{})
		}
	}
}

// sayDurable checks that durable returns one of the two possible states, and notes it: a crash must keep it.
func (s *diskRun) sayDurable() {
	state, log := s.disk.Durable()
	said := content{state, log, s.after.facts}
	switch {
	case said.equal(content{s.after.state, s.after.log, s.after.facts}):
	case said.equal(content{s.before.state, s.before.log, s.after.facts}):
	default:
		s.t.Fatalf("seed %d: durable() says %v, after %v, before %v", s.seed, said, s.before, s.after)
	}
}

// start reads the disk, which must hold what was before the last save or what was after it.
func (s *diskRun) start() {
	saidState, saidLog := s.disk.Durable()
	s.life = s.disk.open(s.pass)
	s.killAt = 0
	state, log, err := s.life.LoadLog(0, 0)
	if err != nil {
		s.t.Fatalf("seed %d: a disk that is well was refused: %v", s.seed, err)
	}
	found := content{state, log, s.readFacts()}
	if !found.equal(s.before) && !found.equal(s.after) {
		s.t.Fatalf("seed %d: the disk holds %v, and must hold %v or %v", s.seed, found, s.before, s.after)
	}
	if saidState != state || !sameLog(saidLog, log) {
		s.t.Fatalf("seed %d: durable() said %+v and %d entries, but the disk holds %v", s.seed, saidState,
			len(saidLog.Entries), found)
	}
	s.before, s.after = found, found
}

// readFacts gives the facts but those of the hard state.
func (s *diskRun) readFacts() map[string]string {
	facts, err := s.life.Facts()
	if err != nil {
		s.t.Fatalf("seed %d: %v", s.seed, err)
	}
	for _, key := range []string{factTerm, factVote, factCommit} {
		delete(facts, key)
	}
	return facts
}

// end lets the process end, and checks that the crash keeps what was reported as durable.
func (s *diskRun) end() {
	_, said := s.disk.Durable()
	said.Entries = slices.Clone(said.Entries)
	wasAfter := sameLog(said, s.after.log) && !sameLog(said, s.before.log)
	s.disk.crash()
	if _, now := s.disk.Durable(); wasAfter && !sameLog(now, said) {
		s.t.Fatalf("seed %d: a crash took back what was durable", s.seed)
	}
	s.start()
}

// save runs one save of any kind, which may fail, or be killed.
func (s *diskRun) save(r record, call func() error) {
	s.after = s.before.with(r)
	if s.rng.IntN(8) == 0 {
		s.killAt = 1 + s.rng.IntN(2)
	}
	if killed, err := s.survive(call); killed || err != nil {
		if !killed && !errors.Is(err, errDisk) && !errors.Is(err, errSync) {
			s.t.Fatalf("seed %d: a save was refused: %v", s.seed, err)
		}
		s.events[fmt.Sprintf("killed %t", killed)]++
		s.end()
		return
	}
	s.killAt = 0
	s.before = s.after
	s.sayDurable()
}

func (s *diskRun) survive(call func() error) (killed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != any(killedInStory{}) {
				panic(r)
			}
			killed = true
		}
	}()
	return false, call()
}

// saveSome saves a hard state with some entries or with none. The commit index does not move, because beside entries
// it may be either.
func (s *diskRun) saveSome() {
	state := s.before.state
	state.Term += raft.Term(s.rng.IntN(2))
	state.Vote = raft.NodeID(s.rng.IntN(4))
	var entries []raft.Entry
	if n := raft.Index(s.rng.IntN(5)); n > 0 {
		first := s.before.log.Last() + 1
		if first > 1 && s.rng.IntN(4) == 0 {
			first -= raft.Index(s.rng.IntN(int(min(first, 5))))
		}
		first = max(first, state.Commit+1, s.before.log.Start.Index+1)
		entries = entriesOf(state.Term, first, first+n-1)
	}
	s.save(record{state: state, entries: entries}, func() error { return s.life.Save(state, entries) })
}

// cut removes entries, as a cut of the log does; or moves the log to another position, as a snapshot does: what the log
// holds behind it stays only if the log has that very position.
func (s *diskRun) cut() {
	state, first := s.before.state, s.before.log.Start.Index+1
	start, is := positionIn(s.before.log, first+raft.Index(s.rng.IntN(4)))
	if !is || s.rng.IntN(3) == 0 {
		state.Term++ // it has at least this term
		start = raft.LogStart{Index: max(first, state.Commit) + raft.Index(s.rng.IntN(4)), Term: state.Term, Digest: 7}
	}
	state.Commit = max(state.Commit, start.Index)
	r := record{state: state, facts: map[string]string{factStart: formatStart(start)}}
	s.save(r, func() error { return errors.Join(s.life.ready(), s.life.commit(r)) })
}

// step does one thing of any kind.
func (s *diskRun) step() {
	switch s.rng.IntN(13) {
	case 0:
		s.end()
	case 1:
		facts := map[string]string{fmt.Sprint("fact", s.rng.IntN(3)): fmt.Sprint(s.rng.IntN(3))}
		s.save(record{state: s.before.state, facts: facts}, func() error { return s.life.SaveFacts(facts) })
	case 2:
		state := s.before.state
		state.Commit = s.before.log.Last()
		s.save(record{state: state}, func() error { return s.life.Save(state, nil) })
	case 3:
		s.readRange()
	case 4:
		if s.rng.IntN(4) == 0 {
			s.damage()
			return
		}
		if err := s.life.Checkpoint(); err != nil {
			s.t.Fatalf("seed %d: %v", s.seed, err)
		}
	case 5:
		s.cut()
	default:
		s.saveSome()
	}
}

// readRange compares a part of the log with the model.
func (s *diskRun) readRange() {
	entries := s.before.log.Entries
	from, limit := s.rng.IntN(int(s.before.log.Last())+2), s.rng.IntN(6)
	got, err := s.life.Range(raft.Index(from), limit)
	first := min(max(from-int(s.before.log.Start.Index), 1)-1, len(entries))
	want := entries[first:min(first+limit, len(entries))]
	if err != nil || !sameEntries(got, want) {
		s.t.Fatalf("seed %d: Range(%d, %d) gave %v, %v; want %v", s.seed, from, limit, got, err, want)
	}
}

// damage flips a bit, which the next start must find, and then puts in an empty disk.
func (s *diskRun) damage() {
	if !s.disk.FlipBit() {
		return
	}
	s.events["flip"]++
	if s.rng.IntN(2) == 0 { // also with something behind it, whole or torn
		next := record{state: raft.HardState{Term: s.before.state.Term + 1}}
		s.after = s.before.with(next)
		_ = s.life.Save(next.state, nil)
	}
	s.life = s.disk.open(s.pass)
	if _, _, err := s.life.LoadLog(0, 0); !errors.Is(err, ErrDamaged) {
		s.t.Fatalf("seed %d: a flipped bit was not found: %v", s.seed, err)
	}
	s.disk.wipe()
	s.before, s.after = content{facts: map[string]string{}}, content{facts: map[string]string{}}
	s.start()
}

func TestTheDiskDoesWhatASimpleModelDoes(t *testing.T) {
	t.Parallel()
	happened := map[string]int{}
	for seed := range uint64(2500) {
		s := newDiskRun(t, seed)
		for range 60 {
			s.step()
		}
		for event, n := range s.events {
			happened[event] += n
		}
	}
	for _, event := range []string{
		writeError, syncError, stalledDisk, slowDisk, tornWrite, "flip", "killed true", "killed false",
	} {
		if happened[event] < 500 {
			t.Errorf("%q happened %d times in all runs, too rarely to say anything", event, happened[event])
		}
	}
}

func TestTheSameSeedMakesTheSameBytes(t *testing.T) { // one seed replays a run
	t.Parallel()
	for seed := range uint64(100) {
		var journals [2]string
		for i := range journals {
			s := newDiskRun(t, seed)
			for range 100 {
				s.step()
			}
			journals[i] = string(s.disk.journal)
		}
		if journals[0] != journals[1] {
			t.Fatalf("seed %d: two runs left two different disks", seed)
		}
	}
}

func TestTheCommitIndexMayLagBesideEntriesOnly(t *testing.T) { // node.Storage: Save
	t.Parallel()
	older, newer := 0, 0
	for seed := range uint64(200) {
		d, _ := newTestDisk(seed, DiskFaults{})
		s := d.open(idle)
		mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 5))
		mustSave(t, s, raft.HardState{Term: 1, Commit: 4}, entriesOf(1, 6, 6))
		switch state, _ := d.Durable(); state.Commit {
		case 0:
			older++
		case 4:
			newer++
		}
		mustSave(t, s, raft.HardState{Term: 1, Commit: 5}, nil)
		if _, state, _ := mustLoad(t, d); state.Commit != 5 {
			t.Fatalf("seed %d: a commit index saved without entries came back as %d", seed, state.Commit)
		}
	}
	if older+newer != 200 || older < 50 || newer < 50 {
		t.Errorf("beside entries the commit index was the older one %d times, the newer %d; both must happen", older, newer)
	}
}

func TestALongRunKeepsTheJournalShort(t *testing.T) {
	t.Parallel()
	d, _ := newTestDisk(1, DiskFaults{Torn: 0.5})
	s := d.open(idle)
	mustSave(t, s, raft.HardState{Term: 1}, entriesOf(1, 1, 100))
	for i := range 10_000 {
		if i%2 == 0 { // a log whose end is replaced over and over, and votes
			mustSave(t, s, raft.HardState{Term: raft.Term(i + 2)}, entriesOf(raft.Term(i+2), 90, 100))
		} else {
			mustSave(t, s, raft.HardState{Term: raft.Term(i + 2), Vote: 1}, nil)
		}
	}
	_, log := d.Durable()
	fresh := len(appendFrame(nil, record{entries: log.Entries}))
	if len(d.journal) > 5*fresh+2*compactSlack {
		t.Errorf("the journal has %d bytes, for entries of %d", len(d.journal), fresh)
	}
	if !d.FlipBit() {
		t.Error("after it was made anew, no bit of the journal can flip")
	}
	if _, _, err := d.open(idle).LoadLog(0, 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("the flipped bit was not found: %v", err)
	}
}

func BenchmarkSaveOneEntry(b *testing.B) {
	d, _ := newTestDisk(1, DiskFaults{Latency: time.Millisecond, Torn: 0.5, Slow: 0.01})
	s := d.open(idle)
	entry := entriesOf(1, 1, 1)
	b.ReportAllocs()
	for i := range raft.Index(b.N) {
		entry[0].Index = i + 1
		if err := s.Save(raft.HardState{Term: 1, Commit: i}, entry); err != nil {
			b.Fatal(err)
		}
	}
}
