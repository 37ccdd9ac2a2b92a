package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// The keys of node_state that belong to this package. The facts of its callers are stored beside them.
const (
	keyTerm   = "current_term"
	keyVote   = "voted_for"
	keyCommit = "commit_index"
	// keyVersion counts the writes of node_state (see mark).
	keyVersion = "state_version"
	// keyWAL records whether raft.db is complete without its write-ahead log: walNeeded while a node runs and after a
	// crash, walEmpty after a clean stop.
	keyWAL = "wal"
	// keyCRC holds the checksum of all the other pairs and of the log up to an entry near its end, the anchor, and
	// the anchor's index, as 0123abcd@42. It detects a flipped bit in the vote, and a log that was cut at or before
	// the anchor.
	keyCRC = "crc"
)

// The values of keyWAL.
const (
	walNeeded = "needed"
	walEmpty  = "empty"
)

// ownKeys are all of them; privateKeys those that only this package reads.
var (
	ownKeys     = append([]string{keyTerm, keyVote, keyCommit}, privateKeys...)
	privateKeys = []string{keyVersion, keyWAL, keyCRC, keyStart}
)

// initialFacts is node_state in a new database.
func initialFacts() map[string]string {
	facts := make(map[string]string)
	setHardState(facts, raft.HardState{})
	facts[keyVersion], facts[keyWAL] = "0", walEmpty
	facts[keyCRC] = formatCRC(facts, tail{})
	return facts
}

func setHardState(facts map[string]string, state raft.HardState) {
	facts[keyTerm] = strconv.FormatUint(uint64(state.Term), 10)
	facts[keyVote] = strconv.FormatUint(uint64(state.Vote), 10)
	facts[keyCommit] = strconv.FormatUint(uint64(state.Commit), 10)
}

// hardState parses the hard state from node_state.
func hardState(facts map[string]string) (raft.HardState, error) {
	var numbers [3]uint64
	for i, key := range []string{keyTerm, keyVote, keyCommit} {
		n, err := strconv.ParseUint(facts[key], 10, 64)
		if err != nil {
			return raft.HardState{}, fmt.Errorf("%w: %s in node_state is %q, and must be a number",
				ErrDamaged, key, facts[key])
		}
		numbers[i] = n
	}
	return raft.HardState{
		Term: raft.Term(numbers[0]), Vote: raft.NodeID(numbers[1]), Commit: raft.Index(numbers[2]),
	}, nil
}

// stateVersion returns how often node_state was written. Format 1 did not count.
func stateVersion(facts map[string]string, format int64) (uint64, error) {
	if format < chainedFormat {
		return 0, nil
	}
	if wal := facts[keyWAL]; wal != walNeeded && wal != walEmpty {
		return 0, fmt.Errorf("%w: %s in node_state is %q, and must be %q or %q", ErrDamaged, keyWAL, wal, walNeeded, walEmpty)
	}
	version, err := strconv.ParseUint(facts[keyVersion], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s in node_state is %q, and must be a number", ErrDamaged, keyVersion, facts[keyVersion])
	}
	return version, nil
}

// factsChecksum returns the checksum in keyCRC, given every other pair and the anchor.
func factsChecksum(facts map[string]string, anchor tail) uint32 {
	var buffer []byte
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		if key == keyCRC {
			continue
		}
		for _, text := range []string{key, facts[key]} {
			buffer = binary.BigEndian.AppendUint64(buffer, uint64(len(text)))
			buffer = append(buffer, text...)
		}
	}
	buffer = binary.BigEndian.AppendUint64(buffer, uint64(anchor.index))
	buffer = binary.BigEndian.AppendUint32(buffer, uint32(anchor.digest))
	return crc32.Checksum(buffer, castagnoli)
}

// formatCRC returns the value of keyCRC, given every other pair and the anchor.
func formatCRC(facts map[string]string, anchor tail) string {
	return fmt.Sprintf("%08x@%d", factsChecksum(facts, anchor), anchor.index)
}

// checkFacts compares node_state with its checksum and with the log, and returns the anchor.
func (all *contents) checkFacts() error {
	var crc uint32
	stored, last := all.facts[keyCRC], all.end.index
	if n, err := fmt.Sscanf(stored, "%08x@%d", &crc, &all.anchor.index); n != 2 || err != nil {
		return fmt.Errorf("%w: the checksum of node_state is %q, which is none", ErrDamaged, stored)
	}
	if all.anchor.index > last || all.state.Commit > last {
		return fmt.Errorf("%w: the log ends at entry %d, but entry %d was in it: the last entries are gone",
			ErrDamaged, last, max(all.anchor.index, all.state.Commit))
	}
	if all.anchor.index < all.start.Index {
		return fmt.Errorf("%w: node_state was written at entry %d, but the entries up to %d had been removed",
			ErrDamaged, all.anchor.index, all.start.Index)
	}
	covered := all.anchor
	covered.digest = all.digestAt(covered.index)
	all.anchor = covered
	if all.format < chainedFormat && covered.index > 0 {
		covered.digest = raft.Digest(unchainedChecksum(*all.kept.Entry(covered.index)))
	}
	if got := formatCRC(all.facts, covered); got != stored {
		return fmt.Errorf("%w: node_state and the log up to entry %d have the checksum %s, but %q was written with them",
			ErrDamaged, covered.index, got, stored)
	}
	return nil
}
