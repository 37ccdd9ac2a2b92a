package check

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// written is a put that was Done, in the answer's words.
func written(number int64, index raft.Index, call, back int64) *Operation {
	return &Operation{
		Client: int(number), Kind: kv.OpPut, Key: "k", Number: number, Outcome: Done, Index: index,
		Revision: uint64(index), Call: call, Back: back,
	}
}

// read is a read that was answered: by a value and its revision, or by nothing if the revision is 0.
func read(fresh Freshness, value string, revision uint64, call, back int64) *Operation {
	return &Operation{
		Client: 99, Kind: kv.OpGet, Key: "k", Fresh: fresh, Outcome: Done, Found: revision != 0, Value: value,
		Revision: revision, Call: call, Back: back,
	}
}

// but is an operation with something about it changed.
func but(o *Operation, change func(*Operation)) *Operation {
	change(o)
	return o
}

func TestHistoriesAreJudged(t *testing.T) {
	t.Parallel()
	one, two := func() *Operation { return written(1, 1, 1, 2) }, func() *Operation { return written(2, 2, 3, 4) }
	isRefused := func(o *Operation) { o.Outcome, o.Reason = Refused, errors.New("no leader") }
	isUnknown := func(o *Operation) { o.Outcome, o.Index, o.Revision = Unknown, 0, 0 }
	atLeast := func(revision uint64) func(*Operation) { return func(o *Operation) { o.Least = revision } }
	for _, tale := range []struct {
		name   string
		log    []*Operation // what was committed, from index 1 on
		told   []*Operation // the answers that clients got, beside the log
		broken string
	}{
		{"writes and reads, each after the other", []*Operation{one(), two()}, []*Operation{
			one(), two(), read(Linearizable, "2", 2, 5, 6), read(Stale, "1", 1, 7, 8), read(Stale, "", 0, 9, 10),
			but(read(Bounded, "1", 1, 11, 12), atLeast(1)),
		}, ""},
		{"an acknowledged write is gone", nil, []*Operation{one()}, "acknowledged writes are kept"},
		{
			"an acknowledged write stands elsewhere",
			[]*Operation{two(), one()},
			[]*Operation{one()},
			"acknowledged writes are kept",
		},
		{
			"a refused write was done",
			[]*Operation{one()},
			[]*Operation{but(one(), isRefused)},
			"what is refused is not done",
		}, // T49
		{"a refused write was not done", nil, []*Operation{but(one(), isRefused)}, ""},
		{
			"a write was done twice",
			[]*Operation{one(), one()},
			[]*Operation{but(one(), isUnknown)},
			"a command is done at most once",
		}, // T49
		{"a write of unknown outcome was done late", []*Operation{one()}, []*Operation{
			but(one(), isUnknown), read(Linearizable, "", 0, 3, 4), read(Linearizable, "1", 1, 5, 6),
		}, ""},
		{"a write of unknown outcome is seen before it is called", []*Operation{one()}, []*Operation{
			read(Linearizable, "1", 1, -2, -1), but(one(), isUnknown),
		}, "linearizability"},
		{
			"a stale read sees what never was",
			[]*Operation{one()},
			[]*Operation{one(), read(Stale, "7", 1, 3, 4)},
			"reads see what was",
		},
		{"a read sees what was before the revision it asked for", []*Operation{one(), two()}, []*Operation{
			one(), two(), but(read(Bounded, "1", 1, 5, 6), atLeast(2)),
		}, "reads see what was"},
		{"a linearizable read is stale", []*Operation{one(), two()}, []*Operation{
			one(), two(), read(Linearizable, "1", 1, 5, 6),
		}, "linearizability"}, // T43
		{"a linearizable read goes back behind another", []*Operation{one(), two()}, []*Operation{
			one(), but(two(), func(o *Operation) { o.Back = 20 }),
			read(Linearizable, "2", 2, 5, 6), read(Linearizable, "1", 1, 7, 8),
		}, "linearizability"}, // T40
		{"a write stands in the log before one that was over", []*Operation{two(), one()}, []*Operation{
			written(1, 2, 1, 2), written(2, 1, 3, 4),
		}, "linearizability"},
		{"an incr answers a wrong sum", []*Operation{incr(1, "1")}, []*Operation{incr(1, "2")}, "linearizability"}, // T44
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := &Watch{}
			for i, o := range tale.log {
				w.Committed.add([]raft.Entry{{Index: raft.Index(i + 1), Term: 1, Command: o.Command()}}, 1)
			}
			f := w.JudgeHistory(tale.told)
			if f == nil {
				f = &Failure{}
			}
			if f.Invariant != tale.broken {
				t.Errorf("it broke %q, want %q: %s", f.Invariant, tale.broken, f.Detail)
			}
		})
	}
}

// incr is the first entry, which adds to a key that was absent.
func incr(by int64, sum string) *Operation {
	return but(written(by, 1, 1, 2), func(o *Operation) { o.Kind, o.Value = kv.OpIncr, sum })
}

func TestTheStateIsWhatTheLogSays(t *testing.T) {
	t.Parallel()
	one, elsewhere := func() *Operation { return written(1, 1, 1, 2) }, written(1, 1, 1, 2)
	elsewhere.Key = "other"
	for _, tale := range []struct {
		name    string
		applied []byte
		broken  bool
	}{
		{"the store did what the log says", one().Command(), false},
		{"the store holds another value", written(7, 1, 1, 2).Command(), true},
		{"the store lost the key", nil, true},
		{"the store did something to another key", elsewhere.Command(), true},
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory([]*Operation{one()}, []raft.Entry{{Index: 1, Term: 1, Command: one().Command()}})
			h.replay()
			store := kv.New()
			store.Apply(kv.Entry{Revision: 1, Timestamp: 1, Command: tale.applied})
			if h.judgeState(1, store); (h.failure != nil) != tale.broken {
				t.Errorf("broken: %v, want %v: %v", h.failure != nil, tale.broken, h.failure)
			}
		})
	}
}

// Clients that are cut off learn the outcome of hardly any write. Thirty of them on one key must not take the checker
// more than a moment: tried in every choice, they would take all memory there is.
func TestManyUnknownOutcomesAreJudgedAtOnce(t *testing.T) {
	t.Parallel()
	const writes = 30
	for _, stale := range []bool{false, true} {
		t.Run(map[bool]string{false: "a right history", true: "with a stale read"}[stale], func(t *testing.T) {
			t.Parallel()
			w := &Watch{}
			var told []*Operation
			for i := range int64(writes) {
				// They are all called at once, and stand in the log in the opposite order.
				o := written(i+1, 0, 1, 2)
				o.Outcome, o.Revision = Unknown, 0
				told = append(told, o)
				command := written(writes-i, 0, 1, 2).Command()
				w.Committed.add([]raft.Entry{{Index: raft.Index(i + 1), Term: 1, Command: command}}, 1)
			}
			newest := read(Linearizable, "1", writes, 3, 4)
			told = append(told, newest)
			if stale {
				told = append(told, read(Linearizable, "2", writes-1, 5, 6))
			}
			if f := w.JudgeHistory(told); (f != nil) != stale {
				t.Errorf("broken: %v", f)
			}
		})
	}
}
