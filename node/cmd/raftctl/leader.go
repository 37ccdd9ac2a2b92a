package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// leaderAnswer is the output of leader and leader transfer.
type leaderAnswer struct {
	LeaderID   uint64 `json:"leader_id"`
	Term       uint64 `json:"term"`
	APIAddress string `json:"api_address,omitempty"`
}

func (p *program) leaderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leader",
		Short: "Show the leader, or transfer leadership",
		Long:  `Show the leader. The command does not wait for one: it asks all nodes in parallel, for 2 s at most.`,
		Example: `  raftctl leader
  raftctl leader -o raw                 only the id
  raftctl leader transfer 2`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.showLeader() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "transfer [ID]",
		Short: "Transfer leadership",
		Long: `Ask the leader to transfer leadership to the member ID, or without ID to the one with
the longest log. Writes pause for about one round trip; none is lost.`,
		Example: `  raftctl leader transfer
  raftctl leader transfer 2`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageOf(cmd, "%s takes one ID; %d were given", cmd.CommandPath(), len(args))
			}
			if len(args) == 1 {
				if id, err := strconv.ParseUint(args[0], 10, 64); err != nil || id == 0 {
					return badMember(cmd, args[0])
				}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return p.transfer(args) },
	})
	return cmd
}

func (p *program) showLeader() error {
	if p.curl {
		return p.printCurl("GET", api.PathCluster)
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		best, err := p.bestView(ctx, c)
		if err != nil {
			return err
		}
		a := leaderAnswer{LeaderID: best.LeaderID, Term: best.Term}
		for _, m := range best.Config.Members {
			if m.ID == best.LeaderID {
				a.APIAddress = m.APIAddress
			}
		}
		text := fmt.Sprintf("node %d leads term %d  %s\n", a.LeaderID, a.Term, printable(a.APIAddress))
		return p.printValue(a, text, fmt.Sprintln(a.LeaderID))
	})
}

// bestView asks every endpoint, and returns the view of the highest term that has a leader.
func (p *program) bestView(ctx context.Context, c *client.Client) (api.ClusterView, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var best api.ClusterView
	answers := 0
	for _, o := range c.Observe(ctx) {
		if o.View == nil {
			continue
		}
		answers++
		if o.View.LeaderID != 0 && o.View.Term >= best.Term {
			best = *o.View
		}
	}
	switch {
	case answers == 0:
		return best, &api.Error{Code: api.CodeUnreachable, Message: "no node answers"}
	case best.LeaderID == 0:
		return best, &api.Error{Code: api.CodeNoLeader, Message: "there is no leader at present"}
	}
	return best, nil
}

func badMember(cmd *cobra.Command, id string) error {
	return usageOf(cmd, "ID is %q; it must be the id of a member, like 2: see raftctl status", id)
}

func (p *program) transfer(args []string) error {
	var to uint64
	if len(args) == 1 {
		to, _ = strconv.ParseUint(args[0], 10, 64) // Args has checked it
	}
	if p.curl {
		body, err := json.Marshal(api.TransferRequest{To: to})
		if err != nil {
			return usage("%v", err)
		}
		return p.printCurl("POST", api.PathLeaderTransfer, "--data-binary", string(body))
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		r, err := c.TransferLeadership(ctx, to)
		if err != nil {
			return err
		}
		p.changed = true
		text := fmt.Sprintf("node %d leads term %d\n", r.LeaderID, r.Term)
		if r.LeaderID == 0 {
			text = "leadership transferred; the new leader is not known yet: raftctl leader\n"
		}
		return p.printValue(r, text, fmt.Sprintln(r.LeaderID))
	})
}
