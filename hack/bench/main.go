// Command bench compares Kontiki with etcd: three processes of each, on the same disk, driven by turns in one run. It
// fails if an acknowledged write is lost, or a request fails without an explanation.
//
//	go run .                       everything, about ten minutes
//	go run . -short                a few cells, about a minute
//	go run . -only puts -o md      one section, as Markdown
//	go run . -soak 10m             instead, writes to Kontiki; fails if memory, files or goroutines grow
//
// Only the ratios of one run are meaningful, because other programs may share the machine.
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
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the values of the flags.
type options struct {
	only       []section
	systems    []system
	clients    []int
	raftnode   string
	dir        string
	seconds    time.Duration
	warmUp     time.Duration
	roundCount int
	gomaxprocs int
	kills      int
	stateKeys  int
	rate       int
	soakTime   time.Duration
	disturb    []disturbance
	short      bool
	markdown   bool
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.short, "short", false, "run one short round of a few cells, as a check of correctness")
	only := f.String("only", "", "sections to run, separated by commas: puts,reads,batch,failover,idle,replay,state")
	systems := f.String("systems", "kontiki,etcd", "systems to run, separated by commas")
	clients := f.String("clients", "1,64,256,1000", "numbers of clients that put, one cell for each number")
	seconds := f.Float64("seconds", 3, "measured seconds of each cell, after a third of that to warm up")
	f.IntVar(&o.roundCount, "rounds", 3, "number of measurements of each cell; the median counts")
	f.IntVar(&o.kills, "kills", 20, "number of times to kill the leader")
	f.IntVar(&o.stateKeys, "state-keys", 1_000_000, "number of keys of the section state")
	disturb := f.String("disturb", "",
		"disturbances of the section state, separated by commas: checkpoint,compaction,log,snapshot")
	f.IntVar(&o.rate, "rate", 2000, "writes per second of the section state")
	f.IntVar(&o.gomaxprocs, "gomaxprocs", 1, "GOMAXPROCS of every server of both systems; 0: Go's choice")
	connections := f.Int("etcd-connections", 1,
		"number of etcd clients, each connected to all members, that share the load")
	f.DurationVar(&o.soakTime, "soak", 0,
		"instead of the benchmark, write for this time and fail if memory, files or goroutines grow or a write is lost")
	f.StringVar(&o.raftnode, "raftnode", "", "raftnode program (default: build it from this repository)")
	f.StringVar(&o.dir, "dir", "../../data", "folder for the servers' disks")
	output := f.String("o", "plain", "format of the tables: plain or md")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.short {
		shorten(f, &o, clients, seconds)
	}
	o.seconds = time.Duration(*seconds * float64(time.Second))
	o.warmUp = o.seconds / 3
	o.markdown = *output == "md"
	var err error
	if o.clients, err = parseClients(*clients); err != nil {
		return o, err
	}
	if o.systems, err = choose("-systems", *systems, []system{kontiki{}, etcd{*connections}}, system.name); err != nil {
		return o, err
	}
	name := func(s section) string { return s.name }
	if o.only, err = choose("-only", *only, sections, name); err != nil {
		return o, err
	}
	flagOf := func(d disturbance) string { return d.flag }
	if o.disturb, err = choose("-disturb", *disturb, disturbances, flagOf); err != nil {
		return o, err
	}
	if o.soakTime != 0 {
		o.systems = []system{kontiki{}}
	}
	if *connections < 1 || *output != "plain" && *output != "md" {
		return o, errors.New("-etcd-connections must be at least 1; -o must be plain or md")
	}
	return o, o.check()
}

// check refuses values that no run can have.
func (o *options) check() error {
	switch {
	case o.seconds <= 0 || o.roundCount < 1 || o.kills < 1 || o.rate < 1:
		return errors.New("-seconds, -rounds, -kills and -rate must be at least 1")
	case o.stateKeys < listKeys || o.stateKeys >= maxKeys || o.stateKeys%7 == 0 || o.stateKeys%11 == 0:
		return fmt.Errorf("-state-keys %d: give a number from %d to %d that is no multiple of 7 or 11, as 1000000",
			o.stateKeys, listKeys, maxKeys-1)
	case o.soakTime != 0 && o.soakTime < soakLeast:
		return fmt.Errorf("-soak %v is too short: give at least %v", o.soakTime, soakLeast)
	}
	return nil
}

// shorten sets the options of -short, unless the command line sets them.
func shorten(f *flag.FlagSet, o *options, clients *string, seconds *float64) {
	said := map[string]bool{}
	f.Visit(func(f *flag.Flag) { said[f.Name] = true })
	if !said["clients"] {
		*clients = "1,64"
	}
	if !said["seconds"] {
		*seconds = 1
	}
	if !said["rounds"] {
		o.roundCount = 1
	}
	if !said["kills"] {
		o.kills = 3
	}
}

func parseClients(text string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 1<<15 {
			return nil, fmt.Errorf("-clients has %q; want numbers from 1 to 32768, separated by commas", part)
		}
		all = append(all, n)
	}
	return all, nil
}

// choose returns the items that a flag lists, in their own order, or all if it lists none.
func choose[T any](flag, names string, all []T, nameOf func(T) string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var chosen []T
	for _, item := range all {
		for i, name := range wanted {
			if name == nameOf(item) {
				chosen, wanted[i] = append(chosen, item), ""
			}
		}
	}
	for _, name := range wanted {
		if name != "" {
			return nil, fmt.Errorf("%s names %q, which does not exist", flag, name)
		}
	}
	return chosen, nil
}

// run builds the servers, runs the sections and prints the results so far.
func run(ctx context.Context, o options) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, report: &report{caption: caption(o)}, progress: os.Stderr}
	if b.programs, err = build(ctx, o, dir); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "disks in %s\n", dir)
	if o.soakTime > 0 {
		return b.soak(ctx, os.Stdout)
	}
	for _, s := range o.only {
		fmt.Fprintf(b.progress, "== %s\n", s.name)
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return b.report.print(os.Stdout, o.markdown)
}

// caption explains the figures and where they come from.
func caption(o options) string {
	return fmt.Sprintf("Three nodes each of Kontiki and etcd %s on one machine with %d cores, %s, GOMAXPROCS=%d for each "+
		"server; values of %d bytes, %s keys; the median of %d rounds of %s. CPU is microseconds for one operation: "+
		"servers + clients.", etcdVersion(), runtime.NumCPU(), runtime.Version(), o.gomaxprocs, valueBytes,
		thousands(keyCount), o.roundCount, o.seconds)
}

// etcdVersion is the version in go.mod; client and server have the same.
func etcdVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "go.etcd.io/etcd/client/v3" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "(unknown version)"
}

// build builds the programs of the selected systems. It runs in the folder of this module.
func build(ctx context.Context, o options, dir string) (map[string]string, error) {
	programs := map[string]string{}
	for _, sys := range o.systems {
		program, where, what := filepath.Join(dir, sys.name()), ".", "./etcd"
		if sys.name() == "kontiki" {
			where, what = "../..", "./node/cmd/raftnode"
		}
		if sys.name() == "kontiki" && o.raftnode != "" {
			absolute, err := filepath.Abs(o.raftnode)
			if err != nil {
				return nil, err
			}
			programs[sys.name()] = absolute
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-o", program, what)
		cmd.Dir = where
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s in %s: %w\n%s", what, where, err, out)
		}
		programs[sys.name()] = program
	}
	return programs, nil
}
