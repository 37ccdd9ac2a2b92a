package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const maxBootstrapBytes = 64 << 10

// postBootstrap is POST /api/v1/cluster/bootstrap, with a client.BootstrapRequest: it gives an empty node that was
// started with --join its identity. 200 client.ClusterView once that is durable, also if the node is exactly that
// already; 409 if it is anything else; 400 if no node can be that, or this one cannot; 503 if the node is stopping.
func (s *Server) postBootstrap(c *gin.Context) {
	request, err := s.readBootstrap(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	members := make([]node.Member, len(request.Members))
	for i, m := range request.Members {
		if m.Role != client.RoleVoter {
			s.fail(c, invalid("member "+strconv.FormatUint(m.ID, 10)+" has the role \""+clip(m.Role)+
				"\"; the members that a cluster begins with are all \"voter\""))
			return
		}
		members[i] = node.Member{ID: raft.NodeID(m.ID), Address: m.Address, APIAddress: m.APIAddress}
	}
	err = s.node.Bootstrap(c.Request.Context(), request.ClusterID, raft.NodeID(request.NodeID), members)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answerValue(c, s.view())
}

func (s *Server) readBootstrap(c *gin.Context) (client.BootstrapRequest, error) {
	buf := s.newBuffer()
	defer buf.release()
	var request client.BootstrapRequest
	if err := buf.read(c.Request, maxBootstrapBytes); err != nil {
		return request, err
	}
	decoder := json.NewDecoder(bytes.NewReader(buf.b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return request, invalid(`the body must be like {"cluster_id":"...","node_id":1,"members":[{"id":1,` +
			`"address":"http://host:7080","api_address":"http://host:8080","role":"voter"}]}: ` + err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request, invalid("the body must hold one JSON object and nothing behind it")
	}
	return request, nil
}
