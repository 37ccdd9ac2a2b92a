package raft

import (
	"errors"
	"strings"
	"testing"
)

// older makes a node run a program from before levels.
func older(id NodeID) func(*Config) {
	return func(cfg *Config) {
		if cfg.ID == id {
			cfg.Level = 0
		}
	}
}

// While a member runs a program that has no configurations, none is appended, unless the change removes that member.
func TestNoChangeBesideAnOlderVersion(t *testing.T) { // T30
	t.Parallel()
	net := newNetwork(t, 3, older(3))
	leader := net.elect(1)
	net.tick(testHeartbeatTicks)
	last := leader.log.last()
	_, _, err := leader.ProposeChange(Change{Add: []Member{memberAt(4)}})
	if !errors.Is(err, ErrOldVersion) || !strings.Contains(err.Error(), "node 3;") {
		t.Errorf("a member is added: %v", err)
	}
	wantEqual(t, "last index", leader.log.last(), last)
	net.change(leader, Change{Remove: []NodeID{3}})
	net.tick(testHeartbeatTicks)
	wantSlice(t, "voters", leader.voters(), []NodeID{1, 2})
}

// The version of a member that does not respond is unknown: it may be the one to be replaced.
func TestAChangeDoesNotWaitForTheVersionOfASilentMember(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	net.crash(3)
	leader := net.elect(1)
	net.tick(testHeartbeatTicks)
	net.change(leader, Change{Add: []Member{memberAt(4)}})
}

// Nor does it wait for an older one that responded before, and is lost: raftctl member replace adds the new node first.
func TestAChangeDoesNotWaitForAnOlderMemberThatIsLost(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3, older(3))
	leader := net.elect(1)
	net.tick(testHeartbeatTicks)
	net.crash(3)
	net.tick(2 * testElectionTicks)
	net.change(leader, Change{Add: []Member{memberAt(4)}})
}

// An older program would install a snapshot without the configuration that it carries.
func TestAnOlderVersionIsSentNoSnapshotWithAConfiguration(t *testing.T) { // T30
	t.Parallel()
	for _, level := range []Level{0, HighestLevel} {
		net := newNetwork(t, 3, func(cfg *Config) { cfg.MaxTailBytes = 1 })
		net.crash(3)
		leader := net.elect(1)
		net.tick(testHeartbeatTicks)
		net.change(leader, Change{Add: []Member{memberAt(4)}})
		net.tick(testHeartbeatTicks)
		net.compact(1, leader.log.commit)
		net.nodes[3].cfg.Level = level
		three := net.restart(3)
		net.tick(4 * testElectionTicks)
		wantEqual(t, "the level is known", leader.progressOf(3).answeredTerm, true)
		wantEqual(t, "too old", leader.Status().Progress[1].OldVersion, level != HighestLevel)
		wantEqual(t, "installed", three.log.commit == leader.log.commit, level == HighestLevel)
		wantEqual(t, "members", three.members.current.Index > 0, level == HighestLevel)
	}
}
