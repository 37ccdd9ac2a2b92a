package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

// responder writes answers, and charges what they hold. All handlers have it in common.
type responder struct {
	node     Node
	memory   *budget.Memory
	faults   *faultLog
	building chan struct{} // has a value for each large answer that is being built
	headers  atomic.Pointer[raftHeaders]
}

func newResponder(n Node, memory *budget.Memory, faults *faultLog) *responder {
	return &responder{
		node: n, memory: memory, faults: faults, building: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
}

// sniffSize is how much of an answer net/http holds back; it counts the length of shorter ones by itself.
const sniffSize = 2048

// answer writes a whole answer. X-Revision becomes the applied revision unless the handler set it.
func (r *responder) answer(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Cache-Control"] = noStore
	if h[api.HeaderRevision] == nil {
		r.stampRevision(h)
	}
	if len(body) >= sniffSize {
		h["Content-Length"] = decimal(uint64(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails, and nobody is left to tell
}

// answerValue answers with a value that encoding/json writes; for the routes that are not hot.
func (r *responder) answerValue(c *gin.Context, value any) {
	body, err := r.marshal(c.Request.Context(), value)
	if err != nil {
		r.fail(c, err)
		return
	}
	held := r.memory.NewAccount(budget.Clients, 0)
	defer held.Close()
	if !held.Take(len(body)) {
		r.fail(c, errNoMemory)
		return
	}
	r.answer(c.Writer, http.StatusOK, typeJSON, append(body, '\n'))
}

// enter waits until the request may build a large answer whose size is not known before: as many do as can make
// progress at once, so that what they hold before it is charged is bounded. The caller must leave.
func (r *responder) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.building <- struct{}{}:
		return func() { <-r.building }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// marshal writes a value as JSON.
func (r *responder) marshal(ctx context.Context, value any) ([]byte, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return json.Marshal(value)
}
