package client

import "time"

// hopeless is how many times SlowAfter a node that does not lead may take for an answer while another leads. It may be
// handing the request on, and gives that up by itself: after two election timeouts if the leader is unreachable.
const hopeless = 4

// unanswered is a request that waits for its answer.
type unanswered struct {
	waited time.Duration
	// anywhere: it is a read that every node may answer.
	anywhere bool
	// led: it went to the leader, as far as was known.
	led bool
	// succeeded: a higher term than that of the time when it was sent has a leader, and that is another node.
	succeeded bool
	// elsewhere: another node is known to lead.
	elsewhere bool
	// silent: the node owes an answer to a simple question, too.
	silent bool
}

// isHopeless reports whether waiting is of no use. A leader that has handed over answers what it took in a moment,
// and a follower may find the new leader by itself: only who is slow or silent is left, because the fate of a write
// is unknown then (trap T49).
func (u unanswered) isHopeless(slowAfter time.Duration) bool {
	slow := u.waited >= slowAfter
	switch {
	case u.anywhere:
		return slow && u.silent
	case u.led && u.succeeded:
		return slow || u.silent
	case u.elsewhere || u.succeeded:
		return slow && u.silent || u.waited >= hopeless*slowAfter
	}
	return false
}

// next is when to look again: at once where a new leader may have been elected, else when the answer is slow, and
// from then on a twentieth later each time.
func (u unanswered) next(slowAfter time.Duration) time.Duration {
	if u.waited >= slowAfter {
		return twentieth(u.waited)
	}
	if u.led && u.succeeded {
		return min(impatience, slowAfter-u.waited)
	}
	return slowAfter - u.waited
}

// watch looks after a request whose answer takes long, or whose leader was followed by another: the node may hang,
// or the network swallow what is sent to it. It asks around, and ends the connection when it is isHopeless, which frees
// its callers and its place.
func (c *connection) watch() {
	l := c.lane
	l.mu.Lock()
	carries, sent, then := c.batch != nil, c.lastUsed, c.leadership
	l.mu.Unlock()
	if !carries {
		return
	}
	t, slowAfter := l.topology, l.topology.config.SlowAfter
	u := t.outlook(c.endpoint, then)
	u.waited, u.anywhere = time.Since(sent), l.anywhere
	if u.isHopeless(slowAfter) {
		c.left.Store(true)
		c.close()
		return
	}
	if u.waited >= slowAfter || u.led && u.succeeded {
		t.askAround(twentieth(u.waited))
	}
	c.slow.Reset(u.next(slowAfter))
}

// outlook returns what is known of an endpoint that owes an answer since then.
func (t *topology) outlook(e *endpoint, then *leadership) unanswered {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now.Load()
	// Of what stands behind a configured endpoint it is not known which node has the request.
	other := now.leaderID != 0 && (e.configured || e.id != now.leaderID)
	return unanswered{
		led:       then.leader == e,
		succeeded: other && now.term > then.term,
		elsewhere: now.leader != nil && now.leader != e,
		silent:    !e.silentSince.IsZero() && time.Since(e.silentSince) >= impatience,
	}
}

// review looks at what is in flight, after it became known that another node leads.
func (l *lane) review() {
	l.mu.Lock()
	var busy []*connection
	for _, c := range l.connections {
		if c.batch != nil {
			busy = append(busy, c)
		}
	}
	l.mu.Unlock()
	for _, c := range busy {
		c.watch()
	}
}
