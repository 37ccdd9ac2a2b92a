package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Defaults of the timing (design contract: the seed's figures).
const (
	DefaultHeartbeatInterval = 100 * time.Millisecond
	DefaultElectionTimeout   = 150 * time.Millisecond
	DefaultClockDrift        = 0.1
	// DefaultStallLimit is how long a save may take.
	DefaultStallLimit = 20 * time.Second
	// DefaultCheckInterval is that of raftnode.
	DefaultCheckInterval = time.Minute
)

// Limits of one node. They bound what a client or a peer can make it hold in memory.
const (
	maxPendingCommands    = 64 << 10
	maxMessageBytes       = 2 << 20
	defaultQueueBytes     = 64 << 20
	ticksPerHeartbeat     = 10
	leastTick             = time.Millisecond
	defaultRequestLimit   = 5 * time.Second
	defaultLeaderPatience = 800 * time.Millisecond
	defaultMessageEntries = 4096
	defaultTailBytes      = 64 << 20
	defaultBandwidth      = 100 << 20
)

// Options is the configuration of a node. Storage and Transport are ready to use, and stay the caller's to
// close.
type Options struct {
	// ID is this node's member id. Zero with Join.
	ID raft.NodeID
	// ClusterID names the cluster; a static start derives it from the members, see StaticClusterID.
	ClusterID string
	// Members are the voters of a static start, this node among them. Ignored once the disk holds a membership.
	Members []identity.Member
	// Join makes a node with an empty disk wait, inert, until Bootstrap gives it an identity, or the leader of a cluster
	// that has added it.
	Join bool
	// FoundByMajority lets a majority of empty members found a new cluster, which takes more of them otherwise, see
	// identity.FoundingQuorum. The user who sets it asserts that no member has had a disk that was lost.
	FoundByMajority bool
	// PeerAddress is the URL under which the others reach this node, if it is known; Bootstrap refuses to make it a
	// member with another one.
	PeerAddress string
	// Identified is called, once, when Bootstrap or a leader has given this node an identity, after that is durable and
	// before the node takes part. The transport learns from it who it is.
	Identified func(id raft.NodeID, clusterID string, members []identity.Member)
	// Founded is called before the node takes part, with the name of the disks that founded its cluster: those of another
	// founding are of another cluster, whatever its id. The transport learns it.
	Founded func(digest string)
	// APIAddress is the URL of this node's API, sent to the others.
	APIAddress string
	// Notice returns Status.Notice for this node's id and the configuration in force: a sentence that begins with a verb,
	// of which the node is the subject; "": there is none. nil: there never is one.
	Notice func(id raft.NodeID, cfg raft.Configuration) string
	// Mismatch returns Status.Mismatch; nil: there is none.
	Mismatch func() string
	// APIHosts are hosts on which a member's API may be, as it reports it, beside the host of its own peer address and
	// that of APIAddress.
	APIHosts []string
	// Version is the program's, for the status.
	Version string

	HeartbeatInterval time.Duration // default 100 ms
	ElectionTimeout   time.Duration // the least; the real one is random in [1x, 2x]; default 150 ms
	// ClockDrift is by which fraction the clock of this machine may run slower than that of another member: the lease of a
	// leader is shorter by as much. More than 0 and less than 1; default 0.1.
	ClockDrift float64
	// StallLimit is how long one save may take before the process is ended (a dead disk, trap T53); default 20 s.
	StallLimit time.Duration
	// LogFile names the file that saves write to, in messages; default "the log".
	LogFile string
	// RequestLimit is how long a proposal or a read may take in all; default 5 s.
	RequestLimit time.Duration
	// LeaderPatience is how long a request waits for a leader to appear before it is refused; default 800 ms, so that who
	// asks a node on the minority side of a partition is refused within a second.
	LeaderPatience time.Duration
	// InflightMessages is how many AppendEntries may be unanswered per follower: 1 batches by itself and is
	// best on a LAN (the default), several are wanted where the round trip is long.
	InflightMessages int
	// MessageEntries is how many entries one AppendEntries carries at most; default 4096. A small number makes a short
	// log travel in parts, as a long one does.
	MessageEntries int
	// QueueBytes is how many bytes of commands may wait for the loop; as many may wait to be forwarded to a leader, and
	// twice as many may be in a leader's log and not committed. Default 64 MiB.
	QueueBytes int

	// TailBytes is how many bytes of commands the core keeps in memory; a follower that is further behind is sent entries
	// that are read from the disk. Default 64 MiB.
	TailBytes int
	// Retention is how much of the history is kept; default DefaultRetention. That of the leader applies.
	Retention kv.Retention
	// Checkpoints are the limits for writing checkpoints; default DefaultCheckpoints.
	Checkpoints compaction.Checkpoints
	// CheckInterval is how often the leader has the states of all nodes compared; 0: never.
	CheckInterval time.Duration
	// ScrubInterval is the time in which all rows of both files are read once and checked; 0: they are not.
	ScrubInterval time.Duration
	// Window is what stays in the log behind a checkpoint; default DefaultWindow.
	Window compaction.Window
	// SnapshotChunk is the length of a part of a snapshot in bytes; default 512 KiB.
	SnapshotChunk int
	// SnapshotBandwidth is the maximum number of bytes of a snapshot that are sent to a follower in a second; default
	// 100 MiB.
	SnapshotBandwidth int64

	Storage   Storage
	Transport Transport
	Logger    *slog.Logger
	// Fatal is called, once, when the node cannot go on while its loop hangs in a save. It must end the process.
	Fatal func(error)
	// Now is the wall clock, for what people and entries read: time stamps. Default time.Now; tests give their own.
	Now func() time.Time
	// Scheduler is the node's clock for durations and its goroutines; default those of the machine.
	Scheduler scheduler.Scheduler
	// Rand draws election timeouts and the incarnation of an empty disk, so no two runs of a node may draw the same;
	// default seeded from the system's.
	Rand *rand.Rand
	// Room has the quota of the data and the reserve of the disk; 0: no limit. The quota of the leader applies.
	Room room.Limits
	// DiskSizes returns the bytes of the log and the bytes free beside it, which are negative if they are unknown; nil:
	// all is unknown. Without it, there is no reserve.
	DiskSizes func() api.Disk
	// StateFiles returns the sizes of the files of the checkpoint; nil: nothing in them is reused.
	StateFiles func() snapshot.Files
}

// DefaultRetention is how much of the history is kept: 10 minutes, 100,000 revisions and 64 MiB, whichever is less.
func DefaultRetention() kv.Retention {
	return kv.Retention{Age: (10 * time.Minute).Microseconds(), Revisions: 100_000, Bytes: 64 << 20}
}

// DefaultCheckpoints are checkpoints after 128 MiB of commands or 30 seconds, at most half of the time: a checkpoint
// itself leaves most of a processor to others.
func DefaultCheckpoints() compaction.Checkpoints {
	return compaction.Checkpoints{Bytes: 128 << 20, After: 30 * time.Second, Rest: 1}
}

// DefaultWindow is 10,000 entries behind the checkpoint, and 64 MiB for a follower that is behind.
func DefaultWindow() compaction.Window {
	return compaction.Window{Entries: 10_000, FollowerBytes: 64 << 20}
}

// withDefaults checks the options and fills what was left out.
func (c Options) withDefaults() (Options, error) {
	setDefault(&c.HeartbeatInterval, DefaultHeartbeatInterval)
	setDefault(&c.ElectionTimeout, DefaultElectionTimeout)
	setDefault(&c.ClockDrift, DefaultClockDrift)
	setDefault(&c.StallLimit, DefaultStallLimit)
	setDefault(&c.LogFile, "the log")
	setDefault(&c.RequestLimit, defaultRequestLimit)
	setDefault(&c.LeaderPatience, defaultLeaderPatience)
	setDefault(&c.InflightMessages, 1)
	setDefault(&c.MessageEntries, defaultMessageEntries)
	setDefault(&c.QueueBytes, defaultQueueBytes)
	c.setHousekeeping()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Scheduler == nil {
		c.Scheduler = &scheduler.Machine{}
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	if c.Identified == nil {
		c.Identified = func(raft.NodeID, string, []identity.Member) {}
	}
	if c.Founded == nil {
		c.Founded = func(string) {}
	}
	if c.Notice == nil {
		c.Notice = func(raft.NodeID, raft.Configuration) string { return "" }
	}
	if c.DiskSizes == nil {
		c.DiskSizes = func() api.Disk { return api.Disk{FreeBytes: -1} }
	}
	if c.StateFiles == nil {
		c.StateFiles = func() (none snapshot.Files) { return none }
	}
	c.Members = identity.SortedMembers(c.Members)
	return c, c.check()
}

// setHousekeeping fills the limits of the history, the checkpoints, the log and the snapshots.
func (c *Options) setHousekeeping() {
	setDefault(&c.TailBytes, defaultTailBytes)
	setDefault(&c.Retention, DefaultRetention())
	setDefault(&c.Checkpoints, DefaultCheckpoints())
	setDefault(&c.Window, DefaultWindow())
	setDefault(&c.SnapshotChunk, snapshot.MaxChunkBytes/2)
	setDefault(&c.SnapshotBandwidth, defaultBandwidth)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Options) check() error {
	if c.Storage == nil || c.Transport == nil {
		return errors.New("node: the options need a Storage and a Transport")
	}
	if c.HeartbeatInterval < leastTick {
		return fmt.Errorf("node: heartbeat interval %v is too short: give at least %v", c.HeartbeatInterval, leastTick)
	}
	if c.ElectionTimeout <= c.HeartbeatInterval {
		return fmt.Errorf("node: election timeout %v must be longer than the heartbeat interval %v",
			c.ElectionTimeout, c.HeartbeatInterval)
	}
	if !(c.ClockDrift > 0 && c.ClockDrift < 1) {
		return fmt.Errorf("node: clock drift %v must be more than 0 and less than 1: 0.1 is 10 %%", c.ClockDrift)
	}
	if min(c.StallLimit, c.RequestLimit, c.LeaderPatience) < 0 {
		return fmt.Errorf("node: stall limit %v, request limit %v and leader patience %v must all be positive",
			c.StallLimit, c.RequestLimit, c.LeaderPatience)
	}
	if c.QueueBytes < 0 {
		return fmt.Errorf("node: queue bytes %d must be positive", c.QueueBytes)
	}
	if min(c.Room.Quota, c.Room.Reserve) < 0 {
		return fmt.Errorf("node: quota %d and disk reserve %d must not be negative; 0 is no limit", c.Room.Quota,
			c.Room.Reserve)
	}
	if c.Join {
		return nil
	}
	return identity.CheckMembers(c.ID, c.Members)
}

// tick is the unit in which the core counts time.
func (c *Options) tick() time.Duration {
	return max(c.HeartbeatInterval/ticksPerHeartbeat, leastTick)
}

// longestWait is how long a follower waits at most for a sign of its leader.
func (c *Options) longestWait() time.Duration { return 2 * c.ElectionTimeout }

// ticks converts a duration to ticks, rounding up.
func (c *Options) ticks(d time.Duration) int {
	tick := c.tick()
	return int((d + tick - 1) / tick)
}
