package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

// getStatus is GET /api/status: all nodes, as this one sees them, those that it cannot reach shown as such. 200
// api.ClusterStatus, within the short time that the peers get to answer.
func (s *Server) getStatus(c *gin.Context) {
	s.answerValue(c, s.node.Observe(c.Request.Context()))
}

// getCluster is GET /api/v1/cluster: what this node thinks, without asking another. 200 api.ClusterView.
func (s *Server) getCluster(c *gin.Context) { s.answerValue(c, s.view()) }

func (s *Server) view() api.ClusterView {
	status := s.node.Status()
	view := api.ClusterView{
		ClusterID:    status.ClusterID,
		NodeID:       uint64(status.ID),
		State:        api.LifeCycle(status.LifeCycle),
		Role:         status.State,
		Term:         uint64(status.CurrentTerm),
		LeaderID:     uint64(status.LeaderID),
		CommitIndex:  uint64(status.CommitIndex),
		LastApplied:  uint64(status.LastApplied),
		LastLogIndex: uint64(status.LastLogIndex),
		Config:       configOf(s.node.Config()),
		SeenMembers:  make([]uint64, len(status.SeenMembers)),
		Ready:        passed(s.readiness()),
		Version:      s.options.Version,
		Capabilities: append([]string{}, s.options.Capabilities...),
	}
	for i, id := range status.SeenMembers {
		view.SeenMembers[i] = uint64(id)
	}
	return view
}

func configOf(config node.Config) api.Membership {
	shown := api.Membership{Index: uint64(config.Index), Members: []api.ConfigMember{}}
	for _, m := range config.Members {
		shown.Members = append(shown.Members, api.ConfigMember{
			ID: uint64(m.ID), Address: m.Address, APIAddress: m.APIAddress, Role: m.Role,
		})
	}
	return shown
}

// answerValue answers with a value that encoding/json writes; for the routes that are not hot.
func (s *Server) answerValue(c *gin.Context, value any) {
	body, err := s.marshal(c.Request.Context(), value)
	if err != nil {
		s.fail(c, err)
		return
	}
	held := s.memory.NewAccount(budget.Clients, 0)
	defer held.Close()
	if !held.Take(len(body)) {
		s.fail(c, errNoMemory)
		return
	}
	s.answer(c.Writer, http.StatusOK, typeJSON, append(body, '\n'))
}
