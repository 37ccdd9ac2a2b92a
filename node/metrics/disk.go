package metrics

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// SlowFsyncMs is the longest fsync of a disk that is not slow, by the quantile of JudgedQuantile, in milliseconds.
const SlowFsyncMs = 100

// The p99 of fewer than tailSamples would be the slowest one. There is no verdict on fewer than leastSamples, or on
// samples within less than verdictSpan: the first fsync of a new file, or one stall, does not represent the disk.
const (
	tailSamples  = 100
	leastSamples = 10
	verdictSpan  = 20 * time.Second
)

// JudgedQuantile returns the quantile for which there are enough samples, with its name: the p99, or the median.
func JudgedQuantile(q api.Quantiles) (name string, ms float64) {
	if q.Count >= tailSamples {
		return "p99", q.P99
	}
	return "median", q.P50
}

// SlowDisk reports whether the fsyncs of the last half to whole minute are slow.
func (m *Metrics) SlowDisk() bool {
	q := m.fsyncs.quantiles(m.now())
	_, ms := JudgedQuantile(q)
	return m.fsyncs.covered() >= verdictSpan && q.Count >= leastSamples && ms > SlowFsyncMs
}
