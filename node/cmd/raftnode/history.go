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
	}
	return nil
}

// limits returns the limits of a node. The flags must be checked.
func (f *historyFlags) limits() limits {
	bytes, _ := humanize.ParseBytes(f.bytes) // it was checked
	l := limits{
		retention:   kv.Retention{Age: f.age.Microseconds(), Revisions: f.revisions, Bytes: int64(bytes)},
		checkpoints: node.DefaultCheckpoints(), window: node.DefaultWindow(),
	}
	l.checkpoints.After, l.window.Entries = f.checkpoint, f.entries
	return l
}

// limits are the limits of what a node keeps.
type limits struct {
	retention   kv.Retention
	checkpoints compaction.Checkpoints
	window      compaction.Window
}
