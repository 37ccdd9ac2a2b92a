package divergence

import (
	"math/rand/v2"
	"testing"

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

// The entry that the question was about may have been replaced while the others answered. Then they prove nothing.
func TestAnswersAboutAReplacedEntryProveNothing(t *testing.T) { // T54
	t.Parallel()
	core, err := raft.New(raft.Config{
		ID: 1, Voters: []raft.NodeID{1, 2, 3}, ElectionTicks: 10, HeartbeatTicks: 1, MaxMessageEntries: 1,
		MaxMessageBytes: 1, MaxInflightMessages: 1, MaxInflightBytes: 1, MaxUncommittedBytes: 1,
		Rand: rand.New(rand.NewPCG(1, 2)), Encoding: entryjson.Encoding(),
	}, raft.HardState{Term: 2, Commit: 1}, raft.Log{Entries: []raft.Entry{
		{Index: 1, Term: 2, Command: []byte(`{"op":"noop"}`)}, {Index: 2, Term: 2, Command: []byte(`{"op":"noop"}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
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
