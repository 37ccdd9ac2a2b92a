package history_test

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

func at(ms int64, outcome history.Outcome) history.Operation {
	return history.Operation{
		Path: history.Library, Kind: history.Put, Call: ms*1000 - 1, Return: ms * 1000, Outcome: outcome,
	}
}

func TestLongestGap(t *testing.T) {
	t.Parallel()
	ok := history.OK
	steady := []history.Operation{at(100, ok), at(200, ok), at(300, ok), at(400, ok), at(500, ok)}
	for _, c := range []struct {
		name     string
		ops      []history.Operation
		from, to int64
		want     time.Duration
		over     bool
	}{
		{"a steady service", steady, 150, 450, 100 * time.Millisecond, true},
		{"no write yet", nil, 0, 1, 0, false},
		{"no write since", steady, 150, 501, 0, false},
		{"none within", steady, 510, 520, 0, false},
		{"out of order", []history.Operation{at(300, ok), at(100, ok), at(200, ok)}, 100, 300, 100 * time.Millisecond, true},
		{
			"a hole",
			[]history.Operation{at(100, ok), at(200, ok), at(900, ok), at(950, ok)},
			100, 940, 700 * time.Millisecond, true,
		},
		{
			"a hole that began before counts whole",
			[]history.Operation{at(100, ok), at(900, ok)},
			800, 850, 800 * time.Millisecond, true,
		},
		{
			"a hole elsewhere does not count",
			[]history.Operation{at(100, ok), at(900, ok), at(950, ok)},
			910, 940, 50 * time.Millisecond, true,
		},
		{"before the first write", []history.Operation{at(700, ok)}, 100, 300, 600 * time.Millisecond, true},
		{
			"only successful writes count",
			[]history.Operation{at(100, ok), at(200, history.Fail), at(300, history.Unknown), at(400, ok)},
			100, 400, 300 * time.Millisecond, true,
		},
	} {
		got, over := history.LongestGap(c.ops, history.Library, c.from*1000, c.to*1000)
		if got.Length() != c.want || over != c.over {
			t.Errorf("%s: got %s, %t, want %s, %t", c.name, got.Length(), over, c.want, c.over)
		}
	}
}

func TestReadsAndOtherPathsAreNoService(t *testing.T) {
	t.Parallel()
	read, plain := at(200, history.OK), at(300, history.OK)
	read.Kind, plain.Path = history.Get, history.Plain
	ops := []history.Operation{at(100, history.OK), read, plain, at(400, history.OK)}
	got, over := history.LongestGap(ops, history.Library, 100_000, 400_000)
	if !over || got != (history.Gap{From: 100_000, To: 400_000}) {
		t.Errorf("got %+v, %t: only writes over the same path count", got, over)
	}
}
