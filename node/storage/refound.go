package storage

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Refounding is what a data directory begins with that continues the log of another one in a new cluster.
type Refounding struct {
	// Entry is appended to the log. Everything up to it is committed.
	Entry raft.Entry
	// Vote is that of the term of Entry.
	Vote raft.NodeID
	// Facts are those of the node, as SaveFacts takes them. They replace all that the other directory has.
	Facts map[string]string
	// Cluster are the facts of the cluster, as SaveState takes them.
	Cluster map[string]string

	inject injector // makes calls to SQLite fail, in tests
}

// Refound makes a data directory that has the state and the log of this one, and belongs to another node of another
// cluster. This one stays as it is. The new one is made and checked under another name, and renamed when it is complete
// and durable: after an error or a crash dir is as before.
func (s *Stopped) Refound(dir string, r Refounding) error {
	return createDirectory(dir, func(part string) error { return r.fill(part, s.dir) })
}

// fill makes the files of a new directory from those of another one. A start on the copy takes what the write-ahead
// logs hold, and completes the installation of a snapshot.
func (r *Refounding) fill(part, source string) error {
	if err := copyDirectory(part, source); err != nil {
		return err
	}
	d, err := Open(part, Options{inject: r.inject})
	if err != nil {
		return err
	}
	if err := errors.Join(r.apply(d), d.Close()); err != nil {
		return err
	}
	state := filepath.Join(part, stateName)
	if !isUsed(state) {
		return nil // the log has everything
	}
	return rewriteMeta(state, func(meta *stateMeta) error {
		meta.facts = r.Cluster
		return checkNames(r.Cluster)
	})
}

// copyDirectory copies what a start reads. The index of a write-ahead log is made anew, and nothing else is needed.
func copyDirectory(to, from string) error {
	pending := filepath.Join(snapshotsName, pendingName)
	names := []string{pending}
	for _, suffix := range []string{"", walSuffix, "-journal", markSuffix} {
		names = append(names, databaseName+suffix, stateName+suffix)
	}
	for _, name := range names {
		source := filepath.Join(from, name)
		info, err := os.Lstat(source)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%w: %s is no regular file (%v)", ErrForeignFile, source, info.Mode())
		}
		target := filepath.Join(to, name)
		if err := makeDirectory(filepath.Dir(target)); err != nil {
			return err
		}
		if err := copyFile(target, source, io.Discard); err != nil {
			return err
		}
		if err := syncDirectory(filepath.Dir(target)); err != nil {
			return err
		}
	}
	return nil
}

// apply appends the entry, commits everything, and replaces the facts, in one transaction.
func (r *Refounding) apply(d *DB) error {
	if damage := d.checkpoint.damage; damage != nil {
		return damage
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []raft.Entry{r.Entry}
	if err := d.checkOrder(list); err != nil {
		return err
	}
	if r.Entry.Index != d.end.index+1 || r.Entry.Term <= d.state.Term {
		return fmt.Errorf("save to %s: invariant broken: entry %d of term %d does not follow entry %d of term %d", d.path,
			r.Entry.Index, r.Entry.Term, d.end.index, d.state.Term)
	}
	facts := maps.Clone(r.Facts)
	for _, key := range []string{keyWAL, keyStart} {
		if value, is := d.facts[key]; is {
			facts[key] = value
		}
	}
	state := raft.HardState{Term: r.Entry.Term, Vote: r.Vote, Commit: r.Entry.Index}
	setHardState(facts, state)
	return d.transact(facts, state, list, func() (tail, error) {
		d.facts = map[string]string{} // the transaction writes all of the new ones
		if err := d.writer.exec(deleteFactsStatement); err != nil {
			return tail{}, err
		}
		return d.writeEntries(list)
	})
}
