package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestPublishedIsSo(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &publishedIsSo{} }), []tale{
		{"a node publishes what it has applied and saved", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *engine.Observed) {
				now.Applied, now.Published, now.ViewTerm = 2, 2, 2
			})
		}, false},
		{"the applied index is published late", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *engine.Observed) { now.Applied, now.Published = 2, 1 })
		}, false},
		{"the applied index is published before the store holds the entry", 1, func(s *stage) string { // T41
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *engine.Observed) { now.Applied, now.Published = 1, 2 })
		}, true},
		{"the view is published before its term is on the disk", 1, func(s *stage) string {
			first := s.boot(1, in(2, 0), nil)
			s.becomes(1, in(3, 0), nil)
			return all(first, s.sees(1, func(now *engine.Observed) { now.ViewTerm = 3 }))
		}, true},
	})
}

// A vote leaves after the view has its term (trap T43).
func TestAVoteLeavesAfterTheViewIsPublished(t *testing.T) {
	t.Parallel()
	const voter, leader, term = 1, 2, 3
	now, early := vote(voter, leader, term), vote(voter, leader, term+1)
	asked := early
	asked.PreVote = true
	s := newStage(t, 2, &publishedIsSo{})
	s.actor(voter).runs, s.actor(voter).viewTerm = true, term
	if broken := s.hears(now); broken != "" {
		t.Errorf("a vote in the published term breaks %q", broken)
	}
	if broken := s.hears(asked); broken != "" {
		t.Errorf("a pre-vote, which is no vote, breaks %q", broken)
	}
	if broken := s.hears(early); broken == "" {
		t.Error("a vote left before the view of its term was published, and nothing was found")
	}
}
