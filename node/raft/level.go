package raft

import (
	"errors"
	"fmt"
	"slices"
)

// Level is the feature level of a program: what it reads in messages, logs and files. A program reads every level up to
// its own. What a level adds is not used before every member has it, so that the programs of a cluster may be replaced
// one by one, and back as long as nothing of it was used.
type Level uint64

// The levels.
const (
	// LevelMembers adds configurations to logs and snapshots. Programs before it report no level.
	LevelMembers Level = 1
	// HighestLevel is that of this program.
	HighestLevel = LevelMembers
)

// ErrOldVersion means that a member runs a program that would not understand the change. Nothing was appended.
var ErrOldVersion = errors.New("raft: a member runs a version without changes of the members")

// checkLevels returns an error if a member that responds would not understand a configuration in the log. One that does
// not respond is no reason: it may be what the change is to replace. An older program refuses what it does not
// understand, so it would only stay behind.
func (c *Core) checkLevels(change Change) error {
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		responds := p.answeredTerm && p.ackTicks < c.patience()
		if responds && p.level < LevelMembers && !slices.Contains(change.Remove, p.id) {
			return fmt.Errorf("%w: node %d; start the same version there first", ErrOldVersion, p.id)
		}
	}
	return nil
}

// isTooOld reports whether a follower responds with a program that refuses the entries of this log.
func (c *Core) isTooOld(p *progress) bool { return p.answeredTerm && !c.takesConfigurations(p) }

// takesConfigurations reports whether a follower would take over the configurations of this log, if it has any: an
// older program refuses such an entry, and installs a snapshot without its configuration (trap T30).
func (c *Core) takesConfigurations(p *progress) bool {
	return c.members.committed.Index == 0 || p.level >= LevelMembers
}
