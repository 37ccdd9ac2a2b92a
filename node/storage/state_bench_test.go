package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// fill saves a checkpoint of so many keys, each with a value of 256 bytes.
func (m *machine) fill(keys int) {
	m.tb.Helper()
	for first := 0; first < keys; first += 1000 {
		m.change(first, 1000, 1)
	}
	m.save()
}

// change writes so many keys, in one save: every step-th one.
func (m *machine) change(first, keys, step int) {
	m.tb.Helper()
	commands := make([]string, 0, keys)
	for i := first; len(commands) < keys; i += step {
		commands = append(commands, fmt.Sprintf(`{"op":"put","key":"key/%028d","value":"%0256d"}`, i, i))
	}
	m.do(commands...)
}

// BenchmarkLoadState loads 1,000,000 keys: the rows alone, checked, through the driver and directly, and the whole
// store.
func BenchmarkLoadState(b *testing.B) {
	m := newMachine(b, b.TempDir(), Options{})
	m.fill(1_000_000)
	measured := func(load func() error) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			for b.Loop() {
				if err := load(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
		}
	}
	b.Run("driver", measured(func() error {
		var sum rowSum
		return m.d.checkpoint.reader.query(recordsStatement, func(row []driver.Value) error {
			_, err := sum.record(row)
			return err
		})
	}))
	b.Run("rows", measured(func() error {
		d, err := m.d.checkpoint.reader.openDirect(nil)
		if err != nil {
			return err
		}
		var rows recordReader
		err = d.query(recordsDirectly, func(row *directRow) error {
			_, err := rows.next(row)
			return err
		})
		return errors.Join(err, d.close())
	}))
	b.Run("store", measured(func() error {
		_, err := m.d.LoadState()
		return err
	}))
	mustClose(b, m.d)
}

// BenchmarkSaveState measures saves of 16 entries while nothing else happens, and while checkpoints of 100,000 changed
// keys among 1,000,000 are written, and copies are made.
func BenchmarkSaveState(b *testing.B) {
	var took []time.Duration
	m := newMachine(b, b.TempDir(), Options{SaveObserver: func(t time.Duration) { took = append(took, t) }})
	m.fill(1_000_000)
	random := rand.New(rand.NewPCG(1, 2))
	var delta *kv.Delta
	for _, c := range []struct {
		name   string
		beside func() error
	}{
		{"alone", nil},
		{"checkpoint", func() error { return m.d.SaveState(snapshot.Checkpoint{Delta: delta}) }},
		{"copy", func() error {
			s, err := m.d.openSnapshot(m.last)
			if err == nil {
				s.Release()
			}
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.name == "checkpoint" {
				for range 100 {
					m.change(random.IntN(1000), 1000, 1000)
				}
				delta = m.store.Delta(m.d.checkpointed.Load())
			}
			took = took[:0]
			done := make(chan error, 1)
			began := time.Now()
			var lasted time.Duration
			if c.beside != nil {
				go func() {
					err := c.beside()
					lasted = time.Since(began)
					done <- err
				}()
			}
			last, running := m.d.end.index, true
			for n := 0; running; n++ {
				list := batch(last, 16)
				last += 16
				mustSave(b, m.d, raft.HardState{Term: 7, Vote: 1, Commit: m.last}, list)
				select {
				case err := <-done:
					if err != nil {
						b.Fatal(err)
					}
					running = false
				default:
					running = c.beside != nil || n < 5000
				}
			}
			slices.Sort(took)
			at := func(p float64) float64 { return took[int(p*float64(len(took)-1))].Seconds() * 1e6 }
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(1), "max-µs")
			b.ReportMetric(lasted.Seconds(), "beside-s")
			mustSave(b, m.d, raft.HardState{Term: 8, Vote: 1, Commit: m.last}, batch(m.last, 1))
		})
	}
	mustClose(b, m.d)
}

// BenchmarkSaveHistory writes checkpoints of 100,000 changes of 10,000 keys, after which the history before them is
// cut, and then removes entries from the log, 1,024 at a time.
func BenchmarkSaveHistory(b *testing.B) {
	m := newMachine(b, b.TempDir(), Options{})
	rewrite := func() {
		for range 10 {
			m.change(0, 10_000, 1)
		}
	}
	rewrite()
	m.save()
	b.Run("checkpoint", func(b *testing.B) {
		var cpu time.Duration
		for b.Loop() {
			b.StopTimer()
			rewrite()
			m.do(fmt.Sprintf(`{"op":"compact","revision":%d}`, m.last-100_000))
			m.do(slices.Repeat([]string{`{"op":"noop"}`}, 500)...) // each removes a part
			b.StartTimer()
			began := cpuTime()
			m.save()
			cpu += cpuTime() - began
		}
		b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
	})
	b.Run("cut", func(b *testing.B) {
		cpu, start := cpuTime(), m.d.start.Load().Index
		for b.Loop() {
			if start+1024 > raft.Index(m.store.Applied()) {
				b.Fatal("the log is too short; use -benchtime 100x")
			}
			start += 1024
			if err := cutAlone(m.d, start, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	})
	mustClose(b, m.d)
}
