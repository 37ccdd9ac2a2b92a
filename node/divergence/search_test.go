package divergence

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestOnlyAMajorityOfTheOthersProvesALogDamaged(t *testing.T) { // T54
	t.Parallel()
	ours := Fingerprint{7, 2, 100}
	theirs, others := Fingerprint{7, 2, 200}, Fingerprint{7, 2, 300}
	for name, c := range map[string]struct {
		members int
		answers []Fingerprint
		want    raft.Digest // 0: not proven
	}{
		"no answers":          {3, nil, 0},
		"all agree with us":   {3, []Fingerprint{ours, ours}, 0},
		"one of two differs":  {3, []Fingerprint{theirs, ours}, 0},
		"both differ":         {3, []Fingerprint{theirs, theirs}, 200},
		"both differ in two":  {3, []Fingerprint{theirs, others}, 0},
		"one of three asked":  {3, []Fingerprint{theirs}, 0},
		"two of four":         {5, []Fingerprint{theirs, theirs, ours, ours}, 0},
		"three of four":       {5, []Fingerprint{theirs, theirs, ours, theirs}, 200},
		"three of three":      {4, []Fingerprint{theirs, theirs, theirs}, 200},
		"the other of two":    {2, []Fingerprint{theirs}, 0},
		"alone":               {1, nil, 0},
		"another term":        {3, []Fingerprint{{7, 3, 200}, {7, 3, 200}}, 0},
		"another index":       {3, []Fingerprint{{8, 2, 200}, {8, 2, 200}}, 0},
		"they do not hold it": {3, []Fingerprint{{7, 0, 0}, {7, 0, 0}}, 0},
		"no digest":           {3, []Fingerprint{{7, 2, 0}, {7, 2, 0}}, 0},
	} {
		got, proven := majorityDigest(c.members, ours, c.answers)
		if got != c.want || proven != (c.want != 0) {
			t.Errorf("%s: %d, %v; want %d", name, got, proven, c.want)
		}
	}
}

// coreOf returns the core of node 1 of three with a log of so many entries in term 2.
func coreOf(t *testing.T, entries, commit raft.Index) *raft.Core {
	t.Helper()
	var log raft.Log
	for i := range entries {
		log.Entries = append(log.Entries, raft.Entry{Index: i + 1, Term: 2, Command: []byte(`{"op":"noop"}`)})
	}
	core, err := raft.New(raft.Config{
		ID: 1, Initial: raft.Configuration{Members: []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}}, LastID: 3},
		ElectionTicks: 10, HeartbeatTicks: 1, MaxMessageEntries: 1,
		MaxMessageBytes: 1, MaxInflightMessages: 1, MaxInflightBytes: 1, MaxUncommittedBytes: 1, MaxTailBytes: 1 << 20,
		Rand: rand.New(rand.NewPCG(1, 2)), Encoding: entryjson.Encoding(),
	}, raft.HardState{Term: 2, Commit: commit}, log)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// The entry that the question was about may have been replaced while the others answered. Then they prove nothing.
func TestAnswersAboutAReplacedEntryProveNothing(t *testing.T) { // T54
	t.Parallel()
	core := coreOf(t, 2, 1)
	s := NewSearch(core, 1)
	ours := s.Fingerprint(1)
	theirs := Fingerprint{ours.Index, ours.Term, ours.Digest + 1}
	replaced := Fingerprint{1, 1, 4711}
	s.inquiring = true
	s.Conclude(3, replaced, []Fingerprint{{1, 1, 4712}, {1, 1, 4712}}, nil)
	if s.inquiring || s.Proof() != nil {
		t.Errorf("after answers about a replaced entry: %+v", s)
	}
	tail := s.Fingerprint(2)
	s.Conclude(3, tail, []Fingerprint{{2, 2, 4711}, {2, 2, 4711}}, nil)
	if _, _, held := core.Digest(2); held || s.Proof() != nil {
		t.Errorf("an entry that is not committed is proven wrong: held %t, %+v", held, s)
	}
	s.Conclude(3, ours, []Fingerprint{theirs, theirs}, nil)
	if s.Proof() == nil {
		t.Error("answers about the entry that is there prove nothing")
	}
}

// search asks the others about an entry and what follows from it, as if their logs differed from this one from an index
// on. It returns the damage for which entries were dropped, and whom the others were asked about.
func search(t *testing.T, s *Search, begin, from raft.Index, otherFounders []raft.NodeID) (*Error, []raft.Index) {
	t.Helper()
	ask, began := s.Begin(begin, time.Unix(1, 0))
	if !began {
		t.Fatal("the search does not begin")
	}
	var asked []raft.Index
	for len(asked) < 100 {
		asked = append(asked, ask.Index)
		theirs := ask
		if ask.Index >= from {
			theirs.Digest++
		}
		c := s.Conclude(3, ask, []Fingerprint{theirs, theirs}, otherFounders)
		if c.Ask.Index == 0 {
			return c.Dropped, asked
		}
		ask = c.Ask
	}
	t.Fatal("the search does not end")
	return nil, nil
}

// Exactly the entries from the first damaged one on are dropped, whichever that is, and nothing that is committed.
func TestTheFirstDamagedEntryIsFound(t *testing.T) { // T54
	t.Parallel()
	const last, commit = 40, 9
	for from := raft.Index(commit + 1); from <= last; from++ {
		for begin := from; begin <= last; begin++ {
			core := coreOf(t, last, commit)
			s := NewSearch(core, 1)
			dropped, asked := search(t, s, begin, from, nil)
			if end := core.Status().LastIndex; end != from-1 || s.Proof() != nil || dropped == nil || dropped.Index != from ||
				len(asked) > 7 {
				t.Fatalf("begun at %d, the first damaged is %d: the log ends at %d, dropped for %+v, asked about %v", begin, from,
					end, dropped, asked)
			}
		}
	}
}

