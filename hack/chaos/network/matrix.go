// Package network is what lies between the nodes of a cluster on one machine, so that it can be cut, slowed down and
// made lossy, each direction by itself: either a proxy in front of each node (Proxies), which works everywhere, or a
// network namespace per node (Namespaces), which wants root.
package network

import (
	"fmt"
	"strings"
	"time"
)

// Condition is how one direction between two nodes fares.
type Condition struct {
	Cut    bool          // nothing passes. What was sent meanwhile may arrive late, as TCP has it
	Delay  time.Duration // that everything takes
	Jitter time.Duration // up to which more than Delay it takes
	Loss   float64       // how probably a piece is lost, 0 to 1
}

// Matrix is the condition of every direction: Matrix[from][to], where node n has the index n-1.
type Matrix [][]Condition

// Clear is a network of some nodes in which nothing is wrong.
func Clear(nodes int) Matrix {
	m := make(Matrix, nodes)
	for i := range m {
		m[i] = make([]Condition, nodes)
	}
	return m
}

// Merge lays conditions over each other: each direction gets the worst of everything.
func Merge(all ...Matrix) Matrix {
	merged := Clear(len(all[0]))
	for _, m := range all {
		for from := range m {
			for to, c := range m[from] {
				w := &merged[from][to]
				w.Cut, w.Delay = w.Cut || c.Cut, max(w.Delay, c.Delay)
				w.Jitter, w.Loss = max(w.Jitter, c.Jitter), max(w.Loss, c.Loss)
			}
		}
	}
	return merged
}

// Both reports whether two nodes reach each other, in both directions. A node reaches itself.
func (m Matrix) Both(a, b int) bool { return a == b || !m[a][b].Cut && !m[b][a].Cut }

// CutOff gives the indexes of the nodes that no leader can serve: whoever could lead, because he and a majority reach
// each other, does not reach them, or is not reached. What they are asked for they must refuse.
func (m Matrix) CutOff() []int {
	var couldLead, off []int
	for i := range m {
		reached := 0
		for j := range m {
			if m.Both(i, j) {
				reached++
			}
		}
		if reached > len(m)/2 {
			couldLead = append(couldLead, i)
		}
	}
	for i := range m {
		served := false
		for _, leader := range couldLead {
			served = served || m.Both(i, leader)
		}
		if !served {
			off = append(off, i)
		}
	}
	return off
}

// Hears reports whether any other node reaches a node.
func (m Matrix) Hears(node int) bool {
	for from := range m {
		if from != node && !m[from][node].Cut {
			return true
		}
	}
	return false
}

// String lists the directions in which something is wrong.
func (m Matrix) String() string {
	var wrong []string
	for from := range m {
		for to, c := range m[from] {
			if c != (Condition{}) {
				wrong = append(wrong, fmt.Sprintf("%d>%d", from+1, to+1))
			}
		}
	}
	return strings.Join(wrong, " ")
}
