package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) statusCommand() *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the cluster",
		Long: `Show the leader, and which nodes are behind or do not answer. The command does not
wait for a leader: it asks all nodes in parallel, for 2 s at most, and shows those
that answer. * marks the leader, ! a node with a problem, x one that does not answer.

Exit code 0: healthy; 7: not; 5: no node answers.`,
		Example: `  raftctl status
  raftctl status -w                   refresh in place
  raftctl status -o json | jq .health`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case every <= 0:
				return usage("--every is %v; it must be more than 0, like 1s", every)
			case p.curl:
				return p.printCurl("GET", api.PathStatus)
			case watch:
				return p.watchStatus(every)
			}
			return p.showStatus()
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "refresh the status; without a terminal, print a line per change")
	cmd.Flags().DurationVar(&every, "every", time.Second, "refresh interval of --watch")
	return cmd
}

func (p *program) showStatus() error {
	c, _, done, err := p.connect()
	if err != nil {
		return err
	}
	defer done()
	s, ok := p.gather(c)
	if !ok {
		return p.explain(c, "", &api.Error{Code: api.CodeUnreachable, Message: "no node answers"})
	}
	switch p.output {
	case "json", "ndjson":
		err = p.printJSON(s)
	case "raw":
		err = p.write(string(s.Health.State) + "\n")
	default:
		err = p.write(statusTable(s, p.colored()))
	}
	if err == nil && s.Health.State != api.Healthy {
		return &failure{code: exitUnhealthy}
	}
	return err
}

// report is one node's view of the whole cluster.
type nodeReport struct {
	endpoint string
	status   api.ClusterStatus
	err      error
}

// gather asks every endpoint for its view of the whole cluster, and then the members in those views. It returns false
// if no node answers. merge combines the views.
func (p *program) gather(c *client.Client) (api.ClusterStatus, bool) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTime)
	defer cancel()
	reports := make(chan nodeReport)
	asked := make(map[string]bool)
	waiting := 0
	ask := func(endpoint string) {
		endpoint = strings.TrimSuffix(endpoint, "/")
		if endpoint == "" || asked[endpoint] {
			return
		}
		asked[endpoint] = true
		waiting++
		go func() {
			s, err := c.StatusOf(ctx, endpoint)
			reports <- nodeReport{endpoint, s, err}
		}()
	}
	for _, endpoint := range p.endpoints {
		ask(withScheme(endpoint))
	}
	var views []api.ClusterStatus
	for ; waiting > 0; waiting-- {
		r := <-reports
		if r.err != nil {
			continue
		}
		views = append(views, r.status)
		// A healthy view needs no second opinion.
		if r.status.Health.State != api.Healthy {
			for _, m := range r.status.Config.Members {
				ask(m.APIAddress)
			}
		}
	}
	if len(views) == 0 {
		return api.ClusterStatus{}, false
	}
	return merge(views), true
}

func withScheme(endpoint string) string {
	if strings.Contains(endpoint, "://") {
		return endpoint
	}
	return "http://" + endpoint
}

// partedError is the error of a node that answers raftctl but not the other nodes.
const partedError = "answers raftctl, but not the other nodes"

// merge combines several views: it starts from the leader's own if there is one, else from that of the highest term in
// which most voters count, and adds what another view has, so that no view hides what another one shows.
func merge(views []api.ClusterStatus) api.ClusterStatus {
	best := slices.MaxFunc(views, func(a, b api.ClusterStatus) int {
		return cmp.Or(
			compareBool(a.LeaderID != 0, b.LeaderID != 0),
			cmp.Compare(a.Term, b.Term),
			compareBool(a.LeaderID == a.Observer, b.LeaderID == b.Observer),
			cmp.Compare(a.Health.Reachable, b.Health.Reachable))
	})
	best.Nodes = slices.Clone(best.Nodes)
	best.Health.Reasons = slices.Clone(best.Health.Reasons)
	leader := leaderOf(best)
	for i := range best.Nodes {
		n := &best.Nodes[i]
		own := ownReport(views, best.ClusterID, n.ID)
		if !answered(n) && own != nil {
			*n = *own
			n.Error = partedError
		}
	}
	for _, v := range views {
		i := slices.IndexFunc(best.Nodes, func(n api.NodeStatus) bool { return n.ID == v.Observer })
		if v.ClusterID == best.ClusterID && v.Observer != best.Observer && i >= 0 && counts(&best.Nodes[i], leader) {
			addMissing(&best, &v)
		}
	}
	return best
}

// ownReport returns the report of a node about itself, or nil if it was not asked.
func ownReport(views []api.ClusterStatus, cluster string, id uint64) *api.NodeStatus {
	for _, v := range views {
		for i := range v.Nodes {
			if v.ClusterID == cluster && v.Observer == id && v.Nodes[i].ID == id {
				return &v.Nodes[i]
			}
		}
	}
	return nil
}

// answered reports whether a node answered the observer.
func answered(n *api.NodeStatus) bool {
	return n.Healthy || n.Error == "" && n.AgeMs >= 0 && n.LifeCycle != ""
}

// counts reports whether a voter counts for the quorum, as far as a view shows; the node's own view has more.
func counts(n, leader *api.NodeStatus) bool {
	if leader != nil && leader.Progress[n.ID].State == "refuses" {
		return false
	}
	return n.Healthy && n.Error == "" && (n.Seated == nil || *n.Seated) && !isCutOff(n, leader)
}

// isCutOff reports whether a node runs but does not answer the leader, or never received a message from the leader.
func isCutOff(n, leader *api.NodeStatus) bool {
	if leader == nil || leader.ID == n.ID {
		return false
	}
	return leader.Progress[n.ID].Unreachable || n.LastContactMs < 0
}

// addMissing adds to the best view the members that a node which counts there cannot reach. Of the numbers of voters
// that such nodes reach, the smallest counts, because that many surely remain if others fail.
func addMissing(best, v *api.ClusterStatus) {
	leader := leaderOf(*best)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		k := slices.IndexFunc(best.Nodes, func(b api.NodeStatus) bool { return b.ID == n.ID })
		if n.Error == "" || k < 0 || !counts(&best.Nodes[k], leader) {
			continue
		}
		best.Health.Reasons = append(best.Health.Reasons, fmt.Sprintf("node %d cannot reach node %d: %s", v.Observer, n.ID,
			n.Error))
		if best.Health.State == api.Healthy {
			best.Health.State = api.Degraded
		}
		best.Health.Tolerates = min(best.Health.Tolerates, v.Health.Tolerates)
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// watchStatus shows the status until it is interrupted: in place on a terminal, else a line per change.
func (p *program) watchStatus(every time.Duration) error {
	c, _, done, err := p.connect()
	if err != nil {
		return err
	}
	defer done()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	inPlace := isTerminal(p.stdout) && p.output == "table"
	last := ""
	for {
		s, ok := p.gather(c)
		if err := p.showChange(s, ok, inPlace, &last); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-p.ctx.Done():
			return &failure{code: exitInterrupted}
		}
	}
}

// showChange prints one round of a watch; last is the line that was printed before.
func (p *program) showChange(s api.ClusterStatus, ok, inPlace bool, last *string) error {
	now := time.Now().Format("15:04:05")
	text := "no node answers"
	if ok {
		text = changeLine(s)
	}
	if inPlace {
		if ok {
			text = statusTable(s, p.colored())
		}
		return p.write("\x1b[H\x1b[2J" + now + "  " + text + "\n")
	}
	if text == *last {
		return nil
	}
	*last = text
	if ok && p.output != "table" {
		return p.printJSON(s)
	}
	return p.write(now + "  " + text + "\n")
}
