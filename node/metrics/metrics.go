package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Metrics are the measurements of one node. It is a prometheus.Collector, to be registered once. Its methods may be
// called from any goroutine.
type Metrics struct {
	fsync, commit, apply, readWait prometheus.Histogram
	checkpoint                     prometheus.Histogram
	roundTrips                     *prometheus.HistogramVec
	proposals                      *prometheus.CounterVec
	leaderChanges                  prometheus.Counter
	elections, messagesRefused     *prometheus.CounterVec
	snapshots                      *prometheus.CounterVec
	stateChecks                    *prometheus.CounterVec
	stateDiffers                   prometheus.Gauge
	rowsDamaged                    prometheus.Counter
	all                            []prometheus.Collector

	done, unknown, refused prometheus.Counter // of proposals, resolved once

	now                   func() time.Time
	writes, reads, fsyncs recent

	ratesMu    sync.Mutex
	lastRates  api.Rates
	lastWrites uint64
	lastReads  uint64
	ratesAt    time.Time

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

// New returns the metrics of a node that starts now, by its clock for durations. saving returns for how long the save
// in progress has lasted; nil: there is none.
func New(now func() time.Time, saving func() time.Duration) *Metrics {
	m := &Metrics{
		now:      now,
		ratesAt:  now(),
		fsync:    histogram("kontiki_fsync_duration_seconds", "One save: a transaction and its fsync."),
		commit:   histogram("kontiki_commit_duration_seconds", "From the proposal on the leader to its result."),
		apply:    histogram("kontiki_apply_duration_seconds", "Applying one run of committed entries."),
		readWait: histogram("kontiki_read_barrier_duration_seconds", "Waiting until a read is linearizable."),
		checkpoint: histogram("kontiki_checkpoint_duration_seconds",
			"One checkpoint of the state in state.db, which no write waits for."),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_snapshots_total",
			Help: "Snapshots that this node sent to followers or installed, and those that failed: sent, installed, failed.",
		}, []string{"result"}),
		roundTrips: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kontiki_peer_rtt_seconds", Help: "One exchange with a peer.", Buckets: latencyBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"peer"}),
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_proposals_total",
			Help: "Proposals that clients made here, by what became of them. Puts of a batch that share an entry are one.",
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
		stateChecks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_state_checks_total",
			Help: "Comparisons of this node's state with that of the others: same, differs, split, undecided.",
		}, []string{"result"}),
		rowsDamaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kontiki_damaged_rows_total", Help: "Rows on the disk that a scrub found damaged.",
		}),
		stateDiffers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kontiki_state_differs",
			Help: "1 while this node's state differs from that of a majority and it waits for a snapshot; else 0.",
		}),
		roundTripObservers: map[raft.NodeID]prometheus.Observer{},
		roundTripLast:      map[raft.NodeID]time.Duration{},
	}
	m.done = m.proposals.WithLabelValues("done")
	m.unknown = m.proposals.WithLabelValues("unknown")
	m.refused = m.proposals.WithLabelValues("refused")
	m.all = []prometheus.Collector{
		m.slowGauge(), unsyncedGauge(saving), m.fsync, m.commit, m.apply, m.readWait, m.roundTrips, m.proposals,
		m.leaderChanges, m.elections, m.messagesRefused, m.checkpoint, m.snapshots, m.stateChecks, m.stateDiffers,
		m.rowsDamaged,
	}
	return m
}

// slowGauge collects the verdict on the disk.
func (m *Metrics) slowGauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kontiki_disk_slow",
		Help: "1 if the fsyncs of the last minute are slow, by enough of them over enough time; else 0.",
	}, func() float64 {
		if m.SlowDisk() {
			return 1
		}
		return 0
	})
}

// unsyncedGauge collects for how long the save in progress has lasted.
func unsyncedGauge(saving func() time.Duration) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kontiki_oldest_unsynced_append_seconds",
		Help: "Age of the oldest append that the disk has not made durable; 0: there is none.",
	}, func() float64 {
		if saving == nil {
			return 0
		}
		return saving().Seconds()
	})
}

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

