package storage

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// batch returns n entries after last, with commands of about 300 bytes.
func batch(last raft.Index, n int) []raft.Entry {
	list := make([]raft.Entry, n)
	for i := range list {
		index := last + raft.Index(i) + 1
		list[i] = raft.Entry{
			Index: index, Term: 7, Timestamp: 1_700_000_000_000_000 + int64(index),
			Command: fmt.Appendf(nil, `{"op":"set","key":"key-%d","value":"%0256d"}`, index, index),
		}
	}
	return list
}

// BenchmarkSave measures a save of so many entries: commits per second, percentiles, CPU.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1, 16, 128, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var took []time.Duration
			d := mustOpen(b, b.TempDir(), Options{SaveObserver: func(t time.Duration) { took = append(took, t) }})
			var last raft.Index
			cpu := cpuTime()
			b.ReportAllocs()
			for b.Loop() {
				list := batch(last, size)
				last += raft.Index(size)
				mustSave(b, d, raft.HardState{Term: 7, Vote: 1, Commit: last - 1}, list)
			}
			cpu = cpuTime() - cpu
			slices.Sort(took)
			at := func(p float64) float64 { return took[int(p*float64(len(took)-1))].Seconds() * 1e6 }
			b.ReportMetric(float64(cpu.Microseconds())/float64(b.N*size), "cpu-µs/row")
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(0.999), "p99.9-µs")
			b.ReportMetric(at(1), "max-µs")
		})
	}
}

// BenchmarkOpen measures a start with 100,000 entries, with every check.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	d, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for last := raft.Index(0); last < 100_000; last += 1000 {
		mustSave(b, d, raft.HardState{Term: 7, Commit: last}, batch(last, 1000))
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		d, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, log, err := d.LoadLog(0, 0); err != nil || len(log.Entries) != 100_000 {
			b.Fatal(len(log.Entries), err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRange reads a page of the log viewer.
func BenchmarkRange(b *testing.B) {
	d := mustOpen(b, b.TempDir(), Options{})
	mustSave(b, d, raft.HardState{Term: 7}, batch(0, 10_000))
	for b.Loop() {
		if list, err := d.Range(5000, 100); err != nil || len(list) != 100 {
			b.Fatal(len(list), err)
		}
	}
}

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
