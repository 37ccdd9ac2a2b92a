package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node"
)

// The watchdog is a second process that ends this one when it hangs as a whole. A thread that waits for a disk inside
// a page fault, as in SQLite's memory-mapped -shm file, cannot be interrupted, so the Go runtime cannot stop the
// world for the next garbage collection, and from then on no goroutine runs, including the one in package node that
// watches the disk. Only another process still detects that.
const (
	watchdogName = "watchdog"
	// beatInterval is how often the watched process writes to the pipe, and how often the watchdog checks.
	beatInterval = time.Second
	// laterLooks is how many checks the watchdog waits for longer than the one in package node, whose message is more
	// precise.
	laterLooks = 5
	// lastWords is how long the end of a process waits for its log, which may be on the disk that hangs.
	lastWords = time.Second
)

// looksWithin returns how many checks in a row must find no beat, if a save may take so long. Checks are counted, not
// time, because a suspended machine is no hang.
func looksWithin(stall time.Duration) int {
	return int((stall+beatInterval-1)/beatInterval) + laterLooks
}

// watchdogProgram is the program to run as the watchdog; main sets it. If empty, no watchdog runs.
var watchdogProgram string

// watchdogCommand is the command of the second process.
func watchdogCommand() *cobra.Command {
	var f commonFlags
	var looks int
	c := &cobra.Command{
		Use: watchdogName, Short: "End the parent process if it hangs (started by serve and local)", Hidden: true,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			logger, err := f.logger(c.ErrOrStderr())
			if err != nil {
				return err
			}
			// It ends with its parent, and not before: a terminal or an init system signals both.
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			w := &watchdog{parent: os.Getppid(), looks: looks, logger: logger}
			ticker := time.NewTicker(beatInterval)
			defer ticker.Stop()
			return w.watch(readBeats(c.InOrStdin()), ticker.C)
		},
	}
	f.register(c)
	c.Flags().IntVar(&looks, "looks", looksWithin(node.DefaultStallLimit),
		"checks without a beat of the parent before it is ended")
	return c
}

// startWatchdog starts the second process, and sends it beats until this one ends.
func (f *commonFlags) startWatchdog(logger *slog.Logger, looks int) error {
	if watchdogProgram == "" {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	c := exec.Command(watchdogProgram, watchdogName, "--looks", strconv.Itoa(looks), "--log-format", f.logFormat)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Stdin, c.Stderr = read, os.Stderr
	err = errors.Join(c.Start(), read.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("start the watchdog: %w", err), write.Close())
	}
	go func() { logger.Warn("the watchdog process ended; this node runs without it", "error", c.Wait()) }()
	go func() {
		defer write.Close()
		for range time.Tick(beatInterval) {
			if _, err := write.Write([]byte{'.'}); err != nil {
				return
			}
		}
	}()
	return nil
}

// readBeats forwards each beat of the parent, and closes the channel when the parent has ended.
func readBeats(in io.Reader) <-chan struct{} {
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		for beat := make([]byte, 64); ; {
			if _, err := in.Read(beat); err != nil {
				return
			}
			beats <- struct{}{}
		}
	}()
	return beats
}

// watchdog watches its parent process.
type watchdog struct {
	parent int
	looks  int
	logger *slog.Logger
}

// watch returns when the parent has ended, or must be ended.
func (w *watchdog) watch(beats <-chan struct{}, look <-chan time.Time) error {
	for silent := 0; ; {
		select {
		case _, alive := <-beats:
			if !alive {
				return nil
			}
			silent = 0
			continue
		case <-look:
			silent++
		}
		if silent < 2 { // normal: a beat is on its way
			continue
		}
		switch p := inspectProcess(w.parent); {
		case p.ended:
			return nil
		case p.stopped: // by a signal or a debugger: no hang
			silent = 0
		case silent >= w.looks:
			return w.end(p)
		}
	}
}

// end logs the reason, and ends the parent.
func (w *watchdog) end(p processState) error {
	err := fmt.Errorf("process %d sent no beat for %v: %s", w.parent,
		time.Duration(w.looks)*beatInterval, p.describe())
	sayLast(w.logger, err)
	return w.kill(p)
}

// kill ends the parent. The first process of a container ignores SIGKILL from inside the container, but not a signal
// that it handles: Go's handler for SIGQUIT ends it with a stack trace. The signal goes to a thread that can take it.
func (w *watchdog) kill(p processState) error {
	if w.parent != 1 {
		return syscall.Kill(w.parent, syscall.SIGKILL)
	}
	var errs []error
	for _, thread := range p.able {
		if err := quitThread(w.parent, thread); err == nil {
			return nil
		} else if !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, syscall.Kill(w.parent, syscall.SIGQUIT))...)
}

// sayLast logs why a process is ended, and waits only briefly: standard error may be a file on the disk that hangs.
func sayLast(logger *slog.Logger, err error) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		logger.Error("the node must stop immediately", "error", err)
	}()
	select {
	case <-said:
	case <-time.After(lastWords):
	}
}

// processState is the system's view of a process.
type processState struct {
	ended   bool
	stopped bool
	stuck   []int // threads that wait in the kernel and cannot be interrupted
	able    []int // all others
}

func (p processState) describe() string {
	if len(p.stuck) == 0 {
		return "none of its threads waits for a disk"
	}
	return fmt.Sprintf("its threads %v wait in the kernel and cannot be interrupted, as for a disk that does not respond",
		p.stuck)
}
