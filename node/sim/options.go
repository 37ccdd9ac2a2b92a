package sim

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// largestCluster is the largest cluster that is simulated: larger ones cost more than they show.
const largestCluster = 9

// Options registers every option that changes what a run does, so that a command line and a table of seeds mean the
// same everywhere. Check validates what was read.
func (cfg *Config) Options(set *flag.FlagSet) {
	set.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "`number` of the cluster to simulate; it determines the run completely")
	set.IntVar(&cfg.Steps, "steps", cfg.Steps, "number of events with faults (default 10000)")
	set.IntVar(&cfg.Chapter, "chapter", cfg.Chapter, "first chapter of the seed; a chapter has 25,000 events")
	set.IntVar(&cfg.Nodes, "nodes", cfg.Nodes, "number of nodes, up to 9 (default: drawn from the seed)")
	set.IntVar(&cfg.Clients, "clients", cfg.Clients, "number of clients, -1 for none (default: drawn from the seed)")
	set.Func("without", "`faults` to leave out, separated by commas", cfg.readWithout)
	set.Func("mix", "the only faults that happen: `name=figure,...` or none (default: drawn from the seed)", cfg.readMix)
	set.IntVar(&cfg.Inflight, "inflight", cfg.Inflight, "appends in flight to one follower (default: drawn from the seed)")
	set.IntVar(&cfg.MessageEntries, "entries", cfg.MessageEntries,
		"maximum number of entries of one append (default: drawn from the seed)")
	set.Func("limits", "limits of what a node keeps: `name=figure,...` or production (default: drawn from the seed)",
		cfg.readLimits)
	for _, t := range cfg.times() {
		set.DurationVar(t.value, t.name, *t.value, t.about+" (default: drawn from the seed)")
	}
}

// timeOption is an option that is a time.
type timeOption struct {
	name, about string
	value       *time.Duration
}

func (cfg *Config) times() []timeOption {
	return []timeOption{
		{"heartbeat", "heartbeat interval", &cfg.Heartbeat},
		{"election-timeout", "shortest election timeout", &cfg.ElectionTimeout},
		{"latency", "usual network latency, one way", &cfg.Latency},
		{"disk-latency", "usual duration of a save", &cfg.DiskLatency},
	}
}

// Check returns an error for an invalid configuration, which states what would be right.
func (cfg *Config) Check() error {
	for _, number := range []struct {
		name               string
		value, least, most int
	}{
		{"steps", cfg.Steps, 0, 1_000_000_000},
		{"chapter", cfg.Chapter, 0, 1 << 20},
		{"nodes", cfg.Nodes, 0, largestCluster},
		{"clients", cfg.Clients, -1, 1000},
		{"inflight", cfg.Inflight, 0, 1024},
		{"entries", cfg.MessageEntries, 0, 1 << 20},
	} {
		if number.value < number.least || number.value > number.most {
			return fmt.Errorf("-%s is %d; it must be from %d to %d", number.name, number.value, number.least, number.most)
		}
	}
	for _, t := range cfg.times() {
		if *t.value < 0 || *t.value > time.Hour {
			return fmt.Errorf("-%s is %v; it must be from 0 to 1h", t.name, *t.value)
		}
	}
	if cfg.Heartbeat > 0 && cfg.ElectionTimeout > 0 && cfg.ElectionTimeout < cfg.Heartbeat {
		return fmt.Errorf("-election-timeout is %v; it must not be below -heartbeat, %v", cfg.ElectionTimeout, cfg.Heartbeat)
	}
	return nil
}

func (cfg *Config) readWithout(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		f, err := engine.FaultNamed(name)
		if err != nil {
			return err
		}
		if !slices.Contains(cfg.Without, f) {
			cfg.Without = append(cfg.Without, f)
		}
	}
	return nil
}

func (cfg *Config) readLimits(text string) (err error) {
	cfg.Limits, err = ParseLimits(text)
	return err
}

func (cfg *Config) readMix(text string) error {
	m, err := engine.ParseMix(text)
	cfg.Mix = &m
	return err
}

// ParseOptions parses a command line of raftsim that has only options of a run: "-seed 7 -nodes 3".
func ParseOptions(line string) (Config, error) {
	var cfg Config
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	cfg.Options(set)
	if err := set.Parse(strings.Fields(line)); err != nil {
		return cfg, err
	}
	if set.NArg() > 0 {
		return cfg, errors.New("only options of a run are accepted, not " + strconv.Quote(set.Arg(0)))
	}
	return cfg, cfg.Check()
}

// CommandLine returns the options of this configuration, which ParseOptions parses.
func (cfg *Config) CommandLine() string {
	return strings.Join(append([]string{fmt.Sprintf("-seed %d", cfg.Seed)}, cfg.Arguments()...), " ")
}

// Arguments returns all options except the seed, each as one argument.
func (cfg *Config) Arguments() []string {
	var options []string
	say := func(name string, value any, isSaid bool) {
		if isSaid {
			options = append(options, fmt.Sprintf("-%s=%v", name, value))
		}
	}
	say("steps", cfg.Steps, cfg.Steps != 0)
	say("chapter", cfg.Chapter, cfg.Chapter != 0)
	say("nodes", cfg.Nodes, cfg.Nodes != 0)
	say("clients", cfg.Clients, cfg.Clients != 0)
	if cfg.Mix != nil {
		say("mix", cfg.Mix.Text(-1), true)
	}
	names := make([]string, len(cfg.Without))
	for i, f := range cfg.Without {
		names[i] = f.String()
	}
	say("without", strings.Join(names, ","), len(names) > 0)
	say("inflight", cfg.Inflight, cfg.Inflight != 0)
	say("entries", cfg.MessageEntries, cfg.MessageEntries != 0)
	say("limits", cfg.Limits.String(), cfg.Limits != (Limits{}))
	for _, t := range cfg.times() {
		say(t.name, *t.value, *t.value != 0)
	}
	return options
}
