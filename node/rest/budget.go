package rest

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

const (
	// mostStreams is how many event streams a server has open at once. Each costs some memory, and the work of a
	// GET /api/status twice a second.
	mostStreams = 128
	// mostScrapes is how many requests of the metrics are answered at once.
	mostScrapes = 8
)

// reserved are the routes that are answered on a connection beyond the limit.
var reserved = []string{api.PathLive, api.PathReady, api.PathStarted, api.PathMetrics}

// withinCapacity answers requests on connections beyond the limit: probes and metrics as usual, all others with 503.
// Either way the connection is closed, so that the next probe can connect.
func (s *Server) withinCapacity(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !budget.IsSpare(r.Context()) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header()["Connection"] = closed
		if slices.Contains(reserved, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		s.stamp(w.Header())
		w.Header()["Retry-After"] = retrySoon
		s.failTo(w, &api.Error{
			Code: api.CodeNotReady,
			Message: "this node has reached its limit of API connections, " + strconv.Itoa(s.connections.Limits().API) +
				"; close idle connections, or ask another node",
		})
	})
}

// buffered sends the response of a handler once it is complete, so that a slow reader holds the text and nothing else
// of the handler. The text is charged to the share of the peers, which has room when clients have used up theirs.
func (r *responder) buffered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		whole := &wholeAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(whole, request)
		held := r.memory.NewAccount(budget.Peers, 0)
		defer held.Close()
		if !held.Take(len(whole.body)) {
			r.failTo(w, errNoMemory)
			return
		}
		w.WriteHeader(whole.status)
		_, _ = w.Write(whole.body) // the client is gone if this fails
	})
}

// wholeAnswer is a response writer that buffers the response.
type wholeAnswer struct {
	header http.Header
	status int
	body   []byte
}

func (a *wholeAnswer) Header() http.Header { return a.header }

func (a *wholeAnswer) WriteHeader(status int) { a.status = status }

func (a *wholeAnswer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}
