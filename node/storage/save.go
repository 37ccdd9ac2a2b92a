package storage

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Save makes the hard state and the entries durable in one transaction with one sync of the disk, and returns when
// they are (traps T1, T55). The entries have no gaps and replace everything stored at and after entries[0].Index;
// without entries the log is unchanged. The commit index always goes to the mark. It goes to the database when
// factsAreDue, and always when there are no entries. After an error the state of the disk is unknown: Save and every
// later call return that error, and the process must end (trap T53).
func (d *DB) Save(state raft.HardState, entries []raft.Entry) error {
	start := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return err
	}
	if err := d.checkOrder(entries); err != nil {
		return err
	}
	facts := maps.Clone(d.facts)
	setHardState(facts, state)
	if len(entries) == 0 && maps.Equal(facts, d.facts) {
		return nil // already on the disk
	}
	if err := d.commit(facts, state, entries); err != nil {
		return d.fail(explain("save to", d.path, err))
	}
	if d.observe != nil {
		d.observe(time.Since(start))
	}
	return nil
}

// NoteCommit records a commit index that no Save follows. It does not wait for the disk: the end of the process does
// not undo it, and a power loss may.
func (d *DB) NoteCommit(index raft.Index) error {
	if err := d.broken(); err != nil {
		return err
	}
	if err := d.marker.commit(index); err != nil {
		return d.fail(explain("save to", d.path+markSuffix, err))
	}
	return nil
}

// SaveFacts makes pairs of node_state durable in one transaction. The keys that Save writes cannot be among them.
func (d *DB) SaveFacts(facts map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return err
	}
	for _, key := range ownKeys {
		if _, is := facts[key]; is {
			return fmt.Errorf("save to %s: the key %q belongs to the storage itself", d.path, key)
		}
	}
	all := maps.Clone(d.facts)
	maps.Copy(all, facts)
	if maps.Equal(all, d.facts) {
		return nil
	}
	if err := d.commit(all, d.state, nil); err != nil {
		return d.fail(explain("save to", d.path, err))
	}
	return nil
}

// Facts returns every pair of node_state except those that only the storage itself reads.
func (d *DB) Facts() (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return nil, err
	}
	facts := maps.Clone(d.facts)
	for _, key := range privateKeys {
		delete(facts, key)
	}
	return facts, nil
}

// checkOrder refuses entries that do not continue the log.
func (d *DB) checkOrder(entries []raft.Entry) error {
	for i, e := range entries {
		if e.Index != entries[0].Index+raft.Index(i) {
			return fmt.Errorf("save to %s: entry %d follows entry %d", d.path, e.Index, entries[i-1].Index)
		}
	}
	start := d.start.Load().Index
	if len(entries) > 0 && (entries[0].Index <= start || entries[0].Index > d.end.index+1) {
		return fmt.Errorf("save to %s: entry %d would leave a gap, the log starts at %d and ends at %d",
			d.path, entries[0].Index, start+1, d.end.index)
	}
	return nil
}

// commit saves a hard state and entries.
func (d *DB) commit(facts map[string]string, state raft.HardState, entries []raft.Entry) error {
	return d.transact(facts, state, entries, func() (tail, error) { return d.writeEntries(entries) })
}

// transactOnce is one attempt of transact.
func (d *DB) transactOnce(
	facts map[string]string, state raft.HardState, entries []raft.Entry, write func() (tail, error),
) error {
	if err := d.begin.exec(); err != nil {
		return err
	}
	if d.unchained != nil {
		if err := d.chainRows(); err != nil {
			return err
		}
	}
	end, err := write()
	if err != nil {
		return err
	}
	if err := d.cutSome(facts, &state, entries); err != nil {
		return err
	}
	if err := d.raiseFormat(entries); err != nil {
		return err
	}
	anchor, version := d.anchor, d.version
	if d.factsAreDue(facts, entries, end) {
		anchor = end
		version++
		facts[keyVersion] = strconv.FormatUint(version, 10)
		facts[keyCRC] = formatCRC(facts, anchor)
		if err := d.writeFacts(facts); err != nil {
			return err
		}
	} else {
		facts = d.facts
	}
	if err := d.commitTx.exec(); err != nil {
		return err
	}
	d.facts, d.state, d.version, d.end, d.anchor = facts, state, version, end, anchor
	if err := d.marker.set(version, state, end); err != nil {
		return err
	}
	return d.countPages()
}

