package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// memberFlags are the flags of the commands that change the members.
type memberFlags struct {
	expected int64 // -1: the configuration that the command has shown
	force    bool
}

func (f *memberFlags) register(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&f.expected, "expected-index", -1,
		"index of the configuration to change; default: the one that the command shows as before")
	cmd.Flags().BoolVar(&f.force, "force", false, "change the members although too few voters would respond")
}

// check checks the flags.
func (f *memberFlags) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("expected-index") && f.expected < 0 {
		return usageOf(cmd, "--expected-index is %d; it must be the index of a configuration: see raftctl member list",
			f.expected)
	}
	return nil
}

// apply sets the conditions of a change. before has the configuration that was shown; nil: none was.
func (f *memberFlags) apply(change *api.MemberChange, before *api.MembersView) {
	change.Force = f.force
	switch {
	case f.expected >= 0:
		index := uint64(f.expected)
		change.ExpectedConfigIndex = &index
	case before != nil:
		change.ExpectedConfigIndex = &before.Index
	}
}

func (p *program) memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List, add, replace and remove members",
		Long: `List the members of the cluster, and change them while it runs. Each change shows the
members before and after, and is made only if they are still those: exit code 4 if not.

A node is added as a learner, which receives the log and does not vote. The leader
makes it a voter once it has caught up. The node must run with --join and an empty disk.`,
		Example: `  raftctl member list
  raftctl member add http://h4:7080
  raftctl member replace 2 --with http://h4:7080
  raftctl member remove 2`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(p.memberListCommand(), p.memberAddCommand(), p.memberPromoteCommand(), p.memberUpdateCommand(),
		p.memberRemoveCommand(), p.memberChangeCommand(), p.memberReplaceCommand())
	return cmd
}

func (p *program) memberListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the members",
		Long: `List the members: their roles and addresses, and how far learners have caught up.
* marks the leader.`,
		Example: `  raftctl member list
  raftctl member list -o raw            only the ids`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if p.curl {
				return p.printCurl(http.MethodGet, api.PathMembers)
			}
			return p.withClient("", p.listMembers)
		},
	}
}

// listMembers prints the members. Without a leader, they are those that one node has.
func (p *program) listMembers(ctx context.Context, c *client.Client) error {
	soon, cancel := context.WithTimeout(ctx, min(probeTime, max(p.timeout, p.wait)/2))
	view, err := c.Members(soon)
	cancel()
	if code := api.ErrorCode(err); code == api.CodeNoLeader || code == api.CodeNotReady {
		view, err = c.Members(ctx, client.Consistency(api.Stale))
		p.warn("no leader confirms it: these are the members that one node has\n")
	}
	if err != nil {
		return err
	}
	var raw strings.Builder
	for _, m := range view.Members {
		_, _ = fmt.Fprintln(&raw, m.ID)
	}
	return p.printValue(view, memberTable("", &view), raw.String())
}

func (p *program) memberAddCommand() *cobra.Command {
	var flags memberFlags
	var member api.NewMember
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Add a member",
		Long: `Add the node whose peer port is at URL. It becomes a learner, and the leader makes it a
voter once it has caught up. Start it with --join and an empty disk.`,
		Example: `  raftctl member add http://h4:7080 --api-url http://h4:8080
  raftctl member add http://h4:7080 --auto-promote=false    it stays a learner`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usageOf(cmd, "%s takes the peer URL of one node; %d were given", cmd.CommandPath(), len(args))
			}
			return checkURLs(cmd, args[0], member.APIAddress)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			member.Address = args[0]
			return p.changeMembers(&flags, api.MemberChange{Add: []api.NewMember{member}})
		},
	}
	cmd.Flags().StringVar(&member.APIAddress, "api-url", "", "API URL of the node; default: what it reports")
	cmd.Flags().Uint64Var(&member.ID, "id", 0, "id of the new member, higher than all before; default: the next one")
	cmd.Flags().BoolVar(&member.AutoPromote, "auto-promote", true, "make it a voter once it has caught up")
	flags.register(cmd)
	return cmd
}

func (p *program) memberPromoteCommand() *cobra.Command {
	var flags memberFlags
	cmd := &cobra.Command{
		Use:     "promote ID",
		Short:   "Make a learner a voter",
		Long:    `Make the learner ID a voter. It must have caught up: see raftctl member list.`,
		Example: `  raftctl member promote 4`,
		Args:    oneMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return p.changeMembers(&flags, api.MemberChange{Promote: []uint64{memberID(args[0])}})
		},
	}
	flags.register(cmd)
	return cmd
}

func (p *program) memberRemoveCommand() *cobra.Command {
	var flags memberFlags
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a member",
		Long: `Remove the member ID. It stops serving and keeps its files; its id is never used again. A
leader that is removed transfers leadership first.`,
		Example: `  raftctl member remove 2`,
		Args:    oneMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return p.changeMembers(&flags, api.MemberChange{Remove: []uint64{memberID(args[0])}})
		},
	}
	flags.register(cmd)
	return cmd
}

// oneMember requires the id of a member.
func oneMember(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageOf(cmd, "%s takes the ID of one member; %d were given", cmd.CommandPath(), len(args))
	}
	if memberID(args[0]) == 0 {
		return badMember(cmd, args[0])
	}
	return nil
}

// memberID reads the id of a member; 0: it is none.
func memberID(text string) uint64 {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// checkURLs checks those addresses of a member that are given.
func checkURLs(cmd *cobra.Command, peer, apiURL string) error {
	if err := address.CheckPeerURL(peer); peer != "" && err != nil {
		return usageOf(cmd, "the peer URL %v", err)
	}
	if err := address.CheckAPIURL(apiURL); apiURL != "" && err != nil {
		return usageOf(cmd, "the API URL %v", err)
	}
	return nil
}

// changeMembers makes a change, and shows the members before and after.
func (p *program) changeMembers(flags *memberFlags, change api.MemberChange) error {
	if p.curl {
		flags.apply(&change, nil)
		body, err := json.Marshal(change)
		if err != nil {
			return fmt.Errorf("the change cannot be encoded as JSON: %w", err)
		}
		return p.printCurl(http.MethodPost, api.PathMembersChange, "--data-binary", string(body))
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		before, err := c.Members(ctx)
		if err != nil {
			return err
		}
		if err := keepAddresses(&change, &before); err != nil {
			return err
		}
		flags.apply(&change, &before)
		response, err := c.ChangeMembers(ctx, change)
		if err != nil {
			return p.explainChange(c, &before, &change, err)
		}
		p.changed = true
		return p.printChange(&memberAnswer{Before: before, After: membersAfter(ctx, c, &response), Added: response.Added})
	})
}

// membersAfter returns the members after a change: with their leader and the progress of learners, if a node answers.
func membersAfter(ctx context.Context, c *client.Client, response *api.MemberChangeResponse) api.MembersView {
	if view, err := c.Members(ctx); err == nil && view.Index >= response.Config.Index {
		return view
	}
	return api.MembersView{Membership: response.Config}
}
