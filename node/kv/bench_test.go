package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchSizes are the numbers of keys that a store has in a benchmark.
var benchSizes = []int{10_000, 1_000_000}

// benchStore returns a store of keys of 32 bytes with values of 256, put in random order.
func benchStore(keys int) *Store {
	s := New()
	for _, i := range rand.New(rand.NewPCG(1, 8)).Perm(keys) {
		s.applyText(s.Applied()+1, benchPut(i))
	}
	return s
}

func benchPut(n int) []byte {
	value := make([]byte, 256)
	for i := range value {
		value[i] = 'a' + byte((n+i)%26)
	}
	return (&Put{Key: benchKey(n), Value: value}).AppendJSON(nil)
}

func benchKey(n int) []byte { return fmt.Appendf(nil, "memory/of/a/key/%016d", n) }

// benchEvery runs a benchmark for each size: run gets a store, and keys and entries in random order.
func benchEvery(b *testing.B, run func(b *testing.B, s *Store, keys []string, entries [][]byte)) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchStore(size)
			const sample = 1 << 16
			rng := rand.New(rand.NewPCG(2, 8))
			keys, entries := make([]string, sample), make([][]byte, sample)
			for i := range keys {
				n := rng.IntN(size)
				keys[i], entries[i] = string(benchKey(n)), benchPut(n)
			}
			b.ReportAllocs()
			b.ResetTimer()
			run(b, s, keys, entries)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	benchEvery(b, func(b *testing.B, s *Store, keys []string, _ [][]byte) {
		for i := range b.N {
			if _, ok := s.Get(keys[i%len(keys)]); !ok {
				b.Fatal("a key is missing")
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	benchEvery(b, func(b *testing.B, s *Store, _ []string, entries [][]byte) {
		for i := range b.N {
			benchApply(s, entries[i%len(entries)])
		}
	})
}

func BenchmarkCreateAndDelete(b *testing.B) {
	benchEvery(b, func(b *testing.B, s *Store, keys []string, entries [][]byte) {
		removals := make([][]byte, len(keys))
		for i, key := range keys {
			removals[i] = (&Delete{Key: []byte(key)}).AppendJSON(nil)
		}
		b.ResetTimer()
		for i := range b.N {
			benchApply(s, removals[i%len(keys)])
			benchApply(s, entries[i%len(keys)])
		}
	})
}

// benchApply applies an entry as a node does: the history is cut to 100,000 revisions, and checkpoints are made.
func benchApply(s *Store, command []byte) {
	if revision, due := s.Overdue(Retention{Revisions: 100_000}); due {
		s.applyText(s.Applied()+1, (&Compact{Revision: revision}).AppendJSON(nil))
	}
	s.Checkpointed(s.Applied())
	s.applyText(s.Applied()+1, command)
}

// BenchmarkFind compares the B-tree with a Go map that would find keys beside it.
func BenchmarkFind(b *testing.B) {
	benchEvery(b, func(b *testing.B, s *Store, keys []string, _ [][]byte) {
		inMap := map[string]*item{}
		s.items.Scan(func(key string, it *item) bool {
			inMap[key] = it
			return true
		})
		b.Run("tree", func(b *testing.B) {
			for i := range b.N {
				if it, _ := s.items.Get(keys[i%len(keys)]); it.newest == nil {
					b.Fatal("a key is missing")
				}
			}
		})
		b.Run("map", func(b *testing.B) {
			for i := range b.N {
				if it := inMap[keys[i%len(keys)]]; it.newest == nil {
					b.Fatal("a key is missing")
				}
			}
		})
	})
}

// BenchmarkDelta takes what 10,000 changes left.
func BenchmarkDelta10000(b *testing.B) {
	s := benchStore(100_000)
	for i := range 10_000 {
		s.applyText(s.Applied()+1, benchPut(i*7))
	}
	for b.Loop() {
		if d := s.Delta(s.Applied() - 10_000); len(d.Changes) != 10_000 {
			b.Fatal(len(d.Changes))
		}
	}
}

func BenchmarkLoad100000(b *testing.B) {
	s := benchStore(100_000)
	for b.Loop() {
		restarted(s)
	}
}

func BenchmarkScan10000(b *testing.B) {
	s := benchStore(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if page, err := s.Scan(Query{Limit: 10_000}); err != nil || len(page.Items) != 10_000 {
			b.Fatal(err)
		}
	}
}
