package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// settle waits until the running members have nothing left to do from the writes so far: all have applied them, and the
// checkpoints of Kontiki include them.
func (s *stateRun) settle(ctx context.Context) error {
	if err := sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if !s.c.isKontiki() {
		return nil
	}
	target, err := s.applied(ctx)
	if err != nil {
		return err
	}
	return awaitWithin(ctx, settleLimit, 100*time.Millisecond, "the checkpoints do not include all entries",
		func() (bool, error) { return s.checkpointed(ctx, target) })
}

func (c *cluster) isKontiki() bool { return c.name() == kontiki{}.name() }

// applied returns the highest index that a running member has applied.
func (s *stateRun) applied(ctx context.Context) (uint64, error) {
	var highest uint64
	for _, m := range s.running() {
		now, err := s.c.standing(ctx, m)
		if err != nil {
			return 0, err
		}
		highest = max(highest, now.applied)
	}
	return highest, nil
}

// checkpointed reports whether the checkpoint of every running member includes an entry.
func (s *stateRun) checkpointed(ctx context.Context, index uint64) (bool, error) {
	for _, m := range s.running() {
		status, err := ownStatus(ctx, m)
		if err != nil || status.CheckpointIndex < index {
			return false, err
		}
	}
	return true, nil
}

// checkpoints returns the number of checkpoints of all members of Kontiki so far.
func (c *cluster) checkpoints(ctx context.Context) (float64, error) {
	var sum float64
	if !c.isKontiki() {
		return 0, nil
	}
	for _, m := range c.members {
		all, err := scrape(ctx, m)
		if err != nil {
			return 0, err
		}
		sum += all[checkpointsDone]
	}
	return sum, nil
}

// checkpoint writes a burst while no other write is due, and returns when checkpoints were written after it. etcd has
// no checkpoints: it writes its database all the time, so for etcd the time after the burst counts.
func (s *stateRun) checkpoint(ctx context.Context) ([]window, error) {
	watch := checkpointWatch{members: s.c.members}
	if s.c.isKontiki() {
		if _, err := watch.look(ctx); err != nil {
			return nil, err
		}
	}
	s.held.Store(true)
	err := s.burst(ctx)
	begin := time.Now()
	s.held.Store(false)
	if err != nil {
		return nil, err
	}
	if !s.c.isKontiki() {
		err := sleep(ctx, s.seconds)
		return []window{{begin, time.Now()}}, err
	}
	target, err := s.applied(ctx)
	if err != nil {
		return nil, err
	}
	var seen []window
	err = awaitWithin(ctx, settleLimit, watchEvery, "no checkpoint includes the burst", func() (bool, error) {
		done, err := s.checkpointed(ctx, target) // before the look, which then sees the last checkpoints
		if err != nil {
			return false, err
		}
		ended, err := watch.look(ctx)
		seen = append(seen, ended...)
		return done, err
	})
	if err != nil {
		return nil, err
	}
	return after(begin, seen), nil
}

// after returns the parts of windows after a time.
func after(begin time.Time, all []window) []window {
	var kept []window
	for _, w := range all {
		if w.from.Before(begin) {
			w.from = begin
		}
		if w.to.After(w.from) {
			kept = append(kept, w)
		}
	}
	return kept
}

// watchEvery is the pause between two looks at the metrics: so few that they are not the p99 themselves.
const watchEvery = 250 * time.Millisecond

// checkpointWatch finds out when checkpoints were written, from the number and the duration of those that have ended.
type checkpointWatch struct {
	members []*member
	last    []checkpointCount
}

type checkpointCount struct {
	done, took float64
	at         time.Time
}

// look returns the windows in which the checkpoints were written that have ended since the last look. A checkpoint
// ended at some time between the looks, so its window has all the times at which it may have been written.
func (w *checkpointWatch) look(ctx context.Context) ([]window, error) {
	var ended []window
	var now []checkpointCount
	for i, m := range w.members {
		all, err := scrape(ctx, m)
		if err != nil {
			return nil, err
		}
		count := checkpointCount{all[checkpointsDone], all[checkpointsTook], time.Now()}
		now = append(now, count)
		if w.last != nil && count.done > w.last[i].done {
			took := time.Duration((count.took - w.last[i].took) * float64(time.Second))
			ended = append(ended, window{w.last[i].at.Add(-took), count.at})
		}
	}
	w.last = now
	return ended, nil
}

// compaction compacts the history to the present. The servers remove the versions after they have answered.
func (s *stateRun) compaction(ctx context.Context) ([]window, error) {
	begin := time.Now()
	if err := s.c.compact(ctx, s.c.members[0]); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	if err := sleep(ctx, s.seconds-time.Since(begin)); err != nil {
		return nil, err
	}
	return []window{{begin, time.Now()}}, nil
}

// fallBehind stops a follower and writes what it misses.
func (s *stateRun) fallBehind(ctx context.Context) error {
	if err := s.c.caughtUp(ctx); err != nil {
		return err
	}
	leader, err := s.c.leader(ctx)
	if err != nil {
		return err
	}
	s.away = (leader + 1) % len(s.c.members)
	if s.has, err = s.applied(ctx); err != nil {
		return err
	}
	if err := s.c.members[s.away].process.Stop(); err != nil {
		return err
	}
	return s.bulk(ctx, s.running(), singleClients, s.plan.missed, put)
}