// A state was made of what is committed, and both logs are whole if there are two foundings: nothing is dropped then.
func TestDamageThatCannotBeDropped(t *testing.T) { // T54
	t.Parallel()
	for name, c := range map[string]struct {
		begin         raft.Index
		otherFounders []raft.NodeID
	}{
		"the last that is committed":           {9, nil},
		"not committed, of two foundings":      {20, []raft.NodeID{2, 3}},
		"committed, and there are two as well": {5, []raft.NodeID{2, 3}},
	} {
		core := coreOf(t, 40, 9)
		s := NewSearch(core, 1)
		dropped, _ := search(t, s, c.begin, 1, c.otherFounders)
		if dropped != nil || s.Proof() == nil || core.Status().LastIndex != 40 {
			t.Errorf("%s: dropped for %+v, proven %v, the log ends at %d", name, dropped, s.Proof(), core.Status().LastIndex)
		}
	}
}

// A message may be forged, so the others are not asked for each, and one search has nothing of the one before.
func TestASearchBeginsAnewAndNotTooOften(t *testing.T) { // T54
	t.Parallel()
	core, now := coreOf(t, 40, 9), time.Unix(1, 0)
	s := NewSearch(core, 1)
	for _, index := range []raft.Index{0, 41} {
		if _, began := s.Begin(index, now); began {
			t.Errorf("the others are asked about entry %d, which this log does not hold", index)
		}
	}
	ours, began := s.Begin(30, now)
	if _, again := s.Begin(30, now.Add(time.Hour)); !began || again {
		t.Error("the others are asked while they are being asked")
	}
	theirs := ours
	theirs.Digest++
	s.Conclude(3, ours, []Fingerprint{theirs, theirs}, nil) // the next question is never answered
	s.Conclude(3, Fingerprint{Index: 30}, nil, nil)
	if _, again := s.Begin(30, now.Add(inquireEvery-1)); again {
		t.Error("the others are asked again too soon")
	}
	if _, again := s.Begin(20, now.Add(inquireEvery)); !again {
		t.Error("the others are not asked again")
	}
	c := s.Conclude(3, s.Fingerprint(20), nil, nil) // no member answers
	if c.Ask.Index != 0 || c.Dropped != nil || core.Status().LastIndex != 40 {
		t.Errorf("no member answers, and it follows %+v", c)
	}
}

// mustStep steps the core through a message of the leader and does what follows from it.
func mustStep(t *testing.T, core *raft.Core, m raft.Message) {
	t.Helper()
	m.Type, m.From, m.To, m.RequestID = raft.MsgAppendEntries, 2, 1, 1
	_, digest, _ := core.Digest(m.PrevLogIndex)
	m.PrevLogDigest = digest
	if err := core.Step(m); err != nil {
		t.Fatal(err)
	}
	core.Advance(core.Ready())
}

// What was committed since the others were asked cannot be dropped, however far that reaches. It ends the node.
func TestDamageThatIsCommittedMeanwhileIsProof(t *testing.T) { // T54
	t.Parallel()
	for _, commit := range []raft.Index{30, 31, 40} {
		core := coreOf(t, 40, 9)
		s := NewSearch(core, 1)
		ours, _ := s.Begin(30, time.Unix(1, 0))
		theirs := ours
		theirs.Digest++
		next := s.Conclude(3, ours, []Fingerprint{theirs, theirs}, nil).Ask
		mustStep(t, core, raft.Message{Term: 2, PrevLogIndex: 40, PrevLogTerm: 2, LeaderCommit: commit})
		c := s.Conclude(3, next, []Fingerprint{next, next}, nil)
		if c.Ask.Index != 0 || c.Dropped != nil || s.Proof() == nil || core.Status().LastIndex != 40 {
			t.Errorf("committed up to %d: %+v, proven %v, the log ends at %d", commit, c, s.Proof(), core.Status().LastIndex)
		}
	}
}

// The damaged entries may have been replaced since the others were asked. What stands there now is not dropped.
func TestEntriesThatReplacedTheDamagedOnesStay(t *testing.T) { // T54
	t.Parallel()
	core := coreOf(t, 40, 9)
	s := NewSearch(core, 1)
	ours, _ := s.Begin(30, time.Unix(1, 0))
	theirs := ours
	theirs.Digest++
	ask := s.Conclude(3, ours, []Fingerprint{theirs, theirs}, nil).Ask
	var entries []raft.Entry
	for i := raft.Index(29); i < 35; i++ {
		entries = append(entries, raft.Entry{Index: i, Term: 3, Command: []byte(`{"op":"noop"}`)})
	}
	mustStep(t, core, raft.Message{Term: 3, PrevLogIndex: 28, PrevLogTerm: 2, Entries: entries})
	for range 10 {
		c := s.Conclude(3, ask, []Fingerprint{ask, ask}, nil)
		if ask = c.Ask; ask.Index == 0 {
			break
		}
	}
	if ask.Index != 0 || s.Proof() != nil || core.Status().LastIndex != 34 {
		t.Errorf("asked about %d, proven %v, the log ends at %d", ask.Index, s.Proof(), core.Status().LastIndex)
	}
}
