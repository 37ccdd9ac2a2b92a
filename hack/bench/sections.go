package main

import (
	"context"
	"fmt"
	"time"
)

const batchSize = 128 // etcd accepts no larger transaction by default

// section is a part of the benchmark that -only selects by name.
type section struct {
	name string
	run  func(b *bench, ctx context.Context) error
}

var sections = []section{
	{"puts", (*bench).puts},
	{"reads", (*bench).reads},
	{"batch", (*bench).batches},
	{"failover", (*bench).failover},
	{"idle", (*bench).idle},
	{"replay", (*bench).replay},
	{"state", (*bench).state},
}

// puts writes 256 bytes to one of 10,000 keys after the other.
func (b *bench) puts(ctx context.Context) error {
	wanted := map[int]float64{1: 1.5, 64: 2, 256: 2.5, 1000: 4}
	var workloads []workload
	for _, clients := range b.clients {
		workloads = append(workloads, workload{"put", clients, put, map[string]float64{
			sdkName: wanted[clients], leanName: 1.5,
		}})
	}
	return b.rounds(ctx, func(ctx context.Context, round int, all []*cluster) error {
		return b.byTurns(ctx, round, all, workloads)
	})
}

// reads reads the same keys, linearizably and from the node's own state.
func (b *bench) reads(ctx context.Context) error {
	workloads := []workload{
		{"linearizable read", 64, getLinearizable, map[string]float64{leanName: 1.8}},
		{"linearizable read", 256, getLinearizable, map[string]float64{leanName: 1.5}},
		{"local read", 256, getLocal, map[string]float64{leanName: 1.3}},
	}
	if b.short {
		workloads = workloads[:1]
	}
	return b.rounds(ctx, func(ctx context.Context, round int, all []*cluster) error {
		for _, c := range all {
			if err := b.fill(ctx, c, keyCount); err != nil {
				return fmt.Errorf("fill %s: %w", c.name(), err)
			}
			if err := c.caughtUp(ctx); err != nil {
				return err
			}
		}
		return b.byTurns(ctx, round, all, workloads)
	})
}

// batches writes 128 keys per request; operations are keys.
func (b *bench) batches(ctx context.Context) error {
	wanted := map[string]float64{sdkName: 1.6, leanName: 1.6}
	workloads := []workload{
		{"put, 128 a request", 1, putBatch, wanted},
		{"put, 128 a request", 8, putBatch, wanted},
	}
	if b.short {
		workloads = workloads[1:]
	}
	return b.rounds(ctx, func(ctx context.Context, round int, all []*cluster) error {
		return b.byTurns(ctx, round, all, workloads)
	})
}

// idle measures the cost of a node without requests.
func (b *bench) idle(ctx context.Context) error {
	length := 10 * time.Second
	if b.short {
		length = 3 * time.Second
	}
	memory, cpu := map[string]string{}, map[string]string{}
	err := b.withClusters(ctx, func(all []*cluster) error {
		if err := sleep(ctx, 2*time.Second); err != nil { // the rest of the start-up work
			return err
		}
		for _, c := range all {
			m, share, err := idleCost(ctx, c, length)
			if err != nil {
				return err
			}
			memory[c.name()], cpu[c.name()] = fmt.Sprintf("%.1f MB", m), fmt.Sprintf("%.2f%%", share)
			fmt.Fprintf(b.progress, "idle %s: at most %.1f MB and %.2f%% of a core per node\n", c.name(), m, share)
		}
		return nil
	})
	b.report.fact("memory of an idle node, at most", memory["kontiki"], memory["etcd"], "under 40 MB")
	b.report.fact("share of a core of an idle node, at most", cpu["kontiki"], cpu["etcd"], "under 2%")
	return err
}

// idleCost returns the maximum over the members: megabytes, and percent of a core.
func idleCost(ctx context.Context, c *cluster, length time.Duration) (memory, share float64, err error) {
	var before []time.Duration
	for _, m := range c.members {
		used, err := m.process.CPU()
		if err != nil {
			return 0, 0, err
		}
		before = append(before, used)
	}
	begin := time.Now()
	if err := sleep(ctx, length); err != nil {
		return 0, 0, err
	}
	elapsed := time.Since(begin)
	for i, m := range c.members {
		used, err := m.process.CPU()
		if err != nil {
			return 0, 0, err
		}
		bytes, err := m.process.Memory()
		if err != nil {
			return 0, 0, err
		}
		memory = max(memory, float64(bytes)/1e6)
		share = max(share, 100*(used-before[i]).Seconds()/elapsed.Seconds())
	}
	return memory, share, nil
}
