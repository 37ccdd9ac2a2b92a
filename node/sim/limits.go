package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Limits bound what a node keeps. The limits of most seeds are small, so that short runs write checkpoints, cut logs
// and send snapshots often. Fields that are zero are drawn from the seed.
type Limits struct {
	Production bool `json:"production,omitempty"` // all of them as in production

	Revisions       int           `json:"revisions,omitempty"`        // of history
	Age             time.Duration `json:"age_ns,omitempty"`           // of history
	CheckpointBytes int           `json:"checkpoint_bytes,omitempty"` // of changes, after which a checkpoint is due
	CheckpointAfter time.Duration `json:"checkpoint_after_ns,omitempty"`
	Collect         int           `json:"collect,omitempty"`        // changes that are collected for a checkpoint at once
	Window          int           `json:"window,omitempty"`         // entries that stay in the log
	FollowerBytes   int           `json:"follower_bytes,omitempty"` // that stay for a follower that is behind
	Cut             int           `json:"cut,omitempty"`            // entries that are removed at once
	Tail            int           `json:"tail,omitempty"`           // bytes of the log in memory
	Chunk           int           `json:"chunk,omitempty"`          // bytes of a part of a snapshot
	Bandwidth       int           `json:"bandwidth,omitempty"`      // of snapshots, bytes in a second
	Quota           int           `json:"quota,omitempty"`          // of live bytes; no seed draws one
	Compare         time.Duration `json:"compare_ns,omitempty"`     // interval of checks of states; not drawn
}

// draw draws what is open. A seed in eight has the limits of production, unless some are given.
func (l *Limits) draw(rng *rand.Rand) {
	production := rng.IntN(8) == 0
	drawn := Limits{
		Revisions:       []int{10, 30, 100, 1000}[rng.IntN(4)],
		Age:             []time.Duration{1, 5, 30, 600}[rng.IntN(4)] * time.Second,
		CheckpointBytes: []int{1, 500, 5000, 1 << 20}[rng.IntN(4)],
		CheckpointAfter: []time.Duration{20, 100, 500, 3000}[rng.IntN(4)] * time.Millisecond,
		Collect:         []int{1, 3, 20, 2048}[rng.IntN(4)],
		Window:          []int{1, 1, 5, 20, 60, 200}[rng.IntN(6)],
		FollowerBytes:   []int{1, 500, 5000, 64 << 20}[rng.IntN(4)],
		Cut:             []int{1, 2, 8, 32}[rng.IntN(4)],
		Tail:            []int{300, 1000, 5000, 1 << 20}[rng.IntN(4)],
		Chunk:           []int{1 << 10, 1 << 12, 1 << 15, 1 << 20}[rng.IntN(4)],
		Bandwidth:       []int{50_000, 1 << 20, 100 << 20}[rng.IntN(3)],
	}
	switch {
	case l.Production:
		return
	case production && *l == Limits{}:
		l.Production = true
		return
	}
	for i, f := range l.figures() {
		fill(f.value, *drawn.figures()[i].value)
	}
	fill(&l.Age, drawn.Age)
	fill(&l.CheckpointAfter, drawn.CheckpointAfter)
}

// figure is a limit that is a number.
type figure struct {
	name  string
	value *int
}

func (l *Limits) figures() []figure {
	return []figure{
		{"revisions", &l.Revisions},
		{"checkpoint-bytes", &l.CheckpointBytes},
		{"collect", &l.Collect},
		{"window", &l.Window},
		{"follower-bytes", &l.FollowerBytes},
		{"cut", &l.Cut},
		{"tail", &l.Tail},
		{"chunk", &l.Chunk},
		{"bandwidth", &l.Bandwidth},
		{"quota", &l.Quota},
	}
}

func (l *Limits) times() []timeOption {
	return []timeOption{{"age", "", &l.Age}, {"checkpoint-after", "", &l.CheckpointAfter}, {"compare", "", &l.Compare}}
}

// engine returns the limits as a node takes them.
func (l *Limits) engine() engine.Limits {
	if l.Production {
		return engine.Limits{CheckInterval: l.Compare}
	}
	return engine.Limits{
		TailBytes: l.Tail,
		Retention: kv.Retention{Age: l.Age.Microseconds(), Revisions: uint64(l.Revisions), Bytes: 1 << 20},
		Checkpoints: compaction.Checkpoints{
			Bytes: int64(l.CheckpointBytes), After: l.CheckpointAfter, Rest: 1, Chunk: l.Collect,
		},
		Window: compaction.Window{
			Entries: uint64(l.Window), FollowerBytes: int64(l.FollowerBytes), Chunk: uint64(l.Cut),
		},
		CheckInterval: l.Compare,
		SnapshotChunk: l.Chunk, SnapshotBandwidth: int64(l.Bandwidth),
		Quota: int64(l.Quota),
	}
}

// String lists what is not drawn, as ParseLimits reads it; empty if all is.
func (l *Limits) String() string {
	if l.Production {
		return "production"
	}
	var parts []string
	for _, f := range l.figures() {
		if *f.value != 0 {
			parts = append(parts, f.name+"="+strconv.Itoa(*f.value))
		}
	}
	for _, t := range l.times() {
		if *t.value != 0 {
			parts = append(parts, t.name+"="+t.value.String())
		}
	}
	return strings.Join(parts, ",")
}

// ParseLimits reads limits as Limits.String prints them: "window=5,age=10s", or "production".
func ParseLimits(text string) (Limits, error) {
	var l Limits
	if text == "production" {
		return Limits{Production: true}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		if err := l.read(name, value); err != nil {
			return l, fmt.Errorf("%q should be a limit and its figure, such as window=5 or age=10s: %w", part, err)
		}
	}
	return l, nil
}

// read reads one limit.
func (l *Limits) read(name, value string) (err error) {
	for _, f := range l.figures() {
		if f.name != name {
			continue
		}
		if *f.value, err = strconv.Atoi(value); err == nil && *f.value < 1 {
			err = errors.New("it must be at least 1")
		}
		return err
	}
	for _, t := range l.times() {
		if t.name != name {
			continue
		}
		if *t.value, err = time.ParseDuration(value); err == nil && *t.value < time.Millisecond {
			err = errors.New("it must be at least 1ms")
		}
		return err
	}
	var names []string
	for _, f := range l.figures() {
		names = append(names, f.name)
	}
	for _, t := range l.times() {
		names = append(names, t.name)
	}
	return fmt.Errorf("there is no limit %q; the limits are %s", name, strings.Join(names, ", "))
}