// Proposed counts proposals that clients made here by their outcomes: done, of unknown outcome, and refused.
func (m *Metrics) Proposed(done, unknown, refused int) {
	m.done.Add(float64(done))
	m.unknown.Add(float64(unknown))
	m.refused.Add(float64(refused))
}

// Saved records one save: a transaction and its fsync.
func (m *Metrics) Saved(d time.Duration) {
	m.fsync.Observe(d.Seconds())
	m.fsyncs.add(d, m.now())
}

// Committed records the time from a proposal on the leader to its result.
func (m *Metrics) Committed(d time.Duration) {
	m.commit.Observe(d.Seconds())
	m.writes.add(d, m.now())
}

// Read records how long a read waited until it was linearizable.
func (m *Metrics) Read(d time.Duration) {
	m.readWait.Observe(d.Seconds())
	m.reads.add(d, m.now())
}

// Applied records how long one run of committed entries took to apply.
func (m *Metrics) Applied(d time.Duration) { m.apply.Observe(d.Seconds()) }

// Checkpointed records how long a checkpoint took.
func (m *Metrics) Checkpointed(d time.Duration) { m.checkpoint.Observe(d.Seconds()) }

// SnapshotSent counts a snapshot that a follower has installed.
func (m *Metrics) SnapshotSent() { m.snapshots.WithLabelValues("sent").Inc() }

// SnapshotInstalled counts a snapshot that this node has installed.
func (m *Metrics) SnapshotInstalled() { m.snapshots.WithLabelValues("installed").Inc() }

// SnapshotFailed counts a snapshot that was given up, by its sender, or refused, by its receiver.
func (m *Metrics) SnapshotFailed() { m.snapshots.WithLabelValues("failed").Inc() }

// StateChecked counts a comparison of this node's state with that of the others by its result.
func (m *Metrics) StateChecked(result string) { m.stateChecks.WithLabelValues(result).Inc() }

// RowDamaged counts a row on the disk that a scrub found damaged.
func (m *Metrics) RowDamaged() { m.rowsDamaged.Inc() }

// StateDiffers records whether this node's state differs from that of the others.
func (m *Metrics) StateDiffers(differs bool) {
	if differs {
		m.stateDiffers.Set(1)
		return
	}
	m.stateDiffers.Set(0)
}

// LeaderChanged counts a new leader.
func (m *Metrics) LeaderChanged() { m.leaderChanges.Inc() }

// ElectionStarted counts a campaign of this node, or a pre-vote.
func (m *Metrics) ElectionStarted(preVote bool) {
	if preVote {
		m.elections.WithLabelValues("asked").Inc()
		return
	}
	m.elections.WithLabelValues("started").Inc()
}

// ElectionWon counts an election that this node won.
func (m *Metrics) ElectionWon() { m.elections.WithLabelValues("won").Inc() }

// MessageRefused counts a refused message of a peer by what is wrong with it.
func (m *Metrics) MessageRefused(kind string) { m.messagesRefused.WithLabelValues(kind).Inc() }

// ObserveRoundTrip records one exchange with a peer.
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

// RoundTripMs returns the duration of the last exchange with a peer in milliseconds, 0 if there was none.
func (m *Metrics) RoundTripMs(peer raft.NodeID) float64 {
	m.roundTripsMu.Lock()
	defer m.roundTripsMu.Unlock()
	return milliseconds(m.roundTripLast[peer])
}

// Summary returns the latencies of the last half to whole minute, and the rates of at least the last second.
func (m *Metrics) Summary() (api.LatencySummary, api.Rates) {
	now := m.now()
	return api.LatencySummary{
		Write: m.writes.quantiles(now), Read: m.reads.quantiles(now), Fsync: m.fsyncs.quantiles(now),
	}, m.rates(now)
}

func (m *Metrics) rates(now time.Time) api.Rates {
	m.ratesMu.Lock()
	defer m.ratesMu.Unlock()
	if passed := now.Sub(m.ratesAt).Seconds(); passed >= 1 {
		writes, reads := m.writes.total(), m.reads.total()
		m.lastRates = api.Rates{
			Writes: float64(writes-m.lastWrites) / passed, Reads: float64(reads-m.lastReads) / passed,
		}
		m.lastWrites, m.lastReads, m.ratesAt = writes, reads, now
	}
	return m.lastRates
}