// raiseFormat makes the database one that older programs refuse, if the transaction adds the first configuration.
func (d *DB) raiseFormat(entries []raft.Entry) error {
	isConfiguration := func(e raft.Entry) bool { return e.Type == raft.EntryConfig }
	needed := formatOf(d.start.Load())
	if slices.ContainsFunc(entries, isConfiguration) {
		needed = membersFormat
	}
	if d.format >= needed {
		return nil
	}
	return d.setFormat(needed)
}

// formatOf returns the format of a database whose log has a start, and no configuration behind it.
func formatOf(start *raft.LogStart) int64 {
	if start.Configuration.Index > 0 {
		return membersFormat
	}
	return chainedFormat
}

// anchorEvery is the number of entries after which node_state is written even if only the commit index changed.
const anchorEvery = 1024

// factsAreDue reports whether node_state must be written along with the entries: always when they replace others, so
// that between two writes of it the log only grows (see mark). A commit index may lag, because the mark has it, so it
// alone is no reason: node_state is on another page than the end of the log, and writing both costs 50% more than
// writing one.
func (d *DB) factsAreDue(facts map[string]string, entries []raft.Entry, end tail) bool {
	if len(entries) == 0 || entries[0].Index <= d.end.index || end.index-d.anchor.index >= anchorEvery {
		return true
	}
	for key, value := range facts {
		if key != keyCommit && key != keyCRC && d.facts[key] != value {
			return true
		}
	}
	return false
}

// writeEntries replaces the end of the log and returns the new end.
func (d *DB) writeEntries(entries []raft.Entry) (tail, error) {
	end := d.end
	if len(entries) > 0 {
		d.loaded.Store(nil)
	}
	if len(entries) > 0 && entries[0].Index <= end.index {
		digest, err := d.digestBefore(entries[0].Index)
		if err != nil {
			return end, err
		}
		if err := d.deleteFrom.exec(int64(entries[0].Index)); err != nil {
			return end, err
		}
		end = tail{entries[0].Index - 1, digest}
	}
	for rows := range slices.Chunk(entries, rowsPerInsert) {
		whole := len(rows) == rowsPerInsert
		d.values = d.values[:0]
		for _, e := range rows {
			end = tail{e.Index, extend(end.digest, e)}
			d.longest.add(e.Index, len(e.Command))
			d.values = appendRow(d.values, e, end.digest)
		}
		if err := d.insert(whole); err != nil {
			return end, err
		}
	}
	clear(d.values) // they hold the commands
	return end, nil
}

// digestBefore reads the digest of the log up to the entry before an index: a replaced suffix continues from it.
func (d *DB) digestBefore(index raft.Index) (raft.Digest, error) {
	if start := d.start.Load(); index == start.Index+1 {
		return start.Digest, nil
	}
	at, err := d.rowAt(index - 1)
	return at.Digest, err
}

// rowAt returns the position of an entry, without seats and configuration.
func (d *DB) rowAt(index raft.Index) (raft.LogStart, error) {
	at, rows := raft.LogStart{}, rowReader{}
	err := d.rowBefore.query(func(row []driver.Value) error {
		term, err := rows.seed(row, index)
		at = raft.LogStart{Index: index, Term: term, Digest: rows.end.digest}
		return err
	}, int64(index), int64(1))
	if err == nil && at.Index == 0 {
		err = fmt.Errorf("%w: entry %d is missing", ErrDamaged, index)
	}
	return at, err
}

// insert writes the rows in d.values, in one statement or one by one.
func (d *DB) insert(whole bool) error {
	if whole {
		return d.insertMany.exec(d.values...)
	}
	for row := range slices.Chunk(d.values, columnsPerRow) {
		if err := d.insertOne.exec(row...); err != nil {
			return err
		}
	}
	return nil
}

// writeFacts writes the pairs that changed.
func (d *DB) writeFacts(facts map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		old, is := d.facts[key]
		if is && old == facts[key] {
			continue
		}
		write := d.update
		if !is {
			write = d.upsert
		}
		if err := write.execOne(facts[key], key); err != nil {
			return err
		}
	}
	return nil
}
