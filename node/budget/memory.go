package budget

import (
	"sync"
	"sync/atomic"
)

// Allowance is how many bytes each request may hold without charging the Memory: they are part of the cost of a
// connection. So small requests are not counted, and continue while large ones have taken all the Memory.
const Allowance = 8 << 10

// Class is the purpose of a charge.
type Class int

// The classes. The last quarter of a Memory is reserved for peers and metrics.
const (
	Clients Class = iota
	Peers
)

// Memory bounds the bytes that all requests, responses and forwarded commands in a process hold at once, beyond the
// Allowance of each.
type Memory struct {
	limit   int64
	used    atomic.Int64
	refused [2]atomic.Uint64 // by class
}

// NewMemory returns a Memory of limit bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Limit returns the maximum number of bytes held at once.
func (m *Memory) Limit() int64 { return m.limit }

// QueueBytes returns how many bytes may wait in each queue of one of the nodes of a process. Waiting requests are
// charged already. Commands of requests that timed out are not, and this bounds them: all queues of all nodes
// together hold twice the Memory at most, because each node has four times this in its queues and its log.
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

// Account is the charge of one request to a Memory. The zero value is closed, and a nil one has unlimited room. Its
// methods may be called from any goroutine.
type Account struct {
	mu     sync.Mutex
	memory *Memory // nil: closed
	class  Class
	most   int64 // maximum of this account; 0: that of the Memory
	held   int64 // including the Allowance
}

// NewAccount returns an open account of at most most bytes; 0: as many as the Memory has room for.
func (m *Memory) NewAccount(c Class, most int64) *Account {
	return &Account{memory: m, class: c, most: most}
}

// Open opens a closed account.
func (a *Account) Open(m *Memory, c Class) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.memory, a.class, a.most, a.held = m, c, 0, 0
}

// Take charges bytes to the account, and reports whether there was room for them. It charges nothing to a closed
// account, so that a result that arrives after its request ended is not charged forever.
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

// Close releases everything that the account holds.
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

// Twice is an Account that charges two bytes for each: for data that is held as a value and in the text of a
// response.
type Twice struct{ *Account }

// Take charges twice the bytes to the account.
func (t Twice) Take(bytes int) bool { return t.Account.Take(2 * bytes) }
