package main

import (
	"context"
	"fmt"
	"time"
)

// replay measures the time from the start of a node with entries on its disk until it has applied them all and is
// ready.
func (b *bench) replay(ctx context.Context) error {
	entries := 100_000
	if b.short {
		entries = 10_000
	}
	took := map[string]string{}
	err := b.withClusters(ctx, func(all []*cluster) error {
		for _, c := range all {
			if err := b.fill(ctx, c, entries); err != nil {
				return err
			}
			var times []time.Duration
			for range b.roundCount {
				t, err := c.restartFollower(ctx)
				if err != nil {
					return err
				}
				times = append(times, t)
				fmt.Fprintf(b.progress, "replay %s: ready after %d ms\n", c.name(), t.Milliseconds())
			}
			took[c.name()] = inMilliseconds(medianTime(times))
			if err := c.verify(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	b.report.fact(fmt.Sprintf("start of a node with %s entries to ready", thousands(float64(entries))),
		took["kontiki"], took["etcd"], "under 2000 ms")
	return err
}

// restartFollower stops a node that does not lead and measures its start.
func (c *cluster) restartFollower(ctx context.Context) (time.Duration, error) {
	if err := c.caughtUp(ctx); err != nil {
		return 0, err
	}
	leader, err := c.awaitReady(ctx)
	if err != nil {
		return 0, err
	}
	follower := (leader + 1) % len(c.members)
	m := c.members[follower]
	before, err := c.standing(ctx, m)
	if err != nil {
		return 0, err
	}
	if err := m.process.Stop(); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := c.start(follower); err != nil {
		return 0, err
	}
	err = await(ctx, m.process.Name+" did not replay its log", func() (bool, error) {
		now, err := c.standing(ctx, m)
		return err == nil && now.ready && now.applied >= before.applied, m.process.Ended()
	})
	return time.Since(begin), err
}

// caughtUp waits until every member is ready and has applied what the furthest had at the start of the wait.
func (c *cluster) caughtUp(ctx context.Context) error {
	if _, err := c.awaitReady(ctx); err != nil {
		return err
	}
	var furthest uint64
	for _, m := range c.members {
		s, err := c.standing(ctx, m)
		if err != nil {
			return err
		}
		furthest = max(furthest, s.applied)
	}
	return await(ctx, fmt.Sprintf("%s did not catch up", c.name()), func() (bool, error) {
		for _, m := range c.members {
			if s, err := c.standing(ctx, m); err != nil || s.applied < furthest {
				return false, c.ended()
			}
		}
		return true, nil
	})
}
