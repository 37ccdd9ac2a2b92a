package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
)

func (p *program) memberUpdateCommand() *cobra.Command {
	var flags memberFlags
	var peer, apiURL string
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change the addresses of a member",
		Long: `Change the addresses of the member ID, as when its host was renamed. An address that is not
given stays as it is. The node itself gets its new addresses by its own flags.`,
		Example: `  raftctl member update 2 --url http://h2.example:7080
  raftctl member update 2 --api-url http://h2.example:8080`,
		Args: oneMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkUpdate(cmd, &flags, p.curl); err != nil {
				return err
			}
			updated := api.ConfigMember{ID: memberID(args[0]), Address: peer, APIAddress: apiURL}
			return p.changeMembers(&flags, api.MemberChange{Update: []api.ConfigMember{updated}})
		},
	}
	cmd.Flags().StringVar(&peer, "url", "", "new peer URL; default: unchanged")
	cmd.Flags().StringVar(&apiURL, "api-url", "", "new API URL; default: unchanged")
	flags.register(cmd)
	return cmd
}

// checkUpdate checks the flags of an update.
func checkUpdate(cmd *cobra.Command, flags *memberFlags, curl bool) error {
	peer, apiURL := cmd.Flag("url").Value.String(), cmd.Flag("api-url").Value.String()
	switch {
	case peer == "" && apiURL == "":
		return usageOf(cmd, "%s needs --url, --api-url or both", cmd.CommandPath())
	case curl && (peer == "" || apiURL == ""):
		return usageOf(cmd, "--curl needs --url and --api-url: the request has both addresses")
	}
	if err := flags.check(cmd); err != nil {
		return err
	}
	return checkURLs(cmd, peer, apiURL)
}

// keepAddresses gives each member that is updated the addresses that are not to change.
func keepAddresses(change *api.MemberChange, before *api.MembersView) error {
	change.Update = slices.Clone(change.Update)
	for i := range change.Update {
		u := &change.Update[i]
		for _, m := range before.Members {
			if m.ID == u.ID && u.Address == "" {
				u.Address = m.Address
			}
			if m.ID == u.ID && u.APIAddress == "" {
				u.APIAddress = m.APIAddress
			}
		}
		if u.Address == "" {
			return notAMember(u.ID, before)
		}
	}
	return nil
}

func (p *program) memberChangeCommand() *cobra.Command {
	var flags memberFlags
	var add, update, promote, remove []string
	autoPromote := true
	cmd := &cobra.Command{
		Use:   "change",
		Short: "Change several members in one step",
		Long: `Add, promote, update and remove members in one step: all of it takes effect, or nothing. If
more than one voter changes, the cluster passes through a joint configuration.`,
		Example: `  raftctl member change --promote 4 --promote 5 --remove 2 --remove 3
  raftctl member change --remove 2 --add http://h4:7080,http://h4:8080
  raftctl member change --update 3=http://h3.example:7080`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			change, err := parseChange(cmd, add, update, promote, remove, autoPromote)
			if err != nil {
				return err
			}
			return p.changeMembers(&flags, change)
		},
	}
	cmd.Flags().StringArrayVar(&add, "add", nil, "add the node at URL, or URL,API-URL, as a learner; may be repeated")
	cmd.Flags().StringArrayVar(&promote, "promote", nil, "make the learner ID a voter; may be repeated")
	cmd.Flags().StringArrayVar(&update, "update", nil,
		"change the addresses of a member: ID=URL, or ID=URL,API-URL; may be repeated")
	cmd.Flags().StringArrayVar(&remove, "remove", nil, "remove the member ID; may be repeated")
	cmd.Flags().BoolVar(&autoPromote, "auto-promote", true, "make the added nodes voters once they have caught up")
	flags.register(cmd)
	return cmd
}

// parseChange reads the flags of a change of several members.
func parseChange(
	cmd *cobra.Command, add, update, promote, remove []string, autoPromote bool,
) (change api.MemberChange, err error) {
	for _, text := range add {
		peer, apiURL, _ := strings.Cut(text, ",")
		if peer == "" {
			return change, usageOf(cmd, "--add is %q; it must be like http://h4:7080", text)
		}
		if err := checkURLs(cmd, peer, apiURL); err != nil {
			return change, err
		}
		change.Add = append(change.Add, api.NewMember{Address: peer, APIAddress: apiURL, AutoPromote: autoPromote})
	}
	for _, text := range update {
		id, addresses, _ := strings.Cut(text, "=")
		peer, apiURL, _ := strings.Cut(addresses, ",")
		if memberID(id) == 0 || peer == "" {
			return change, usageOf(cmd, "--update is %q; it must be like 2=http://h2:7080", text)
		}
		if err := checkURLs(cmd, peer, apiURL); err != nil {
			return change, err
		}
		change.Update = append(change.Update, api.ConfigMember{ID: memberID(id), Address: peer, APIAddress: apiURL})
	}
	if change.Promote, err = memberIDs(cmd, "--promote", promote); err != nil {
		return change, err
	}
	if change.Remove, err = memberIDs(cmd, "--remove", remove); err != nil {
		return change, err
	}
	if len(add)+len(update)+len(promote)+len(remove) == 0 {
		return change, usageOf(cmd, "%s needs --add, --promote, --update or --remove", cmd.CommandPath())
	}
	return change, nil
}

// memberIDs reads the values of a flag.
func memberIDs(cmd *cobra.Command, flag string, texts []string) ([]uint64, error) {
	var ids []uint64
	for _, text := range texts {
		id := memberID(text)
		if id == 0 {
			return nil, usageOf(cmd, "%s is %q; it must be the id of a member, like 2: see raftctl member list", flag, text)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
