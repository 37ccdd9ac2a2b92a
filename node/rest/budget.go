package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

const (
	// mostStreams is how many event streams a server has open at once. Each costs some memory, and the work of an answer
	// to GET /api/status twice a second.
	mostStreams = 128
	// mostScrapes is how many requests of the metrics are answered at once.
	mostScrapes = 8
)

// enter waits until the request may build a large answer whose size is not known before: as many do as can make
// progress at once, so that what they hold before it is charged is bounded. The caller must leave.
func (s *Server) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.building <- struct{}{}:
		return func() { <-s.building }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newBuilding() chan struct{} { return make(chan struct{}, max(2, runtime.GOMAXPROCS(0))) }

// marshal writes a value as JSON.
func (s *Server) marshal(ctx context.Context, value any) ([]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return json.Marshal(value)
}

// reserved are the routes that are answered on a connection beyond the limit.
var reserved = []string{api.PathLive, api.PathReady, api.PathStarted, api.PathMetrics}

// withinCapacity answers requests on connections beyond the limit: those of probes and of the metrics as ever, all
// others with 503. Either way the connection ends, so that the next probe finds room.
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
			Message: "this node has as many API connections as it may: " + strconv.Itoa(s.connections.Limits().API) +
				"; close connections that are idle, or ask another node",
		})
	})
}

// buffered answers with what a handler wrote once that is complete, so that a slow reader holds the text and nothing
// else of the handler's. The text counts as the peers' do: there is room for it when clients have filled theirs.
func (s *Server) buffered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole := &wholeAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(whole, r)
		held := s.memory.NewAccount(budget.Peers, 0)
		defer held.Close()
		if !held.Take(len(whole.body)) {
			s.failTo(w, errNoMemory)
			return
		}
		w.WriteHeader(whole.status)
		_, _ = w.Write(whole.body) // the client is gone if this fails
	})
}

// wholeAnswer is a response writer that keeps the answer.
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
