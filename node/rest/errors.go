package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// explain returns the API error for any error. An unknown error is a fault of the server: it is logged, and not shown.
func (r *responder) explain(err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*kv.InvalidError](err); ok {
		return &api.Error{Code: api.CodeInvalid, Message: e.Error()}
	}
	if e, ok := errors.AsType[*kv.TooLargeError](err); ok {
		return &api.Error{Code: api.CodeTooLarge, Message: e.Error(), Limit: int64(e.Limit)}
	}
	if e, ok := errors.AsType[*kv.CompactedError](err); ok {
		return &api.Error{Code: api.CodeCompacted, Message: e.Error(), OldestRevision: e.Oldest}
	}
	if e, ok := errors.AsType[*kv.FutureError](err); ok {
		return &api.Error{Code: api.CodeInvalid, Message: e.Error()}
	}
	if e, ok := errors.AsType[*node.ConfigIndexError](err); ok {
		return &api.Error{
			Code: api.CodeConflict, Message: e.Error(), Config: &e.Config, Leader: r.node.Status().LeaderID,
		}
	}
	if code := node.ClientCode(err); code != "" {
		return &api.Error{Code: code, Message: err.Error(), Leader: r.node.Status().LeaderID}
	}
	r.faults.error("no code", "a request failed for a reason that the API has no code for", "error", err)
	return &api.Error{Code: api.CodeInternal, Message: "internal error; see the server log"}
}

// refused returns the error of a command that the state machine refused, nil if it was done.
func refused(result kv.Result) *api.Error {
	if result.Code == "" {
		return nil
	}
	return &api.Error{
		Code: api.Code(result.Code), Message: result.Message, Revision: result.Revision, Limit: int64(result.Limit),
	}
}

func invalid(message string) *api.Error {
	return &api.Error{Code: api.CodeInvalid, Message: message}
}

// fail answers with an error: its status, with the code and the message in the body.
func (r *responder) fail(c *gin.Context, err error) { r.failTo(c.Writer, err) }

func (r *responder) failTo(w http.ResponseWriter, err error) {
	e := r.explain(err)
	h := w.Header()
	delete(h, api.HeaderRevision) // set by the handler for its own response
	switch e.Code {
	case api.CodeOverloaded:
		h["Retry-After"] = retrySoon
	case api.CodePreconditionFailed:
		if e.Revision > 0 {
			h["Etag"] = []string{`"` + strconv.FormatUint(e.Revision, 10) + `"`}
		}
	case api.CodeTooLarge:
		h["Connection"] = closed // instead of reading the rest of the body
	case api.CodeNoLeader, api.CodeNotReady:
		h["Connection"] = closed // a new connection may lead to a node that can serve; see DESIGN.md
	}
	body := append(appendError([]byte(`{"error":`), e), '}', '\n')
	r.answer(w, e.Code.Status(), typeJSON, body)
}

// appendError appends the error as JSON. A failed precondition always has the revision: 0 for an absent key.
func appendError(dst []byte, e *api.Error) []byte {
	dst = append(dst, `{"code":`...)
	dst = jsontext.AppendText(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = jsontext.AppendText(dst, e.Message)
	if e.Revision > 0 || e.Code == api.CodePreconditionFailed {
		dst = strconv.AppendUint(append(dst, `,"revision":`...), e.Revision, 10)
	}
	if e.OldestRevision > 0 {
		dst = strconv.AppendUint(append(dst, `,"oldest_revision":`...), e.OldestRevision, 10)
	}
	if e.Limit > 0 {
		dst = strconv.AppendInt(append(dst, `,"limit":`...), e.Limit, 10)
	}
	if e.Leader > 0 {
		dst = strconv.AppendUint(append(dst, `,"leader":`...), e.Leader, 10)
	}
	if e.Config != nil {
		if config, err := json.Marshal(e.Config); err == nil {
			dst = append(append(dst, `,"config":`...), config...)
		}
	}
	return append(dst, '}')
}
