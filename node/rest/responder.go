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

// responder writes responses, and charges the memory that they hold. All handlers share it.
type responder struct {
	node     Node
	memory   *budget.Memory
	faults   *faultLog
	building chan struct{} // has a value for each large response that is being built
	headers  atomic.Pointer[raftHeaders]
}

func newResponder(n Node, memory *budget.Memory, faults *faultLog) *responder {
	return &responder{
		node: n, memory: memory, faults: faults, building: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
}

// sniffSize is how much of a response net/http buffers; it sets the Content-Length of shorter ones by itself.
const sniffSize = 2048

// answer writes a whole response. X-Revision becomes the applied revision unless the handler set it.
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
	_, _ = w.Write(body) // if this fails, the client is gone
}

// answerValue answers with a value as encoding/json writes it; it is for routes whose speed does not matter.
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

// enter waits until the request may build a large response whose size is unknown beforehand. Only as many requests do
// so at a time as can make progress, which bounds what they hold before it is charged. The caller must call leave.
func (r *responder) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.building <- struct{}{}:
		return func() { <-r.building }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// marshal returns a value as JSON.
func (r *responder) marshal(ctx context.Context, value any) ([]byte, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return json.Marshal(value)
}
