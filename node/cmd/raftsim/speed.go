package main

import (
	"fmt"
	"syscall"
	"time"
)

// stopwatch measures what runs cost. Speed is told by the time that the processor worked, which other programs on the
// machine do not lengthen; the collection of garbage is in it.
type stopwatch struct {
	began time.Time
	cpu   time.Duration // of the process, at the beginning
}

func startWatch() stopwatch { return stopwatch{time.Now(), cpuTime()} }

// cpuTime is how long the processors worked for this process; 0 if the system does not say.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// speed is what a number of steps cost.
type speed struct {
	steps     int
	wall, cpu time.Duration
}

func (w stopwatch) stop(steps int) speed { return speed{steps, time.Since(w.began), cpuTime() - w.cpu} }

// perSecond is how many steps one core does in a second; 0 if that cannot be known.
func (s speed) perSecond() float64 {
	if s.cpu <= 0 {
		return 0
	}
	return float64(s.steps) / s.cpu.Seconds()
}

// String tells the speed in words.
func (s speed) String() string {
	return fmt.Sprintf("in %v with %v of a core: %s steps a second and core", s.wall.Round(time.Millisecond),
		s.cpu.Round(time.Millisecond), thousands(int(s.perSecond())))
}
