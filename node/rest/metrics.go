package rest

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kontiki-dev/kontiki/node/api"
)

// metrics are the request times of the server, and the handler that serves them with all other metrics.
type metrics struct {
	requests *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(n Node, o Observation, options Options) (*metrics, error) {
	m := &metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "kontiki_request_duration_seconds",
		Help: "Time to handle one client request, by method, route and HTTP status; without streams.",
		// 0.5 ms doubled up to 8.192 s, and native histograms beside them.
		Buckets:                         prometheus.ExponentialBuckets(0.0005, 2, 15),
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"method", "route", "code"})}
	registry := options.Registry
	all := append([]prometheus.Collector{m.requests, newStatusCollector(n, o, options.Version)}, options.Collectors...)
	if registry == nil {
		registry = prometheus.NewRegistry()
		all = append(all, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: mostScrapes})
	return m, nil
}

// otherMethod is the label of a method that no route has: a client may send any word.
const otherMethod = "OTHER"

// routeTimer measures one route. It looks up each label value once, because that costs more than an observation.
type routeTimer struct {
	name     string
	byMethod map[string]*methodTimer
}

// methodTimer measures the requests of one route with one method.
type methodTimer struct {
	requests *prometheus.HistogramVec
	labels   [2]string // method and route
	// byStatus holds the observers of the HTTP statuses 100 to 599, each created when it is first needed.
	byStatus [500]atomic.Pointer[prometheus.Observer]
}

// route returns the timer of a route with its methods.
func (m *metrics) route(template string, methods ...string) *routeTimer {
	t := &routeTimer{name: template, byMethod: map[string]*methodTimer{}}
	for _, method := range append(methods, otherMethod) {
		t.byMethod[method] = &methodTimer{requests: m.requests, labels: [2]string{method, template}}
	}
	return t
}

func (t *routeTimer) observe(method string, status int, took time.Duration) {
	timer := t.byMethod[method]
	if timer == nil {
		timer = t.byMethod[otherMethod]
	}
	timer.observe(status, took)
}

func (t *methodTimer) observe(status int, took time.Duration) {
	slot := &t.byStatus[min(max(status, 100), 599)-100]
	observer := slot.Load()
	if observer == nil {
		made := t.requests.WithLabelValues(t.labels[0], t.labels[1], strconv.Itoa(status))
		observer = &made
		slot.Store(observer)
	}
	(*observer).Observe(took.Seconds())
}

// statusCollector computes metrics from the status of the node each time they are read.
type statusCollector struct {
	node                                                           Node
	cluster                                                        Observation
	version                                                        string
	hasLeader, role, term, lastContact, staleness, voters, pending *prometheus.Desc
	firstIndex, lastIndex, commitIndex, appliedIndex               *prometheus.Desc
	peerMatch, peerLag, peerAnswers, storage, free, info           *prometheus.Desc
	keys, liveBytes, versions, historyBytes, compacted, alarm      *prometheus.Desc
}

func newStatusCollector(n Node, o Observation, version string) *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kontiki_"+name, help, labels, nil)
	}
	return &statusCollector{
		node:         n,
		cluster:      o,
		version:      version,
		hasLeader:    desc("has_leader", "Whether a leader is known (0 or 1)."),
		role:         desc("role", "1 for the role of this node, 0 for the others.", "role"),
		term:         desc("term", "The current term."),
		lastContact:  desc("last_contact_seconds", "Time since the last message from the leader; absent if there was none."),
		staleness:    desc("staleness_seconds", "Maximum age of the state that this node has applied; absent if unknown."),
		voters:       desc("voters", "Voting members in the configuration."),
		pending:      desc("proposals_pending", "Proposals that are not yet committed and applied."),
		firstIndex:   desc("log_first_index", "Index of the first log entry."),
		lastIndex:    desc("log_last_index", "Index of the last log entry."),
		commitIndex:  desc("commit_index", "Index of the last entry known to be committed."),
		appliedIndex: desc("applied_index", "Index of the last entry in the state machine: the revision."),
		peerMatch:    desc("peer_match_index", "On the leader: index of the last entry known to be on a peer.", "peer"),
		peerLag:      desc("peer_lag_entries", "On the leader: entries not known to be on a peer.", "peer"),
		peerAnswers:  desc("peer_reachable", "On the leader: whether a peer responds (0 or 1).", "peer"),
		keys:         desc("keys", "Keys that exist."),
		liveBytes:    desc("live_bytes", "Bytes of the keys, values and content types that exist, with what each key takes."),
		versions:     desc("history_versions", "Versions that were replaced or deleted and are kept."),
		historyBytes: desc("history_bytes", "Bytes of the versions that are kept, with what each takes."),
		compacted:    desc("compacted_revision", "The oldest revision that can be read; 0: all can."),
		alarm:        desc("alarm", "0: not raised, 1: a warning, 2: the node refuses requests because of it.", "alarm"),
		storage:      desc("storage_bytes", "Size of the files on the disk.", "file"),
		free:         desc("disk_free_bytes", "Free space on the disk of the files."),
		info:         desc("build_info", "Always 1; the label is the version.", "version"),
	}
}