// needSnapshot makes a follower fall behind what the others still have. Kontiki keeps entries in memory that are no
// longer on the disk, so its members are restarted when they have removed what the follower lacks.
func (s *stateRun) needSnapshot(ctx context.Context) error {
	if err := s.fallBehind(ctx); err != nil || !s.c.isKontiki() {
		return err
	}
	for _, m := range s.running() {
		err := awaitWithin(ctx, settleLimit, watchEvery, m.process.Name+" still has the entries that the follower lacks",
			func() (bool, error) {
				all, err := scrape(ctx, m)
				return err == nil && all[firstLogIndex] > float64(s.has+1), err
			})
		if err != nil {
			return err
		}
	}
	// A node removes entries from the disk with the saves that follow.
	if err := s.bulk(ctx, s.running(), bulkClients, cutWrites, put); err != nil {
		return err
	}
	for i := range s.c.members {
		if i == s.away {
			continue
		}
		if err := s.c.members[i].process.Stop(); err != nil {
			return err
		}
		if err := s.c.start(i); err != nil {
			return err
		}
		if err := s.awaitRunning(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitRunning waits until every member that is not stopped is ready and one leads.
func (s *stateRun) awaitRunning(ctx context.Context) error {
	return await(ctx, s.c.name()+" did not become ready again", func() (bool, error) {
		leads := false
		for _, m := range s.running() {
			now, err := s.c.standing(ctx, m)
			if err != nil || !now.ready {
				return false, nil // it starts
			}
			leads = leads || now.leads
		}
		return leads, nil
	})
}

// catchUp starts the follower, and waits until it has applied what the others had at its start.
func (s *stateRun) catchUp(ctx context.Context, name string) ([]window, error) {
	target, err := s.applied(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.c.start(s.away); err != nil {
		return nil, err
	}
	m, loaded := s.c.members[s.away], time.Time{}
	err = awaitWithin(ctx, catchUpLimit, 20*time.Millisecond, m.process.Name+" did not catch up", func() (bool, error) {
		now, err := s.c.standing(ctx, m)
		if err == nil && now.applied > 0 && loaded.IsZero() {
			loaded = time.Now()
		}
		return err == nil && now.ready && now.applied >= target, m.process.Ended()
	})
	if err != nil {
		return nil, err
	}
	end := time.Now()
	s.result.catchUps[name] = append(s.result.catchUps[name], end.Sub(begin))
	fmt.Fprintf(s.progress, "%s: caught up %.2f s after its start, %.2f s after it had its own state\n", s.c.name(),
		end.Sub(begin).Seconds(), end.Sub(loaded).Seconds())
	return []window{{begin, end}}, nil
}

// catchUpByLog measures a follower that the leader can still send what it lacks.
func (s *stateRun) catchUpByLog(ctx context.Context) ([]window, error) {
	return s.catchUp(ctx, duringLog)
}

// catchUpBySnapshot measures a follower that the leader can no longer send what it lacks.
func (s *stateRun) catchUpBySnapshot(ctx context.Context) ([]window, error) {
	windows, err := s.catchUp(ctx, duringSnapshot)
	if err == nil && s.c.isKontiki() {
		err = s.noteSnapshot(ctx)
	}
	return windows, err
}

// errNoSnapshot means that the section did not measure what it is there for.
var errNoSnapshot = errors.New("the follower caught up without a snapshot")

// noteSnapshot checks that the follower has installed a snapshot, and notes how fast it was by the leader's event: from
// the copy that the leader makes until the follower has installed it.
func (s *stateRun) noteSnapshot(ctx context.Context) error {
	m := s.c.members[s.away]
	bytes, err := m.fileSize("state.db")
	if err != nil {
		return err
	}
	megabytes := float64(bytes) / 1e6
	all, err := scrape(ctx, m)
	if err != nil {
		return err
	}
	if all[snapshotsHere] == 0 {
		return errNoSnapshot
	}
	var took time.Duration
	err = await(ctx, "no event reports the snapshot", func() (bool, error) {
		for _, other := range s.c.members {
			if took, err = snapshotSent(ctx, other, m); err != nil || took > 0 {
				return true, err
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	s.result.transfers = append(s.result.transfers, megabytes/took.Seconds())
	fmt.Fprintf(s.progress, "%s: the snapshot of %.0f MB took %.2f s, %.0f MB/s\n", s.c.name(), megabytes,
		took.Seconds(), megabytes/took.Seconds())
	return nil
}

// snapshotSent returns how long the last snapshot took that one member sent to another; 0 if it sent none.
func snapshotSent(ctx context.Context, from, to *member) (took time.Duration, err error) {
	var all api.ClusterStatus
	if err := getJSON(ctx, "http://"+from.api+api.PathStatus, &all); err != nil {
		return 0, err
	}
	for _, e := range all.RecentEvents {
		sent := e.Kind == api.EventSnapshot && e.Node == uint64(from.number) && e.To == uint64(to.number)
		if sent && e.DurationMs > 0 && strings.Contains(e.Reason, "installed the state") {
			took = time.Duration(e.DurationMs) * time.Millisecond
		}
	}
	return took, nil
}

func (k kontiki) compact(ctx context.Context, m *member) error {
	now, err := k.standing(ctx, m)
	if err != nil {
		return err
	}
	body := strings.NewReader(fmt.Sprintf(`{"revision":%d}`, now.applied))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.api+api.PathCompact, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s returned %s", api.PathCompact, response.Status)
	}
	return nil
}

func (etcd) compact(ctx context.Context, m *member) error {
	c, err := newEtcdClient([]string{m.api})
	if err != nil {
		return err
	}
	defer c.Close()
	status, err := c.Status(ctx, m.api)
	if err != nil {
		return err
	}
	_, err = c.Compact(ctx, status.Header.Revision)
	return err
}
