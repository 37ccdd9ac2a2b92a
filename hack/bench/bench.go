package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// bench is one run of the whole benchmark.
type bench struct {
	options
	programs map[string]string // of each system
	dir      string
	report   *report
	progress io.Writer
	cells    int // clusters so far, so that each has its own ids
}

// workload is one line of a section: the task of each client.
type workload struct {
	name    string
	clients int
	task    task
	// wanted is the required ratio to etcd for each Kontiki driver; 0: none.
	wanted map[string]float64
}

// rounds runs a section several times, each with clusters that start with empty disks, so that no round depends on an
// earlier one.
func (b *bench) rounds(ctx context.Context, section func(ctx context.Context, round int, all []*cluster) error) error {
	for round := range b.roundCount {
		if err := b.withClusters(ctx, func(all []*cluster) error { return section(ctx, round, all) }); err != nil {
			return err
		}
	}
	return nil
}

// withClusters runs a function on new clusters of all systems.
func (b *bench) withClusters(ctx context.Context, use func(all []*cluster) error) error {
	return b.withClustersOf(ctx, b.systems, keyCount, use)
}

// withClustersOf runs a function on new clusters with so many keys, and prints the servers' logs if it fails.
func (b *bench) withClustersOf(
	ctx context.Context, systems []system, keys int, use func(all []*cluster) error,
) (err error) {
	var all []*cluster
	defer func() {
		for _, c := range all {
			if err != nil && ctx.Err() == nil {
				c.printLogs(b.progress)
			}
			err = errors.Join(err, c.stop())
		}
	}()
	for _, sys := range systems {
		c, err := startCluster(ctx, sys, b.programs[sys.name()], b.dir, b.gomaxprocs, keys)
		if c != nil {
			all = append(all, c)
		}
		if err != nil {
			return err
		}
	}
	return use(all)
}

// byTurns runs each workload through every driver of every cluster, starting with another one each round, and verifies
// the cluster after each.
func (b *bench) byTurns(ctx context.Context, round int, all []*cluster, workloads []workload) error {
	type turn struct {
		cluster *cluster
		driver  driver
	}
	var turns []turn
	for _, c := range all {
		for _, d := range c.drivers(c.members) {
			turns = append(turns, turn{c, d})
		}
	}
	for _, w := range workloads {
		for i := range turns {
			t := turns[(i+round)%len(turns)]
			r, err := b.measure(ctx, t.cluster, t.driver, w, round)
			if err != nil {
				return fmt.Errorf("%s, %d clients, %s: %w", w.name, w.clients, t.driver.name, err)
			}
			b.report.add(w, t.driver.name, r)
			fmt.Fprintf(b.progress, "%-20s %4d clients  %-12s %s\n", w.name, w.clients, t.driver.name, r)
		}
	}
	return nil
}

// measure runs one cell, and fails if a request failed without an explanation or a write was lost.
func (b *bench) measure(ctx context.Context, c *cluster, d driver, w workload, round int) (result, error) {
	length := b.warmUp + b.seconds
	bounded, cancel := context.WithTimeout(ctx, length+15*time.Second)
	defer cancel()
	sessions, closeAll, err := d.open(bounded, w.clients, round)
	if err != nil {
		return result{}, err
	}
	defer closeAll()
	before, err := c.term(ctx)
	if err != nil {
		return result{}, err
	}
	b.cells++
	l := load{cell: b.cells, task: w.task, warmUp: b.warmUp, measure: b.seconds, cpu: c.cpu}
	r, err := l.run(bounded, c, sessions)
	if err != nil {
		return r, err
	}
	after, err := c.term(ctx)
	if err != nil {
		return r, err
	}
	if r.elections = int(after - before); r.elections > 0 {
		fmt.Fprintf(b.progress, "%s: the term went from %d to %d under load\n", c.name(), before, after)
	}
	if err := errors.Join(r.failures.judge(r.elections > 0, false), c.ended(), c.verify(ctx)); err != nil {
		return r, err
	}
	if r.operations == 0 {
		return r, errors.New("no request succeeded during the measurement")
	}
	return r, nil
}

// fill writes every key once, so that reads find values, and more if more entries are wanted.
func (b *bench) fill(ctx context.Context, c *cluster, entries int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	sessions, closeAll, err := c.drivers(c.members)[0].open(ctx, 1, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	b.cells++
	w := newWorker(c, sessions[0], b.cells, 0)
	const size = 100 // approximately as much as etcd allows
	for first := 0; first < entries; first += size {
		w.keys, w.ids = w.keys[:0], w.ids[:0]
		for i := first; i < first+size; i++ {
			w.keys = append(w.keys, i%keyCount)
			w.ids = append(w.ids, idFor(w.cell, 0, i))
		}
		if _, err := w.batch(ctx); err != nil {
			return fmt.Errorf("write entry %d: %w", first, err)
		}
	}
	return nil
}
