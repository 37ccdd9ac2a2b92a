package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asHanging makes the test binary a process that hangs as a whole, with a watchdog that makes this many checks.
const asHanging = "KONTIKI_TEST_AS_HANGING"

// hang makes this process hang as a whole: one thread waits in the kernel without the Go runtime noticing, as in a
// page fault, and another one stops the world for a garbage collection, and waits for the first.
func hang(looks string) {
	limit, err := strconv.Atoi(looks)
	if err != nil {
		panic(err)
	}
	path := filepath.Join(os.TempDir(), "kontiki-hang-"+strconv.Itoa(os.Getpid()))
	held, err := os.Create(path)
	wanted, openErr := os.Open(path)
	watchdogProgram = os.Args[0]
	_ = os.Unsetenv(asHanging) // the watchdog does not hang
	err = errors.Join(err, openErr, os.Remove(path), unix.Flock(int(held.Fd()), unix.LOCK_EX),
		(&commonFlags{logFormat: "text"}).startWatchdog(slog.New(slog.DiscardHandler), limit))
	if err != nil {
		panic(err)
	}
	fd := wanted.Fd()
	waits := make(chan struct{})
	go func() {
		close(waits)
		_, _, _ = syscall.RawSyscall(syscall.SYS_FLOCK, fd, syscall.LOCK_EX, 0) // restarted after each signal
	}()
	<-waits
	for {
		runtime.GC()
	}
}

// A process that hangs as a whole is ended from outside, and the reason is logged.
func TestHangingProcessIsEnded(t *testing.T) {
	t.Parallel()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), asProgram+"=1", asHanging+"=2")
	log := &syncBuffer{}
	c.Stderr = log
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want it killed; log:\n%s", err, log)
	}
	if !strings.Contains(log.String(), "the node must stop immediately") {
		t.Errorf("log:\n%s", log)
	}
}

// The first process of a container ignores SIGKILL from inside. It is ended nevertheless.
func TestHangingFirstProcessIsEnded(t *testing.T) {
	t.Parallel()
	c := exec.Command("unshare", "--pid", "--fork", "--mount-proc", os.Args[0])
	if output, err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("unshare: %v %s(this test needs root)", err, output)
	}
	c.Env = append(os.Environ(), asProgram+"=1", asHanging+"=2")
	log := &syncBuffer{}
	c.Stderr = log
	if err := c.Run(); err == nil {
		t.Error("it ended as if nothing had happened")
	}
	for _, part := range []string{"the node must stop immediately", "process 1 sent no beat", "SIGQUIT"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q is not in the log:\n%s", part, log)
		}
	}
}

// scripted is a watchdog over a process, with checks that the test triggers.
func scripted(t *testing.T, parent *exec.Cmd) (
	log *syncBuffer, beats chan struct{}, look chan time.Time, done chan error,
) {
	t.Helper()
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(parent.Process.Kill(), parent.Wait()) })
	log, beats, look, done = &syncBuffer{}, make(chan struct{}), make(chan time.Time), make(chan error, 1)
	w := &watchdog{parent: parent.Process.Pid, looks: 3, logger: slog.New(slog.NewTextHandler(log, nil))}
	go func() { done <- w.watch(beats, look) }()
	return log, beats, look, done
}

// No process is ended while it sends beats, nor after the parent has ended.
func TestWatchdogIsQuietWhileItsParentRuns(t *testing.T) {
	t.Parallel()
	log, beats, look, done := scripted(t, exec.Command("sleep", "1000"))
	for range 5 {
		look <- time.Time{}
		look <- time.Time{}
		beats <- struct{}{}
	}
	close(beats)
	if err := <-done; err != nil || log.String() != "" {
		t.Errorf("%v; log: %q", err, log)
	}
}

// A process that is stopped, by Ctrl-Z or a debugger, is not ended.
func TestWatchdogLeavesAStoppedProcess(t *testing.T) {
	t.Parallel()
	parent := exec.Command("sleep", "1000")
	log, beats, look, done := scripted(t, parent)
	if err := parent.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(parent.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatal(status, err)
	}
	for range 10 {
		look <- time.Time{}
	}
	close(beats)
	if err := <-done; err != nil || log.String() != "" {
		t.Errorf("%v; log: %q", err, log)
	}
}

// The watchdog ends with its parent, however that ends.
func TestWatchdogEndsWithItsParent(t *testing.T) {
	t.Parallel()
	c := exec.Command(os.Args[0], watchdogName)
	c.Env = append(os.Environ(), asProgram+"=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "."); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Close(), c.Wait()); err != nil {
		t.Error(err)
	}
}

// frozenDisk mounts a file system that the returned functions freeze and thaw, or skips the test.
func frozenDisk(t *testing.T) (dir string, freeze, thaw func() error) {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	for _, c := range [][]string{
		{"truncate", "-s", "120M", image}, {"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir},
	} {
		if output, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v %s(this test needs root and loop devices)", c, err, output)
		}
	}
	freeze = exec.Command("fsfreeze", "-f", dir).Run
	thaw = func() error { return exec.Command("fsfreeze", "-u", dir).Run() }
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			t.Error("umount:", err)
		}
	})
	return dir, freeze, thaw
}

// T53: a disk that hangs ends the node within seconds, wherever a thread waits for it: in a write, which the runtime
// sees, or in a page fault in the memory that SQLite shares with its readers, after which no goroutine runs.
func TestFrozenDiskEndsTheNode(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes as long as the watchdog's limit")
	}
	disk, freeze, thaw := frozenDisk(t)
	f := newFleet(t, func(f *fleet) { f.dir, f.flags = disk, []string{"--disk-stall-timeout", "3s"} })
	f.put(f.leader(), "k", "before")
	if err := freeze(); err != nil {
		t.Skip("fsfreeze: ", err)
	}
	defer thaw() //nolint:errcheck // the test thaws it below, unless it fails before
	var clients sync.WaitGroup
	for i := range f.api {
		clients.Go(func() {
			for range 6 {
				var page string
				f.put(i, "k", "after")
				_ = f.get(i, "/api/logs?from=1", &page) // it accesses the shared memory
			}
		})
	}
	defer clients.Wait()
	f.until("every node logs that it must stop", func() bool {
		for _, log := range f.logs {
			if !strings.Contains(log.String(), "the node must stop immediately") {
				return false
			}
		}
		return true
	})
	for i, log := range f.logs { // the watchdog process reports a hang in a page fault, which has no name
		text := log.String()
		if !strings.Contains(text, "a save to "+filepath.Join(f.data(i), "raft.db")+" has not finished for 3") &&
			!strings.Contains(text, "sent no beat for 8s") {
			t.Errorf("node %d does not report what hung, or for how long:\n%s", i+1, text)
		}
	}
	if err := thaw(); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.running {
		if err := c.Wait(); err == nil {
			t.Error("a node ended as if nothing had happened")
		}
	}
	clear(f.running)
}
