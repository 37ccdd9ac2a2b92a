// Package metrics measures one node: a prometheus.Collector, and the quantiles and rates of the last minute for its
// status.
package metrics
