package history_test

import (
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// revised sets the revision of an operation's change, or of what it read.
func revised(revision uint64, o history.Operation) history.Operation {
	o.Revision = revision
	return o
}

// read is a get that returns the revision that it found, and how many changes the key has had.
func read(value int64, revision, version uint64, call, ret int64) history.Operation {
	o := revised(revision, get(value, call, ret))
	o.Version = version
	return o
}

// incr is the nth increment of the counter, which returns a sum.
func incr(n int, sum, call, ret int64) history.Operation {
	return history.Operation{
		Kind: history.Incr, Key: "k", By: history.Step(n), Value: sum, Call: call, Return: ret, Outcome: history.OK,
	}
}

func unknownIncr(n int, call, ret int64) history.Operation {
	o := unknown(incr(n, 0, call, ret))
	return o
}

func onKey(key string, o history.Operation) history.Operation {
	o.Key = key
	return o
}

func stale(o history.Operation) history.Operation {
	o.Stale = true
	return o
}

// The account is tested: it must find the fault of each history, and name it correctly.
func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		want history.Fault // "": no fault
		says string
		// impossible: Check finds it too, without revisions and versions.
		impossible bool
		ops        []history.Operation
	}{
		{name: "a correct history", ops: []history.Operation{
			revised(5, put(1, 0, 1)), read(1, 5, 1, 2, 3), revised(6, cas(1, 2, 4, 5)), read(2, 6, 2, 6, 7),
		}},
		{"a lost acknowledgement", history.Lost, "put of 2", true, []history.Operation{
			revised(5, put(1, 0, 1)), revised(6, put(2, 2, 3)), read(1, 5, 1, 4, 5),
		}},
		{"a write that is lost below a later one", history.Lost, "3 writes were done, but", false, []history.Operation{
			revised(5, put(1, 0, 1)), revised(6, put(2, 2, 3)), revised(7, put(3, 4, 5)), read(3, 7, 2, 6, 7),
		}},
		{"a lost write whose revision became another's", history.Lost, "both acknowledged with", false, []history.Operation{
			revised(5, put(1, 0, 1)), revised(5, put(2, 0, 3)), read(2, 5, 1, 4, 5),
		}},
		{"a lost cas whose revision became another's", history.Lost, "both acknowledged with", false, []history.Operation{
			revised(5, onKey("l", put(1, 0, 3))), revised(4, put(1, 0, 1)), revised(5, cas(1, 2, 2, 3)), read(2, 5, 2, 4, 5),
			onKey("l", read(1, 5, 1, 4, 5)),
		}},
		{name: "puts of one batch", ops: []history.Operation{
			revised(5, put(1, 0, 1)), revised(5, onKey("l", put(2, 0, 3))), read(1, 5, 1, 4, 5),
			onKey("l", read(2, 5, 1, 4, 5)),
		}},
		{"a write seen once and lost", history.Lost, "1 writes were done", true, []history.Operation{
			unknown(put(1, 0, 1)), read(1, 5, 1, 2, 3), read(0, 0, 0, 4, 5),
		}},
		{"a stale read", history.StaleRead, "get of 1 does not show the put of 2", true, []history.Operation{
			revised(5, put(1, 0, 1)), revised(6, put(2, 2, 3)), read(1, 5, 1, 4, 5), read(2, 6, 2, 6, 7),
		}},
		{name: "a read that may be stale", ops: []history.Operation{
			revised(5, put(1, 0, 1)), revised(6, put(2, 2, 3)), stale(read(1, 5, 1, 4, 5)), read(2, 6, 2, 6, 7),
		}},
		{"a stale read of a value that no client wrote", history.Phantom, "no client wrote", false, []history.Operation{
			revised(5, put(1, 0, 1)), stale(read(9, 5, 1, 4, 5)), read(1, 5, 1, 6, 7),
		}},
		{"a write that was applied twice", history.Duplicated, "at revision 5 and at revision 7", true, []history.Operation{
			revised(5, put(1, 0, 1)), revised(6, put(2, 2, 3)), read(1, 7, 3, 4, 5),
		}},
		{"a write of unknown outcome that was applied twice", history.Duplicated, "1 writes may", false, []history.Operation{
			unknown(put(1, 0, 1)), read(1, 5, 2, 4, 5),
		}},
		{name: "writes of unknown outcome, one of them done", ops: []history.Operation{
			unknown(put(1, 0, 1)), unknown(put(2, 0, 1)), read(2, 6, 1, 4, 5),
		}},
		{"a reordered write", history.Reordered, "put of 2 got revision 5", false, []history.Operation{
			revised(6, put(1, 0, 1)), revised(5, put(2, 2, 3)),
		}},
		{name: "concurrent writes have any order", ops: []history.Operation{
			revised(6, put(1, 0, 3)), revised(5, put(2, 2, 4)),
		}},
		{"a refused write that was done", history.Phantom, "refused, but read", true, []history.Operation{
			failed(put(1, 0, 1)), read(1, 5, 1, 2, 3),
		}},
		{name: "counting", ops: []history.Operation{
			revised(5, incr(0, 1, 0, 1)), revised(6, incr(1, 5, 2, 3)), unknownIncr(2, 2, 9), read(21, 7, 3, 4, 5),
		}},
		{"an increment that is counted twice", history.Duplicated, "incr by 4 was counted 2 times", true, []history.Operation{
			incr(0, 1, 0, 1), incr(1, 5, 2, 3), get(9, 4, 5),
		}},
		{
			"an increment of unknown outcome that is counted twice", history.Duplicated, "incr by 4 was counted 2 times", true,
			[]history.Operation{incr(0, 1, 0, 1), unknownIncr(1, 2, 3), get(9, 4, 5)},
		},
		{"an increment that is lost", history.Lost, "incr by 4 was acknowledged", true, []history.Operation{
			incr(0, 1, 0, 1), incr(1, 5, 2, 3), get(1, 4, 5),
		}},
		{"a read that misses an increment", history.StaleRead, "does not show the incr by 4", true, []history.Operation{
			incr(0, 1, 0, 1), incr(1, 5, 2, 3), get(1, 4, 5), get(5, 6, 7),
		}},
		{"an increment that was refused and counts", history.Phantom, "refused, but counted", true, []history.Operation{
			failed(incr(0, 0, 0, 1)), get(1, 4, 5),
		}},
		{"a sum that no client added", history.Phantom, "no client added", true, []history.Operation{
			incr(0, 1, 0, 1), get(65, 4, 5),
		}},
	} {
		findings := history.Account(c.ops)
		said := false
		for _, f := range findings {
			said = said || strings.Contains(f.Text, c.says)
			if f.Fault != c.want {
				t.Errorf("%s: found %s, want %q", c.name, f, c.want)
			}
		}
		if c.want != "" && !said {
			t.Errorf("%s: found %v, want one with %q", c.name, findings, c.says)
		}
		if err := history.Check(c.ops, limit); (err != nil) != c.impossible {
			t.Errorf("%s: the check of linearizability returned %v", c.name, err)
		}
	}
}

func TestUnknownIncrements(t *testing.T) { // T49
	t.Parallel()
	for _, c := range []struct {
		name string
		good bool
		ops  []history.Operation
	}{
		{"never seen", true, []history.Operation{incr(0, 1, 0, 1), unknownIncr(1, 2, 3), get(1, 4, 5)}},
		{"seen", true, []history.Operation{incr(0, 1, 0, 1), unknownIncr(1, 2, 3), get(5, 4, 5)}},
		{"seen late, by an increment", true, []history.Operation{
			incr(0, 1, 0, 1), unknownIncr(1, 2, 3), get(1, 4, 5), incr(2, 21, 6, 7),
		}},
		{"seen and gone", false, []history.Operation{unknownIncr(1, 2, 3), get(4, 4, 5), get(0, 6, 7)}},
		{"seen before it was sent", false, []history.Operation{get(4, 0, 1), unknownIncr(1, 2, 3)}},
	} {
		if err := history.Check(c.ops, limit); (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
