package engine

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// someRecord draws a record, with numbers of every length.
func someRecord(rng *rand.Rand) record {
	number := func() uint64 { return rng.Uint64() >> rng.IntN(64) }
	text := func() []byte {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		return b
	}
	r := record{state: raft.HardState{
		Term: raft.Term(number()), Vote: raft.NodeID(number()), Commit: raft.Index(number()),
	}}
	first := raft.Index(number() >> 8)
	for i := range raft.Index(rng.IntN(4)) {
		r.entries = append(r.entries, raft.Entry{
			Index: first + i, Term: raft.Term(number()), Timestamp: int64(rng.Uint64()) >> rng.IntN(64), Command: text(),
		})
	}
	for range rng.IntN(3) {
		if r.facts == nil {
			r.facts = map[string]string{}
		}
		r.facts[string(text())] = string(text())
	}
	return r
}

func TestARecordIsReadBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		want := someRecord(rand.New(rand.NewPCG(seed, 2)))
		bytes := want.appendTo(nil)
		got, ok := decodeRecord(bytes)
		if !ok || got.state != want.state || !sameEntries(got.entries, want.entries) || !maps.Equal(got.facts, want.facts) {
			t.Fatalf("seed %d: %+v came back as %+v, %t", seed, want, got, ok)
		}
		if again := got.appendTo(nil); string(again) != string(bytes) {
			t.Fatalf("seed %d: written again, the record is %x instead of %x", seed, again, bytes)
		}
	}
}

func TestPartOfARecordIsNoRecord(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		bytes := someRecord(rand.New(rand.NewPCG(seed, 3))).appendTo(nil)
		for n := range bytes {
			if _, ok := decodeRecord(bytes[:n:n]); ok {
				t.Fatalf("seed %d: %d of %d bytes were taken for a record", seed, n, len(bytes))
			}
		}
		if _, ok := decodeRecord(append(bytes, 0)); ok {
			t.Fatalf("seed %d: a byte too many was taken for part of a record", seed)
		}
	}
}

func TestBytesThatAreNoRecordDoNoHarm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		bytes := someRecord(rng).appendTo(nil)
		for range 1 + rng.IntN(4) {
			bytes[rng.IntN(len(bytes))] = byte(rng.IntN(256))
		}
		_, _ = decodeRecord(bytes) // no panic, and no memory for a billion entries
	}
}

// threeRecords is a journal, and where its records end.
func threeRecords() (journal []byte, ends [3]int) {
	for i := range ends {
		index := raft.Index(i + 1)
		journal = appendFrame(journal, record{state: raft.HardState{Term: 1}, entries: entriesOf(1, index, index)})
		ends[i] = len(journal)
	}
	return journal, ends
}

func TestAJournalCutAnywhereIsReadUpToTheCut(t *testing.T) { // T54, T57
	t.Parallel()
	journal, ends := threeRecords()
	for cut := range len(journal) + 1 {
		whole, want := 0, 0
		for i, end := range ends {
			if end <= cut {
				whole, want = i+1, end
			}
		}
		m, good, err := readJournal(journal[:cut])
		if err != nil || good != want || len(m.log.Entries) != whole {
			t.Fatalf("cut at %d: %d entries, good to byte %d, %v; want %d and %d", cut, len(m.log.Entries), good, err,
				whole, want)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) { // T54: damage in the last record may be a torn write
	t.Parallel()
	journal, ends := threeRecords()
	for bit := range 8 * len(journal) {
		journal[bit/8] ^= 1 << (bit % 8)
		m, good, err := readJournal(journal)
		journal[bit/8] ^= 1 << (bit % 8)
		switch before := bit/8 < ends[1]; {
		case before && !errors.Is(err, ErrDamaged):
			t.Fatalf("bit %d flipped, and the journal was taken, %d entries", bit, len(m.log.Entries))
		case !before && errors.Is(err, ErrDamaged):
			// A shorter length leaves bytes behind the record, which no torn write does.
			if bit/8 >= ends[1]+4 {
				t.Fatalf("bit %d of the last record flipped: %v", bit, err)
			}
		case !before && (good != ends[1] || len(m.log.Entries) != 2):
			t.Fatalf("bit %d of the last record flipped, and %d entries were read, good to byte %d", bit,
				len(m.log.Entries), good)
		}
	}
}

func TestZerosAreNoRecords(t *testing.T) { // a file that grew before its data was written
	t.Parallel()
	journal, ends := threeRecords()
	m, good, err := readJournal(append(journal, make([]byte, 100)...))
	if err != nil || good != ends[2] || len(m.log.Entries) != 3 {
		t.Errorf("%d entries, good to byte %d, %v", len(m.log.Entries), good, err)
	}
}

func TestAJournalThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	gap := appendFrame(nil, record{entries: entriesOf(1, 1, 2)})
	gap = appendFrame(gap, record{entries: entriesOf(1, 4, 4)})
	ahead := appendFrame(nil, record{state: raft.HardState{Term: 1, Commit: 3}, entries: entriesOf(1, 1, 2)})
	cut := func(start raft.Index, entries []raft.Entry) record {
		text := formatStart(raft.LogStart{Index: start, Term: 1})
		return record{entries: entries, facts: map[string]string{factStart: text}}
	}
	startsBack := appendFrame(appendFrame(nil, cut(5, nil)), cut(4, nil))
	before := appendFrame(appendFrame(nil, cut(5, entriesOf(1, 6, 7))), record{entries: entriesOf(1, 5, 5)})
	noStart := appendFrame(nil, record{facts: map[string]string{factStart: "5"}})
	for name, journal := range map[string][]byte{
		"a gap": gap, "a commit index after the end": ahead, "a start that goes back": startsBack,
		"an entry before the start": before, "a start that is none": noStart,
		"a gap after the start": appendFrame(nil, cut(5, entriesOf(1, 7, 7))),
	} {
		if _, _, err := readJournal(journal); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s was taken: %v", name, err)
		}
	}
}

func TestTwoBadRecordsAreDamage(t *testing.T) { // only one write at a time can be torn
	t.Parallel()
	journal, ends := threeRecords()
	journal[ends[1]-1] ^= 1
	journal[ends[2]-1] ^= 1
	if _, _, err := readJournal(journal); !errors.Is(err, ErrDamaged) {
		t.Errorf("it was taken: %v", err)
	}
}

// formatStart returns the fact that removes the entries up to the start of a log.
func formatStart(start raft.LogStart) string {
	text, err := json.Marshal(start)
	if err != nil {
		panic(err) // it has only numbers
	}
	return string(text)
}
