package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainUsage replaces cobra's messages about wrong command lines by this program's.
func (p *program) explainUsage(root *cobra.Command) {
	root.SetFlagErrorFunc(p.badFlag)
	root.SetHelpCommand(&cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageOf(root, "there is no command %q", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	})
	explainArgs(root)
}

// explainArgs makes the argument errors of a command and its subcommands name the command.
func explainArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			var known *failure
			switch {
			case err == nil || errors.As(err, &known):
				return err
			case !c.HasSubCommands() && check(c, nil) == nil && len(args) == 1:
				return usageOf(c, "%s takes no argument; %q was given", c.CommandPath(), args[0])
			}
			return usageOf(c, "%v", err)
		}
	}
	for _, sub := range cmd.Commands() {
		explainArgs(sub)
	}
}

// usageOf returns the failure of a wrong command line, with a pointer to the help of its command.
func usageOf(cmd *cobra.Command, format string, args ...any) error {
	return &failure{
		code: exitUsage, message: fmt.Sprintf(format, args...), hints: []string{"see: " + cmd.CommandPath() + " --help"},
	}
}

// badFlag explains a flag that does not exist or whose value is malformed.
func (p *program) badFlag(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		flag := "--" + value.GetFlag().Name
		return usageOf(cmd, "%s %s: %s", flag, quote(value.GetValue()), wantedBy(flag, value.GetFlag().Value.Type()))
	case errors.As(err, &unknown):
		return p.unknownFlag(cmd, unknown)
	}
	return usageOf(cmd, "%v", err)
}

// wantedBy returns what a flag of this type accepts, with an example.
func wantedBy(flag, kind string) string {
	switch {
	case kind == "bool":
		return "want true or false, like " + flag + "=true"
	case kind == "duration":
		return "want a duration with its unit, like " + flag + " 5s"
	case strings.HasPrefix(kind, "uint"):
		return "want a non-negative integer, like " + flag + " 1"
	case strings.HasPrefix(kind, "int"):
		return "want an integer, like " + flag + " 1"
	}
	return "want a " + kind
}

// unknownFlag explains a flag that does not exist. It may have been meant as an argument that begins with a dash.
func (p *program) unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	i := slices.IndexFunc(p.args, func(arg string) bool {
		if letters := unknown.GetSpecifiedShortnames(); letters != "" {
			return strings.TrimPrefix(arg, "-") == letters
		}
		return arg == "--"+unknown.GetSpecifiedName()
	})
	if i < 0 {
		return usageOf(cmd, "%v", unknown)
	}
	f := &failure{code: exitUsage, message: unknown.Error()}
	number := p.args[i][1] >= '0' && p.args[i][1] <= '9'
	with := func(mark string) []string {
		return append(append(slices.Clone(p.args[:i]), mark), p.args[i:]...)
	}
	switch {
	case number && takesMember(cmd):
		return badMember(cmd, p.args[i])
	case number && accepted(with("--by")):
		f.hints = append(f.hints, "set the number to add with --by: raftctl "+words(with("--by")))
	case accepted(with("--")):
		f.hints = append(f.hints, "put an argument that begins with a dash after --: raftctl "+words(with("--")))
	}
	f.hints = append(f.hints, "see: "+cmd.CommandPath()+" --help")
	return f
}

// takesMember reports whether the argument of a command is the id of a member.
func takesMember(cmd *cobra.Command) bool {
	return strings.Contains(cmd.Use, " ID") || cmd.Name() == "transfer"
}

// accepted reports whether a command line names a command and fits its flags and arguments.
func accepted(args []string) bool {
	cmd, rest, err := new(program).root().Find(args)
	return err == nil && cmd.ParseFlags(rest) == nil && cmd.ValidateArgs(cmd.Flags().Args()) == nil
}
