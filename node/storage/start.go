package storage

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// keyStart holds the position before the first entry of the log as JSON. It is absent if no entry was removed. It must
// be written in the transaction that removes entries.
const keyStart = "log_start"

// startFact is the form of a raft.LogStart in node_state.
type startFact struct {
	Index  raft.Index  `json:"index"`
	Term   raft.Term   `json:"term"`
	Digest raft.Digest `json:"digest"`
	Seats  []raft.Seat `json:"seats"`
	// Absent before the first change of the members, as in older versions.
	Configuration raft.Configuration `json:"configuration,omitzero"`
}

// formatStart returns the value of keyStart.
func formatStart(start raft.LogStart) string {
	text, err := json.Marshal(startFact(start))
	if err != nil {
		panic(fmt.Sprintf("storage: invariant broken: numbers cannot be encoded: %v", err))
	}
	return string(text)
}

// logStart parses the position before the first entry from node_state. It accepts only the output of formatStart: what
// another version wrote may mean more than this one reads. Format 1 had no such position.
func logStart(facts map[string]string, format int64) (raft.LogStart, error) {
	text, is := facts[keyStart]
	if !is || format < chainedFormat {
		return raft.LogStart{}, nil
	}
	var fact startFact
	err := json.Unmarshal([]byte(text), &fact)
	start := raft.LogStart(fact)
	if err != nil || formatStart(start) != text || start.Index == 0 || start.Index > math.MaxInt64 {
		return raft.LogStart{}, fmt.Errorf("%w: %s in node_state is %q, and must be the index, term, digest and seats "+
			"before the first entry", ErrDamaged, keyStart, text)
	}
	return start, nil
}
