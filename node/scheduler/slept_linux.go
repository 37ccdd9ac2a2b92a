package scheduler

import (
	"syscall"
	"time"
	"unsafe"
)

// Clocks of Linux (clock_gettime(2)). The first is that of Now.
const (
	clockMonotonic = 1
	clockBoottime  = 7
)

const (
	// sleptSlack is how far apart two readings of a clock may be if what lies between them is to count, and how much
	// longer the machine must have slept than is known.
	sleptSlack = time.Millisecond
	sleptTries = 10
)

// Slept is by how much CLOCK_BOOTTIME, which goes on while the machine is suspended, is ahead of CLOCK_MONOTONIC. It is
// exact to a few milliseconds.
func (m *Machine) Slept() time.Duration {
	for range sleptTries {
		before, awake := readClock(clockBoottime), readClock(clockMonotonic)
		if readClock(clockBoottime)-before > sleptSlack {
			continue // this thread was stopped in between, or the machine slept
		}
		m.noteSlept(before - awake)
		break
	}
	return time.Duration(m.slept.Load())
}

// noteSlept records a difference of the clocks, if it is more than the readings explain.
func (m *Machine) noteSlept(ahead time.Duration) {
	for {
		known := m.slept.Load()
		if ahead-time.Duration(known) <= sleptSlack || m.slept.CompareAndSwap(known, int64(ahead)) {
			return
		}
	}
}

func readClock(clock uintptr) time.Duration {
	var t syscall.Timespec
	// It fails only for a clock that the kernel does not have, and CLOCK_BOOTTIME is from 2011.
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}
