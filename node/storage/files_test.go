package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// wantPrivate checks that only the owner can access a directory and its files.
func wantPrivate(t *testing.T, dir string, directory os.FileMode) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != fileMode {
			t.Errorf("%s has mode %v, %v; want %o", f.Name(), info.Mode(), err, fileMode)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != directory {
		t.Errorf("the directory has mode %v, %v; want %o", info.Mode(), err, directory)
	}
}

// Only the node's user can read values, also in a directory that existed with other permissions, and with files of an
// older version in it.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := mustOpen(t, dir, small)
		mustSave(t, d, raft.HardState{Term: 1}, nil)
		wantPrivate(t, dir, directoryMode)
		image := crashImage(t, dir)
		mustClose(t, d)
		for name := range files(t, image) {
			if err := os.Chmod(filepath.Join(image, name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dir = image
	}
}

// A directory that holds other files too keeps its mode: it may be /tmp, or a home.
func TestSharedDirectoryKeepsItsMode(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "pictures"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, small)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}

// A child process tries it with other umasks, because the umask belongs to the process.
func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	t.Parallel()
	for _, mask := range []string{"0000", "0022", "0277", "0777"} {
		dir := filepath.Join(t.TempDir(), "above", "data")
		c := child(t, "umask", dir)
		c.Env = append(c.Env, childUmask+"="+mask)
		if output, err := c.CombinedOutput(); err != nil || string(output) != "killed itself\n" {
			t.Fatalf("umask %s: %v, %s", mask, err, output)
		}
		wantPrivate(t, dir, directoryMode)
	}
}

// A link in the data directory must not make the node write to another file of its user. It is refused, and its
// target is unchanged.
func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	const precious = "precious\n"
	for _, name := range []string{
		lockName, databaseName, databaseName + walSuffix, databaseName + "-shm", databaseName + markSuffix,
		databaseName + "-journal",
	} {
		for kind, link := range map[string]func(old, new string) error{
			"symlink": os.Symlink, "hard link": os.Link,
			"dangling":  func(_, path string) error { return os.Symlink("/nowhere/at/all", path) },
			"pipe":      func(_, path string) error { return unix.Mkfifo(path, 0o600) },
			"directory": func(_, path string) error { return os.Mkdir(path, 0o700) },
		} {
			for _, state := range []string{"new", "closed"} {
				t.Run(fmt.Sprintf("%s as %s, %s", name, kind, state), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					if state == "closed" {
						dir, _ = filled(t)
					}
					victim, path := filepath.Join(t.TempDir(), "victim"), filepath.Join(dir, name)
					if err := os.WriteFile(victim, []byte(precious), 0o640); err != nil {
						t.Fatal(err)
					}
					_ = os.Remove(path) // if it exists
					if err := link(victim, path); err != nil {
						t.Fatal(err)
					}
					d, err := Open(dir, small)
					if err == nil {
						mustClose(t, d)
						t.Fatal("it opened")
					}
					if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), ErrForeignFile.Error()) {
						t.Errorf("the error does not state what is wrong: %v", err)
					}
					data, err := os.ReadFile(victim)
					info, statErr := os.Stat(victim)
					if err != nil || statErr != nil || string(data) != precious || info.Mode().Perm() != 0o640 {
						t.Errorf("the file that it leads to holds %q, %v, %v", data, err, statErr)
					}
				})
			}
		}
	}
}

// The data directory itself may be a link, to a larger disk.
func TestLinkedDirectoryOpens(t *testing.T) {
	t.Parallel()
	dir, want := filled(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, link, small)
	wantRefused(t, dir, ErrLocked)
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), want)
}

// LOCK only names the holder: whatever happens to it, a second process is refused, and its error names the first.
func TestRemovedLockStillLocks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return os.Rename(path, path+".old") },
		"emptied":  func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := mustOpen(t, dir, small)
			mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 1))
			if err := change(filepath.Join(dir, lockName)); err != nil {
				t.Fatal(err)
			}
			output, err := child(t, "open", dir).CombinedOutput()
			if want := fmt.Sprintf("in use by process %d", os.Getpid()); err != nil || !strings.Contains(string(output), want) {
				t.Errorf("the child prints %q, %v; want %q", output, err, want)
			}
			mustSave(t, d, raft.HardState{Term: 1}, entries(1, 2, 2))
		})
	}
}

// A file of that name with other content is not written to.
func TestForeignLockIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, lockName)
	if err := os.WriteFile(path, []byte("my notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, ErrForeignFile)
	if data, err := os.ReadFile(path); err != nil || string(data) != "my notes\n" {
		t.Errorf("it holds %q, %v", data, err)
	}
}

// Another program with a lock on the database, such as an open transaction in sqlite3, is named.
func TestHolderOfTheDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	c := child(t, "hold", dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = c.Wait()
	}()
	if n, err := out.Read(make([]byte, 10)); err != nil || n == 0 {
		t.Fatal("the child does not hold it", err)
	}
	_, err = Open(dir, small)
	if err == nil {
		t.Fatal("it opened")
	}
	for _, part := range []string{ErrBusy.Error(), fmt.Sprintf("process %d", c.Process.Pid), "end the other program"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}
