package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell starts a shell command.
func shell(t *testing.T, command string) *Process {
	t.Helper()
	p, err := Start("the shell", exec.Command("sh", "-c", command), filepath.Join(t.TempDir(), "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// await waits until a process has ended.
func await(t *testing.T, p *Process) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); p.Running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process does not end")
		}
	}
}

func TestAProcessThatEndsIsReportedWithItsOutput(t *testing.T) {
	t.Parallel()
	var code int
	log := filepath.Join(t.TempDir(), "log")
	note := func(_ *Process, state *os.ProcessState) { code = state.ExitCode() }
	p, err := Start("the shell", exec.Command("sh", "-c", "echo one; echo two >&2; exit 3"), log, note)
	if err != nil {
		t.Fatal(err)
	}
	await(t, p)
	if err := p.Ended(); code != 3 || err == nil || err.Error() != "the shell ended by itself: exit status 3" {
		t.Errorf("code %d, %v", code, err)
	}
	if whole, end := p.LogEnd(100), p.LogEnd(6); whole != "one\ntwo\n" || end != "two\n" {
		t.Errorf("the log is %q and ends with %q", whole, end)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a process that has ended: %v", err)
	}
}

func TestStopEndsAProcessThatIsPaused(t *testing.T) {
	t.Parallel()
	p := shell(t, "exec sleep 60")
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.Ended(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil || p.Running() {
		t.Errorf("running: %t, %v", p.Running(), err)
	}
}

func TestAProgramThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	_, err := Start("node 7", exec.Command("/nowhere/raftnode"), log, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "start node 7: ") {
		t.Errorf("got %v", err)
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	p := shell(t, "exec sleep 60")
	memory, err := p.Memory()
	if err != nil || memory <= 0 {
		t.Errorf("memory %d, %v", memory, err)
	}
	if _, err := p.CPU(); err != nil {
		t.Error(err)
	}
	if OwnCPU() <= 0 {
		t.Error("this process has used no processor time")
	}
}
