package main

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// historyFlags are the flags for what a node keeps: past versions, and entries of the log.
type historyFlags struct {
	age        time.Duration
	revisions  uint64
	bytes      string
	checkpoint time.Duration
	entries    uint64
	compare    time.Duration
	scrub      time.Duration
}

func (f *historyFlags) register(flags *pflag.FlagSet) {
	retention := node.DefaultRetention()
	flags.DurationVar(&f.age, "history-age", time.Duration(retention.Age)*time.Microsecond,
		"maximum age of past versions; the flags of the leader apply to the cluster")
	flags.Uint64Var(&f.revisions, "history-revisions", retention.Revisions,
		"maximum number of revisions with past versions")
	flags.StringVar(&f.bytes, "history-bytes", humanize.IBytes(uint64(retention.Bytes)), "maximum size of past versions")
	flags.DurationVar(&f.checkpoint, "checkpoint-interval", node.DefaultCheckpoints().After,
		"maximum time from a change to the checkpoint in state.db that includes it")
	flags.Uint64Var(&f.entries, "log-entries", node.DefaultWindow().Entries,
		"entries that stay in the log behind the checkpoint")
	flags.DurationVar(&f.compare, "check-interval", node.DefaultCheckInterval,
		"interval at which the leader has the states of all nodes compared, if something was written; 0: never")
	flags.DurationVar(&f.scrub, "scrub-interval", node.DefaultScrubInterval,
		"time in which every row on the disk is read once and checked; 0: never")
}

func (f *historyFlags) check() error {
	bytes, err := humanize.ParseBytes(f.bytes)
	switch {
	case f.age < time.Second:
		return fmt.Errorf("%w: --history-age %v is too short: give at least 1s", errUsage, f.age)
	case f.revisions == 0:
		return fmt.Errorf("%w: --history-revisions 0: give at least 1", errUsage)
	case err != nil || bytes == 0 || bytes > math.MaxInt64:
		return fmt.Errorf("%w: --history-bytes %q: give a size, like 64MiB", errUsage, f.bytes)
	case f.checkpoint < 100*time.Millisecond:
		return fmt.Errorf("%w: --checkpoint-interval %v is too short: give at least 100ms", errUsage, f.checkpoint)
	case f.scrub < 0:
		return fmt.Errorf("%w: --scrub-interval %v: give a positive duration, or 0 for never", errUsage, f.scrub)
	case f.compare < 0:
		return fmt.Errorf("%w: --check-interval %v: give a positive duration, or 0 for never", errUsage, f.compare)
	}
	return nil
}

// limits returns the limits of a node. The flags must be checked.
func (f *historyFlags) limits() limits {
	bytes, _ := humanize.ParseBytes(f.bytes) // it was checked
	l := limits{
		retention:   kv.Retention{Age: f.age.Microseconds(), Revisions: f.revisions, Bytes: int64(bytes)},
		checkpoints: node.DefaultCheckpoints(), window: node.DefaultWindow(),
		checkInterval: f.compare, scrubInterval: f.scrub,
	}
	l.checkpoints.After, l.window.Entries = f.checkpoint, f.entries
	return l
}

// limits are the limits of what a node keeps.
type limits struct {
	retention   kv.Retention
	checkpoints compaction.Checkpoints
	window      compaction.Window

	checkInterval, scrubInterval time.Duration
}
