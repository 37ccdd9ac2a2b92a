// Command manager runs the operator: see manager --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors that the command line can correct.
var errUsage = errors.New("usage")

// execute runs the program until ctx ends, and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := newCommand(stderr)
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	err := command.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	}
	_, _ = fmt.Fprintln(stderr, "error:", err)
	return exitFailed
}

func newCommand(stderr io.Writer) *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "manager",
		Short: "Run the operator, which creates and maintains a Raft cluster for each RaftCluster",
		Long: `manager is the operator of Kontiki. The chart raft-operator runs it in Kubernetes. Outside, it uses the
cluster that KUBECONFIG names, and needs --leader-elect=false.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: manager takes no arguments, only flags; got %q; see manager --help", errUsage, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return fmt.Errorf("%w: %w; see: manager --help", errUsage, err)
			}
			return run(c.Context(), o, stderr)
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w; see: manager --help", errUsage, err)
	})
	o.bind(command.Flags())
	return command
}
