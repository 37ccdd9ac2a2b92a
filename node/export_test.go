package node

// MachineScheduler is the scheduler of production, for tests that put another clock on it.
func MachineScheduler() Scheduler { return &machine{} }
