package storage

import (
	"database/sql/driver"
	"errors"
	"os"
)

// A checkpoint writes much at once, first to the write-ahead log and then to the database. If a sync had to wait for
// all of it, the disk would have no time for the saves of raft.db meanwhile, and a leader would lose its leadership. So
// what was written is written back in parts, as it comes, and the syncs find little to do.

const (
	// writtenBehind is how much may be written to the write-ahead log before it is written back.
	writtenBehind = 4 << 20
	// writtenAtOnce is the part of the database that is written back at once.
	writtenAtOnce = 4 << 20

	unsyncedStatement = `PRAGMA synchronous = OFF`
	syncedStatement   = `PRAGMA synchronous = FULL`
	// keptStatement copies nothing.
	keptStatement = `PRAGMA wal_checkpoint(NOOP)`
)

// countPages counts what SQLite has written since the last call.
func (s *stateFile) countPages() error {
	pages, err := s.writer.pagesWritten()
	s.pages += pages
	s.kept += pages
	s.behind += pages
	return err
}

// wrote is called after a statement of a transaction, and has the write-ahead log written back when many pages were
// written. A failure is permanent: a later sync would prove nothing (trap T53).
func (s *stateFile) wrote() error {
	if err := s.countPages(); err != nil || walLength(s.behind) < writtenBehind {
		return err
	}
	s.behind = 0
	err := s.writer.do("write log back", func() (err error) {
		if s.log == nil {
			if s.log, err = os.OpenFile(s.path+walSuffix, os.O_RDWR|openFlags, 0); err != nil {
				return err
			}
		}
		return writeBack(s.log)
	})
	if err != nil {
		s.failure = explain("save to", s.path, err)
	}
	return err
}

// copyPages copies the write-ahead log into the database when it is long. The log is synced, and no transaction begins
// it anew before the database is synced here. If there is no room for the copy, it stays in the log.
func (s *stateFile) copyPages() error {
	if err := s.countPages(); err != nil || s.pages < statePages {
		return err
	}
	if err := s.writer.exec(unsyncedStatement); err != nil {
		return err
	}
	copied := s.noteKept(passiveCheckpoint)
	if err := s.writer.exec(syncedStatement); err != nil {
		return err
	}
	if isFull(explain("checkpoint", s.path, copied)) {
		return nil // it is tried again with the next checkpoint
	}
	if copied != nil {
		return copied
	}
	s.pages = 0
	return s.syncCopied()
}

// noteKept runs a checkpoint of SQLite, and notes which pages of the write-ahead log the next transaction does not
// overwrite: those that are there, unless all of them are copied. Another program that reads may have prevented that.
func (s *stateFile) noteKept(checkpoint string) error {
	return s.writer.query(checkpoint, func(row []driver.Value) error {
		written, _ := row[1].(int64)
		copied, _ := row[2].(int64)
		if s.kept = int(written); copied == written {
			s.kept = 0
		}
		return nil
	})
}

// syncCopied makes the database durable, part by part.
func (s *stateFile) syncCopied() error {
	info, err := s.synced.Stat()
	if err != nil {
		return err
	}
	p := newPace(copyShare)
	for from := int64(0); from < info.Size(); from += writtenAtOnce {
		err := s.writer.do("write database back", func() error { return writePartBack(s.synced, from, writtenAtOnce) })
		if err != nil {
			return err
		}
		p.pause()
	}
	return s.writer.do("sync database", s.synced.Sync)
}

// openSynced opens the database to sync it. It is synced at once: an earlier process may have ended after it copied
// the write-ahead log and before it synced the copy, and another program may have kept SQLite from copying it again. A
// failure is permanent: a later sync would prove nothing (trap T53).
func (s *stateFile) openSynced() (err error) {
	if s.synced != nil {
		return nil
	}
	if s.synced, err = openPrivate(s.path); err != nil {
		return err
	}
	if err = s.writer.do("sync at open", s.synced.Sync); err != nil {
		s.failure = explain("open", s.path, err)
	}
	return err
}

// closeSynced closes what openSynced opened, once no connection is open: it drops the locks of SQLite.
func (s *stateFile) closeSynced() error {
	if s.synced == nil {
		return nil
	}
	err := s.synced.Close()
	s.synced = nil
	return err
}

// closeLog closes the write-ahead log, which has no locks.
func (s *stateFile) closeLog() error {
	if s.log == nil {
		return nil
	}
	err := s.log.Close()
	s.log, s.behind = nil, 0
	return err
}

// closeAsItIs closes the connections. It changes nothing in the files: the reader is closed last, and cannot write. An
// error of a file that cannot be used is nothing new.
func (s *stateFile) closeAsItIs() { _ = errors.Join(s.closeWriter(), s.closeReader(), s.closeSynced()) }
