package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestALeaseExcludesOtherLeaders(t *testing.T) { // T42
	t.Parallel()
	// elects makes node 1 lead term 2 while another node has a lease in some term.
	elects := func(s *stage, id int, leased uint64) string {
		begun := all(s.boot(1, in(1, 0), logOf(1)), s.boot(2, in(1, 0), logOf(1)))
		s.actors[id-1].leaseTerm = raft.Term(leased)
		s.elect(1)
		return all(begun, s.sees(1, leading))
	}
	play(t, alone(func() checker { return &leaseExcludes{} }), []tale{
		{"the old leader has no lease", 3, func(s *stage) string { return elects(s, 2, 0) }, false},
		{"it has a lease of its own", 3, func(s *stage) string { return elects(s, 1, 2) }, false},
		{"the old leader has a lease", 3, func(s *stage) string { return elects(s, 2, 1) }, true},
		{"a later one has a lease", 3, func(s *stage) string { return elects(s, 2, 3) }, false},
	})
}
