package rest

import (
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

// route is one line of the API: its methods, path and handler, and what it supports. The path is its label in the
// metrics.
type route struct {
	methods string // separated by spaces
	path    string // as gin wants it
	handler gin.HandlerFunc
	takes   *takes // nil: the rest is ignored, because probes and scrapers may add parameters
}

// table lists the API. GET routes that are not streams answer HEAD as well.
func (s *Server) table() []route {
	const key, member = api.PathKV + "*key", api.PathMembers + "/:id"
	routes := []route{
		{"GET HEAD", api.PathStatus, s.cluster.getStatus, takesNothing},
		{"GET HEAD", api.PathLogs, s.logs.getLogs, takesLogs},
		{"POST", api.PathCommand, s.keys.postCommand, takesCommand},
		{"GET HEAD", key, s.keys.getKey, takesReads},
		{"PUT", key, s.keys.putKey, takesPut},
		{"DELETE", key, s.keys.deleteKey, takesDelete},
		{"GET HEAD", api.PathList, s.lists.getList, takesList},
		{"DELETE", api.PathList, s.keys.deleteRange, takesRange},
		{"POST", api.PathTxn, s.keys.postTxn, takesTxn},
		{"POST", api.PathCompact, s.keys.postCompact, takesNothing},
		{"POST", api.PathBatch, s.keys.postBatch, takesBatch},
		{"GET", api.PathBackup, s.backups.getBackup, takesBackup},
		{"GET HEAD", api.PathCluster, s.cluster.getCluster, takesNothing},
		{"POST", api.PathBootstrap, s.cluster.postBootstrap, takesNothing},
		{"POST", api.PathLeaderTransfer, s.cluster.postTransfer, takesNothing},
		{"GET HEAD", api.PathMembers, s.members.getMembers, takesMembers},
		{"POST", api.PathMembers, s.members.postMember, takesChange},
		{"POST", api.PathMembersChange, s.members.postChange, takesChange},
		{"POST", member + "/promote", s.members.postPromote, takesChange},
		{"PUT", member, s.members.putMember, takesChange},
		{"DELETE", member, s.members.deleteMember, takesRemoval},
		{"GET", api.PathEvents, s.events.getEvents, takesEvents},
		{"GET HEAD", api.PathLive, s.health.getLive, nil},
		{"GET HEAD", api.PathReady, s.health.getReady, nil},
		{"GET HEAD", api.PathStarted, s.health.getStarted, nil},
		{"GET", api.PathMetrics, s.foreign(s.buffered(s.metrics.handler)), nil},
	}
	if s.options.Dashboard != nil {
		page := s.foreign(s.options.Dashboard)
		routes = append(routes, route{"GET HEAD", "/", page, nil}, route{"GET HEAD", "/ui/*path", page, nil})
	}
	return routes
}

// usualMethods are those that some route has.
var usualMethods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete}

// routes builds the engine. Gin must neither clean paths nor redirect: keys arrive unchanged. It routes on the decoded
// path, so that the rest of the path after the prefix is the key.
func (s *Server) routes() *gin.Engine {
	e := gin.New()
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.HandleMethodNotAllowed = true
	for _, r := range s.table() {
		methods := strings.Fields(r.methods)
		timer := s.metrics.route(r.path, methods...)
		for _, method := range methods {
			chain := []gin.HandlerFunc{s.around(timer), r.handler}
			if r.takes != nil {
				chain = slices.Insert(chain, 1, s.admit(r.takes, method+" "+shownPath(r.path)))
			}
			e.Handle(method, r.path, chain...)
		}
	}
	unknown := s.around(s.metrics.route("unknown", usualMethods...))
	e.NoRoute(unknown, s.noRoute)
	e.NoMethod(unknown, s.noMethod)
	if s.options.Extra != nil {
		revision := func(c *gin.Context) { s.stampRevision(c.Writer.Header()) }
		extra := s.around(s.metrics.route("extra", usualMethods...))
		s.options.Extra(e.Group("", extra, revision, s.admit(takesNothing, "this route")))
	}
	return e
}

