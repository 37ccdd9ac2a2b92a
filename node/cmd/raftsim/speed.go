package main

import (
	"fmt"
	"syscall"
	"time"
)

// stopwatch measures what runs cost. Speed is by CPU time, including garbage collection, because other programs on the
// machine do not affect it.
type stopwatch struct {
	began time.Time
	cpu   time.Duration // of the process, at the beginning
}

func startWatch() stopwatch { return stopwatch{time.Now(), cpuTime()} }

// cpuTime returns the CPU time of this process; 0 if the system does not report it.
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

// perSecond returns the number of steps per second of one core; 0 if it is unknown.
func (s speed) perSecond() float64 {
	if s.cpu <= 0 {
		return 0
	}
	return float64(s.steps) / s.cpu.Seconds()
}

// String describes the speed.
func (s speed) String() string {
	return fmt.Sprintf("in %v with %v of a core: %s steps a second and core", s.wall.Round(time.Millisecond),
		s.cpu.Round(time.Millisecond), thousands(int(s.perSecond())))
}
