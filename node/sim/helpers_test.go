package sim

import (
	"errors"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// quiet makes a cluster in which nothing happens but what a test makes happen.
func quiet() *Cluster {
	return NewCluster(Config{Seed: 1, Nodes: 3, Mix: &engine.Mix{}, Latency: time.Millisecond})
}

// pass lets a cluster run until a time.
func pass(c *Cluster, until time.Duration) {
	c.After(until-c.Now(), nil, func() {})
	for c.Now() < until && c.Advance() {
	}
}

// errFull is an error of a disk.
var errFull = errors.New("the disk is full")
