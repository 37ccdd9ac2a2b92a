package node

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Metrics are the node's own measurements: a prometheus.Collector, and the source of what the page shows.
type Metrics struct {
	fsync, commit, apply, readWait prometheus.Histogram
	roundTrips                     *prometheus.HistogramVec
	proposals                      *prometheus.CounterVec
	leaderChanges                  prometheus.Counter
	elections, messagesRefused     *prometheus.CounterVec
	all                            []prometheus.Collector

	done, unknown, refused prometheus.Counter // of proposals, resolved once

	ledSince           atomic.Int64 // nanoseconds since the node's start, plus 1; 0: does not lead
	writes, reads      recent
	fsyncs             recent
	now                func() time.Time
	lastRates          api.Rates
	lastWrites         uint64
	lastReads          uint64
	ratesAt            time.Time
	roundTripsMu       sync.Mutex
	roundTripObservers map[raft.NodeID]prometheus.Observer
	roundTripLast      map[raft.NodeID]time.Duration
}

// latencyBuckets are 0.5 ms, doubled up to 8.192 s.
var latencyBuckets = prometheus.ExponentialBuckets(0.0005, 2, 15)

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: latencyBuckets, NativeHistogramBucketFactor: 1.1,
		NativeHistogramMaxBucketNumber: 160,
	})
}

func newMetrics(n *Node) *Metrics {
	m := &Metrics{
		now:      n.sched.Now,
		ratesAt:  n.started,
		fsync:    histogram("kontiki_fsync_duration_seconds", "One save: a transaction and its fsync."),
		commit:   histogram("kontiki_commit_duration_seconds", "From the proposal on the leader to its result."),
		apply:    histogram("kontiki_apply_duration_seconds", "Applying one run of committed entries."),
		readWait: histogram("kontiki_read_barrier_duration_seconds", "Waiting until a read is linearizable."),
		roundTrips: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kontiki_peer_rtt_seconds", Help: "One exchange with a peer.", Buckets: latencyBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"peer"}),
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_proposals_total", Help: "Proposals that clients made here, by what became of them.",
		}, []string{"result"}),
		leaderChanges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kontiki_leader_changes_total", Help: "How often this node learned of a new leader.",
		}),
		elections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_elections_total", Help: "Campaigns of this node: asked (pre-vote), started, won.",
		}, []string{"result"}),
		messagesRefused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_messages_refused_total", Help: "Refused messages of peers, by what is wrong.",
		}, []string{"kind"}),
		roundTripObservers: map[raft.NodeID]prometheus.Observer{},
		roundTripLast:      map[raft.NodeID]time.Duration{},
	}
	m.done = m.proposals.WithLabelValues("done")
	m.unknown = m.proposals.WithLabelValues("unknown")
	m.refused = m.proposals.WithLabelValues("refused")
	slow := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kontiki_disk_slow",
		Help: "1 if the fsyncs of the last minute are slow, by enough of them over enough time; else 0.",
	}, func() float64 {
		if m.slowDisk() {
			return 1
		}
		return 0
	})
	m.all = []prometheus.Collector{
		slow, m.fsync, m.commit, m.apply, m.readWait, m.roundTrips, m.proposals, m.leaderChanges, m.elections,
		m.messagesRefused,
	}
	return m
}

// Metrics gives the node's collector, to be registered once.
func (n *Node) Metrics() *Metrics { return n.metrics }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(values chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(values)
	}
}

func (m *Metrics) proposed(outcomes []Outcome) {
	done := 0
	for i := range outcomes {
		switch {
		case outcomes[i].Err == nil:
			done++
		case errors.Is(outcomes[i].Err, ErrOutcomeUnknown):
			m.unknown.Inc()
		default:
			m.refused.Inc()
		}
	}
	m.done.Add(float64(done))
}

func (m *Metrics) saved(d time.Duration) {
	m.fsync.Observe(d.Seconds())
	m.fsyncs.add(d, m.now())
}

func (m *Metrics) committed(d time.Duration) {
	m.commit.Observe(d.Seconds())
	m.writes.add(d, m.now())
}

func (m *Metrics) read(d time.Duration) {
	m.readWait.Observe(d.Seconds())
	m.reads.add(d, m.now())
}

func (m *Metrics) applied(d time.Duration) { m.apply.Observe(d.Seconds()) }

func (m *Metrics) leaderChanged() { m.leaderChanges.Inc() }

func (m *Metrics) electionStarted(role raft.Role) {
	if role == raft.PreCandidate {
		m.elections.WithLabelValues("asked").Inc()
		return
	}
	m.elections.WithLabelValues("started").Inc()
}

func (m *Metrics) messageRefused(kind string) { m.messagesRefused.WithLabelValues(kind).Inc() }

func (m *Metrics) electionWon() { m.elections.WithLabelValues("won").Inc() }

