package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

// check is one line of a probe: what was looked at, and what is wrong with it, if anything.
type check struct {
	name  string
	wrong string
}

// getLive is GET /livez: 200 as long as the process answers and its loop, where it should run, makes its turns; 503 if
// it has not for so long that only a restart helps. It asks neither the disk nor the cluster: what makes all of them
// fail at once must not make all of them start again at once (trap O23). A disk that hangs ends the process sooner.
func (s *Server) getLive(c *gin.Context) {
	loop := check{name: "loop"}
	if s.node.Stalled() {
		loop.wrong = "the node's loop has made no turn for long; only a restart can help"
	}
	s.answerChecks(c, []check{loop})
}

// getReady is GET /readyz: 200 if requests should be sent here, else 503 with what is wrong. With ?verbose it
// lists the checks in either case.
func (s *Server) getReady(c *gin.Context) { s.answerChecks(c, s.readiness()) }

// getStarted is GET /startupz: 200 once this node has applied what it knew to be committed, and ever after; 503
// before. A node that waits for an identity has nothing to apply.
func (s *Server) getStarted(c *gin.Context) {
	status := s.node.Status()
	if !s.started.Load() && status.LastApplied >= status.CommitIndex {
		s.started.Store(true)
	}
	replay := check{name: "replay"}
	if !s.started.Load() {
		replay.wrong = fmt.Sprintf("applied %d of %d committed entries", status.LastApplied, status.CommitIndex)
	}
	s.answerChecks(c, []check{replay})
}

// readiness says whether this node can serve: it belongs to a cluster, has heard of a leader lately, is not far behind,
// and is not about to stop (trap O22).
func (s *Server) readiness() []check {
	status := s.node.Status()
	checks := []check{{name: "identity"}, {name: "leader"}, {name: "applied"}, {name: "stopping"}}
	if status.LifeCycle != api.StateMember {
		checks[0].wrong = "this node takes no part yet: " + node.Waits(&status)
		if status.Mismatch != "" {
			checks[0].wrong += "; this node " + status.Mismatch
		}
	}
	switch contact := time.Duration(status.LastContactMs) * time.Millisecond; {
	case status.LeaderID == 0:
		checks[1].wrong = "no leader is known"
		if status.Mismatch != "" && checks[0].wrong == "" {
			checks[1].wrong += "; this node " + status.Mismatch
		}
	case contact > s.options.ReadyContact:
		checks[1].wrong = fmt.Sprintf("the leader was last heard %v ago; %v is allowed", contact, s.options.ReadyContact)
	}
	if lag, behind := s.lag(status); behind {
		checks[2].wrong = fmt.Sprintf("%d committed entries are not applied; %d are allowed", lag, s.options.ReadyLag)
	}
	if s.stopping.Load() {
		checks[3].wrong = "the server is stopping"
	}
	return checks
}

// lag returns how many committed entries this node has not applied, by its own commit index and by its leader's, and
// reports whether that is too many. A node that was too far behind has to come within half of the limit, or under load
// its readiness would change with every entry.
func (s *Server) lag(status api.Status) (uint64, bool) {
	commit := max(status.CommitIndex, status.LeaderCommit)
	lag := commit - min(status.LastApplied, commit)
	limit := s.options.ReadyLag
	if s.behind.Load() {
		limit /= 2
	}
	behind := lag > limit
	s.behind.Store(behind)
	return lag, behind
}

// passed reports whether nothing is wrong.
func passed(checks []check) bool {
	return !slices.ContainsFunc(checks, func(c check) bool { return c.wrong != "" })
}

// answerChecks writes a probe's answer as text, in the form that Kubernetes' own probes have. Probes look at the
// status only; the text is for people.
func (s *Server) answerChecks(c *gin.Context, checks []check) {
	var lines strings.Builder
	status, verdict := http.StatusOK, "ok\n"
	for _, one := range checks {
		if one.wrong == "" {
			fmt.Fprintf(&lines, "[+]%s ok\n", one.name)
			continue
		}
		fmt.Fprintf(&lines, "[-]%s failed: %s\n", one.name, one.wrong)
		status, verdict = http.StatusServiceUnavailable, "not ready\n"
	}
	if _, verbose := c.GetQuery("verbose"); verbose || status != http.StatusOK {
		verdict = lines.String() + verdict
	}
	s.answer(c.Writer, status, typeText, []byte(verdict))
}
