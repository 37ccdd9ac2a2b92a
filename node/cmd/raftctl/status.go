package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) statusCommand() *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is",
		Long: `Show who leads, who is behind and who is gone. It waits for no leader: each node is
asked in parallel, for 2 s at most, and what answers is shown. * marks the leader,
! a node with a problem, x one that does not answer.

Exit code 0: healthy; 7: not; 5: nobody answers.`,
		Example: `  raftctl status
  raftctl status -w                   again and again, in place
  raftctl status -o json | jq .health`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case every <= 0:
				return usage("--every is %v; it must be more than 0, like 1s", every)
			case p.curl:
				return p.printCurl("GET", client.PathStatus)
			case watch:
				return p.watchStatus(every)
			}
			return p.showStatus()
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again; without a terminal, a line per change")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often, with --watch")
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
		return p.explain(c, "", &client.Error{Code: client.CodeUnreachable, Message: "nobody answers"})
	}
	switch p.output {
	case "json", "ndjson":
		err = p.printJSON(s)
	case "raw":
		err = p.write(s.Health.State + "\n")
	default:
		err = p.write(statusTable(s, p.colored()))
	}
	if err == nil && s.Health.State != client.Healthy {
		return &failure{code: exitUnhealthy}
	}
	return err
}

// report of one node on the whole cluster.
type nodeReport struct {
	endpoint string
	status   client.ClusterStatus
	err      error
}

// gather asks every endpoint for its view of the whole cluster, and those that it hears of thereby; false if
// nobody answers. The newest view with a leader counts; what it cannot reach and we can, is taken from there.
func (p *program) gather(c *client.Client) (client.ClusterStatus, bool) {
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
	var views []client.ClusterStatus
	for ; waiting > 0; waiting-- {
		r := <-reports
		if r.err != nil {
			continue
		}
		views = append(views, r.status)
		// A healthy view needs no second opinion.
		if r.status.Health.State != client.Healthy {
			for _, m := range r.status.Config.Members {
				ask(m.APIAddress)
			}
		}
	}
	if len(views) == 0 {
		return client.ClusterStatus{}, false
	}
	return merge(views), true
}

func withScheme(endpoint string) string {
	if strings.Contains(endpoint, "://") {
		return endpoint
	}
	return "http://" + endpoint
}

// partedError is the error of a node that the others do not reach and we do.
const partedError = "answers us, but not the others"

// merge makes one view of several.
func merge(views []client.ClusterStatus) client.ClusterStatus {
	best := slices.MaxFunc(views, func(a, b client.ClusterStatus) int {
		switch {
		case (a.LeaderID != 0) != (b.LeaderID != 0):
			if a.LeaderID != 0 {
				return 1
			}
			return -1
		case a.Term != b.Term:
			return compare(a.Term, b.Term)
		}
		return compare(uint64(a.Health.Reachable), uint64(b.Health.Reachable))
	})
	nodes := slices.Clone(best.Nodes)
	for i := range nodes {
		for _, v := range views {
			own := slices.IndexFunc(v.Nodes, func(n client.NodeStatus) bool { return n.ID == v.Observer })
			if !nodes[i].Healthy && nodes[i].ID == v.Observer && v.ClusterID == best.ClusterID && own >= 0 {
				nodes[i] = v.Nodes[own]
				nodes[i].Error = partedError
			}
		}
	}
	best.Nodes = nodes
	return best
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
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

// showChange shows one round of a watch; last is the line that was shown before.
func (p *program) showChange(s client.ClusterStatus, ok, inPlace bool, last *string) error {
	now := time.Now().Format("15:04:05")
	text := "nobody answers"
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