// Describe implements prometheus.Collector.
func (s *statusCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.hasLeader, s.role, s.term, s.lastContact, s.staleness, s.voters, s.pending, s.firstIndex, s.lastIndex,
		s.commitIndex, s.appliedIndex, s.peerMatch, s.peerLag, s.peerAnswers, s.storage, s.free, s.info,
		s.keys, s.liveBytes, s.versions, s.historyBytes, s.compacted, s.alarm,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (s *statusCollector) Collect(values chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	status := s.node.Status()
	gauge(s.hasLeader, truth(status.LeaderID != 0))
	for _, role := range []string{"FOLLOWER", "CANDIDATE", "LEADER", "LEARNER"} {
		gauge(s.role, truth(status.State == role), role)
	}
	gauge(s.term, float64(status.CurrentTerm))
	if status.LastContactMs >= 0 {
		gauge(s.lastContact, float64(status.LastContactMs)/1000)
	}
	if status.StalenessMs >= 0 {
		gauge(s.staleness, float64(status.StalenessMs)/1000)
	}
	voters := 0
	for _, m := range s.cluster.Membership().Members {
		if m.Role == "voter" {
			voters++
		}
	}
	gauge(s.voters, float64(voters))
	gauge(s.pending, float64(status.Pending))
	gauge(s.firstIndex, float64(status.FirstIndex))
	gauge(s.lastIndex, float64(status.LastLogIndex))
	gauge(s.commitIndex, float64(status.CommitIndex))
	gauge(s.appliedIndex, float64(s.node.Revision()))
	for peer, match := range status.MatchIndex {
		if peer == status.ID {
			continue
		}
		name := strconv.FormatUint(uint64(peer), 10)
		gauge(s.peerMatch, float64(match), name)
		gauge(s.peerLag, float64(status.LastLogIndex-min(match, status.LastLogIndex)), name)
	}
	for peer, p := range status.Progress {
		gauge(s.peerAnswers, truth(!p.Unreachable), strconv.FormatUint(uint64(peer), 10))
	}
	gauge(s.keys, float64(status.Store.Keys))
	gauge(s.liveBytes, float64(status.Store.LiveBytes))
	gauge(s.versions, float64(status.Store.HistoryVersions))
	gauge(s.historyBytes, float64(status.Store.HistoryBytes))
	gauge(s.compacted, float64(status.Store.CompactedRevision))
	for _, name := range api.AlarmNames {
		gauge(s.alarm, float64(severityOf(status.Alarms, name)), string(name))
	}
	gauge(s.storage, float64(status.Disk.LogBytes), "raft.db")
	gauge(s.free, float64(status.Disk.FreeBytes))
	gauge(s.info, 1, s.version)
}

// severityOf returns the severity of an alarm of a status: 0 if it is not raised.
func severityOf(raised []api.Alarm, name api.AlarmName) int {
	for _, alarm := range raised {
		if alarm.Name == name {
			return alarm.Level.Severity()
		}
	}
	return 0
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
