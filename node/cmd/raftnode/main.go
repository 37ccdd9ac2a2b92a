// Command raftnode runs Kontiki: one node of a cluster (serve), or a whole cluster in one process (local).
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
	watchdogProgram, _ = os.Executable() // without it there is no watchdog
	context.AfterFunc(ctx, stop)         // a second signal ends the process, or a shutdown delay
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors that the user can correct on the command line.
var errUsage = errors.New("usage")

// run runs the program until it is done or ctx ends, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
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

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "raftnode",
		Short: "A key-value store replicated with Raft, with an HTTP/JSON API",
		Long: `raftnode runs a key-value store replicated with Raft.

Start a whole cluster on this machine, with its dashboard on http://127.0.0.1:8080:

  raftnode local --nodes 5 --data-dir data

or one node of a cluster on each of three machines:

  raftnode serve --id 1 --data-dir /var/lib/kontiki \
    --initial-cluster 1=http://h1:7080,2=http://h2:7080,3=http://h3:7080`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(serveCommand(), localCommand(), watchdogCommand())
	return root
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %q is not a command of %s; see: %s --help", errUsage, args[0], c.Name(), c.CommandPath())
	}
	return nil
}
