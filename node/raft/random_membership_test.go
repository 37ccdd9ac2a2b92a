package raft

import (
	"errors"
	"fmt"
	"slices"
)

// reshaping is how a random run changes the members of its cluster.
type reshaping struct {
	on     bool
	adjust func(*Config) // of a new node
}

// reshapeCounts is how often something happened: changes were appended, and joint ones; a leader handed over before its
// own removal, or appended that itself; a configuration was truncated; a node learned of its removal by a response; a
// learner was promoted.
type reshapeCounts struct{ changes, joint, own, alone, truncated, informed, promoted int }

func (a *reshapeCounts) add(b *reshapeCounts) {
	*a = reshapeCounts{
		a.changes + b.changes, a.joint + b.joint, a.own + b.own, a.alone + b.alone, a.truncated + b.truncated,
		a.informed + b.informed, a.promoted + b.promoted,
	}
}

// Bounds of a random cluster.
const (
	mostMembers = 8
	mostNodes   = 14
)

// reshape proposes a random change of the members.
func (run *randomRun) reshape(node *testNode) error {
	current := *node.members.current
	change := run.randomChange(node)
	own := node.role == Leader && slices.Contains(change.Remove, node.id)
	index, _, err := node.ProposeChange(change)
	if err != nil {
		if own && errors.Is(err, ErrHandingOver) {
			run.check.shapes.counts.own++
		}
		return checkRefusal(node, change, err)
	}
	if change.Expected != current.Index {
		return fmt.Errorf("node %d takes a change of configuration %d, and %d is in force", node.id, change.Expected,
			current.Index)
	}
	run.check.shapes.counts.changes++
	if own {
		run.check.shapes.counts.alone++
	}
	next := node.members.current
	if next.Index != index {
		return fmt.Errorf("node %d appended configuration %d, and %d is in force", node.id, index, next.Index)
	}
	if next.Joint() {
		run.check.shapes.counts.joint++
	}
	for _, m := range next.Members {
		if run.nodes[m.ID] == nil {
			run.join(m.ID, run.shape.adjust)
		}
	}
	return nil
}

// checkRefusal returns an error if a change was refused for a reason that it does not have.
func checkRefusal(node *testNode, change Change, err error) error {
	fits := true
	switch {
	case errors.Is(err, ErrNotLeader):
		fits = node.role != Leader
	case errors.Is(err, ErrConfigurationIndex):
		fits = change.Expected != node.members.current.Index
	case errors.Is(err, ErrChangeInFlight):
		fits = node.members.current.Index > node.log.commit || node.members.current.Joint()
	case errors.Is(err, ErrTransferring), errors.Is(err, ErrHandingOver):
		fits = node.lead.transfer.target != 0
	case errors.Is(err, ErrTermNotCommitted), errors.Is(err, ErrBadChange), errors.Is(err, ErrNotCaughtUp),
		errors.Is(err, ErrQuorumAtRisk):
	default:
		fits = false
	}
	if !fits {
		return fmt.Errorf("node %d refuses %+v: %w", node.id, change, err)
	}
	return nil
}

// randomChange returns a change of a leader's configuration; most fit.
func (run *randomRun) randomChange(node *testNode) Change {
	current := *node.members.current
	change := Change{Expected: current.Index, Force: run.rng.IntN(2) == 0}
	if run.rng.IntN(20) == 0 {
		change.Expected++
	}
	voters := current.Voters()
	var learners, caughtUp []NodeID
	for _, m := range current.Members {
		if m.Role == Learner {
			learners = append(learners, m.ID)
		}
		if m.Role == Learner && (node.checkCaughtUp(m.ID) == nil || run.rng.IntN(10) == 0) {
			caughtUp = append(caughtUp, m.ID)
		}
	}
	switch kind := run.rng.IntN(8); {
	case len(caughtUp) > 0 && kind <= 4:
		change.Promote = run.someOf(caughtUp)
		if kind <= 2 {
			change.Remove = run.someOf(voters)
		}
	case kind <= 5 && len(current.Members) < mostMembers && len(run.nodes) < mostNodes:
		for range 1 + run.rng.IntN(2) {
			m := memberAt(current.LastID + 1 + NodeID(len(change.Add)))
			m.AutoPromote = run.rng.IntN(4) == 0
			change.Add = append(change.Add, m)
		}
	case kind == 6 && len(learners) > 0:
		change.Remove = run.someOf(learners)
	case len(voters) > 2:
		change.Remove = run.someOf(voters[1:])
		if kind == 7 {
			change.Remove = []NodeID{node.id}
		}
	case len(voters) > 0:
		change.Update = []Member{{ID: voters[0], Address: fmt.Sprintf("http://new%d:7080", current.Index)}}
	}
	return change
}

// someOf returns up to three of some ids.
func (run *randomRun) someOf(ids []NodeID) []NodeID {
	ids = slices.Clone(ids)
	run.rng.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	return ids[:min(len(ids), 1+run.rng.IntN(3))]
}

// shapes are what the checker has seen of the configurations.
type shapes struct {
	counts    reshapeCounts
	committed []*Configuration        // in the order of their entries
	checked   map[*Configuration]bool // with the one before
	overlap   map[string]bool         // pairs of consecutive ones that were checked
}

// committedUpTo returns the last configuration that is committed up to an index; nil: the initial one.
func (s *shapes) committedUpTo(i Index) *Configuration {
	for k := len(s.committed) - 1; k >= 0; k-- {
		if s.committed[k].Index <= i {
			return s.committed[k]
		}
	}
	return nil
}

