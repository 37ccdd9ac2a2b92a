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
	// keyCRC holds the checksum of all the other pairs and of an entry near the end of the log, the anchor, and the
	// anchor's index, as 0123abcd@42: a flipped bit in the vote, and a log that lost its end from the anchor on, are
	// found out.
	keyCRC = "crc"
)

var ownKeys = []string{keyTerm, keyVote, keyCommit, keyCRC}

// initialFacts is node_state in a database just made.
func initialFacts() map[string]string {
	facts := make(map[string]string)
	setHardState(facts, raft.HardState{})
	facts[keyCRC] = formatCRC(facts, tail{})
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

// factsChecksum is the checksum in keyCRC, given every other pair and the anchor.
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
	buffer = binary.BigEndian.AppendUint32(buffer, anchor.crc)
	return crc32.Checksum(buffer, castagnoli)
}

// formatCRC is what keyCRC must hold, given every other pair and the anchor.
func formatCRC(facts map[string]string, anchor tail) string {
	return fmt.Sprintf("%08x@%d", factsChecksum(facts, anchor), anchor.index)
}

// checkFacts compares node_state with its checksum and with the log, and gives the anchor.
func checkFacts(facts map[string]string, state raft.HardState, entries []raft.Entry) (tail, error) {
	last := raft.Index(len(entries))
	var crc uint32
	var anchor tail
	if n, err := fmt.Sscanf(facts[keyCRC], "%08x@%d", &crc, &anchor.index); n != 2 || err != nil {
		return tail{}, fmt.Errorf("%w: the checksum of node_state is %q, which is none", ErrDamaged, facts[keyCRC])
	}
	if anchor.index > last || state.Commit > last {
		return tail{}, fmt.Errorf("%w: the log ends at entry %d, but entry %d was in it: the last entries are gone",
			ErrDamaged, last, max(anchor.index, state.Commit))
	}
	if anchor.index > 0 {
		anchor.crc = checksum(entries[anchor.index-1])
	}
	if got := formatCRC(facts, anchor); got != facts[keyCRC] {
		return tail{}, fmt.Errorf("%w: node_state and entry %d have the checksum %s, but %q was written with them",
			ErrDamaged, anchor.index, got, facts[keyCRC])
	}
	return anchor, nil
}
