package storage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// BenchmarkCheckpointSlices measures saves while checkpoints run, with the whole write-ahead log copied at once and in
// slices. The variants take turns, because the machine's speed changes. held-µs is how long one checkpoint takes,
// while saves wait.
func BenchmarkCheckpointSlices(b *testing.B) {
	const whole = 1 << 30
	for _, size := range []int{16, 128} {
		variants := []int{whole, defaultSlicePages}
		took, held := make([][]time.Duration, len(variants)), make([][]time.Duration, len(variants))
		dbs := make([]*DB, len(variants))
		for i, pages := range variants {
			opts := Options{slicePages: pages, SaveObserver: func(t time.Duration) { took[i] = append(took[i], t) }}
			opts.inject = func(statement string, call func() error) error {
				began := time.Now()
				err := call()
				if statement == passiveCheckpoint {
					held[i] = append(held[i], time.Since(began))
				}
				return err
			}
			dbs[i] = mustOpen(b, b.TempDir(), opts)
		}
		last := make([]raft.Index, len(variants))
		for range 12 {
			for i, d := range dbs {
				for range 24_000 / size {
					mustSave(b, d, raft.HardState{Term: 7, Vote: 1, Commit: last[i]}, batch(last[i], size))
					last[i] += raft.Index(size)
				}
			}
		}
		for i, pages := range variants {
			name := fmt.Sprintf("%d/slices", size)
			if pages == whole {
				name = fmt.Sprintf("%d/whole", size)
			}
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
				}
				for what, list := range map[string][]time.Duration{"save": took[i], "held": held[i]} {
					slices.Sort(list)
					at := func(p float64) float64 { return list[int(p*float64(len(list)-1))].Seconds() * 1e6 }
					b.ReportMetric(at(0.5), what+"-p50-µs")
					b.ReportMetric(at(0.99), what+"-p99-µs")
					b.ReportMetric(at(1), what+"-max-µs")
				}
			})
		}
	}
}
