package budget

import (
	"log/slog"
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The shares of the memory limit, and of the descriptor limit.
const (
	// memoryShare is the part of the memory limit that a Memory has by default, and connectionShare the part that the
	// connections of the API may cost.
	memoryShare     = 4
	connectionShare = 4
	// connectionCost is what one connection costs at most, beside what is charged: its goroutine and buffers, the
	// Allowance of its request, and a header of uncountedHeader bytes.
	connectionCost = 128 << 10
	// reservePerNode is how many descriptors a node keeps for its files and its peers.
	reservePerNode = 256
	// leastMemory is what a Memory has at least: one batch and one message of a peer fit.
	leastMemory = 32 << 20
	// Between these lie what one queue of a node may hold: a message of a peer fits, and more than a disk writes in a
	// second never waits.
	leastQueue = 2 << 20
	mostQueue  = 64 << 20
	// goShare is the part of a cgroup's limit that the Go runtime is told; the rest is for SQLite's pages and for stacks
	// of threads.
	goShare = 0.9
	// usualMemory stands for a limit where there is none, or for the memory of a machine that cannot be asked. It is the
	// limit of a pod if its RaftCluster names no other.
	usualMemory = 512 << 20
)

// ApplyMemoryLimit tells the Go runtime nine tenths of the memory limit of the process's cgroup (v1 or v2), unless the
// environment has GOMEMLIMIT.
func ApplyMemoryLimit(log *slog.Logger) {
	if _, err := memlimit.Set(memlimit.WithRatio(goShare)); err != nil {
		log.Warn("the memory limit of the cgroup cannot be read; set GOMEMLIMIT if there is one", "error", err)
	}
}

// groupMemory returns the memory limit of the process's cgroup; none is math.MaxInt64.
var groupMemory = sync.OnceValue(func() int64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(limit)
})

// machineMemory returns the memory of the machine.
var machineMemory = sync.OnceValue(func() int64 {
	size, err := memlimit.FromSystem()
	if err != nil || size == 0 || size > math.MaxInt64 {
		return usualMemory
	}
	return int64(size)
})

// memoryLimit returns what the process was told that it may use: the lesser of GOMEMLIMIT and the limit of its cgroup;
// none is math.MaxInt64.
func memoryLimit() int64 { return min(debug.SetMemoryLimit(-1), groupMemory()) }

// DefaultMemory returns a Memory of a quarter of the memory limit of the process. A process without a limit shares its
// machine with others, and takes no more than one with the usual limit.
func DefaultMemory() *Memory { return NewMemory(memoryFor(memoryLimit(), machineMemory())) }

func memoryFor(limit, machine int64) int64 {
	if limit == math.MaxInt64 {
		limit = usualMemory
	}
	return max(min(limit, machine)/memoryShare, leastMemory)
}

// Limits are how many connections a process accepts.
type Limits struct {
	// API is how many connections the API serves. Spare is how many more it accepts to answer probes and metrics on them,
	// and to refuse everything else.
	API   int
	Spare int
	// Peers is how many connections from peers are open at once. One more ends another.
	Peers int
}

// DefaultLimits returns the limits of a process of some nodes.
func DefaultLimits(nodes int) Limits {
	return limitsFor(descriptorLimit(), min(memoryLimit(), machineMemory()), nodes)
}

// limitsFor divides descriptors: a reserve for files and peers, and the rest, as far as the memory allows, for the API.
func limitsFor(descriptors int, memory int64, nodes int) Limits {
	reserve := min(descriptors*3/5, nodes*reservePerNode)
	api := min(int64(descriptors-reserve), memory/connectionShare/connectionCost)
	spare := min(max(api/16, 4), 64)
	return Limits{API: int(max(api-spare, 8)), Spare: int(spare), Peers: max(reserve/2, 8)}
}
