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

// The keys of node_state that belong to this package. Its callers' facts stand beside them.
const (
	keyTerm   = "current_term"
	keyVote   = "voted_for"
	keyCommit = "commit_index"
	// keyCRC holds the checksum of all the other pairs and of the end of the log: a flipped bit in the vote,
	// and a log whose last page never reached the disk, are found out.
	keyCRC = "crc"
)

var ownKeys = []string{keyTerm, keyVote, keyCommit, keyCRC}

// initialFacts is node_state in a database just made.
func initialFacts() map[string]string {
	facts := make(map[string]string)
	setHardState(facts, raft.HardState{})
	facts[keyCRC] = formatCRC(factsChecksum(facts, tail{}))
	return facts
}

func setHardState(facts map[string]string, state raft.HardState) {
	facts[keyTerm] = strconv.FormatUint(uint64(state.Term), 10)
	facts[keyVote] = strconv.FormatUint(uint64(state.Vote), 10)
	facts[keyCommit] = strconv.FormatUint(uint64(state.Commit), 10)
}

// hardState reads the hard state from node_state.
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

// factsChecksum is what keyCRC must hold, given every other pair and the end of the log.
func factsChecksum(facts map[string]string, end tail) uint32 {
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
	buffer = binary.BigEndian.AppendUint64(buffer, uint64(end.index))
	buffer = binary.BigEndian.AppendUint32(buffer, end.crc)
	return crc32.Checksum(buffer, castagnoli)
}

func formatCRC(crc uint32) string { return fmt.Sprintf("%08x", crc) }

// checkFacts compares node_state with its checksum and with the log.
func checkFacts(facts map[string]string, state raft.HardState, end tail) error {
	if got, want := formatCRC(factsChecksum(facts, end)), facts[keyCRC]; got != want {
		return fmt.Errorf("%w: node_state and the end of the log (entry %d) have checksum %s, but %q was written "+
			"with them; either was changed, or the last entries are gone", ErrDamaged, end.index, got, want)
	}
	if state.Commit > end.index {
		return fmt.Errorf("%w: the log ends at entry %d, but entry %d was committed", ErrDamaged, end.index, state.Commit)
	}
	return nil
}
