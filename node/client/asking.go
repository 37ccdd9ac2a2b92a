package client

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

const (
	// askEvery bounds how often an endpoint is asked.
	askEvery = 50 * time.Millisecond
	// impatience is how long a connection or an answer that should take a round trip may be missing before something
	// else is tried beside it. RFC 8305, section 5, recommends 250 ms between attempts, and at least 100.
	impatience = 150 * time.Millisecond
	// asksAtOnce is how many questions may be in flight to a configured endpoint.
	asksAtOnce = 3
)

// interval is how often the endpoints are asked while no leader is known: the less often the longer that lasts, so that
// the clients of a cluster that has lost its quorum do not wear it out, and a leader is found after a twentieth of the
// time that it was missed.
func (t *topology) interval() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now.Load().leader != nil {
		return askEvery
	}
	return twentieth(time.Since(t.lostAt))
}

// twentieth is the time until one looks again for what has been missing for so long.
func twentieth(missing time.Duration) time.Duration {
	return min(max(missing/20, askEvery), time.Second)
}

// askAround asks the endpoints, in the background, how they see the cluster: each that was not asked within the last
// while. Each answer counts as it comes, and none is waited for.
func (t *topology) askAround(while time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, e := range t.endpoints {
		if t.ctx.Err() != nil || !e.isDue(now.Sub(e.askedAt), while) {
			continue
		}
		e.asks++
		e.askedAt = now
		if e.silentSince.IsZero() {
			e.silentSince = now
		}
		go t.ask(e)
	}
}

// isDue reports whether an endpoint that was last asked so long ago is asked again. A configured one is, even if it
// owes an answer: what stands behind it may be several nodes, of which one is dead. The topology must be locked.
func (e *endpoint) isDue(ago, while time.Duration) bool {
	if e.asks > 0 && e.configured {
		return e.asks < asksAtOnce && ago >= max(while, impatience)
	}
	return e.asks == 0 && ago >= while
}

// ask asks one endpoint for its view of the cluster, for at most ProbeTimeout, and takes it in. If it names members
// that were not known, these are asked, too.
func (t *topology) ask(e *endpoint) {
	ctx, cancel := context.WithTimeout(t.ctx, t.config.ProbeTimeout)
	defer cancel()
	view, err := t.view(ctx, e)
	t.mu.Lock()
	e.asks--
	ours := err == nil && t.sort(e, view)
	t.surveyed(e)
	if !ours {
		t.mu.Unlock()
		return
	}
	known, before := slices.Clone(t.endpoints), t.now.Load()
	e.answered, e.id, e.silentSince = true, view.NodeID, time.Time{}
	e.leaderless = view.LeaderID == 0 && !e.configured
	e.removed = view.State == api.StateRemoved
	t.judge(e, responds)
	former := t.follow(seenConfig{view.Term, view.Config.Index, view.LeaderID == view.NodeID}, view.Config)
	t.noteLeader(view.Term, view.LeaderID)
	if now := t.now.Load(); now.leader == nil || now.leader.configured {
		// The leader was known before, and its own endpoint answers only now.
		t.setLeadership(leadership{term: now.term, leaderID: now.leaderID, leader: t.reachable(now.leaderID)})
	}
	more, moved := !containsAll(known, t.endpoints), t.now.Load() != before
	t.mu.Unlock()
	t.forget(former)
	if more {
		t.askAround(askEvery)
	}
	if moved {
		t.moved()
	}
}

// containsAll reports whether all endpoints are known.
func containsAll(known, all []*endpoint) bool {
	return !slices.ContainsFunc(all, func(e *endpoint) bool { return !slices.Contains(known, e) })
}

// view asks one endpoint for its view of the cluster. A configured one is asked over a connection of its own: a kept
// one always leads to the same of several nodes.
func (t *topology) view(ctx context.Context, e *endpoint) (api.ClusterView, error) {
	h := t.http
	if e.configured {
		h = t.fresh
	}
	var view api.ClusterView
	_, err := exchange(ctx, h, e, httpRequest{method: http.MethodGet, path: api.PathCluster}, &view)
	return view, err
}
