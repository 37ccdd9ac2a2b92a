package browser

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// addLearner makes the last of the nodes a learner.
func addLearner(s *api.ClusterStatus) {
	last := len(s.Nodes) - 1
	s.Config.Members[last].Role, s.Nodes[last].State = api.RoleLearner, api.StateLearner
	s.Health.Voters, s.Health.Reachable = last, last
}

func TestALearnerShowsItsProgress(t *testing.T) {
	c := startFake(t, 4)
	c.alter(func(s *api.ClusterStatus) {
		addLearner(s)
		s.Nodes[1].MatchIndex[4] = 30
	})
	p := c.open(t, wide)
	p.until("its share of the log in the table",
		`document.querySelectorAll('.nodes-table tbody tr')[3].innerText.includes('learner has 75 % of the log')`)
	p.until("and in the ring", `document.querySelector('.ring').textContent.includes('75 % of the log')`)
	p.until("as a square", `document.querySelectorAll('.ring .shape-learner').length === 1`)
	c.alter(func(s *api.ClusterStatus) {
		progress := s.Nodes[1].Progress[4]
		progress.State = "snapshot"
		s.Nodes[1].Progress[4] = progress
	})
	p.sees("receives a snapshot")
	p.keep("members_learner")
}

func TestAChangeOfTheMembersIsShownWhileItLasts(t *testing.T) {
	c := startFake(t, 4)
	p := c.open(t, wide)
	c.alter(func(s *api.ClusterStatus) {
		s.Config.Index, s.Config.CommittedIndex = 41, 0
		addLearner(s)
	})
	p.sees("The members change (entry 41). It is not committed yet.")
	c.alter(func(s *api.ClusterStatus) {
		s.Config.Index, s.Config.CommittedIndex, s.Config.Outgoing = 42, 42, []uint64{1, 2, 3}
		s.Config.Members[3].Role, s.Config.Members[2].Role = api.RoleVoter, api.RoleLeaving
	})
	p.sees("The members change (entry 42). It needs a majority of nodes 1, 2, 3 and one of 1, 2, 4.")
	p.until("the leaving one is marked",
		`document.querySelectorAll('.nodes-table tbody tr')[2].innerText.includes('leaves')`)
	p.keep("members_change")
	c.alter(func(s *api.ClusterStatus) {
		s.Config.Index, s.Config.CommittedIndex, s.Config.Outgoing = 43, 43, nil
		s.Config.Members = append(s.Config.Members[:2], s.Config.Members[3])
	})
	p.until("nothing is shown afterwards", `!document.querySelector('.change')`)
	p.until("a node that is no member is marked",
		`document.querySelectorAll('.nodes-table tbody tr')[2].innerText.includes('no member')`)
}

func TestARemovedNodeSaysSo(t *testing.T) {
	c := startFake(t, 3)
	c.alter(func(s *api.ClusterStatus) {
		s.Nodes[0].LifeCycle, s.LeaderID = api.StateRemoved, 0
	})
	p := c.open(t, wide)
	p.sees("Removed. This node is no member any more, and serves nothing.")
	p.sees("This node was removed from the cluster")
	p.sees("member add http://h4:7080")
	p.keep("members_removed")
}
