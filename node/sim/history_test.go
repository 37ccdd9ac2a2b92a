package sim

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// written is a put that was done, in the answer's words.
func written(number int64, index raft.Index, call, back int64) *operation {
	return &operation{
		client: int(number), kind: kv.OpPut, key: "k", number: number, outcome: done, index: index,
		revision: uint64(index), call: call, back: back,
	}
}

// read is a read that was answered: by a value and its revision, or by nothing if the revision is 0.
func read(fresh freshness, value string, revision uint64, call, back int64) *operation {
	return &operation{
		client: 99, kind: kv.OpGet, key: "k", fresh: fresh, outcome: done, found: revision != 0, value: value,
		revision: revision, call: call, back: back,
	}
}

// but is an operation with something about it changed.
func but(o *operation, change func(*operation)) *operation {
	change(o)
	return o
}

func TestHistoriesAreJudged(t *testing.T) {
	t.Parallel()
	one, two := func() *operation { return written(1, 1, 1, 2) }, func() *operation { return written(2, 2, 3, 4) }
	isRefused := func(o *operation) { o.outcome, o.reason = refused, errors.New("no leader") }
	isUnknown := func(o *operation) { o.outcome, o.index, o.revision = unknown, 0, 0 }
	atLeast := func(revision uint64) func(*operation) { return func(o *operation) { o.least = revision } }
	for _, tale := range []struct {
		name   string
		log    []*operation // what was committed, from index 1 on
		told   []*operation // what clients were told, beside what the log says
		broken string
	}{
		{"writes and reads, each after the other", []*operation{one(), two()}, []*operation{
			one(), two(), read(linearizable, "2", 2, 5, 6), read(stale, "1", 1, 7, 8), read(stale, "", 0, 9, 10),
			but(read(bounded, "1", 1, 11, 12), atLeast(1)),
		}, ""},
		{"an acknowledged write is gone", nil, []*operation{one()}, "acknowledged writes are kept"},
		{
			"an acknowledged write stands elsewhere",
			[]*operation{two(), one()},
			[]*operation{one()},
			"acknowledged writes are kept",
		},
		{
			"a refused write was done",
			[]*operation{one()},
			[]*operation{but(one(), isRefused)},
			"what is refused is not done",
		}, // T49
		{"a refused write was not done", nil, []*operation{but(one(), isRefused)}, ""},
		{
			"a write was done twice",
			[]*operation{one(), one()},
			[]*operation{but(one(), isUnknown)},
			"a command is done at most once",
		}, // T49
		{"a write of unknown outcome was done late", []*operation{one()}, []*operation{
			but(one(), isUnknown), read(linearizable, "", 0, 3, 4), read(linearizable, "1", 1, 5, 6),
		}, ""},
		{"a write of unknown outcome is seen before it is called", []*operation{one()}, []*operation{
			read(linearizable, "1", 1, -2, -1), but(one(), isUnknown),
		}, "linearizability"},
		{
			"a stale read sees what never was",
			[]*operation{one()},
			[]*operation{one(), read(stale, "7", 1, 3, 4)},
			"reads see what was",
		},
		{"a read sees what was before the revision it asked for", []*operation{one(), two()}, []*operation{
			one(), two(), but(read(bounded, "1", 1, 5, 6), atLeast(2)),
		}, "reads see what was"},
		{"a linearizable read is stale", []*operation{one(), two()}, []*operation{
			one(), two(), read(linearizable, "1", 1, 5, 6),
		}, "linearizability"}, // T43
		{"a linearizable read goes back behind another", []*operation{one(), two()}, []*operation{
			one(), but(two(), func(o *operation) { o.back = 20 }),
			read(linearizable, "2", 2, 5, 6), read(linearizable, "1", 1, 7, 8),
		}, "linearizability"}, // T40
		{"a write stands in the log before one that was over", []*operation{two(), one()}, []*operation{
			written(1, 2, 1, 2), written(2, 1, 3, 4),
		}, "linearizability"},
		{"an incr answers a wrong sum", []*operation{incr(1, "1")}, []*operation{incr(1, "2")}, "linearizability"}, // T44
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := &World{}
			w.clients.history = tale.told
			for i, o := range tale.log {
				w.ledger.add([]raft.Entry{{Index: raft.Index(i + 1), Term: 1, Command: o.command()}}, 1)
			}
			w.judgeHistory()
			broken := ""
			if w.violation != nil {
				broken = w.violation.Broken
			}
			if broken != tale.broken {
				t.Errorf("it broke %q, want %q: %v", broken, tale.broken, w.violation)
			}
		})
	}
}

// incr is the first entry, which adds to a key that was absent.
func incr(by int64, sum string) *operation {
	return but(written(by, 1, 1, 2), func(o *operation) { o.kind, o.value = kv.OpIncr, sum })
}

func TestTheStateIsWhatTheLogSays(t *testing.T) {
	t.Parallel()
	one, elsewhere := written(1, 1, 1, 2), written(1, 1, 1, 2)
	elsewhere.key = "other"
	for _, tale := range []struct {
		name    string
		applied []byte
		broken  bool
	}{
		{"the store did what the log says", one.command(), false},
		{"the store holds another value", written(7, 1, 1, 2).command(), true},
		{"the store lost the key", nil, true},
		{"the store did something to another key", elsewhere.command(), true},
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := &World{}
			w.clients.history = []*operation{one}
			w.ledger.add([]raft.Entry{{Index: 1, Term: 1, Command: one.command()}}, 1)
			h := newHistory(w)
			h.replay()
			store := kv.New()
			store.Apply(1, tale.applied)
			if h.judgeState(1, store); (w.violation != nil) != tale.broken {
				t.Errorf("broken: %v, want %v: %v", w.violation != nil, tale.broken, w.violation)
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
			w := &World{}
			for i := range int64(writes) {
				// They are all called at once, and stand in the log in the opposite order.
				o := written(i+1, 0, 1, 2)
				o.outcome, o.revision = unknown, 0
				w.clients.history = append(w.clients.history, o)
				command := written(writes-i, 0, 1, 2).command()
				w.ledger.add([]raft.Entry{{Index: raft.Index(i + 1), Term: 1, Command: command}}, 1)
			}
			newest := read(linearizable, "1", writes, 3, 4)
			w.clients.history = append(w.clients.history, newest)
			if stale {
				w.clients.history = append(w.clients.history, read(linearizable, "2", writes-1, 5, 6))
			}
			w.judgeHistory()
			if (w.violation != nil) != stale {
				t.Errorf("broken: %v", w.violation)
			}
		})
	}
}
