package fault

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/network"
)

// The parameters of slow and lossy links.
const (
	slowest     = 120 * time.Millisecond
	slowJitter  = 40 * time.Millisecond
	lossOneIn20 = 0.05
)

// Victims returns the indexes of the nodes whose processes or disks a fault affects, none for a fault of the network.
// leader is the index of the leader, or -1 if none is known.
func (f *Fault) Victims(leader int) []int {
	switch {
	case f.Kind.OfNetwork():
		return nil
	case f.Kind == KillAll:
		return slices.Sorted(slices.Values(f.Order))
	}
	return f.order(leader)[:1]
}

// order is Order with the leader in front, if the leader is to be affected.
func (f *Fault) order(leader int) []int {
	if leader < 0 || !f.Leader && f.Kind != IsolateLeader {
		return f.Order
	}
	order := slices.DeleteFunc(slices.Clone(f.Order), func(i int) bool { return i == leader })
	return append([]int{leader}, order...)
}

// Matrix returns the effect of a fault on the network, and describes it.
func (f *Fault) Matrix(leader int) (network.Matrix, string) {
	order := f.order(leader)
	m := network.Clear(len(order))
	switch f.Kind {
	case Split:
		side := order[:(len(order)-1)/2]
		cut(m, side, order[len(side):])
		return m, fmt.Sprintf("%s | %s", names(side), names(order[len(side):]))
	case IsolateLeader:
		cut(m, order[:1], order[1:])
		return m, fmt.Sprintf("%s | %s", names(order[:1]), names(order[1:]))
	case OneWay:
		return m, oneWay(m, order, f.Flip)
	case Ring:
		return m, ring(m, order)
	case Slow:
		delay := slowest
		if f.Flip {
			delay /= 4
		}
		each(m, network.Condition{Delay: delay, Jitter: slowJitter})
		return m, fmt.Sprintf("all links take %s and up to %s more", delay, slowJitter)
	case Lossy:
		each(m, network.Condition{Loss: lossOneIn20})
		return m, fmt.Sprintf("all links lose %.0f %%", 100*lossOneIn20)
	}
	return m, ""
}

// cut separates two sides.
func cut(m network.Matrix, one, other []int) {
	for _, i := range one {
		for _, j := range other {
			m[i][j].Cut, m[j][i].Cut = true, true
		}
	}
}

// oneWay cuts all links to the first node, or all links from it.
func oneWay(m network.Matrix, order []int, mute bool) string {
	one, others := order[0], order[1:]
	for _, j := range others {
		if mute {
			m[one][j].Cut = true
		} else {
			m[j][one].Cut = true
		}
	}
	if mute {
		return fmt.Sprintf("%d cannot send", one+1)
	}
	return fmt.Sprintf("%d receives nothing", one+1)
}

// ring connects each node only to its two neighbors. Three nodes in a ring are all neighbors, so they form a chain.
func ring(m network.Matrix, order []int) string {
	for a := range order {
		for b := range order {
			apart := (a - b + len(order)) % len(order)
			neighbours := apart <= 1 || apart == len(order)-1
			if len(order) == 3 {
				neighbours = a == 1 || b == 1 || a == b
			}
			m[order[a]][order[b]].Cut = !neighbours
		}
	}
	text := strings.ReplaceAll(names(order), " ", "-")
	if len(order) > 3 {
		text += fmt.Sprintf("-%d", order[0]+1)
	}
	return text
}

// each puts all links into one condition.
func each(m network.Matrix, c network.Condition) {
	for i := range m {
		for j := range m {
			if i != j {
				m[i][j] = c
			}
		}
	}
}

// names returns the numbers of nodes.
func names(indexes []int) string {
	var numbers []string
	for _, i := range indexes {
		numbers = append(numbers, fmt.Sprint(i+1))
	}
	return strings.Join(numbers, " ")
}
