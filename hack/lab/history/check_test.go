package history_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

const limit = time.Minute

// The operations below take from call to ret on the key k.

func put(value, call, ret int64) history.Operation {
	return history.Operation{Kind: history.Put, Key: "k", Value: value, Call: call, Return: ret, Outcome: history.OK}
}

func get(value, call, ret int64) history.Operation {
	return history.Operation{Kind: history.Get, Key: "k", Value: value, Call: call, Return: ret, Outcome: history.OK}
}

func cas(expected, value, call, ret int64) history.Operation {
	return history.Operation{
		Kind: history.CAS, Key: "k", Expected: expected, New: value, Swapped: true, Call: call, Return: ret,
		Outcome: history.OK,
	}
}

func refused(expected, value, found, call, ret int64) history.Operation {
	o := cas(expected, value, call, ret)
	o.Swapped, o.Value = false, found
	return o
}

func unknown(o history.Operation) history.Operation {
	o.Outcome, o.Swapped = history.Unknown, false
	return o
}

func failed(o history.Operation) history.Operation {
	o.Outcome, o.Swapped = history.Fail, false
	return o
}

func TestHistories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		good bool
		ops  []history.Operation
	}{
		{"nothing", true, nil},
		{"a write is read", true, []history.Operation{get(0, 0, 1), put(1, 2, 3), get(1, 4, 5)}},
		{"a stale read", false, []history.Operation{put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)}},
		{"a lost write", false, []history.Operation{put(1, 0, 1), get(0, 2, 3)}},
		{"a number that no client wrote", false, []history.Operation{put(1, 0, 1), get(9, 2, 3)}},
		{"a read beside a write may see either", true, []history.Operation{put(1, 0, 9), get(0, 2, 3), get(1, 4, 5)}},
		{"but no read after it goes back", false, []history.Operation{put(1, 0, 9), get(1, 2, 3), get(0, 4, 5)}},
		{"what returns in the moment of the next call may come after it", true, []history.Operation{
			put(1, 0, 5), put(2, 5, 9), get(1, 10, 11),
		}},
		{"a swap", true, []history.Operation{cas(0, 1, 0, 1), cas(1, 2, 2, 3), get(2, 4, 5)}},
		{"a swap of a value that was not there", false, []history.Operation{cas(0, 1, 0, 1), cas(7, 2, 2, 3)}},
		{"two swaps of one number", false, []history.Operation{put(1, 0, 1), cas(1, 2, 2, 9), cas(1, 3, 2, 9)}},
		{"a refused swap names what is there", true, []history.Operation{put(1, 0, 1), refused(5, 2, 1, 2, 3)}},
		{"a refused swap names what was there", false, []history.Operation{
			put(1, 0, 1), put(2, 2, 3), refused(5, 7, 1, 4, 5),
		}},
		{"a swap that found what it expected is not refused", false, []history.Operation{
			put(1, 0, 1), refused(1, 2, 1, 2, 3),
		}},
		{"a failed write is not seen", true, []history.Operation{put(1, 0, 1), failed(put(2, 2, 3)), get(1, 4, 5)}},
		{"a failed write is seen", false, []history.Operation{put(1, 0, 1), failed(put(2, 2, 3)), get(2, 4, 5)}},
		{"a failed read shows nothing", true, []history.Operation{put(1, 0, 1), failed(get(0, 2, 3))}},
	} {
		if err := history.Check(c.ops, limit); (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestUnknownWritesMayOrMayNotHappen(t *testing.T) { // T49
	t.Parallel()
	for _, c := range []struct {
		name string
		good bool
		ops  []history.Operation
	}{
		{"never seen", true, []history.Operation{put(1, 0, 1), unknown(put(2, 2, 3)), get(1, 4, 5)}},
		{"seen", true, []history.Operation{put(1, 0, 1), unknown(put(2, 2, 3)), get(2, 4, 5)}},
		{"seen late", true, []history.Operation{put(1, 0, 1), unknown(put(2, 2, 3)), get(1, 4, 5), get(2, 6, 7)}},
		{"seen and gone again", false, []history.Operation{
			put(1, 0, 1), unknown(put(2, 2, 3)), get(2, 4, 5), get(1, 6, 7),
		}},
		{"seen before it was sent", false, []history.Operation{get(2, 0, 1), unknown(put(2, 2, 3))}},
		{"a swap never seen", true, []history.Operation{put(1, 0, 1), unknown(cas(1, 2, 2, 3)), get(1, 4, 5)}},
		{"a swap seen", true, []history.Operation{put(1, 0, 1), unknown(cas(1, 2, 2, 3)), get(2, 4, 5)}},
		{"a swap seen that cannot have been", false, []history.Operation{
			put(1, 0, 1), unknown(cas(7, 2, 2, 3)), get(2, 4, 5),
		}},
		{"a chain of which only the end is seen", true, []history.Operation{
			unknown(put(1, 0, 1)), unknown(cas(1, 2, 2, 3)), unknown(cas(2, 3, 4, 5)), get(3, 6, 7),
		}},
		{"a chain with its middle missing", false, []history.Operation{
			unknown(put(1, 0, 1)), unknown(cas(2, 3, 4, 5)), get(3, 6, 7),
		}},
		{"a swap that may depend on one of unknown outcome", true, []history.Operation{
			put(1, 0, 1), unknown(cas(1, 2, 2, 3)), unknown(cas(2, 3, 4, 5)), get(1, 6, 7),
		}},
		{"a swap makes an unknown write certain", false, []history.Operation{
			unknown(put(1, 0, 1)), cas(1, 2, 2, 3), get(1, 4, 5),
		}},
		{"an unknown read shows nothing", true, []history.Operation{put(1, 0, 1), unknown(get(0, 2, 3))}},
	} {
		if err := history.Check(c.ops, limit); (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestEachKeyIsARegisterOfItsOwn(t *testing.T) {
	t.Parallel()
	other := get(0, 4, 5)
	other.Key = "other"
	ops := []history.Operation{put(1, 0, 1), other}
	if err := history.Check(ops, limit); err != nil {
		t.Errorf("another key was empty, and that is no fault: %v", err)
	}
	lost := other
	lost.Key = "k"
	err := history.Check(append(ops, lost), limit)
	violation, ok := errors.AsType[*history.Violation](err)
	if !ok || violation.Key != "k" || violation.Operations != 2 {
		t.Fatalf("got %v, want a violation on k with its two operations", err)
	}
	page := filepath.Join(t.TempDir(), "k.html")
	if err := violation.Draw(page); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "put 1: ok") {
		t.Errorf("the page does not show the put: %v", err)
	}
}

func TestManyUnknownWritesAreCheckedQuickly(t *testing.T) {
	t.Parallel()
	// If they were searched, each of these writes without an answer would make the search twice as long.
	var ops []history.Operation
	for i := int64(1); i <= 1000; i++ {
		last := i - i%10
		ops = append(ops, unknown(put(i, i*10, i*10+5)), get(last, i*10+6, i*10+8))
	}
	if err := history.Check(ops, limit); err != nil {
		t.Errorf("every tenth write was seen at once and stayed until the next was: %v", err)
	}
	if err := history.Check(append(ops, get(990, 20000, 20001)), limit); err == nil {
		t.Error("the last read went back")
	}
}

func TestReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		good bool
		ops  []history.Operation
	}{
		{"nothing written", true, []history.Operation{get(0, 0, 1)}},
		{"read after the write", true, []history.Operation{put(1, 0, 1), get(1, 2, 3)}},
		{"never read", false, []history.Operation{put(1, 0, 1)}},
		{"read before the last write only", false, []history.Operation{put(1, 0, 1), get(1, 2, 3), put(2, 4, 5)}},
		{"read without success", false, []history.Operation{put(1, 0, 1), failed(get(1, 2, 3))}},
		{"written without success", true, []history.Operation{failed(put(1, 0, 1)), unknown(put(2, 0, 1))}},
	} {
		if err := history.ReadBack(c.ops); (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
