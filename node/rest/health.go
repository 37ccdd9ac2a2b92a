package rest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/observation"
)

// check is one line of a probe: what was checked, and what is wrong, if anything.
type check struct {
	name  string
	wrong string
}

// health serves the probes.
type health struct {
	*responder
	readyLag     uint64
	readyContact time.Duration
	stopping     atomic.Bool // readyz fails
	started      atomic.Bool // startupz has succeeded once
	behind       atomic.Bool // this node is too far behind its leader to be ready
}

func newHealth(r *responder, options Options) *health {
	return &health{
		responder:    r,
		readyLag:     cmp.Or(options.ReadyLag, defaultReadyLag),
		readyContact: cmp.Or(options.ReadyContact, defaultContact),
	}
}

// getLive is GET /livez: 200 while the process answers and its loop, if it should run, runs; 503 if the loop has not
// run for so long that only a restart helps. It checks neither the disk nor the cluster: a cause that affects all nodes
// at once must not restart all of them at once (trap O23). A disk that hangs ends the process earlier.
func (h *health) getLive(c *gin.Context) {
	loop := check{name: "loop"}
	if h.node.Stalled() {
		loop.wrong = "the node's loop does not run; restart the node"
	}
	h.answerChecks(c, []check{loop})
}

// getReady is GET /readyz: 200 if requests should be sent to this node, else 503 with what is wrong. With ?verbose it
// lists the checks in either case.
func (h *health) getReady(c *gin.Context) { h.answerChecks(c, h.readiness()) }

// getStarted is GET /startupz: 200 from the moment when this node has applied what was known to be committed at its
// start; 503 before. A node that waits for an identity has nothing to apply.
func (h *health) getStarted(c *gin.Context) {
	status := h.node.Status()
	if !h.started.Load() && status.LastApplied >= status.CommitIndex {
		h.started.Store(true)
	}
	replay := check{name: "replay"}
	if !h.started.Load() {
		replay.wrong = fmt.Sprintf("applied %d of %d committed entries", status.LastApplied, status.CommitIndex)
	}
	h.answerChecks(c, []check{replay})
}

// readiness returns the checks of whether this node can serve and counts: it is a member of a cluster with a seated
// disk, a leader has contacted it recently, it is not far behind, its state is that of the others, and it is not about
// to stop (trap O22). A member without a seat could serve, but what restarts nodes one after the other waits for this
// one to be ready, and would take one more from the quorum before this one counts (trap T28).
func (h *health) readiness() []check {
	status := h.node.Status()
	checks := []check{
		{name: "identity"}, {name: "leader"}, {name: "applied"}, {name: "state"}, {name: "stopping"}, {name: "seat"},
	}
	if status.LifeCycle != api.StateMember {
		checks[0].wrong = "this node takes no part yet: " + observation.Waits(&status)
		if status.LifeCycle == api.StateRemoved {
			checks[0].wrong = "this node takes no part: " + observation.Waits(&status)
		}
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
	case contact > h.readyContact:
		checks[1].wrong = fmt.Sprintf("the last contact with the leader was %v ago; %v is allowed", contact, h.readyContact)
	}
	if lag, behind := h.lag(status); behind {
		checks[2].wrong = fmt.Sprintf("%d committed entries are not applied; %d are allowed", lag, h.readyLag)
	}
	if status.StateDiffers != 0 {
		checks[3].wrong = fmt.Sprintf("the state differs from that of a majority of the members since entry %d, or is "+
			"missing because its file was damaged; the node waits for a snapshot from the leader", status.StateDiffers)
	}
	if h.stopping.Load() {
		checks[4].wrong = "the server is stopping"
	}
	if status.LifeCycle == api.StateMember && status.Seated != nil && !*status.Seated {
		checks[5].wrong = "this node's disk has no seat yet, and does not count for the quorum until a quorum of the " +
			"others has seated it"
	}
	return checks
}

// lag returns how many committed entries this node has not applied, by its own commit index and by its leader's, and
// reports whether that is too many. A node that was too far behind must get within half of the limit; otherwise its
// readiness would change with every entry under load.
func (h *health) lag(status api.Status) (uint64, bool) {
	commit := max(status.CommitIndex, status.LeaderCommit)
	lag := commit - min(status.LastApplied, commit)
	limit := h.readyLag
	if h.behind.Load() {
		limit /= 2
	}
	behind := lag > limit
	h.behind.Store(behind)
	return lag, behind
}

// passed reports whether nothing is wrong.
func passed(checks []check) bool {
	return !slices.ContainsFunc(checks, func(c check) bool { return c.wrong != "" })
}

// answerChecks writes the result of a probe as text, in the form of Kubernetes' own probes. Probes use the status only;
// the text is for people.
func (h *health) answerChecks(c *gin.Context, checks []check) {
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
	h.answer(c.Writer, status, typeText, []byte(verdict))
}
