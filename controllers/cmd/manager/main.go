// Command manager is the operator's program: see manager --help.
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
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks what can be mended on the command line.
var errUsage = errors.New("usage")

// execute runs the program until ctx ends, and gives its exit code.
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
		Short: "The operator: makes of each RaftCluster a running cluster, and keeps it running",
		Long: `manager is the operator of Kontiki. It runs in Kubernetes, where its chart puts it; outside, it uses the
cluster that KUBECONFIG names, and needs --leader-elect=false.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: manager takes no arguments, only flags, and got %q; see: manager --help", errUsage, args[0])
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
