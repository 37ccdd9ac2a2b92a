// Package watchdog looks after the loop of a node and its writes to the disk.
package watchdog

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// How often the watchdog looks within Config.Limit, and how often it must find the same to act. The disk comes first: a
// loop that hangs in a save is the disk's fault, and ends the process.
const (
	looksPerLimit = 20
	looksAtSave   = looksPerLimit
	looksAtTurn   = looksPerLimit * 3 / 2
)

// leastPause is the least time between two looks.
const leastPause = time.Millisecond

// Config is what a Watchdog needs of its node. All fields are required.
type Config struct {
	// Limit is how long one save may take.
	Limit time.Duration
	// File names what is saved to, in messages.
	File string
	// Fatal is called, once, when a save takes longer. It must end the process.
	Fatal     func(error)
	Logger    *slog.Logger
	Scheduler scheduler.Scheduler
}

// Watchdog bounds the writes to the disk and counts the turns of the loop. Its methods may be called from any
// goroutine, but at most one Save at a time.
type Watchdog struct {
	cfg     Config
	started time.Time

	saving  atomic.Int64  // when the save in progress began, in nanoseconds since started, plus 1; 0: none
	turns   atomic.Uint64 // of the loop
	stalled atomic.Bool   // the loop has made no turn for long
}

// New returns a Watchdog, which looks while Run runs.
func New(cfg Config) *Watchdog { return &Watchdog{cfg: cfg, started: cfg.Scheduler.Now()} }

// Save runs a write to the disk, which the watchdog bounds. An error ends the node: it is unknown what is on the disk
// now (trap T53).
func (w *Watchdog) Save(write func() error) error {
	w.saving.Store(int64(w.cfg.Scheduler.Now().Sub(w.started)) + 1)
	err := write()
	w.saving.Store(0)
	if err != nil {
		return fmt.Errorf("node: cannot save to the disk, so this node must stop: %w", err)
	}
	return nil
}

// Saving returns for how long the save in progress has lasted; 0: there is none. Whatever was appended and is not
// durable yet is in that save.
func (w *Watchdog) Saving() time.Duration {
	began := w.saving.Load()
	if began == 0 {
		return 0
	}
	return max(0, w.cfg.Scheduler.Now().Sub(w.started)-time.Duration(began-1))
}

// Turn counts a turn of the loop.
func (w *Watchdog) Turn() { w.turns.Add(1) }

// Run looks after the loop of a node until it ended. It ends the process when one save takes longer than the limit,
// also the last one of a node that stops: a leader has been replaced by then, because it sends no heartbeats. And it
// reports, for /livez, when the loop has made no turn for half as long again, whatever it hangs in.
//
// It counts how often it found the same, and does not ask the clock: a process that was stopped (SIGSTOP, a frozen
// machine) has a disk and a loop that work.
func (w *Watchdog) Run(loopEnded <-chan struct{}, id raft.NodeID) {
	pause := max(w.cfg.Limit/looksPerLimit, leastPause)
	var save, turn streak
	for gaveUp := false; ; {
		if w.cfg.Scheduler.Wait(pause, scheduler.Signals{loopEnded}) == 0 {
			w.stalled.Store(false) // it has ended, not stalled
			return
		}
		saving := w.saving.Load()
		if save.look(uint64(saving)) >= looksAtSave && saving != 0 && !gaveUp {
			gaveUp = true
			w.cfg.Fatal(fmt.Errorf("node: a save to %s has not finished for %v, and may take %v at most: its disk does not "+
				"respond", w.cfg.File, w.Saving().Round(time.Millisecond), w.cfg.Limit))
		}
		stalled := turn.look(w.turns.Load()) >= looksAtTurn
		if stalled && !w.stalled.Load() {
			w.cfg.Logger.Error("the loop has stalled", "node", id, "looks", looksAtTurn)
		}
		w.stalled.Store(stalled)
	}
}

// Stalled reports whether the loop runs and has made no turn for half as long again as the limit.
func (w *Watchdog) Stalled() bool { return w.stalled.Load() }

// streak counts how often the same value was seen again.
type streak struct {
	value uint64
	again int
}

func (s *streak) look(value uint64) int {
	if value != s.value {
		*s = streak{value: value}
		return 0
	}
	s.again++
	return s.again
}
