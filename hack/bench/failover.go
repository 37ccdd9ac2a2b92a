package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// failover kills the leader under load several times, and measures the time until the survivors accept a write that
// started after the kill.
func (b *bench) failover(ctx context.Context) error {
	median, worst := map[string]string{}, map[string]string{}
	err := b.withClusters(ctx, func(all []*cluster) error {
		for _, c := range all {
			times, err := b.killLeaders(ctx, c, b.kills)
			if err != nil {
				return fmt.Errorf("failover of %s: %w", c.name(), err)
			}
			median[c.name()], worst[c.name()] = inMilliseconds(medianTime(times)), inMilliseconds(slices.Max(times))
		}
		return nil
	})
	b.report.fact(fmt.Sprintf("kill -9 of the leader to the next write, median of %d", b.kills),
		median["kontiki"], median["etcd"], "400 ms")
	b.report.fact("maximum of these", worst["kontiki"], worst["etcd"], "1000 ms")
	return err
}

func inMilliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func medianTime(times []time.Duration) time.Duration {
	var values []float64
	for _, t := range times {
		values = append(values, float64(t))
	}
	return time.Duration(median(values))
}

// killLeaders loads a cluster and kills its leader so many times. Then every acknowledged write must be present.
func (b *bench) killLeaders(ctx context.Context, c *cluster, kills int) ([]time.Duration, error) {
	const clients = 64
	loadCtx, cancel := context.WithTimeout(ctx, time.Duration(kills+5)*30*time.Second)
	defer cancel()
	sessions, closeAll, err := c.drivers(c.members)[0].open(loadCtx, clients, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	var failed failures
	var measuring, stopped atomic.Bool
	var wg sync.WaitGroup
	b.cells++
	// Paced, so that what a restarted node has to catch up does not grow with the speed of the cluster.
	l := load{cell: b.cells, task: put, pace: 30 * time.Millisecond}
	for i, s := range sessions {
		w := newWorker(c, s, b.cells, i)
		wg.Go(func() { l.work(loadCtx, w, &measuring, &stopped, &failed) })
	}
	var times []time.Duration
	for range kills {
		var took time.Duration
		if took, err = b.killOne(loadCtx, c); err != nil {
			break
		}
		times = append(times, took)
		fmt.Fprintf(b.progress, "%s: leader killed, next write after %d ms\n", c.name(), took.Milliseconds())
	}
	stopped.Store(true)
	wg.Wait()
	if err := errors.Join(err, failed.judge(true, true)); err != nil {
		return times, err
	}
	if err := c.caughtUp(ctx); err != nil {
		return times, err
	}
	fmt.Fprintf(b.progress, "%s: %d kills; requests that failed: %s\n", c.name(), kills, failed.String())
	return times, c.verify(ctx)
}

// killOne kills the leader, measures the time to the next write, and restarts the node.
func (b *bench) killOne(ctx context.Context, c *cluster) (time.Duration, error) {
	if err := c.caughtUp(ctx); err != nil {
		return 0, err
	}
	leader, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	survivors := slices.Delete(slices.Clone(c.members), leader, leader+1)
	sessions, closeAll, err := c.drivers(survivors)[0].open(ctx, attemptsMost, 0)
	if err != nil {
		return 0, err
	}
	defer closeAll()
	c.members[leader].process.Kill()
	took, err := b.nextWrite(ctx, c, sessions)
	if err != nil {
		return 0, err
	}
	if err := c.start(leader); err != nil {
		return 0, err
	}
	return took, nil
}

// nextWrite starts its attempts one after the other, without waiting for their results, because a server may keep a
// request for as long as it waits for a leader.
const (
	attemptEvery = 5 * time.Millisecond
	attemptsMost = 2000
)

// nextWrite returns the time until the first success among the writes that the sessions make from now on.
func (b *bench) nextWrite(ctx context.Context, c *cluster, sessions []session) (time.Duration, error) {
	killed := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	var took time.Duration
	var wg sync.WaitGroup
	var failed failures
	b.cells++
	for i := 0; i < len(sessions) && ctx.Err() == nil; i++ {
		w := newWorker(c, sessions[i], b.cells, i)
		wg.Go(func() {
			if _, err := put(ctx, w); err == nil {
				once.Do(func() { took = time.Since(killed); cancel() })
			} else if kind, _ := classify(err); ctx.Err() == nil {
				failed.add(kind, err)
			}
		})
		_ = sleep(ctx, attemptEvery) // the loop checks ctx itself
	}
	wg.Wait()
	if took == 0 {
		return 0, fmt.Errorf("no write succeeded after the leader was killed: %s", failed.String())
	}
	return took, failed.judge(true, true)
}
