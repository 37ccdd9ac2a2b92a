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

// largestCluster is the largest cluster that is simulated: larger ones are never wanted, and cost more than they show.
const largestCluster = 9

// Options registers every option that changes what a run does, so that whoever reads a command line or a table of
// seeds understands the same. Check says whether what was read makes sense.
func (cfg *Config) Options(set *flag.FlagSet) {
	set.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "simulate the cluster of this `number`: it determines the run completely")
	set.IntVar(&cfg.Steps, "steps", cfg.Steps, "end the faults after so many events (default 10000)")
	set.IntVar(&cfg.Chapter, "chapter", cfg.Chapter, "begin with this chapter of the seed; one has 25,000 events")
	set.IntVar(&cfg.Nodes, "nodes", cfg.Nodes, "how many nodes, up to 9 (default: as the seed draws)")
	set.IntVar(&cfg.Clients, "clients", cfg.Clients, "how many clients, -1 for none (default: as the seed draws)")
	set.Func("without", "leave out these `faults`, with commas between them", cfg.readWithout)
	set.Func("mix", "let just these faults happen, as `name=figure,...` or none (default: as the seed draws)", cfg.readMix)
	set.IntVar(&cfg.Inflight, "inflight", cfg.Inflight, "appends under way to one follower (default: as the seed draws)")
	set.IntVar(&cfg.MessageEntries, "entries", cfg.MessageEntries,
		"most entries of one append (default: as the seed draws)")
	for _, t := range cfg.times() {
		set.DurationVar(t.value, t.name, *t.value, t.about+" (default: as the seed draws)")
	}
}

// timeOption is an option that is a time.
type timeOption struct {
	name, about string
	value       *time.Duration
}

func (cfg *Config) times() []timeOption {
	return []timeOption{
		{"heartbeat", "time between two heartbeats", &cfg.Heartbeat},
		{"election-timeout", "shortest election timeout", &cfg.ElectionTimeout},
		{"latency", "usual time of a message on its way", &cfg.Latency},
		{"disk-latency", "usual time of a save", &cfg.DiskLatency},
	}
}

// Check says what is wrong with a configuration, and what would be right.
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

func (cfg *Config) readMix(text string) error {
	m, err := engine.ParseMix(text)
	cfg.Mix = &m
	return err
}

// ParseOptions reads a command line of raftsim that has nothing but options of a run: "-seed 7 -nodes 3".
func ParseOptions(line string) (Config, error) {
	var cfg Config
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	cfg.Options(set)
	if err := set.Parse(strings.Fields(line)); err != nil {
		return cfg, err
	}
	if set.NArg() > 0 {
		return cfg, errors.New("only options of a run are wanted, and " + strconv.Quote(set.Arg(0)) + " is none")
	}
	return cfg, cfg.Check()
}

// CommandLine gives the options that lead to this configuration again: what ParseOptions reads.
func (cfg *Config) CommandLine() string {
	return strings.Join(append([]string{fmt.Sprintf("-seed %d", cfg.Seed)}, cfg.Arguments()...), " ")
}

// Arguments gives all options but the seed, each as one argument.
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
	for _, t := range cfg.times() {
		say(t.name, *t.value, *t.value != 0)
	}
	return options
}
