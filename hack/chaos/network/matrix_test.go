package network_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/network"
)

// cut is a network in which the given directions, from and to, are cut.
func cut(nodes int, ways ...[2]int) network.Matrix {
	m := network.Clear(nodes)
	for _, w := range ways {
		m[w[0]][w[1]].Cut = true
	}
	return m
}

func TestWhoIsCutOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		matrix network.Matrix
		want   []int
	}{
		{"none, without a cut", cut(3), nil},
		{"the minority", cut(3, [2]int{0, 1}, [2]int{0, 2}, [2]int{1, 0}, [2]int{2, 0}), []int{0}},
		{"a node that receives nothing", cut(3, [2]int{1, 0}, [2]int{2, 0}), []int{0}},
		{"a node that cannot send", cut(3, [2]int{0, 1}, [2]int{0, 2}), []int{0}},
		{"none in a chain, whose middle can lead", cut(3, [2]int{0, 2}, [2]int{2, 0}), nil},
		{"all, if no two reach each other", cut(3, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 0}), []int{0, 1, 2}},
		{
			"the two of five that reach only each other",
			cut(5, [2]int{0, 2}, [2]int{0, 3}, [2]int{0, 4}, [2]int{1, 2}, [2]int{1, 3}, [2]int{1, 4}),
			[]int{0, 1},
		},
	} {
		if got := c.matrix.CutOff(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConditionsAddUpToTheWorst(t *testing.T) {
	t.Parallel()
	slow := network.Clear(3)
	slow[0][1] = network.Condition{Delay: time.Second}
	lossy := network.Clear(3)
	lossy[0][1] = network.Condition{Loss: 0.5, Delay: time.Millisecond, Jitter: time.Minute}
	got := network.Merge(slow, lossy, cut(3, [2]int{2, 1}))
	want := network.Condition{Delay: time.Second, Jitter: time.Minute, Loss: 0.5}
	if got[0][1] != want || !got[2][1].Cut || got[1][2].Cut {
		t.Errorf("got %+v", got)
	}
	if text := got.String(); text != "1>2 3>2" {
		t.Errorf("it is described as %q", text)
	}
}
