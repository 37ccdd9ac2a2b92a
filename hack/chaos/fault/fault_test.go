package fault_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
)

func draw(seed uint64, nodes, episodes int) []fault.Episode {
	plan := fault.NewPlan(seed, "net", nodes, fault.Kinds)
	var all []fault.Episode
	for range episodes {
		all = append(all, plan.Next())
	}
	return all
}

func TestASeedDrawsTheSameFaults(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(draw(7, 5, 100), draw(7, 5, 100)) {
		t.Error("the same seed drew other faults")
	}
	if reflect.DeepEqual(draw(7, 5, 100), draw(8, 5, 100)) {
		t.Error("another seed drew the same faults")
	}
}

func TestEveryKindComesUpBeforeAnyComesUpOften(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		count := map[fault.Kind]int{}
		pairs := 0
		for _, e := range draw(seed, 3, 3*len(fault.Kinds)) {
			for _, f := range e.Faults {
				count[f.Kind]++
			}
			pairs += len(e.Faults) - 1
		}
		for _, kind := range fault.Kinds {
			if count[kind] < 2 || count[kind] > 6 {
				t.Errorf("seed %d: %s came up %d times", seed, kind, count[kind])
			}
		}
		if pairs == 0 {
			t.Errorf("seed %d: no two faults at once", seed)
		}
	}
}

func TestTwoFaultsOverlapAndDoNotFightOverAProcess(t *testing.T) {
	t.Parallel()
	for _, e := range draw(3, 5, 1000) {
		if len(e.Faults) < 2 {
			continue
		}
		a, b := e.Faults[0], e.Faults[1]
		if b.After >= a.End() || e.Length() != max(a.End(), b.End()) {
			t.Errorf("%s do not overlap: %+v", e.Name(), e)
		}
		if !a.Kind.OfNetwork() && !b.Kind.OfNetwork() || a.Kind == b.Kind {
			t.Errorf("%s at once", e.Name())
		}
	}
}

func TestListsOfFaults(t *testing.T) {
	t.Parallel()
	all, err := fault.Parse("")
	if err != nil || !slices.Equal(all, fault.Kinds) {
		t.Errorf("got %v, %v", all, err)
	}
	two, err := fault.Parse("kill, ring")
	if err != nil || !slices.Equal(two, []fault.Kind{fault.Kill, fault.Ring}) {
		t.Errorf("got %v, %v", two, err)
	}
	if _, err := fault.Parse("kill,flood"); err == nil {
		t.Error("a flood was accepted as a fault")
	}
}

// The numbers of nodes are those that users see, indexes plus one.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  fault.Fault
		leader int
		words  string
		ways   string
		cutOff []int
	}{
		{
			"a minority of one",
			fault.Fault{Kind: fault.Split, Order: []int{1, 0, 2}},
			2,
			"2 | 1 3", "1>2 2>1 2>3 3>2",
			[]int{1},
		},
		{
			"the leader is in the minority of two",
			fault.Fault{Kind: fault.Split, Order: []int{1, 0, 2, 3, 4}, Leader: true},
			3,
			"4 2 | 1 3 5", "1>2 1>4 2>1 2>3 2>5 3>2 3>4 4>1 4>3 4>5 5>2 5>4",
			[]int{1, 3},
		},
		{
			"the leader alone, whatever was drawn",
			fault.Fault{Kind: fault.IsolateLeader, Order: []int{0, 1, 2}},
			1,
			"2 | 1 3", "1>2 2>1 2>3 3>2",
			[]int{1},
		},
		{
			"no leader",
			fault.Fault{Kind: fault.IsolateLeader, Order: []int{2, 1, 0}},
			-1,
			"3 | 2 1", "1>3 2>3 3>1 3>2",
			[]int{2},
		},
		{
			"one way in",
			fault.Fault{Kind: fault.OneWay, Order: []int{2, 1, 0}},
			0,
			"3 receives nothing", "1>3 2>3",
			[]int{2},
		},
		{
			"one way out",
			fault.Fault{Kind: fault.OneWay, Order: []int{2, 1, 0}, Flip: true},
			0,
			"3 cannot send", "3>1 3>2",
			[]int{2},
		},
		{
			"a chain of three",
			fault.Fault{Kind: fault.Ring, Order: []int{2, 0, 1}},
			0,
			"3-1-2", "2>3 3>2", nil,
		},
		{
			"a ring of five",
			fault.Fault{Kind: fault.Ring, Order: []int{0, 1, 2, 3, 4}},
			0,
			"1-2-3-4-5-1", "1>3 1>4 2>4 2>5 3>1 3>5 4>1 4>2 5>2 5>3", nil,
		},
		{
			"slow",
			fault.Fault{Kind: fault.Slow, Order: []int{0, 1, 2}},
			0,
			"all links take 120ms and up to 40ms more", "1>2 1>3 2>1 2>3 3>1 3>2", nil,
		},
		{
			"lossy",
			fault.Fault{Kind: fault.Lossy, Order: []int{0, 1, 2}},
			0,
			"all links lose 5 %", "1>2 1>3 2>1 2>3 3>1 3>2", nil,
		},
	} {
		m, words := c.fault.Matrix(c.leader)
		if words != c.words || m.String() != c.ways || !slices.Equal(m.CutOff(), c.cutOff) {
			t.Errorf("%s: %q, faulty is %s, cut off are %v", c.name, words, m, m.CutOff())
		}
		if victims := c.fault.Victims(c.leader); victims != nil {
			t.Errorf("%s hits the processes %v", c.name, victims)
		}
	}
}

func TestVictims(t *testing.T) {
	t.Parallel()
	order := []int{2, 0, 1}
	for _, c := range []struct {
		fault  fault.Fault
		leader int
		want   []int
	}{
		{fault.Fault{Kind: fault.Kill, Order: order}, 1, []int{2}},
		{fault.Fault{Kind: fault.Kill, Order: order, Leader: true}, 1, []int{1}},
		{fault.Fault{Kind: fault.Pause, Order: order, Leader: true}, -1, []int{2}},
		{fault.Fault{Kind: fault.DiskFull, Order: order, Leader: true}, 0, []int{0}},
		{fault.Fault{Kind: fault.KillAll, Order: order}, 0, []int{0, 1, 2}},
	} {
		if got := c.fault.Victims(c.leader); !slices.Equal(got, c.want) {
			t.Errorf("%s, leader %d: got %v, want %v", c.fault.Kind, c.leader, got, c.want)
		}
	}
}
