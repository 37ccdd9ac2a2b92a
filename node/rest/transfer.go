package rest

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const maxTransferBytes = 4 << 10

// postTransfer is POST /api/v1/leader/transfer: the leader hands over to the member {"to":2}, or without one to
// its best follower. Any node takes it. 200 client.TransferResponse; 400 if the target is not another voter; 409 if the
// leader leads in another term than "expected_term"; 503.
func (s *Server) postTransfer(c *gin.Context) {
	request, err := s.readTransfer(c.Request)
	if err != nil {
		s.fail(c, err)
		return
	}
	err = s.node.HandOver(c.Request.Context(), raft.Term(request.ExpectedTerm), raft.NodeID(request.To))
	if err != nil {
		s.fail(c, err)
		return
	}
	status := s.node.Status()
	s.stamp(c.Writer.Header()) // the term and the leader are new
	s.answerValue(c, client.TransferResponse{LeaderID: uint64(status.LeaderID), Term: uint64(status.CurrentTerm)})
}

func (s *Server) readTransfer(r *http.Request) (client.TransferRequest, error) {
	buf := s.newBuffer()
	defer buf.release()
	var request client.TransferRequest
	if err := buf.read(r, maxTransferBytes); err != nil {
		return request, err
	}
	if len(bytes.TrimSpace(buf.b)) == 0 {
		return request, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(buf.b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return request, invalid(`the body must be empty or name a member, like {"to":2}: ` + err.Error())
	}
	return request, nil
}
