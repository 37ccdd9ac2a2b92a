package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	maxTransferBytes = 4 << 10
	// forwardLimit is how long a follower waits for the leader to hand over.
	forwardLimit = 10 * time.Second
	// forwardedHeader marks a request that came through another node, which is not passed on again.
	forwardedHeader = "X-Kontiki-Forwarded"
)

// postTransfer is POST /api/v1/leader/transfer: the leader hands over to the member {"to":2}, or without one to
// its best follower. Any node takes it, and passes it on to the leader's API. 200 client.TransferResponse; 400 if
// the target is not another voter; 409 if the leader leads in another term than "expected_term"; 503.
func (s *Server) postTransfer(c *gin.Context) {
	request, err := readTransfer(c.Request)
	if err != nil {
		s.fail(c, err)
		return
	}
	err = s.node.TransferLeadershipIn(c.Request.Context(), raft.Term(request.ExpectedTerm), raft.NodeID(request.To))
	if errors.Is(err, node.ErrNotLeader) && c.Request.Header.Get(forwardedHeader) == "" {
		s.forwardTransfer(c, request)
		return
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	status := s.node.Status()
	s.stamp(c.Writer.Header()) // the term and the leader are new
	s.answerValue(c, client.TransferResponse{LeaderID: uint64(status.LeaderID), Term: uint64(status.CurrentTerm)})
}

func readTransfer(r *http.Request) (client.TransferRequest, error) {
	buf := newBuffer()
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

// forwardTransfer hands the request to the leader, whom it is for, and the answer back.
func (s *Server) forwardTransfer(c *gin.Context, request client.TransferRequest) {
	leader := s.node.Status().LeaderID
	address := s.apiAddress(leader)
	if address == "" {
		s.node.Observe(c.Request.Context()) // the members tell their addresses with their status
		address = s.apiAddress(leader)
	}
	if address == "" {
		s.fail(c, &client.Error{
			Code: client.CodeNoLeader, Leader: uint64(leader),
			Message: "only the leader can hand over, and this node knows no address of one; try again, or ask the leader",
		})
		return
	}
	status, body, err := callTransfer(c.Request.Context(), address, request)
	if err != nil {
		s.log.Warn("the leader could not be asked to hand over", "leader", leader, "error", err)
		s.fail(c, node.ErrOutcomeUnknown)
		return
	}
	s.answer(c.Writer, status, typeJSON, body)
}

// apiAddress gives the URL of a member's API, empty if it has not told it.
func (s *Server) apiAddress(id raft.NodeID) string {
	for _, m := range s.node.Config().Members {
		if m.ID == id {
			return m.APIAddress
		}
	}
	return ""
}

// callTransfer asks the node at an API address to hand over. It uses a connection of its own, because this is
// rare and the leader may go away right after it.
func callTransfer(ctx context.Context, address string, request client.TransferRequest) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, forwardLimit)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return 0, nil, err
	}
	url := strings.TrimSuffix(address, "/") + client.PathLeaderTransfer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set(forwardedHeader, "1")
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }() // the answer has been read or the read has failed
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxTransferBytes))
	return response.StatusCode, answer, err
}