// ObserveRoundTrip records one exchange with a peer. For the transport.
func (m *Metrics) ObserveRoundTrip(peer raft.NodeID, d time.Duration) {
	m.roundTripsMu.Lock()
	observer, ok := m.roundTripObservers[peer]
	if !ok {
		observer = m.roundTrips.WithLabelValues(identity.IDText(peer))
		m.roundTripObservers[peer] = observer
	}
	m.roundTripLast[peer] = d
	m.roundTripsMu.Unlock()
	observer.Observe(d.Seconds())
}

func (m *Metrics) roundTripMs(peer raft.NodeID) float64 {
	m.roundTripsMu.Lock()
	defer m.roundTripsMu.Unlock()
	return milliseconds(m.roundTripLast[peer])
}

// summary gives what the page shows. Only the loop calls it.
func (m *Metrics) summary() (api.LatencySummary, api.Rates) {
	now := m.now()
	if passed := now.Sub(m.ratesAt).Seconds(); passed >= 1 {
		writes, reads := m.writes.total(), m.reads.total()
		m.lastRates = api.Rates{
			Writes: float64(writes-m.lastWrites) / passed, Reads: float64(reads-m.lastReads) / passed,
		}
		m.lastWrites, m.lastReads, m.ratesAt = writes, reads, now
	}
	return api.LatencySummary{
		Write: m.writes.quantiles(now), Read: m.reads.quantiles(now), Fsync: m.fsyncs.quantiles(now),
	}, m.lastRates
}

// slowDisk is the verdict on the fsyncs of the last half to whole minute.
func (m *Metrics) slowDisk() bool {
	q := m.fsyncs.quantiles(m.now())
	return m.fsyncs.covered() >= verdictSpan && isSlowDisk(q)
}

// recent is a histogram of the last half to whole minute: two that take turns.
type recent struct {
	mu            sync.Mutex
	current, past *hdrhistogram.Histogram // nil: nothing yet
	began         time.Time               // when the first in current came
	pastBegan     time.Time               // when the first in past came
	last          time.Time               // when the last came
	turned        time.Time
	count         uint64
	changed       bool          // since the summary
	summary       api.Quantiles // is read only: everyone who asks gets the same
}

// recentSpan is how long one of the two histograms collects.
const recentSpan = 30 * time.Second

// recentBuckets is how many bars the page's histogram has: up to 0.5 * 2^14 ms, and the rest.
const recentBuckets = 16

func newRecentSpan() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60e6, 2) }

// turn makes room for what is new.
func (r *recent) turn(now time.Time) {
	if r.current == nil {
		r.current, r.turned = newRecentSpan(), now
	}
	if now.Sub(r.turned) < recentSpan {
		return
	}
	r.changed = true
	r.current, r.past = r.past, r.current
	if r.current == nil {
		r.current = newRecentSpan()
	}
	r.current.Reset()
	r.pastBegan = r.began
	if now.Sub(r.turned) >= 2*recentSpan {
		r.past.Reset()
	}
	r.turned = now
}

func (r *recent) add(d time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.count++
	r.changed = true
	if r.current.TotalCount() == 0 {
		r.began = now
	}
	r.last = now
	_ = r.current.RecordValue(max(d.Microseconds(), 1)) // what is beyond a minute is not worth a place
}

func (r *recent) total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// covered is the time between the first and the last of what is in the histograms.
func (r *recent) covered() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.past != nil && r.past.TotalCount() > 0 {
		return r.last.Sub(r.pastBegan)
	}
	return r.last.Sub(r.began)
}

// quantiles sums up what is in the histograms. It is computed only if something changed: a node that has nothing to do
// publishes its status as often as a busy one.
func (r *recent) quantiles(now time.Time) api.Quantiles {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return api.Quantiles{}
	}
	if r.turn(now); r.changed {
		r.changed = false
		r.summary = summarize(r.all())
	}
	return r.summary
}

// all is what both histograms hold. It is only to be read.
func (r *recent) all() *hdrhistogram.Histogram {
	if r.past == nil || r.past.TotalCount() == 0 {
		return r.current
	}
	both := newRecentSpan()
	both.Merge(r.current)
	both.Merge(r.past)
	return both
}

func summarize(h *hdrhistogram.Histogram) api.Quantiles {
	if h.TotalCount() == 0 {
		return api.Quantiles{}
	}
	q := api.Quantiles{
		P50: float64(h.ValueAtQuantile(50)) / 1e3, P99: float64(h.ValueAtQuantile(99)) / 1e3,
		Count: uint64(h.TotalCount()), Buckets: make([]uint64, recentBuckets),
	}
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			q.Buckets[bucketOf(bar.To)] += uint64(bar.Count)
		}
	}
	return q
}

// bucketOf gives the first bar that is at least as wide as a latency in microseconds.
func bucketOf(micros int64) int {
	for i := range recentBuckets - 1 {
		if micros <= 500<<i {
			return i
		}
	}
	return recentBuckets - 1
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
