package budget

import (
	"sync"
	"sync/atomic"
)

// Allowance is how many bytes each request may hold that are not charged to the Memory: they are part of what a
// connection costs. So small requests cost nothing to count, and go on while large ones have taken all the Memory.
const Allowance = 8 << 10

// Class says for whom memory is taken.
type Class int

// The classes. The last quarter of a Memory is for the peers and the metrics alone.
const (
	Clients Class = iota
	Peers
)

// Memory bounds the bytes that all requests, answers and forwarded commands in a process hold at once, beyond the
// Allowance of each.
type Memory struct {
	limit   int64
	used    atomic.Int64
	refused [2]atomic.Uint64 // by class
}

// NewMemory returns a Memory of limit bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Limit returns the bytes that may be held at once.
func (m *Memory) Limit() int64 { return m.limit }

// QueueBytes returns how many bytes may wait in each queue of one of the nodes of a process. Requests that wait are
// charged already; what is left in the queues of requests that timed out is not, and is bounded by this: all queues of
// all nodes together hold twice the Memory at most, because each node has four times this in its queues and its log.
func (m *Memory) QueueBytes(nodes int) int {
	return int(min(max(m.limit/2/int64(nodes), leastQueue), mostQueue))
}

// Used returns the bytes that are held.
func (m *Memory) Used() int64 { return m.used.Load() }

// ceiling returns how far a class may fill the Memory.
func (m *Memory) ceiling(c Class) int64 {
	if c == Peers {
		return m.limit
	}
	return m.limit / 4 * 3
}

// take charges bytes, or reports that there is no room for them.
func (m *Memory) take(bytes int64, c Class) bool {
	for {
		used := m.used.Load()
		if used+bytes > m.ceiling(c) {
			m.refused[c].Add(1)
			return false
		}
		if m.used.CompareAndSwap(used, used+bytes) {
			return true
		}
	}
}

// Account is what one request holds of a Memory. The zero value is closed, and a nil one has room for everything. Its
// methods may be called from any goroutine.
type Account struct {
	mu     sync.Mutex
	memory *Memory // nil: closed
	class  Class
	most   int64 // how much this account may hold; 0: as much as the Memory has
	held   int64 // with the Allowance
}

// NewAccount returns an open account of at most most bytes; 0: as many as the Memory has room for.
func (m *Memory) NewAccount(c Class, most int64) *Account {
	return &Account{memory: m, class: c, most: most}
}

// Open makes a closed account usable.
func (a *Account) Open(m *Memory, c Class) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.memory, a.class, a.most, a.held = m, c, 0, 0
}

// Take adds bytes to what the account holds, and reports whether there was room for them. A closed account holds
// nothing, so that what comes too late for a request is not charged for ever.
func (a *Account) Take(bytes int) bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.memory == nil {
		return false
	}
	if a.most > 0 && a.held+int64(bytes) > a.most {
		a.memory.refused[a.class].Add(1)
		return false
	}
	charge := max(0, a.held+int64(bytes)-Allowance) - max(0, a.held-Allowance)
	if charge > 0 && !a.memory.take(charge, a.class) {
		return false
	}
	a.held += int64(bytes)
	return true
}

// Close returns everything that the account holds.
func (a *Account) Close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.memory == nil {
		return
	}
	if charged := a.held - Allowance; charged > 0 {
		a.memory.used.Add(-charged)
	}
	a.memory, a.held = nil, 0
}

// Twice is an Account that charges two bytes for each: for what is held once as a value and once in the text of an
// answer.
type Twice struct{ *Account }

// Take adds twice the bytes to what the account holds.
func (t Twice) Take(bytes int) bool { return t.Account.Take(2 * bytes) }
