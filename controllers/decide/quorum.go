package decide

import (
	"slices"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// Knowledge is how certain the configuration of a cluster is (trap O4).
type Knowledge int

const (
	// Unknown means that there may be members, or none.
	Unknown Knowledge = iota
	// Stale means that the members are recorded, but not confirmed.
	Stale
	// Known means that a leader that a majority follows confirms the members.
	Known
)

// Configuration is the Raft configuration of a cluster, as far as it is known. Every member votes. Rules that change
// the cluster take it as an argument and check its Knowledge first.
type Configuration struct {
	Knowledge Knowledge
	members   []member // in the order of their ids
	leader    *member  // the member that a majority follows in the highest term; nil unless the configuration is Known
}

// voters is a set of voters.
type voters []MemberID

// majority is the number of voters, out of all, that form a quorum.
func majority(all int) int { return all/2 + 1 }

// drainQuorum is the number of pods that drains must leave: a majority of the voters or of the desired pods, whichever
// are more.
func drainQuorum(voters int, pods int32) int32 { return int32(majority(max(voters, int(pods)))) }

// left counts the voters that are in none of the other sets.
func (all voters) left(without ...voters) int {
	n := 0
	for _, id := range all {
		if !slices.ContainsFunc(without, func(set voters) bool { return slices.Contains(set, id) }) {
			n++
		}
	}
	return n
}

// survives reports whether the voters that are in none of the other sets are a majority of all.
func (all voters) survives(without ...voters) bool { return all.left(without...) >= majority(len(all)) }

// those returns the voters for which a predicate holds.
func (c *Configuration) those(holds func(*member) bool) voters {
	var ids voters
	for i := range c.members {
		if holds(&c.members[i]) {
			ids = append(ids, c.members[i].id)
		}
	}
	return ids
}

// all returns all voters.
func (c *Configuration) all() voters { return c.those(func(*member) bool { return true }) }

// survives reports whether a quorum is left without some of the voters.
func (c *Configuration) survives(without ...voters) bool { return c.all().survives(without...) }

// spares reports whether the healthy members without one of them are a quorum.
func (c *Configuration) spares(m *member) bool { return c.survives(c.unhealthy(), voters{m.id}) }

// unhealthy returns the voters that do not count for a quorum now.
func (c *Configuration) unhealthy() voters {
	return c.those(func(m *member) bool { return m.health != v1alpha1.HealthHealthy })
}

// count returns the number of members with a given health.
func (c *Configuration) count(health v1alpha1.MemberHealth) int {
	return len(c.those(func(m *member) bool { return m.health == health }))
}

// quorum returns the size of a majority of the members.
func (c *Configuration) quorum() int { return majority(len(c.members)) }

func (c *Configuration) isMember(id MemberID) bool {
	return slices.ContainsFunc(c.members, func(m member) bool { return m.id == id })
}

// memberIn returns the member in a seat, or nil.
func (c *Configuration) memberIn(seat *Seat) *member {
	for i := range c.members {
		if c.members[i].seat == seat {
			return &c.members[i]
		}
	}
	return nil
}
