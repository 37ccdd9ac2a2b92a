package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Foundation is what a data directory begins with that is made of a copy of a checkpoint.
type Foundation struct {
	// Position is the start of the log, of which the state becomes the checkpoint.
	Position raft.LogStart
	Facts    map[string]string // of the node, as SaveFacts takes them
	Cluster  map[string]string // of the cluster, as SaveState takes them
}

// ErrNotEmpty means that a data directory cannot be made, because it exists and has files.
var ErrNotEmpty = errors.New("the directory is not empty")

// Create makes a data directory of a verified copy of a checkpoint, whose hash must be sum. It makes and checks it
// under another name, and renames it when it is complete and durable: after an error or a crash dir is as before.
func Create(dir, source string, sum [sha256.Size]byte, f Foundation) error {
	return createDirectory(dir, func(part string) error { return f.fill(part, source, sum) })
}

// createDirectory makes a data directory under another name, and renames it when fill has made its files.
func createDirectory(dir string, fill func(part string) error) error {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = checkEmpty(dir)
	}
	if err == nil {
		err = makeDirectory(filepath.Dir(dir))
	}
	if err == nil {
		err = refuseNetworkDisk(filepath.Dir(dir))
	}
	if err != nil {
		return explain("make", dir, err)
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".part-")
	if err != nil {
		return explain("make", dir, err)
	}
	if err = fill(part); err == nil {
		err = checkCreated(part)
	}
	if err == nil {
		err = replaceEmpty(dir, part)
	}
	if err != nil {
		return errors.Join(explain("make", dir, err), os.RemoveAll(part))
	}
	return explain("make", dir, syncDirectory(filepath.Dir(dir))) // trap T56
}

// checkCreated makes the names of the files durable, and checks the files as a start does.
func checkCreated(dir string) error {
	if err := syncDirectory(dir); err != nil {
		return err
	}
	v, err := VerifyDirectory(dir)
	if err != nil {
		return err
	}
	return errors.Join(v.Damage...)
}

// replaceEmpty renames a directory to the name of one that is missing or empty. os.Rename refuses the latter.
func replaceEmpty(dir, part string) error {
	err := unix.Rename(part, dir)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w: a mount point cannot be replaced; name a directory in it", err)
	}
	return err
}

// checkEmpty refuses a path at which there is something else than an empty directory.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%w: it has %s", ErrNotEmpty, entries[0].Name())
	}
	return nil
}

// fill makes the files in an empty directory.
func (f *Foundation) fill(dir, source string, sum [sha256.Size]byte) error {
	state := filepath.Join(dir, stateName)
	if err := copyVerified(state, source, sum); err != nil {
		return err
	}
	if err := rewriteMeta(state, f.changeMeta); err != nil {
		return err
	}
	facts := maps.Clone(f.Facts)
	setHardState(facts, raft.HardState{Term: f.Position.Term, Commit: f.Position.Index})
	facts[keyVersion], facts[keyWAL], facts[keyStart] = "0", walEmpty, formatStart(f.Position)
	facts[keyCRC] = formatCRC(facts, tail{f.Position.Index, f.Position.Digest})
	for key, value := range facts {
		facts[key] = strings.ReplaceAll(value, `'`, `''`) // they become literals of SQL
	}
	statements := creation(facts, formatOf(&f.Position))
	return createWhole(filepath.Join(dir, databaseName), writerPragmas, statements, nil)
}

// copyVerified copies a file whose hash must be sum, and returns when the copy is durable.
func copyVerified(to, source string, sum [sha256.Size]byte) error {
	hash := sha256.New()
	err := copyFile(to, source, hash)
	if got := [sha256.Size]byte(hash.Sum(nil)); err == nil && got != sum {
		err = fmt.Errorf("%w: %s has the hash %x, and must have %x", ErrDamaged, source, got, sum)
	}
	return err
}

// copyFile copies a file, and what it reads to a second writer, and returns when the copy is durable.
func copyFile(to, source string, second io.Writer) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	out, err := openPrivate(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(out, second), in)
	return errors.Join(err, out.Sync(), out.Close())
}

// changeMeta makes the table meta of a copy of a checkpoint one at the position of the foundation.
func (f *Foundation) changeMeta(meta *stateMeta) error {
	if f.Position.Index < meta.position.Index || f.Position.Term < meta.position.Term {
		return fmt.Errorf("the log would start at index %d of term %d, before the state, which is of index %d of term %d",
			f.Position.Index, f.Position.Term, meta.position.Index, meta.position.Term)
	}
	meta.position, meta.store.Applied, meta.facts = f.Position, uint64(f.Position.Index), f.Cluster
	return checkNames(f.Cluster)
}

// rewriteMeta changes the table meta of a checkpoint that no node has open.
func rewriteMeta(path string, change func(*stateMeta) error) error {
	c, err := connect(path, "rw", slices.Concat(statePragmas, commonPragmas), nil)
	if err != nil {
		return err
	}
	return errors.Join(writeMeta(c, change), c.close())
}

func writeMeta(c *conn, change func(*stateMeta) error) error {
	meta, err := readMeta(c)
	if err != nil {
		return err
	}
	if err := change(&meta); err != nil {
		return err
	}
	put, err := c.prepare(putMetaStatement, 2)
	if err != nil {
		return err
	}
	defer put.close() //nolint:errcheck // the connection is closed next
	for _, statement := range []string{beginStatement, `DELETE FROM meta`} {
		if err := c.exec(statement); err != nil {
			return err
		}
	}
	pairs := meta.pairs()
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if err := put.execOne(key, pairs[key]); err != nil {
			return err
		}
	}
	if err := c.exec(commitStatement); err != nil {
		return err
	}
	return c.exec(restartCheckpoint)
}
