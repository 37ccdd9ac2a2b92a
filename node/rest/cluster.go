package rest

import (
	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

// cluster serves the status of the cluster, the bootstrap, and the transfer of leadership.
type cluster struct {
	*responder
	observation  Observation
	health       *health
	version      string
	capabilities []string
}

// getStatus is GET /api/status: all nodes as this one observes them, including those that it cannot reach. 200
// api.ClusterStatus, within the short deadline of the peers.
func (cl *cluster) getStatus(c *gin.Context) {
	cl.answerValue(c, cl.observation.Observe(c.Request.Context()))
}

// getCluster is GET /api/v1/cluster: the view of this node, without a request to another. 200 api.ClusterView.
func (cl *cluster) getCluster(c *gin.Context) { cl.answerValue(c, cl.view()) }

func (cl *cluster) view() api.ClusterView {
	status := cl.node.Status()
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
		Config:       cl.observation.Membership(),
		SeenMembers:  append([]uint64{}, status.SeenMembers...),
		Ready:        passed(cl.health.readiness()),
		Version:      cl.version,
		Capabilities: append([]string{}, cl.capabilities...),
	}
}
