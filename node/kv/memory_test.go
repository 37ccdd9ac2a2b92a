package kv

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// heap returns the memory in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // finishes what the first has swept
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// key32 returns a key of 32 bytes.
func key32(n int) []byte { return fmt.Appendf(nil, "memory/of/a/key/%016d", n) }

// put256 returns an entry that puts 256 bytes, in the memory of a message of 4 KiB.
func put256(n int) []byte {
	message := make([]byte, 0, 4<<10)
	value := make([]byte, 256)
	for i := range value {
		value[i] = 'a' + byte((n+i)%26)
	}
	return (&Put{Key: key32(n), Value: value}).AppendJSON(message)
}

const (
	memoryKeys = 40_000
	// memoryLimit is how much a key may take beside its bytes, and memoryListed how much more if its change is in the
	// list: not yet cut, or in no checkpoint.
	memoryLimit, memoryListed = 200, 16
)

// filled returns a store of memoryKeys keys and the memory that it takes.
func filled(order func(i int) int, then func(s *Store) *Store) (*Store, uint64) {
	before := heap()
	s := New()
	for i := range memoryKeys {
		s.applyText(uint64(i+1), put256(order(i)))
	}
	s = then(s)
	return s, heap() - before
}

func asItIs(s *Store) *Store { return s }

// settled is a store whose history is cut and whose changes are in a checkpoint.
func settled(s *Store) *Store {
	compactTo(s, s.Applied())
	s.Checkpointed(s.Applied())
	for s.cut < s.compacted {
		s.applyText(s.Applied()+1, nil)
	}
	return s
}

// overwritten puts every key again, twice.
func overwritten(s *Store) *Store {
	for range 2 {
		for i := range memoryKeys {
			s.applyText(s.Applied()+1, put256(i))
		}
		s = settled(s)
	}
	return s
}

func restarted(s *Store) *Store {
	d := s.Delta(0)
	l := NewLoader(d.Meta)
	for _, item := range everything(s) {
		item.Value = append([]byte(nil), item.Value...)
		item.Key = string([]byte(item.Key))
		if err := l.Add(item.Record); err != nil {
			panic(err)
		}
	}
	loaded, err := l.Store()
	if err != nil {
		panic(err)
	}
	return loaded
}

func TestMemoryPerKey(t *testing.T) { // not parallel: it measures the heap
	ascending := func(i int) int { return i }
	shuffled := rand.New(rand.NewPCG(1, 7)).Perm(memoryKeys)
	random := func(i int) int { return shuffled[i] }
	for _, c := range []struct {
		name  string
		order func(int) int
		then  func(*Store) *Store
		limit float64
	}{
		{"in order, not in a checkpoint", ascending, asItIs, memoryLimit + memoryListed},
		{"at random, not in a checkpoint", random, asItIs, memoryLimit},
		{"in order", ascending, settled, memoryLimit},
		{"at random", random, settled, memoryLimit},
		{"in order, overwritten", ascending, overwritten, memoryLimit},
		{"at random, overwritten", random, overwritten, memoryLimit},
		{"after a restart", ascending, func(s *Store) *Store { return restarted(settled(s)) }, memoryLimit},
	} {
		s, bytes := filled(c.order, c.then)
		perKey := float64(bytes)/memoryKeys - 32 - 256
		t.Logf("%s: %.0f bytes a key beside its bytes", c.name, perKey)
		if perKey > c.limit {
			t.Errorf("%s: a key takes %.0f bytes beside its own; at most %.0f are allowed", c.name, perKey, c.limit)
		}
		if counted := s.Stats().LiveBytes; counted < int64(bytes)*9/10 {
			t.Errorf("%s: %d bytes are counted of %d", c.name, counted, bytes)
		}
		runtime.KeepAlive(s)
	}
}

// A version that is cut and in a checkpoint takes no memory any more; nor does a key that is gone.
func TestWhatIsCutTakesNoMemory(t *testing.T) { // not parallel: it measures the heap
	s, full := filled(func(i int) int { return i }, func(s *Store) *Store {
		for i := range memoryKeys {
			s.applyText(s.Applied()+1, (&Delete{Key: key32(i)}).AppendJSON(nil))
		}
		return s
	})
	empty := heap()
	settled(s)
	if left := full - (empty - heap()); left > full/100 {
		t.Errorf("%d of %d bytes are left of a store without a key", left, full)
	}
	if s.Stats() != (Stats{}) {
		t.Errorf("%+v is held", s.Stats())
	}
}

func TestAllocations(t *testing.T) { // not parallel: it counts allocations
	s := New()
	s.applyText(1, put256(1))
	revision := uint64(1)
	update, refused := put256(1), []byte(`{"op":"put","key":"a","value":"","if_revision":9}`)
	creates := make([][]byte, 0, 1100)
	for i := range cap(creates) {
		creates = append(creates, put256(i+2))
	}
	apply := func(command []byte) func() {
		return func() {
			revision++
			s.applyText(revision, command)
		}
	}
	long := (&Put{Key: bytes.Repeat([]byte("k"), MaxKeyBytes), Value: []byte("v")}).AppendJSON(nil)
	for range 300 {
		apply(update)()
	}
	for _, c := range []struct {
		name string
		most float64
		run  func()
	}{
		{"an update", 2, apply(update)},             // version and value
		{"an update of a long key", 3, apply(long)}, // and the key, to find it
		{"a creation", 5, func() { // those, key, item, and a part of the tree and of the list of changes
			apply(creates[0])()
			creates = creates[1:]
		}},
		{"a no-op", 0, apply(nil)},
		{"a refused put", 6, apply(refused)}, // its message
		{"a read", 0, func() { s.Get("memory/of/a/key/0000000000000001") }},
		{"a read of the past", 0, func() { _, _, _ = s.GetAt("memory/of/a/key/0000000000000001", 5) }},
		{"a digest", 0, func() { s.Digest() }},
		{"what is overdue", 0, func() { s.Overdue(Retention{Age: 1, Revisions: 1, Bytes: 1}) }},
	} {
		if got := testing.AllocsPerRun(1000, c.run); got > c.most {
			t.Errorf("%s makes %v allocations; at most %v are needed", c.name, got, c.most)
		}
	}
}
