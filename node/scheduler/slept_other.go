//go:build !linux

package scheduler

import "time"

// Slept is unknown on this system, and 0. Leases must not be used on a machine that may be suspended.
func (m *Machine) Slept() time.Duration { return time.Duration(m.slept.Load()) }
