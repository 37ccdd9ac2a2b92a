package divergence

import (
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// State is what a member has recorded of its state after the check entry at an index.
type State struct {
	Index raft.Index `json:"index"`
	// Known: Digest is that of the state after the entry. Pending: the member has not applied the entry yet. Neither: it
	// does not remember the digest.
	Known   bool   `json:"known"`
	Pending bool   `json:"pending,omitempty"`
	Digest  uint64 `json:"digest,string"` // as text: it uses all 64 bits
}

// Verdict is what the digests of the members at one index mean for one of them.
type Verdict uint8

// The verdicts.
const (
	// Undecided: too few members answered. Asking again may help.
	Undecided Verdict = iota
	// Same: a majority of all members, this one among them, has the digest of this one.
	Same
	// Differs: a majority of all members, without this one, agrees on another digest.
	Differs
	// Split: digests differ, and of the members that answered no majority of all agrees. Nothing proves whose state is
	// wrong.
	Split
)

// String returns the name of a verdict in metrics.
func (v Verdict) String() string {
	switch v {
	case Same:
		return "same"
	case Differs:
		return "differs"
	case Split:
		return "split"
	}
	return "undecided"
}

// JudgeState returns the verdict on the state of a member from its own digest and the answers of the others about the
// same index. A minority proves nothing, because its states may be the wrong ones: so in a cluster of two the verdict
// is never Differs.
func JudgeState(members int, ours State, answers []State) Verdict {
	holders := map[uint64]int{}
	pending, others := false, false
	for _, theirs := range answers {
		if theirs.Index != ours.Index || !theirs.Known {
			pending = pending || theirs.Pending
			continue
		}
		holders[theirs.Digest]++
		others = others || theirs.Digest != ours.Digest
		if theirs.Digest != ours.Digest && holders[theirs.Digest] > members/2 {
			return Differs
		}
	}
	switch {
	case 1+holders[ours.Digest] > members/2:
		return Same
	case others && !pending:
		return Split
	}
	return Undecided
}

// Contradicts reports whether an answer has another digest than this member at the same index.
func Contradicts(ours State, answers []State) bool {
	return slices.ContainsFunc(answers, func(theirs State) bool {
		return theirs.Index == ours.Index && theirs.Known && theirs.Digest != ours.Digest
	})
}
