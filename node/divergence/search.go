package divergence

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// inquireEvery is how often the others are asked whether this log is the damaged one. Any message may be the cause.
const inquireEvery = time.Second

// Search looks for the first damaged entry of this node's log. It belongs to the goroutine that the core belongs to.
type Search struct {
	core *raft.Core
	self raft.NodeID

	inquiring bool
	at        time.Time // of the last inquiry but those that follow from it

	// wrong is the first entry that is proven wrong, and right the last one before it that was asked about and is not.
	// Between them lies the first that differs.
	wrong  Fingerprint
	right  raft.Index
	damage *Error // of wrong

	proof *Error // once the log is proven wrong in what is committed
}

// Conclusion is what follows from the answers of the others. The zero value: nothing.
type Conclusion struct {
	// Ask is what the others are to be asked about next, if its index is not 0.
	Ask Fingerprint
	// Dropped is the damage for which entries were dropped that are not committed; nil: none were.
	Dropped *Error
}

// NewSearch returns a Search in the log of a node.
func NewSearch(core *raft.Core, self raft.NodeID) *Search { return &Search{core: core, self: self} }

// Fingerprint returns this node's fingerprint at an index.
func (s *Search) Fingerprint(index raft.Index) Fingerprint {
	term, digest, ok := s.core.Digest(index)
	if !ok || index == 0 {
		return Fingerprint{Index: index}
	}
	return Fingerprint{index, term, digest}
}

// Begin returns what to ask the other members about, and true, because a message showed another log than this node's at
// an index. The message proves nothing: it may be forged. What the members answer on connections that this node makes
// decides. False if they are being asked, or were shortly before, or if this log does not hold the entry.
func (s *Search) Begin(index raft.Index, now time.Time) (Fingerprint, bool) {
	ours := s.Fingerprint(index)
	if s.inquiring || ours.Term == 0 || !s.at.IsZero() && now.Sub(s.at) < inquireEvery {
		return Fingerprint{}, false
	}
	*s = Search{core: s.core, self: s.self, inquiring: true, at: now}
	return ours, true
}

// Conclude looks for the first entry that is damaged, if the answers prove that this node's log is, and drops the log
// from there on. If the damage is committed here, Proof returns it: a state was made of it. The entry may have been
// replaced since the question.
//
// If the members that differ belong to another founding, both logs are whole, so nothing is dropped.
func (s *Search) Conclude(
	members int, ours Fingerprint, answers []Fingerprint, otherFounders []raft.NodeID,
) Conclusion {
	s.inquiring = false
	if s.Fingerprint(ours.Index) != ours {
		return Conclusion{}
	}
	commit := s.core.Status().Commit
	digest, differs := majorityDigest(members, ours, answers)
	switch {
	case differs:
		s.wrong = ours
		s.damage = &Error{s.self, ours.Index, ours.Term, ours.Digest, digest, otherFounders}
		if len(otherFounders) > 0 || ours.Index <= commit {
			s.proof = s.damage
			return Conclusion{}
		}
	case s.wrong.Index == 0:
		return Conclusion{}
	default:
		s.right = ours.Index
	}
	right := max(s.right, commit) // the commit index may be beyond wrong by now
	if right+1 < s.wrong.Index {
		s.inquiring = true
		return Conclusion{Ask: s.Fingerprint(right + (s.wrong.Index-right)/2)}
	}
	return s.drop()
}

// drop drops the log from the first damaged entry on.
func (s *Search) drop() Conclusion {
	if s.Fingerprint(s.wrong.Index) != s.wrong {
		return Conclusion{} // replaced meanwhile
	}
	if !s.core.DropDiverged(s.wrong.Index) {
		s.proof = s.damage // committed meanwhile
		return Conclusion{}
	}
	return Conclusion{Dropped: s.damage}
}

// Proof returns an *Error once the log is proven wrong in what is committed; nil until then.
func (s *Search) Proof() error {
	if s.proof == nil {
		return nil
	}
	return s.proof
}
