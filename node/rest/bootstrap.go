package rest

import (
	"fmt"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const maxBootstrapBytes = 64 << 10

// postBootstrap is POST /api/v1/cluster/bootstrap, with an api.BootstrapRequest: it sets the identity of an empty node
// that was started with --join. 200 api.ClusterView once the identity is durable, also if the node already has exactly
// this identity; 409 if it has another one; 400 if no node, or not this one, can have it; 503 if the node is stopping.
func (cl *cluster) postBootstrap(c *gin.Context) {
	request, err := cl.readBootstrap(c)
	if err != nil {
		cl.fail(c, err)
		return
	}
	members := make([]identity.Member, len(request.Members))
	for i, m := range request.Members {
		members[i] = identity.Member{ID: raft.NodeID(m.ID), Address: m.Address, APIAddress: m.APIAddress}
	}
	err = cl.node.Bootstrap(c.Request.Context(), request.ClusterID, raft.NodeID(request.NodeID), members)
	if err != nil {
		cl.fail(c, err)
		return
	}
	cl.answerValue(c, cl.view())
}

func (cl *cluster) readBootstrap(c *gin.Context) (api.BootstrapRequest, error) {
	buf := cl.newBuffer()
	defer buf.release()
	var request api.BootstrapRequest
	if err := buf.read(c.Request, maxBootstrapBytes); err != nil {
		return request, err
	}
	if err := ReadJSON(buf.b, &request); err != nil {
		return request, invalid(`the body must be like {"cluster_id":"...","node_id":1,"members":[{"id":1,` +
			`"address":"http://host:7080","api_address":"http://host:8080","role":"voter"}]}: ` + err.Error())
	}
	return request, checkBootstrap(&request)
}

// checkBootstrap refuses members that no new cluster can have; the node checks the rest.
func checkBootstrap(request *api.BootstrapRequest) error {
	var ids []uint64
	for _, m := range request.Members {
		switch {
		case m.ID == 0:
			return invalid("a member has no id, or the id 0; ids are whole numbers from 1")
		case slices.Contains(ids, m.ID):
			return invalid(fmt.Sprintf("member %d is listed twice", m.ID))
		case m.Role != api.RoleVoter:
			return invalid(fmt.Sprintf("member %d has the role %s; the members that a cluster begins with are all \"voter\"",
				m.ID, quoted(m.Role)))
		}
		if m.AutoPromote {
			return invalid(fmt.Sprintf("member %d has auto_promote, which is for learners; leave it out", m.ID))
		}
		ids = append(ids, m.ID)
	}
	if !slices.Contains(ids, request.NodeID) {
		return invalid(fmt.Sprintf(`"node_id" is %d, which is not the id of a member`, request.NodeID))
	}
	return nil
}
