package engine

import "time"

// Moment returns the latest moment that an age on the clock of a node can mean, by the world's clock. The clocks of the
// node and of its leader may run slow, by as much as the slowest clock of the run.
func (w *World) Moment(age time.Duration) time.Duration {
	return w.now - time.Duration(float64(age)/w.slowest)
}
