package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"

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
	return api.ClusterView{
		ClusterID:    status.ClusterID,
		NodeID:       status.ID,
		State:        status.LifeCycle,
		Role:         status.State,
		Term:         status.CurrentTerm,
		LeaderID:     status.LeaderID,
		CommitIndex:  status.CommitIndex,
		LastApplied:  status.LastApplied,
		LastLogIndex: status.LastLogIndex,
		Config:       s.node.Config(),
		SeenMembers:  append([]uint64{}, status.SeenMembers...),
		Ready:        passed(s.readiness()),
		Version:      s.options.Version,
		Capabilities: append([]string{}, s.options.Capabilities...),
	}
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
