package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// nodeCodes says how the node's errors are told to clients.
var nodeCodes = []struct {
	err  error
	code client.Code
}{
	{node.ErrNoLeader, client.CodeNoLeader},
	{node.ErrNotLeader, client.CodeNoLeader}, // this node asked the wrong one and will know better soon
	{node.ErrNotSent, client.CodeNoLeader},
	{node.ErrNotReady, client.CodeNotReady},
	{node.ErrOverloaded, client.CodeOverloaded},
	{node.ErrOutcomeUnknown, client.CodeOutcomeUnknown},
	{node.ErrBadTarget, client.CodeInvalid},
	{node.ErrBadCommand, client.CodeInvalid}, // by a leader whose version refuses more than this node's
	{node.ErrTermChanged, client.CodeConflict},
	{node.ErrBadIdentity, client.CodeInvalid},
	{node.ErrIdentityTaken, client.CodeConflict},
	{context.Canceled, client.CodeOutcomeUnknown}, // the client went away
	{context.DeadlineExceeded, client.CodeOutcomeUnknown},
}

// explain turns any error into what the client is told. What it does not know is a fault of the server: that is
// logged, and not shown.
func (s *Server) explain(err error) *client.Error {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*kv.InvalidError](err); ok {
		return &client.Error{Code: client.CodeInvalid, Message: e.Error()}
	}
	if e, ok := errors.AsType[*kv.TooLargeError](err); ok {
		return &client.Error{Code: client.CodeTooLarge, Message: e.Error(), Limit: int64(e.Limit)}
	}
	for _, row := range nodeCodes {
		if errors.Is(err, row.err) {
			return &client.Error{Code: row.code, Message: err.Error(), Leader: uint64(s.node.Status().LeaderID)}
		}
	}
	s.faults.error("no code", "a request failed for a reason that the API has no code for", "error", err)
	return &client.Error{Code: client.CodeInternal, Message: "a fault in the server; its log says more"}
}

// refused gives the error of a command that the state machine did not do, nil if it did.
func refused(result kv.Result) *client.Error {
	if result.Code == "" {
		return nil
	}
	return &client.Error{Code: client.Code(result.Code), Message: result.Message, Revision: result.Revision}
}

func invalid(message string) *client.Error {
	return &client.Error{Code: client.CodeInvalid, Message: message}
}

// fail answers with an error: the status from the one table, the code and the message in the body.
func (s *Server) fail(c *gin.Context, err error) { s.failTo(c.Writer, err) }

func (s *Server) failTo(w http.ResponseWriter, err error) {
	e := s.explain(err)
	h := w.Header()
	delete(h, client.HeaderRevision) // whatever the handler was about to say, this is about the store
	switch e.Code {
	case client.CodeOverloaded:
		h["Retry-After"] = retrySoon
	case client.CodePreconditionFailed:
		if e.Revision > 0 {
			h["Etag"] = []string{`"` + strconv.FormatUint(e.Revision, 10) + `"`}
		}
	case client.CodeTooLarge:
		h["Connection"] = closed // rather than read what is left of the body
	case client.CodeNoLeader, client.CodeNotReady:
		h["Connection"] = closed // the next one may lead to a node that can serve; see DESIGN.md
	}
	body := append(appendError([]byte(`{"error":`), e), '}', '\n')
	s.answer(w, client.StatusOf(e.Code), typeJSON, body)
}

// appendError appends the error as JSON. A failed precondition always tells the revision: 0 for an absent key.
func appendError(dst []byte, e *client.Error) []byte {
	dst = append(dst, `{"code":`...)
	dst = jsontext.AppendText(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = jsontext.AppendText(dst, e.Message)
	if e.Revision > 0 || e.Code == client.CodePreconditionFailed {
		dst = strconv.AppendUint(append(dst, `,"revision":`...), e.Revision, 10)
	}
	if e.Limit > 0 {
		dst = strconv.AppendInt(append(dst, `,"limit":`...), e.Limit, 10)
	}
	if e.Leader > 0 {
		dst = strconv.AppendUint(append(dst, `,"leader":`...), e.Leader, 10)
	}
	return append(dst, '}')
}
