package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Config configures a core. Times are in ticks.
type Config struct {
	ID NodeID
	// Initial is the configuration that the cluster was founded with, of index 0; entries of the log replace it. It is
	// zero on a node that joins a cluster: the node is no member until the log has a configuration.
	Initial Configuration

	// Founders are the seats that the cluster was founded with; entries of the log add all others. nil: there are no
	// seats, and every voter counts. A node that joins needs them too: as leader, it would seat the empty disk of a
	// founder (trap T28). Incarnation is that of this node's disk, and Seated whether the disk is recorded
	// as seated.
	Founders    []Seat
	Incarnation Incarnation
	Seated      bool

	// Level is that of this program; zero in tests of older ones.
	Level Level

	// Encoding is that of the commands that the core creates itself.
	Encoding Encoding

	ElectionTicks  int // minimum election timeout; each timeout is drawn from [ElectionTicks, 2*ElectionTicks]
	HeartbeatTicks int // less than ElectionTicks

	// VoteHold is for how long this node grants no vote after it received a message of a leader, and after a restart, in
	// microseconds of its clock: the minimum election timeout. A leader's lease rests on it; 0: none does.
	VoteHold uint64
	// ClockDrift is by which fraction a lease is shorter: the clock of this node may run slower than that of a follower
	// by no more. At least 0 and less than 1.
	ClockDrift float64

	MaxMessageEntries   int // entries per AppendEntries
	MaxMessageBytes     int // command bytes per AppendEntries; one entry always fits
	MaxInflightMessages int // unanswered AppendEntries with entries, per follower
	MaxInflightBytes    int // unanswered command bytes, per follower
	MaxUncommittedBytes int // command bytes in the log above the commit index
	MaxTailBytes        int // memory of the entries that are saved and were returned as committed

	// Rand draws the election timeouts. It is the only source of randomness.
	Rand *rand.Rand
}

// validate returns an error for values with which the core cannot work. The error states which values are valid.
func (cfg *Config) validate() error {
	if cfg.ID == 0 {
		return errors.New("raft: Config.ID is 0; node ids are positive")
	}
	if !cfg.Encoding.complete() {
		return errors.New("raft: Config.Encoding is incomplete; every field is needed")
	}
	if cfg.Initial.Index != 0 {
		return fmt.Errorf("raft: Config.Initial has index %d; the initial configuration has index 0", cfg.Initial.Index)
	}
	if err := cfg.Initial.Validate(); err != nil && !cfg.Initial.IsZero() {
		return fmt.Errorf("Config.Initial: %w", err)
	}
	if cfg.Founders != nil && len(cfg.Founders) == 0 && cfg.Initial.IsZero() {
		return errors.New("raft: Config.Founders is empty; a node that joins a cluster needs the seats of its founders")
	}
	if cfg.HeartbeatTicks < 1 {
		return fmt.Errorf("raft: Config.HeartbeatTicks is %d; it must be at least 1", cfg.HeartbeatTicks)
	}
	if cfg.ElectionTicks <= cfg.HeartbeatTicks {
		return fmt.Errorf("raft: Config.ElectionTicks is %d; it must be more than HeartbeatTicks, which is %d",
			cfg.ElectionTicks, cfg.HeartbeatTicks)
	}
	if err := cfg.validateLease(); err != nil {
		return err
	}
	limits := []struct {
		name  string
		value int
	}{
		{"MaxMessageEntries", cfg.MaxMessageEntries},
		{"MaxMessageBytes", cfg.MaxMessageBytes},
		{"MaxInflightMessages", cfg.MaxInflightMessages},
		{"MaxInflightBytes", cfg.MaxInflightBytes},
		{"MaxUncommittedBytes", cfg.MaxUncommittedBytes},
		{"MaxTailBytes", cfg.MaxTailBytes},
	}
	for _, limit := range limits {
		if limit.value < 1 {
			return fmt.Errorf("raft: Config.%s is %d; it must be at least 1", limit.name, limit.value)
		}
	}
	if cfg.Rand == nil {
		return errors.New("raft: Config.Rand is nil; the election timeouts need a source of chance")
	}
	return nil
}

// validateLease checks what a lease rests on.
func (cfg *Config) validateLease() error {
	if cfg.ClockDrift < 0 || cfg.ClockDrift >= 1 {
		return fmt.Errorf("raft: Config.ClockDrift is %v; it must be at least 0 and less than 1", cfg.ClockDrift)
	}
	if cfg.VoteHold > maxNumber {
		return fmt.Errorf("raft: Config.VoteHold is %d; it must be at most 2^53", cfg.VoteHold)
	}
	return nil
}

// complete reports whether every field is set.
func (e *Encoding) complete() bool {
	return e.NoOp != nil && e.Check != nil && e.Seat != nil && e.ParseSeat != nil && e.Configuration != nil &&
		e.ParseConfiguration != nil
}
