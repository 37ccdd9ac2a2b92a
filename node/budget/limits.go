package budget

import (
	"log/slog"
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Shares of the memory limit and of the descriptor limit.
const (
	// memoryShare is the part of the memory limit that a Memory has by default, and connectionShare the part for API
	// connections.
	memoryShare     = 4
	connectionShare = 4
	// connectionCost is the maximum cost of a connection beside what is charged: its goroutine and buffers, the
	// Allowance of its request, and a header of uncountedHeader bytes.
	connectionCost = 128 << 10
	// reservePerNode is how many descriptors a node reserves for its files and its peers.
	reservePerNode = 256
	// leastMemory is the minimum of a Memory: one batch and one message of a peer fit.
	leastMemory = 32 << 20
	// The range of a queue of a node: a message of a peer fits, and more than a disk writes in a second never waits.
	leastQueue = 2 << 20
	mostQueue  = 64 << 20
	// goShare is the part of a cgroup's limit that is set as the Go runtime's limit; the rest is for SQLite's pages
	// and for thread stacks.
	goShare = 0.9
	// usualMemory replaces a missing limit, or the memory of a machine that cannot be read. It is the default limit
	// of a pod of a RaftCluster.
	usualMemory = 512 << 20
)

// ApplyMemoryLimit sets the Go runtime's memory limit to nine tenths of the memory limit of the process's cgroup (v1
// or v2), unless the environment has GOMEMLIMIT.
func ApplyMemoryLimit(log *slog.Logger) {
	if _, err := memlimit.Set(memlimit.WithRatio(goShare)); err != nil {
		log.Warn("the memory limit of the cgroup cannot be read; set GOMEMLIMIT if there is one", "error", err)
	}
}

// groupMemory returns the memory limit of the process's cgroup; math.MaxInt64 if there is none.
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

// memoryLimit returns the memory limit of the process: the lesser of GOMEMLIMIT and the limit of its cgroup;
// math.MaxInt64 if there is none.
func memoryLimit() int64 { return min(debug.SetMemoryLimit(-1), groupMemory()) }

// DefaultMemory returns a Memory of a quarter of the memory limit of the process. A process without a limit shares
// its machine with others, and takes no more than one with the usual limit.
func DefaultMemory() *Memory { return NewMemory(memoryFor(memoryLimit(), machineMemory())) }

func memoryFor(limit, machine int64) int64 {
	if limit == math.MaxInt64 {
		limit = usualMemory
	}
	return max(min(limit, machine)/memoryShare, leastMemory)
}

// Limits are the limits of connections that a process accepts.
type Limits struct {
	// API is how many connections the API serves. Spare is how many more it accepts, to answer only probes and
	// metrics on them.
	API   int
	Spare int
	// Peers is how many connections from peers may be open at once. A connection beyond it closes another.
	Peers int
}

// DefaultLimits returns the limits for a process with this number of nodes.
func DefaultLimits(nodes int) Limits {
	return limitsFor(descriptorLimit(), min(memoryLimit(), machineMemory()), nodes)
}

// limitsFor divides descriptors: a reserve for files and peers, and the rest, as far as the memory allows, for the
// API.
func limitsFor(descriptors int, memory int64, nodes int) Limits {
	reserve := min(descriptors*3/5, nodes*reservePerNode)
	api := min(int64(descriptors-reserve), memory/connectionShare/connectionCost)
	spare := min(max(api/16, 4), 64)
	return Limits{API: int(max(api-spare, 8)), Spare: int(spare), Peers: max(reserve/2, 8)}
}
