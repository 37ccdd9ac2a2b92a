package sim

import "testing"

func TestPublishedIsSo(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &publishedIsSo{} }), []tale{
		{"a node publishes what it has applied and saved", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *sight) { now.applied, now.published, now.viewTerm = 2, 2, 2 })
		}, false},
		{"the applied index is published late", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *sight) { now.applied, now.published = 2, 1 })
		}, false},
		{"the applied index is published before the store holds the entry", 1, func(s *stage) string { // T41
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *sight) { now.applied, now.published = 1, 2 })
		}, true},
		{"the view is published before its term is on the disk", 1, func(s *stage) string {
			first := s.boot(1, in(2, 0), nil)
			s.becomes(1, in(3, 0), nil)
			return all(first, s.sees(1, func(now *sight) { now.viewTerm = 3 }))
		}, true},
	})
}

// A vote leaves after the view has its term (trap T43): a real node publishes the view of the term in which it follows.
func TestAVoteLeavesAfterTheViewIsPublished(t *testing.T) {
	t.Parallel()
	w := quiet()
	defer w.close()
	w.startClients()
	for _, m := range w.machines {
		m.start()
	}
	if !w.awaitLeader(w.machines) {
		t.Fatal(w.violation)
	}
	follower := w.other(w.machines, w.leader())
	term := w.leader().seen.state.Term
	c := &publishedIsSo{}
	now, early := vote(follower.id, w.leader().id, term), vote(follower.id, w.leader().id, term+1)
	asked := early
	asked.PreVote = true
	if err := c.leaves(w, follower, &now); err != nil {
		t.Errorf("a vote in the published term: %v", err)
	}
	if err := c.leaves(w, follower, &asked); err != nil {
		t.Errorf("a pre-vote, which is no vote: %v", err)
	}
	if err := c.leaves(w, follower, &early); err == nil {
		t.Error("a vote left before the view of its term was published, and nothing was found")
	}
}
