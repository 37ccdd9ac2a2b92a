package engine

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

var (
	errDisk   = errors.New("sim: the disk failed to write (input/output error)")
	errSync   = errors.New("sim: fsync failed (input/output error)")
	errRead   = errors.New("sim: the disk failed to read (input/output error)")
	errClosed = errors.New("sim: the disk is closed")
)

// The facts that the storage itself keeps, as in production (package storage).
const (
	factTerm   = "current_term"
	factVote   = "voted_for"
	factCommit = "commit_index"
	factCRC    = "crc"
	factStart  = "log_start"
)

// storage is the disk as one life of a process sees it. After an error it does not refuse to go on, as production's
// does: a node that carries on then gets what the worst disk would give it (trap T53).
type storage struct {
	disk *disk
	pass func(time.Duration)

	// What the process assumes to be on the disk, once loaded: it read that, or its writes were accepted.
	loaded bool
	state  raft.HardState
	facts  map[string]string
	first  raft.Index // of the log; last+1 if it is empty
	last   raft.Index

	copy *copied // that was made last; nil: none
}

var _ node.Storage = (*storage)(nil)

// Save appends one record and syncs it; time passes before the sync and after it, so a process can be killed with
// the record on its way, and with the record durable but not reported. Beside entries the commit index may stay the one
// that was saved before, as node.Storage allows, and here chance decides it.
func (s *storage) Save(state raft.HardState, entries []raft.Entry) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.checkOrder(entries); err != nil {
		return err
	}
	if len(entries) == 0 && state == s.state {
		return nil // it is on the disk already
	}
	if len(entries) > 0 && s.disk.rng.IntN(2) == 0 {
		state.Commit = s.state.Commit
	}
	return s.commit(record{state: state, entries: entries})
}

// NoteCommit records nothing, as if a loss of power undid it every time.
func (s *storage) NoteCommit(raft.Index) error { return s.ready() }

// SaveFacts appends the pairs that changed and syncs them.
func (s *storage) SaveFacts(facts map[string]string) error {
	if err := s.ready(); err != nil {
		return err
	}
	for _, key := range []string{factTerm, factVote, factCommit, factCRC, factStart} {
		if _, is := facts[key]; is {
			return fmt.Errorf("sim: the key %q belongs to the storage itself", key)
		}
	}
	changed := maps.Clone(facts)
	maps.DeleteFunc(changed, func(key, value string) bool {
		old, is := s.facts[key]
		return is && old == value
	})
	if len(changed) == 0 {
		return nil
	}
	return s.commit(record{state: s.state, facts: changed})
}

// checkOrder refuses what would leave a gap, as production does.
func (s *storage) checkOrder(entries []raft.Entry) error {
	for i := range entries {
		if want := entries[0].Index + raft.Index(i); entries[i].Index != want {
			return fmt.Errorf("sim: entry %d cannot be saved where entry %d must come", entries[i].Index, want)
		}
	}
	if len(entries) > 0 && (entries[0].Index < s.first || entries[0].Index > s.last+1) {
		return fmt.Errorf("sim: entry %d would leave a gap, the log has entries %d to %d", entries[0].Index, s.first, s.last)
	}
	return nil
}

// commit writes and syncs one record. The process may be killed in every pass, so the disk is right at each of them.
func (s *storage) commit(r record) error {
	d := s.disk
	if err := d.occupy(r); err != nil {
		return err
	}
	before, after := d.latency()
	d.Takes = before + after
	defer func() { d.Takes = 0 }()
	if d.happens(d.Faults.Error, writeError) {
		if d.rng.IntN(2) == 0 {
			d.write(r) // it reached the cache all the same
		}
		s.pass(before + after)
		return errDisk
	}
	d.write(r)
	s.pass(before)
	if d.life != s {
		return errClosed
	}
	failed := d.happens(d.Faults.SyncFails, syncError)
	if failed {
		d.failSync()
	} else {
		d.sync()
	}
	s.believe(r)
	s.pass(after)
	if failed {
		return errSync
	}
	return nil
}

// Notes what the process will read back, unless it crashes before.
func (s *storage) believe(r record) {
	s.state = r.state
	if start, is := r.start(); is {
		s.first, s.last = start.Index+1, s.disk.image.log.Last()
	}
	if n := len(r.entries); n > 0 {
		s.last = r.entries[n-1].Index
	}
	if len(r.facts) > 0 {
		s.facts = maps.Clone(s.facts)
		maps.Copy(s.facts, r.facts)
	}
}

// Facts reads the journal, and gives every pair, also those of the hard state.
func (s *storage) Facts() (map[string]string, error) {
	if s.disk.happens(s.disk.Faults.Unreadable, readError) {
		return nil, errRead
	}
	m, err := s.read()
	if err != nil {
		return nil, err
	}
	facts := make(map[string]string, len(m.facts)+3)
	maps.Copy(facts, m.facts)
	delete(facts, factStart)
	facts[factTerm] = strconv.FormatUint(uint64(m.state.Term), 10)
	facts[factVote] = strconv.FormatUint(uint64(m.state.Vote), 10)
	facts[factCommit] = strconv.FormatUint(uint64(m.state.Commit), 10)
	return facts, nil
}

// ScrubState finds nothing: damage of a running node's disk is not simulated.
func (s *storage) ScrubState(string, int) (string, error) { return "", s.ready() }

// ScrubLog finds nothing.
func (s *storage) ScrubLog(raft.Index, int) (raft.Index, error) { return 0, s.ready() }

// Range reads what is durable.
func (s *storage) Range(from raft.Index, limit int) ([]raft.Entry, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return s.disk.rangeOf(from, limit), nil
}

// Checkpoint makes the journal anew, as short as it can be.
func (s *storage) Checkpoint() error {
	if err := s.ready(); err != nil {
		return err
	}
	s.disk.rewrite()
	return nil
}

// Close gives the disk back.
func (s *storage) Close() error {
	if s.disk.life != s {
		return errClosed
	}
	s.disk.crash() // nothing is unsynced, unless a save failed
	return nil
}

// ready reads the journal once in a life.
func (s *storage) ready() error {
	if s.loaded && s.disk.life == s {
		return nil
	}
	_, err := s.read()
	return err
}

// read reads the journal.
func (s *storage) read() (image, error) {
	if s.disk.life != s {
		return image{}, errClosed
	}
	m, err := s.disk.read()
	if err != nil {
		return image{}, err
	}
	if !s.loaded {
		s.loaded, s.state, s.facts, s.first, s.last = true, m.state, m.facts, m.log.Start.Index+1, m.log.Last()
		if s.facts == nil {
			s.facts = map[string]string{}
		}
	}
	return m, nil
}
