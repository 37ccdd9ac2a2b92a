package compaction

import (
	"cmp"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// CutChunk is the number of entries that are removed at once, so that the loop never waits long for it: as many as the
// storage removes in one transaction.
const CutChunk = 256

// Window is what stays in the log behind a checkpoint.
type Window struct {
	// Entries stay for followers that were away for a moment, unless they take more memory than the core keeps.
	Entries uint64
	// FollowerBytes is the minimum that stays for a follower that answers but is behind. More stays if a snapshot would
	// be larger.
	FollowerBytes int64
	// Chunk is the number of entries that are removed at once; default CutChunk.
	Chunk uint64
}

// Log is the position of a node's log.
type Log struct {
	Removed    raft.Index // the last index that is not on the disk
	Checkpoint raft.Index // the applied index of the last durable checkpoint
	Tail       raft.Index // the position before the first entry in memory
	Last       raft.Index
	Needed     raft.Index // the lowest index that a follower that answers lacks; Last+1 if there is none
	StateBytes int64      // about the size of a snapshot
}

// chunk returns the number of entries that are removed at once.
func (w Window) chunk() raft.Index { return raft.Index(cmp.Or(w.Chunk, CutChunk)) }

// CutTo returns the index up to which entries are removed now: a chunk of them, or up to four if there are many. It
// returns log.Removed if there is less than a chunk. No entry is removed that the state on the disk does not include
// (trap T50).
func (w Window) CutTo(log Log, sizes *Sizes) raft.Index {
	to := log.Tail
	if uint64(log.Last) > w.Entries {
		to = max(to, log.Last-raft.Index(w.Entries))
	}
	forFollower := sizes.Within(max(w.FollowerBytes, log.StateBytes))
	to = min(to, log.Checkpoint, max(log.Needed-1, forFollower))
	if to < log.Removed+w.chunk() {
		return log.Removed
	}
	surplus := to - log.Removed
	return log.Removed + max(w.chunk(), min(surplus/16, 4*w.chunk()))
}

// Sizes has the sizes of the entries of a log, in groups of a chunk.
type Sizes struct {
	chunk  raft.Index
	start  group // where the log starts
	groups []group
	total  int64
}

// NewSizes returns the sizes of a log from which the entries up to an index are removed. Those behind it that are not
// added count as empty.
func NewSizes(w Window, removed raft.Index) Sizes {
	return Sizes{chunk: w.chunk(), start: group{last: removed}}
}

// Add adds entries, which are in the log now.
func (s *Sizes) Add(entries []raft.Entry) {
	for len(entries) > 0 {
		n := min(len(entries), int(s.chunk))
		bytes := int64(0)
		for i := range entries[:n] {
			bytes += int64(len(entries[i].Command))
		}
		s.Append(entries[n-1].Index, bytes)
		entries = entries[n:]
	}
}

// group is a position in the log and the bytes of all entries up to it.
type group struct {
	last  raft.Index
	total int64
}

// Append adds entries up to last, of bytes together. After a truncation, entries count again: sizes are estimates.
func (s *Sizes) Append(last raft.Index, bytes int64) {
	s.total += bytes
	n := len(s.groups)
	for n > 0 && s.groups[n-1].last >= last {
		n--
	}
	s.groups = s.groups[:n]
	if n > 1 && last < s.groups[n-2].last+s.chunk {
		n--
		s.groups = s.groups[:n]
	}
	s.groups = append(s.groups, group{last, s.total})
}

// Remove drops entries up to an index.
func (s *Sizes) Remove(to raft.Index) {
	n := 0
	for n < len(s.groups) && s.groups[n].last <= to {
		s.start.total = s.groups[n].total
		n++
	}
	s.start.last = to
	s.groups = append(s.groups[:0], s.groups[n:]...)
}

// Within returns a position behind which the entries have at most so many bytes: the start of the log, if all have.
func (s *Sizes) Within(bytes int64) raft.Index {
	if s.total-s.start.total <= bytes {
		return s.start.last
	}
	for i := range s.groups {
		if s.total-s.groups[i].total <= bytes {
			return s.groups[i].last
		}
	}
	return s.start.last
}
