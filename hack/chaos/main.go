package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/cluster"
	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/chaos/network"
	"github.com/kontiki-dev/kontiki/node/sim/mutants"
)

// options are the values of the flags.
type options struct {
	nodes    int
	duration time.Duration
	seed     uint64
	kinds    []fault.Kind
	networks []string
	raftnode string
	dir      string
	selftest bool
	verbose  bool
	further  []string // arguments of the nodes
	keep     bool
}

// The kinds of networks.
const (
	netProxies    = "proxies"
	netNamespaces = "namespaces"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), ends...)
	defer cancel()
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = o.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.IntVar(&o.nodes, "nodes", 3, "number of nodes: 3 or 5")
	f.DurationVar(&o.duration, "duration", 2*time.Minute, "total fault-injection time")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the faults; 0 takes it from the clock")
	kinds := f.String("faults", "", fmt.Sprintf("faults to inject, separated by commas, of %v (default all)", fault.Kinds))
	networks := f.String("net", "", "networks: proxies, namespaces, or both with a comma, which share the time "+
		"(default both, or only proxies if this machine does not support namespaces)")
	f.StringVar(&o.raftnode, "raftnode", "", "raftnode program (default: build it from this repository)")
	f.StringVar(&o.dir, "dir", "../../data", "folder for the nodes' disks, and for the files of a failure")
	f.BoolVar(&o.selftest, "selftest", false, "plant bugs, each of which the checks must find")
	f.BoolVar(&o.keep, "keep", false, "keep the history and the nodes' logs, even without a failure")
	f.BoolVar(&o.verbose, "v", false, "print each fault when it is injected")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.nodes != 3 && o.nodes != 5 {
		return o, fmt.Errorf("-nodes is %d; must be 3 or 5", o.nodes)
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1e6
	}
	var err error
	if o.kinds, err = fault.Parse(*kinds); err != nil {
		return o, fmt.Errorf("-faults: %w", err)
	}
	if *networks != "" {
		o.networks = strings.Split(*networks, ",")
	}
	for _, name := range o.networks {
		if name != netProxies && name != netNamespaces {
			return o, fmt.Errorf("-net has %q; want %s or %s", name, netProxies, netNamespaces)
		}
	}
	o.dir, err = filepath.Abs(o.dir)
	return o, err
}

// run runs the whole program.
func (o *options) run(ctx context.Context) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "chaos-")
	if err != nil {
		return err
	}
	defer os.Remove(dir) // if nothing was kept
	if o.selftest {
		return o.selfTest(ctx, dir)
	}
	program := o.raftnode
	if program == "" {
		program = filepath.Join(dir, "raftnode")
		if err := build(ctx, "", program); err != nil {
			return err
		}
		defer os.Remove(program)
	}
	networks := o.networks
	if len(networks) == 0 {
		networks = o.possible(os.Stdout)
	}
	var errs []error
	for _, name := range networks {
		t, err := o.trial(ctx, dir, program, name, o.duration/time.Duration(len(networks)))
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, t.report(os.Stdout))
	}
	return errors.Join(errs...)
}

// possible returns the networks that this machine supports, and prints why one is missing.
func (o *options) possible(out *os.File) []string {
	n, err := network.NewNamespaces(o.nodes)
	if err == nil {
		err = n.Close()
	}
	if err != nil {
		fmt.Fprintln(out, "skipped: network namespaces:", err)
		return []string{netProxies}
	}
	return []string{netProxies, netNamespaces}
}

// trial runs a cluster with its share of the faults, in a network of this name.
func (o *options) trial(ctx context.Context, dir, program, name string, length time.Duration) (t *trial, err error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var net cluster.Network
	if name == netNamespaces {
		net, err = network.NewNamespaces(o.nodes)
	} else {
		net, err = network.NewProxies(o.nodes)
	}
	if err != nil {
		return nil, err
	}
	c, err := cluster.New(dir, program, o.nodes, net, o.further...)
	if err != nil {
		return nil, err
	}
	if t, err = newTrial(o, c); err != nil {
		return nil, errors.Join(err, c.Close(), os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, c.Close(), t.tidy(ctx, dir)) }()
	return t, t.run(ctx, length)
}

// build builds raftnode from this repository, with the planted bug of mutant, if it names one.
func build(ctx context.Context, mutant, program string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/kontiki-dev/kontiki").Output()
	if err != nil {
		return fmt.Errorf("finding the repository with go list -m: %w", err)
	}
	err = mutants.Build(ctx, strings.TrimSpace(string(out)), mutant, "./node/cmd/raftnode", program)
	if ctx.Err() != nil {
		return context.Cause(ctx) // the compiler was interrupted, too
	}
	return err
}
