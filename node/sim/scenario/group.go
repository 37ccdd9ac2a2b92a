package scenario

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// group names nodes: those it picks, or all but those.
type group struct {
	allBut bool
	picks  []pick
}

// pick selects one node or some.
type pick struct {
	kind  pickKind
	id    raft.NodeID // pickNode
	count int         // pickFollowers
	name  string      // pickName
}

type pickKind uint8

const (
	pickLeader pickKind = iota + 1
	pickFollowers
	pickNode
	pickName
)

// groupForms lists how nodes are named.
const groupForms = "GROUP is `all`, `all but ...`, or a list with commas of: leader, follower, 2 followers, node 3, " +
	"and names that `let` gave"

// group takes names of nodes.
func (in *words) group() group {
	var g group
	if in.takes("all") {
		g.allBut = true
		if !in.takes("but") {
			return g
		}
	}
	for {
		g.picks = append(g.picks, in.pick())
		if in.err != nil || !in.takes(",") {
			return g
		}
	}
}

func (in *words) pick() pick {
	word := in.peek()
	switch {
	case in.takes("leader"):
		return pick{kind: pickLeader}
	case in.takes("node"):
		return pick{kind: pickNode, id: in.nodeID()}
	case in.parser.names[word]:
		return pick{kind: pickName, name: in.next()}
	case word == "follower", len(in.rest) > 1 && in.rest[1] == "followers":
		return in.followers()
	}
	in.fail("nodes must be named where %s (%s)", in.where(), groupForms)
	return pick{}
}

func (in *words) followers() pick {
	if in.expects {
		in.fail("an expectation cannot mean just any follower: name it before, `let NAME be follower`")
		return pick{}
	}
	if in.takes("follower") {
		return pick{kind: pickFollowers, count: 1}
	}
	count := int(in.count("followers", int64(in.parser.scenario.Nodes-1)))
	in.must("followers")
	return pick{kind: pickFollowers, count: count}
}

var errNoLeader = errors.New("no node leads now")

// machines returns the nodes of a group as they are now, in the order of their ids. Chance chooses among followers.
func (s *player) machines(g group) ([]*engine.Machine, error) {
	var picked []*engine.Machine
	for _, p := range g.picks {
		more, err := s.picked(p, picked)
		if err != nil {
			return nil, err
		}
		picked = append(picked, more...)
	}
	var list []*engine.Machine
	for _, m := range s.world.Machines {
		if slices.Contains(picked, m) != g.allBut {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no node is left in that group")
	}
	return list, nil
}

func (s *player) picked(p pick, already []*engine.Machine) ([]*engine.Machine, error) {
	w := s.world
	switch p.kind {
	case pickNode:
		return []*engine.Machine{w.Machine(p.id)}, nil
	case pickName:
		return s.names[p.name], nil
	case pickLeader:
		if leader := w.Leader(); leader != nil {
			return []*engine.Machine{leader}, nil
		}
		return nil, errNoLeader
	}
	leader := w.Leader()
	var free []*engine.Machine
	for _, m := range w.Machines {
		if m != leader && m.Process != nil && !slices.Contains(already, m) {
			free = append(free, m)
		}
	}
	if len(free) < p.count {
		return nil, fmt.Errorf("there are only %d other followers that run", len(free))
	}
	w.Chance.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	return free[:p.count], nil
}

// called returns the names of machines for a message.
func called(machines []*engine.Machine) string {
	text := "node"
	if len(machines) > 1 {
		text += "s"
	}
	for i, m := range machines {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", m.ID)
	}
	return text
}
