package rest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const maxTransferBytes = 4 << 10

// postTransfer is POST /api/v1/leader/transfer: the leader transfers leadership to the member {"to":2}, or to its best
// follower if there is none. Any node accepts it. 200 api.TransferResponse; 400 if the target is not another voter; 409
// if the term of the leader is not "expected_term"; 503.
func (cl *cluster) postTransfer(c *gin.Context) {
	request, err := cl.readTransfer(c.Request)
	if err != nil {
		cl.fail(c, err)
		return
	}
	err = cl.node.HandOver(c.Request.Context(), raft.Term(request.ExpectedTerm), raft.NodeID(request.To))
	if errors.Is(err, node.ErrBadTarget) {
		err = cl.badTarget(request.To)
	}
	if err != nil {
		cl.fail(c, err)
		return
	}
	status := cl.node.Status()
	cl.stamp(c.Writer.Header()) // the term and the leader are new
	cl.answerValue(c, api.TransferResponse{LeaderID: status.LeaderID, Term: status.CurrentTerm})
}

func (cl *cluster) readTransfer(r *http.Request) (api.TransferRequest, error) {
	buf := cl.newBuffer()
	defer buf.release()
	var request api.TransferRequest
	if err := buf.read(r, maxTransferBytes); err != nil {
		return request, err
	}
	if len(bytes.TrimSpace(buf.b)) == 0 {
		return request, nil
	}
	err := ReadJSON(buf.b, &request)
	if wrong, ok := errors.AsType[*wrongFieldError](err); ok {
		switch wrong.field {
		case "to":
			return request, invalid(`"to" must be the id of a member, like 2`)
		case "expected_term":
			return request, invalid(`"expected_term" must be a term, a whole number like 7`)
		}
	}
	if err != nil {
		return request, invalid(`the body must be empty or name a member, like {"to":2}: ` + err.Error())
	}
	return request, nil
}

// badTarget returns why the leader does not transfer leadership to a member, as far as this node can determine.
func (cl *cluster) badTarget(to uint64) *api.Error {
	var members, voters []string
	role := ""
	for _, m := range cl.observation.Membership().Members {
		id := strconv.FormatUint(m.ID, 10)
		members = append(members, id)
		if m.Role == api.RoleVoter {
			voters = append(voters, id)
		}
		if m.ID == to {
			role = m.Role
		}
	}
	leader := cl.node.Status().LeaderID
	message := fmt.Sprintf("node %d cannot lead yet: the log has no seat for its disk", to)
	switch {
	case to == 0:
		message = "no other member can take over; voters: " + strings.Join(voters, ", ")
	case role == "":
		message = fmt.Sprintf("node %d is no member; members: %s", to, strings.Join(members, ", "))
	case to == leader:
		message = fmt.Sprintf("node %d is already the leader", to)
	case role != api.RoleVoter:
		message = fmt.Sprintf("node %d is a %s, which cannot lead; voters: %s", to, role, strings.Join(voters, ", "))
	}
	return &api.Error{Code: api.CodeInvalid, Message: message, Leader: leader}
}
