// Package compaction decides when a node writes a checkpoint of its state, and which entries it then removes from its
// log. It is pure: the node asks, and does it.
package compaction

import (
	"cmp"
	"time"
)

// Never is a wait without an end, as scheduler.Forever.
const Never time.Duration = -1

// Checkpoints are the limits for writing checkpoints.
type Checkpoints struct {
	Bytes int64         // of changed keys and values, after which a checkpoint is due at once
	After time.Duration // since the first change, after which it is due
	// Rest bounds what checkpoints cost: after one that took a second, the next one begins Rest seconds later at the
	// earliest.
	Rest int
	// Chunk is how many changes are collected under one lock, so that neither writes nor reads wait for long; default
	// 2048.
	Chunk int
}

// ChunkSize returns how many changes are collected under one lock.
func (l Checkpoints) ChunkSize() int { return cmp.Or(l.Chunk, 2048) }

// Changes are what a checkpoint would write, and what the last one cost.
type Changes struct {
	Entries uint64    // applied since the last checkpoint
	Bytes   int64     // of their commands
	Since   time.Time // when the first of them was applied
	Pressed bool      // the disk is nearly low, and has less for them with every other write
	Ended   time.Time // when the last checkpoint ended
	Took    time.Duration
}

// Wait returns how long to wait before the next checkpoint: 0 if one is due, Never if nothing changed.
func (l Checkpoints) Wait(now time.Time, c Changes) time.Duration {
	if c.Entries == 0 {
		return Never
	}
	wait := l.After - now.Sub(c.Since)
	if c.Bytes >= l.Bytes || c.Pressed {
		wait = 0
	}
	rest := time.Duration(l.Rest)*c.Took - now.Sub(c.Ended)
	return max(0, wait, rest)
}