// around returns the first handler of every route: it sets the Raft headers, measures the time, and confines a panic in
// a handler to its request.
func (s *Server) around(timer *routeTimer) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		s.stamp(c.Writer.Header())
		defer func() {
			fault := recover()
			if fault != nil && fault != http.ErrAbortHandler {
				s.faults.error("panic "+timer.name, "a request handler panicked", "route", timer.name, "panic", fault,
					"stack", string(debug.Stack()))
				fault = s.answerPanic(c)
			}
			if !isStream(c.Writer.Header()) {
				timer.observe(c.Request.Method, c.Writer.Status(), time.Since(start))
			}
			if fault != nil {
				panic(fault)
			}
		}()
		c.Next()
	}
}

// isStream reports whether a response is a stream, whose duration depends on its client only.
func isStream(h http.Header) bool { return h["X-Accel-Buffering"] != nil }

// answerPanic answers 500 without details. If part of the response has been written, it returns what makes net/http
// close the connection, so that the response is not taken for complete.
func (s *Server) answerPanic(c *gin.Context) any {
	if c.Writer.Written() {
		return http.ErrAbortHandler
	}
	s.fail(c, &api.Error{Code: api.CodeInternal, Message: "internal error; see the server log"})
	return nil
}

// foreign returns a handler of gin for one of net/http.
func (s *Server) foreign(h http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.stampRevision(c.Writer.Header())
		h.ServeHTTP(c.Writer, c.Request)
	}
}

// noRoute answers a path that does not exist, and names the one that may have been meant.
func (s *Server) noRoute(c *gin.Context) {
	message := "no such route: " + clip(c.Request.URL.Path)
	if nearest := s.nearest(c.Request.URL.Path); nearest != "" {
		message += "; the nearest is " + nearest
	}
	s.fail(c, &api.Error{Code: api.CodeNotFound, Message: message})
}

// noMethod answers a method that the path does not have; gin has set the Allow header.
func (s *Server) noMethod(c *gin.Context) {
	s.fail(c, &api.Error{Code: api.CodeMethodNotAllowed, Message: clip(c.Request.Method) +
		" is not allowed here; this path takes " + c.Writer.Header().Get("Allow")})
}

// nearest returns the route with the smallest edit distance from a path, or one that the path is a prefix of; "" if
// more than half of the path would have to change.
func (s *Server) nearest(path string) string {
	path = clip(path)
	best, least := "", len(path)/2+2
	for _, r := range s.table() {
		distance := distanceTo(path, r.path)
		if strings.HasPrefix(r.path, path) && path != "/" {
			distance = 0
		}
		if distance < least {
			best, least = r.path, distance
		}
	}
	return shownPath(best)
}

// distanceTo returns the edit distance between a path and that of a route, whose key may be anything.
func distanceTo(path, route string) int {
	head, _, wild := strings.Cut(route, "*")
	if cut := cutAfter(path, strings.Count(head, "/")); wild && cut != "" {
		if distance := editDistance(cut, head); distance <= len(head)/3 {
			return distance
		}
	}
	return editDistance(path, route)
}

// cutAfter returns a path up to its nth slash, "" if it has fewer.
func cutAfter(path string, n int) string {
	for i, c := range path {
		if c == '/' {
			n--
		}
		if n == 0 {
			return path[:i+1]
		}
	}
	return ""
}

// shownPath returns the path of a route as in the documentation.
func shownPath(path string) string {
	return strings.TrimSuffix(strings.NewReplacer("*key", "{key}", ":id", "{id}").Replace(path), "*path")
}

// editDistance returns the number of insertions, deletions and replacements between two strings (Levenshtein 1966).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + slices.Min([]int{diagonal, row[j], row[j+1]})
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// clip shortens client input for a message.
func clip(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
