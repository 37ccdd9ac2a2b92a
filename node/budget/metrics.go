package budget

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the metrics of the held bytes, the limit, and the refusals. It may be registered several times.
func (c *Connections) Collector() prometheus.Collector { return collector{c} }

type collector struct{ c *Connections }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kontiki_"+name, help, labels, nil)
}

var (
	memoryUsed    = desc("request_memory_bytes", "Bytes held by requests and answers in flight in the process.")
	memoryMost    = desc("request_memory_limit_bytes", "Bytes that requests and answers in flight may hold.")
	memoryRefused = desc("request_memory_refused_total",
		"Requests and parts of them that were refused because too much was in flight.", "class")
	connections       = desc("connections", "Open connections; those of the API beyond its limit are spare.", "kind")
	connectionsLimit  = desc("connections_limit", "Connections that may be open.", "kind")
	connectionsOver   = desc("connections_refused_total", "API connections beyond the limit.")
	connectionsEnded  = desc("peer_connections_evicted_total", "Connections that were ended on a full peer port.")
	connectionsFailed = desc("accept_failures_total", "Connections that could not be accepted.", "port")
)

// Describe implements prometheus.Collector.
func (collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		memoryUsed, memoryMost, memoryRefused, connections, connectionsLimit, connectionsOver, connectionsEnded,
		connectionsFailed,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (m collector) Collect(values chan<- prometheus.Metric) {
	metric := func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, t, value, labels...)
	}
	c := m.c
	c.mu.Lock()
	open := map[string]int{"api": c.open, "spare": len(c.spare), "peer": len(c.peers)}
	c.mu.Unlock()
	for kind, limit := range map[string]int{"api": c.limits.API, "spare": c.limits.Spare, "peer": c.limits.Peers} {
		metric(connections, prometheus.GaugeValue, float64(open[kind]), kind)
		metric(connectionsLimit, prometheus.GaugeValue, float64(limit), kind)
	}
	metric(connectionsOver, prometheus.CounterValue, float64(c.refused.Load()))
	metric(connectionsEnded, prometheus.CounterValue, float64(c.evicted.Load()))
	for _, k := range []kind{api, peer} {
		metric(connectionsFailed, prometheus.CounterValue, float64(c.failures[k].Load()), portOf(k))
	}
	if c.memory == nil {
		return
	}
	metric(memoryUsed, prometheus.GaugeValue, float64(c.memory.Used()))
	metric(memoryMost, prometheus.GaugeValue, float64(c.memory.Limit()))
	for class, name := range []string{Clients: "clients", Peers: "peers"} {
		metric(memoryRefused, prometheus.CounterValue, float64(c.memory.refused[class].Load()), name)
	}
}