// note records a committed entry.
func (s *shapes) note(e *Entry) error {
	if e.Type != EntryConfig {
		return nil
	}
	cfg, err := testEncoding.readConfiguration(e)
	if before := s.committedUpTo(e.Index); before != nil {
		for _, m := range cfg.Members {
			if old, _ := before.Member(m.ID); m.Role == Voter && old.Role == Learner {
				s.counts.promoted++
			}
		}
	}
	s.committed = append(s.committed, &cfg)
	return err
}

// noteStep counts what a step did to the members.
func (s *shapes) noteStep(before, now seenNode) {
	if before.core != now.core {
		return
	}
	if now.members.Index < before.members.Index {
		s.counts.truncated++
	}
	if now.removed && !before.removed && now.core.removedBy != 0 {
		s.counts.informed++
	}
}

// checkConfigurations: what a node has of the members is what its log has (traps T24, T25, T30); at most one
// configuration of a log is not committed (T24); any quorums of two consecutive ones have a voter in common (T23); no
// leader remains after its removal is committed (T26).
func (k *checker) checkConfigurations(node *testNode) error {
	current := node.members.current
	if current != node.log.configuration() || node.members.committed != node.log.committedConfiguration() {
		return errors.New("its membership is not that of its log")
	}
	last := Index(0)
	for _, e := range node.log.entries {
		if e.Type == EntryConfig {
			last = e.Index
		}
	}
	if last != 0 && current.Index != last || last == 0 && current.Index > node.log.offset {
		return fmt.Errorf("configuration %d is in force, and the last one of its log is %d", current.Index, last)
	}
	want := Index(0)
	if cfg := k.shapes.committedUpTo(node.log.commit); cfg != nil {
		want = cfg.Index
	}
	if got := node.members.committed.Index; got != want {
		return fmt.Errorf("configuration %d is committed there, and %d up to its commit index %d", got, want, node.log.commit)
	}
	if node.role == Leader && current.Index <= node.log.commit && !current.Joint() && !mayDecide(current, node.id) {
		return fmt.Errorf("it leads, and configuration %d without it is committed", current.Index)
	}
	open := 0
	for i, cfg := range node.log.configurations {
		if cfg.Index > Index(len(k.done)) {
			open++
		}
		if i > 0 && len(node.log.configurations[i-1].Members) > 0 {
			if err := k.shapes.checkOverlap(node.log.configurations[i-1], cfg); err != nil {
				return err
			}
		}
	}
	if open > 1 {
		return fmt.Errorf("%d configurations of its log are not committed", open)
	}
	if final := k.shapes.committedUpTo(Index(len(k.done))); final != nil && node.WasRemoved() && final.Contains(node.id) {
		return fmt.Errorf("it was removed, and configuration %d has it", final.Index)
	}
	return nil
}

// checkOverlap checks that no group of nodes is a quorum of one configuration while the others are one of the next.
func (s *shapes) checkOverlap(a, b *Configuration) error {
	if s.checked[b] {
		return nil
	}
	s.checked[b] = true
	pair := fmt.Sprint(*a, *b)
	if s.overlap[pair] {
		return nil
	}
	s.overlap[pair] = true
	var ids []NodeID
	for _, m := range slices.Concat(a.Members, b.Members) {
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	for g := range 1 << len(ids) {
		in := func(id NodeID) bool { return g&(1<<slices.Index(ids, id)) != 0 }
		if decides(a, in) && decides(b, func(id NodeID) bool { return !in(id) }) {
			return fmt.Errorf("quorums of configurations %d and %d have no voter in common: %+v, %+v", a.Index, b.Index, *a, *b)
		}
	}
	return nil
}

// decides reports whether a group of nodes holds a majority of the voters and, if there are any, of the outgoing ones.
// It counts by itself, so that it does not share a mistake with the core.
func decides(cfg *Configuration, in func(NodeID) bool) bool {
	yes, no := 0, 0
	for _, m := range cfg.Members {
		switch {
		case m.Role != Voter:
		case in(m.ID):
			yes++
		default:
			no++
		}
	}
	outgoingYes, outgoingNo := 0, 0
	for _, id := range cfg.Outgoing {
		if in(id) {
			outgoingYes++
		} else {
			outgoingNo++
		}
	}
	return yes > no && (len(cfg.Outgoing) == 0 || outgoingYes > outgoingNo)
}

// mayDecide reports whether a node is a voter of a configuration, or an outgoing one.
func mayDecide(cfg *Configuration, id NodeID) bool {
	m, is := cfg.Member(id)
	return is && m.Role == Voter || slices.Contains(cfg.Outgoing, id)
}

// checkSettled: when the faults have stopped, no change is in progress, and a node that was a voter has its removal, if
// it asks a node that is a member still.
func (k *checker) checkSettled(leader *testNode) error {
	current := leader.members.current
	if current.Joint() || current.Index > leader.log.commit {
		return fmt.Errorf("liveness: configuration %d is joint, or not committed: %+v", current.Index, *current)
	}
	if !mayDecide(current, leader.id) {
		return fmt.Errorf("liveness: node %d leads, and is no voter of configuration %d", leader.id, current.Index)
	}
	for id, node := range k.net.nodes {
		asks := node.mayCampaign() && slices.ContainsFunc(node.members.electors, current.Contains)
		if !current.Contains(id) && asks && !node.WasRemoved() {
			return fmt.Errorf("liveness: node %d was removed by %v, and has not received it: it asks %v (%+v)", id,
				current.Voters(), node.members.electors, node.Status())
		}
	}
	return nil
}
