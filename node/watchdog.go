package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// How often the watchdog looks within StallLimit, and how often it must find the same to act. The disk comes first: a
// loop that hangs in a save is the disk's fault, and ends the process.
const (
	looksPerLimit = 20
	looksAtSave   = looksPerLimit
	looksAtTurn   = looksPerLimit * 3 / 2
)

// watchdog looks after the loop and its writes to the disk.
type watchdog struct {
	cfg     *Options // of the node
	sched   scheduler.Scheduler
	started time.Time // of the node

	saving  atomic.Int64  // when the save began that is under way, in nanoseconds since started, plus 1; 0: none
	turns   atomic.Uint64 // of the loop
	stalled atomic.Bool   // the loop has made no turn for long
}

// save runs a write to the disk, which the watchdog bounds. An error ends the node: it is not known what is on the disk
// now (trap T53).
func (w *watchdog) save(write func() error) error {
	w.saving.Store(int64(w.sched.Now().Sub(w.started)) + 1)
	err := write()
	w.saving.Store(0)
	if err != nil {
		return fmt.Errorf("node: cannot save to the disk, so this node must stop: %w", err)
	}
	return nil
}

// run looks after the loop. It ends the process when one save takes longer than StallLimit, also the last one of a
// node that stops: a leader has been replaced by then, because it sends no heartbeats. And it reports, for /livez, when
// the loop has made no turn for half as long again, whatever it hangs in.
// It counts how often it found the same, and does not ask the clock: a process that was stopped (SIGSTOP, a frozen
// machine) has a disk and a loop that are well.
func (w *watchdog) run(loopEnded <-chan struct{}, id raft.NodeID) {
	pause := max(w.cfg.StallLimit/looksPerLimit, leastTick)
	var save, turn streak
	for gaveUp := false; ; {
		if w.sched.Wait(pause, scheduler.Signals{loopEnded}) == 0 {
			w.stalled.Store(false) // it has not stalled, it is over
			return
		}
		saving := w.saving.Load()
		if save.look(uint64(saving)) >= looksAtSave && saving != 0 && !gaveUp {
			gaveUp = true
			w.cfg.Fatal(fmt.Errorf("node: the disk did not finish a save within %v; giving up", w.cfg.StallLimit))
		}
		stalled := turn.look(w.turns.Load()) >= looksAtTurn
		if stalled && !w.stalled.Load() {
			w.cfg.Logger.Error("the loop has stalled", "node", id, "looks", looksAtTurn)
		}
		w.stalled.Store(stalled)
	}
}

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

// Stalled reports whether the loop should run and has made no turn for half as long again as StallLimit. A node that
// waits for an identity, loads its log or has stopped has not stalled (trap O23: only what a restart can mend).
func (n *Node) Stalled() bool { return n.watchdog.stalled.Load() }
