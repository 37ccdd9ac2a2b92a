// Package network is the network between the nodes of a cluster on one machine, in which each direction can be cut,
// slowed down and made lossy: either by a proxy in front of each node (Proxies), on every machine, or by a network
// namespace per node (Namespaces), which needs root.
package network

import (
	"fmt"
	"strings"
	"time"
)

// Condition is the condition of one direction between two nodes.
type Condition struct {
	Cut    bool          // nothing passes. Messages sent in the meantime may arrive late, as with TCP
	Delay  time.Duration // of everything
	Jitter time.Duration // additional to Delay, at most
	Loss   float64       // the probability that a piece is lost, 0 to 1
}

// Matrix is the condition of every direction: Matrix[from][to], where node n has the index n-1.
type Matrix [][]Condition

// Clear is a network without faults.
func Clear(nodes int) Matrix {
	m := make(Matrix, nodes)
	for i := range m {
		m[i] = make([]Condition, nodes)
	}
	return m
}

// Merge combines conditions: each direction gets the worst of each.
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

// CutOff returns the indexes of the nodes that no leader can serve: each node that could lead, because it and a
// majority reach each other, does not reach them, or they do not reach it. They must refuse requests.
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

// Receives reports whether any other node reaches a node.
func (m Matrix) Receives(node int) bool {
	for from := range m {
		if from != node && !m[from][node].Cut {
			return true
		}
	}
	return false
}

// String lists the directions with faults.
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
