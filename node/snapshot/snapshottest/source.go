package snapshottest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Source is a snapshot.Source in memory. The same content has the same id.
type Source struct {
	*bytes.Reader
	sum   [sha256.Size]byte
	start raft.LogStart
	users *atomic.Int32 // nil: not counted
}

// NewSource returns a source. If users is not nil, it counts the sources that are not released.
func NewSource(data []byte, start raft.LogStart, users *atomic.Int32) *Source {
	if users != nil {
		users.Add(1)
	}
	return &Source{Reader: bytes.NewReader(data), sum: sha256.Sum256(data), start: start, users: users}
}

// ID is snapshot.Source's.
func (s *Source) ID() string { return fmt.Sprintf("%d-%x", s.start.Index, s.sum[:8]) }

// Sum is snapshot.Source's.
func (s *Source) Sum() [sha256.Size]byte { return s.sum }

// Position is snapshot.Source's.
func (s *Source) Position() raft.LogStart { return s.start }

// Release is snapshot.Source's.
func (s *Source) Release() {
	if s.users != nil {
		s.users.Add(-1)
	}
}
