package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	defaultEndpoint = "http://127.0.0.1:8080"
	envEndpoints    = "RAFTCTL_ENDPOINTS"
)

// probeTime is the timeout for a request to one node.
const probeTime = 2 * time.Second

// program is one run of raftctl: its streams and its global flags.
type program struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer // data
	stderr io.Writer // messages and hints
	getenv func(string) string

	toTerminal   bool // stdout is a terminal
	fromTerminal bool // stdin is one

	args      []string // as given, for the hints
	running   bool     // the command line was valid
	changed   bool     // the command has changed something
	endpoints []string
	source    string // of the endpoints: the flag or the variable
	output    string
	color     string
	timeout   time.Duration
	wait      time.Duration
	curl      bool
}

const longHelp = `raftctl reads and writes a Kontiki cluster, and shows its state.

One endpoint is enough: raftctl finds the other members and the leader. The endpoints
are those of --endpoints, else of RAFTCTL_ENDPOINTS, else ` + defaultEndpoint + `.

Data is written to stdout, everything else to stderr. Exit codes:
  0 done                        5 no leader, or no node reachable
  1 failed                      6 outcome unknown: it may or may not take effect
  2 invalid command line        7 status: not healthy; ready: not ready
  3 no such key               130 interrupted
  4 precondition or conflict`

const rootExample = `  raftctl status                          show the leader, and the state of each node
  raftctl put cfg/color blue              write
  raftctl get cfg/color                   read the newest value
  raftctl put cfg/color red --if-revision 42
  raftctl put cfg/color red --curl        show the request, do not send it
  raftctl ls cfg/                         list keys
  raftctl history cfg/color               show the versions of a key
  raftctl member list                     list the members
  raftctl member replace 2 --with http://h4:7080
  raftctl backup kontiki.db               write a backup
  raftctl bench put --clients 64          measure`

// run executes one command line and returns the exit code.
func (p *program) run(args []string) int {
	p.args = args
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	return p.report(root.ExecuteContext(p.ctx))
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "raftctl",
		Short:         "Read, write and inspect a Kontiki cluster",
		Long:          longHelp,
		Example:       rootExample,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			err := p.checkFlags(cmd.Flags().Changed("endpoints"))
			p.running = err == nil
			return err
		},
	}
	flags := root.PersistentFlags()
	flags.StringSliceVar(&p.endpoints, "endpoints", nil, "URLs of one or more nodes, separated by commas "+
		"(env RAFTCTL_ENDPOINTS, default "+defaultEndpoint+")")
	flags.StringVarP(&p.output, "output", "o", "table", "output format: table, json, ndjson or raw")
	flags.StringVar(&p.color, "color", "auto", "color: auto, always or never; auto: on a terminal, unless NO_COLOR is set")
	flags.DurationVar(&p.timeout, "timeout", 5*time.Second, "total timeout of a request")
	flags.DurationVar(&p.wait, "wait", 0, "time to wait for a leader, if longer than --timeout")
	flags.BoolVar(&p.curl, "curl", false, "print the request as a curl command instead of sending it")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "json", "ndjson", "raw"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(p.getCommand(), p.putCommand(), p.delCommand(), p.incrCommand(), p.casCommand(),
		p.listCommand(), p.countCommand(), p.historyCommand(), p.revertCommand(), p.compactCommand(),
		p.txnCommand(), p.statusCommand(), p.readyCommand(), p.leaderCommand(), p.memberCommand(), p.logCommand(),
		p.backupCommand(), p.verifyCommand(), p.restoreCommand(), p.recoverCommand(), p.benchCommand())
	p.explainUsage(root)
	return root
}

// checkFlags checks the global flags and applies the environment.
func (p *program) checkFlags(endpointsGiven bool) error {
	switch p.output {
	case "table", "json", "ndjson", "raw":
	default:
		return usage("--output is %q; it must be table, json, ndjson or raw", p.output)
	}
	switch p.color {
	case "auto", "always", "never":
	default:
		return usage("--color is %q; it must be auto, always or never", p.color)
	}
	if p.timeout <= 0 {
		return usage("--timeout is %v; it must be more than 0, like 5s", p.timeout)
	}
	if p.wait < 0 {
		return usage("--wait is %v; it must not be negative", p.wait)
	}
	return p.chooseEndpoints(endpointsGiven)
}

// chooseEndpoints takes the endpoints from the flag if it was given, else from the environment, else the default.
func (p *program) chooseEndpoints(given bool) error {
	text := strings.Join(p.endpoints, ",")
	p.source = "--endpoints"
	if !given {
		p.source, text = envEndpoints, p.getenv(envEndpoints)
		if text == "" {
			text = defaultEndpoint
		}
	}
	p.endpoints = nil
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			p.endpoints = append(p.endpoints, one)
		}
	}
	if len(p.endpoints) == 0 {
		return usage("%s is %q, which names no endpoint; want one like %s", p.source, text, defaultEndpoint)
	}
	return nil
}

// connect creates the client; the context limits one request.
func (p *program) connect() (*client.Client, context.Context, context.CancelFunc, error) {
	c, err := client.New(client.Config{Endpoints: p.endpoints, Timeout: max(p.timeout, p.wait), ProbeTimeout: probeTime})
	if err != nil {
		return nil, nil, nil, p.badEndpoints(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, max(p.timeout, p.wait))
	if err := c.CheckEndpoints(ctx); err != nil {
		cancel()
		c.Close()
		return nil, nil, nil, p.badEndpoints(err)
	}
	return c, ctx, func() {
		cancel()
		c.Close()
	}, nil
}

// badEndpoints returns the failure for endpoints that the client rejects.
func (p *program) badEndpoints(err error) error {
	var e *api.Error
	if errors.As(err, &e) {
		return usage("%s: %s", p.source, e.Message)
	}
	return err
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored reports whether the output on stdout may be colored (no-color.org).
func (p *program) colored() bool {
	if p.color != "auto" {
		return p.color == "always"
	}
	return isTerminal(p.stdout) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}
