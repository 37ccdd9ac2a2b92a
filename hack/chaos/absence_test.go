package main

import (
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// asked is a read that node 2 received at a time and answered after another, both in milliseconds.
func asked(at, took int64, outcome history.Outcome) history.Operation {
	return history.Operation{
		Kind: history.Get, Key: "k", Node: 2, Call: at * 1000, Return: (at + took) * 1000, Outcome: outcome,
	}
}

// cutOff is a time, in milliseconds, during which node 2 was cut off.
func cutOff(from, to int64) []absence { return []absence{{Node: 2, From: from * 1000, To: to * 1000}} }

func TestRefusalsOfNodesThatAreCutOff(t *testing.T) {
	t.Parallel()
	stale := asked(2000, 1, history.OK)
	stale.Stale = true
	elsewhere := asked(2000, 3000, history.Fail)
	elsewhere.Node = 1
	for _, c := range []struct {
		name  string
		ops   []history.Operation
		words string
		wrong string // "": nothing
	}{
		{"nothing was asked", nil, "no refusals", ""},
		{
			"refused in time",
			[]history.Operation{asked(2000, 800, history.Fail), asked(2100, 10, history.Unknown)},
			"2 refusals, all within 1s, the longest 800ms", "",
		},
		{
			"refused late",
			[]history.Operation{asked(2000, 1200, history.Fail), asked(2100, 10, history.Fail)},
			"MISSED: 1 of 2 refusals took more than 1s, the longest 1.2s", "",
		},
		{"hung", []history.Operation{asked(2000, 4100, history.Unknown)}, "MISSED", "took 4.1s for a get"},
		{"done, though it cannot be", []history.Operation{asked(2000, 100, history.OK)}, "no refusals", "and yet did a get"},
		{"done when the partition was over", []history.Operation{asked(2900, 500, history.OK)}, "no refusals", ""},
		{"asked before", []history.Operation{asked(500, 1200, history.OK)}, "no refusals", ""},
		{"asked after", []history.Operation{asked(3500, 1, history.OK)}, "no refusals", ""},
		{"stale reads and other nodes", []history.Operation{stale, elsewhere}, "no refusals", ""},
	} {
		r := measure(c.ops, cutOff(1000, 3000))
		if words := r.words(); !strings.HasPrefix(words, c.words) {
			t.Errorf("%s: got %q", c.name, words)
		}
		err := r.err()
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: wrong is %v", c.name, err)
		}
	}
}

func TestANodeThatReceivesIsJudgedSeparately(t *testing.T) {
	t.Parallel()
	mute := cutOff(1000, 3000)
	mute[0].Mute = true
	r := measure([]history.Operation{asked(2000, 2300, history.Fail)}, mute)
	if got := r.words(); got != "no refusals to measure; the longest of a node that cannot send but receives, 2.3s" {
		t.Errorf("got %q", got)
	}
	if r := measure([]history.Operation{asked(2000, 4300, history.Fail)}, mute); r.err() == nil {
		t.Error("a node that hung was not found")
	}
}

func TestOnlyNodesThatRanProveSomething(t *testing.T) {
	t.Parallel()
	trial := &trial{}
	took := injection{From: 1, To: 2}
	trial.note([]*current{
		{Fault: &fault.Fault{Kind: fault.Split}, took: took, cutOff: []int{0, 1}},
		{Fault: &fault.Fault{Kind: fault.Pause}, took: took, victims: []int{1}},
	})
	if len(trial.absences) != 1 || trial.absences[0] != (absence{Node: 1, From: 1, To: 2}) {
		t.Errorf("got %+v, want node 1 only: node 2 was paused", trial.absences)
	}
}

func TestARunThatDidNothingFails(t *testing.T) {
	t.Parallel()
	put := history.Operation{Kind: history.Put, Key: "k", Value: 1, Outcome: history.OK}
	busy := &trial{operations: []history.Operation{put}, injections: []injection{{Kind: fault.Kill}}}
	if err := busy.idle(); err != nil {
		t.Errorf("a write and a fault: %v", err)
	}
	if (&trial{operations: busy.operations}).idle() == nil {
		t.Error("a run without a fault passed")
	}
	put.Outcome = history.Unknown
	if (&trial{operations: []history.Operation{put}, injections: busy.injections}).idle() == nil {
		t.Error("a run without a write passed")
	}
}

func TestEachRowHasTheLongestTimeWithoutService(t *testing.T) {
	t.Parallel()
	tr := &trial{
		injections: []injection{{Kind: fault.Kill, From: 1e6, To: 3e6}, {Kind: fault.Pause, From: 11e6, To: 12e6}},
		spells: []spell{
			{"kill", 1e6, 3e6}, {"(calm)", 3e6, 10e6}, {"pause + slow", 11_100_000, 13e6}, {"ring", 20e6, 21e6},
		},
	}
	for _, at := range []int64{0, 1_500_000, 2_500_000, 5e6, 11e6, 14e6} {
		tr.operations = append(tr.operations, history.Operation{
			Kind: history.Put, Key: "k", Path: history.Library, Call: at, Return: at, Outcome: history.OK,
		})
	}
	var out strings.Builder
	tr.printFaults(&out)
	for _, want := range []string{
		"kill\t1\t2.0\t2.50 s\t", "(calm)\t1\t7.0\t6.00 s\t", "(two at once)\t1\t1.9\tpause + slow: 3.00 s\t",
		"pause\t1\t1.0\tonly together with another\t", "ring\t0\t0.0\tit did not recover\t",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestViolationsAreFoundWhereverTheyAreJoined(t *testing.T) {
	t.Parallel()
	lost := func(key string) []history.Operation {
		return []history.Operation{
			{Kind: history.Put, Key: key, Value: 1, Call: 0, Return: 1, Outcome: history.OK},
			{Kind: history.Get, Key: key, Call: 2, Return: 3, Outcome: history.OK},
		}
	}
	tr := &trial{verdicts: []verdict{
		{Name: "good"}, {Name: "bad", Err: history.Check(append(lost("a"), lost("b")...), time.Minute)},
	}}
	if found := violations(tr.failed()); len(found) != 2 || found[0].Key != "a" || found[1].Key != "b" {
		t.Errorf("got %v", found)
	}
	if violations((&trial{}).failed()) != nil {
		t.Error("there is nothing to find")
	}
}
